"""Drafts of a record: every number measured, every advice with its source, nothing until it is signed."""
