"""Malformed inputs of every kind: no crash, no hang, each taken or refused in one line (see `make fuzz`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.campaign import fuzz
from tests.fuzz.kinds import KINDS

INPUTS = 300


@pytest.mark.parametrize("name", KINDS)
def test_malformed_inputs(name: str, tmp_path: Path) -> None:
    figures = fuzz(KINDS[name], tmp_path, INPUTS, start=1)
    assert figures.inputs >= INPUTS * 0.9  # Hypothesis passes over those that it has had
    assert figures.refused, "none was malformed"
