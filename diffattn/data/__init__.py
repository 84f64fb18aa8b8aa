"""Labelled texts: the data sets, and how text becomes tokens."""
