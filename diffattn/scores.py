"""`diffattn.attention.scores` by its short name."""

from diffattn.attention.scores import *  # noqa: F403
