"""The scores, by the short name of their module."""

from diffattn.attention.scores import *  # noqa: F403
