"""Lean forms of the scores: the same numbers without the T × S × d terms."""
