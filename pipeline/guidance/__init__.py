"""Guidance with its sources: entries that experts edit, a hospital's own documents, and search in both."""

from __future__ import annotations

from pipeline.guidance.entries import Entry, Source
from pipeline.guidance.passages import DOCUMENT, Passage
from pipeline.guidance.search import Guidance

__all__ = ["DOCUMENT", "Entry", "Guidance", "Passage", "Source"]
