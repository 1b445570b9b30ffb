"""The verbs of `python -m training`, one a module."""
