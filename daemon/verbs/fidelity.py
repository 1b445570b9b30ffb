"""`eeg-copilot fidelity FILE…`"""

from __future__ import annotations

import argparse

from msgspec import structs

from daemon.cli import DONE
from daemon.verbs.board import layout
from pipeline.bundle import Bundle, shipped_bundle
from pipeline.chain import Chain
from pipeline.errors import RecordingError
from pipeline.fidelity import BAND_EDGES, report
from pipeline.recordings import open_recording
from pipeline.sitting import play


def run(options: argparse.Namespace) -> int:
    settings = Bundle.load(shipped_bundle()).manifest.pipeline
    if options.window:
        settings = structs.replace(settings, window=options.window, hop=options.window)
    board = layout(options.board)
    recordings = [open_recording(file, board) for file in options.files]
    chain = Chain(settings, recordings[0].channels, recordings[0].rate, options.mains)
    windows = [window for played in play(recordings) for window in chain.feed(played.chunk)]
    try:
        rows = report(windows, settings.rate)
    except ValueError as why:
        raise RecordingError(f"{options.files[0]}: {why}") from None
    print(f"{len(windows)} windows of {settings.window:g} s, {len(chain.electrodes)} electrodes")
    print(f"{'method':<16}{'codes':>6}{'PRD %':>8}{'R':>7}" + "".join(f"{band:>8}" for band in BAND_EDGES))
    for row in rows:
        prd = "–" if row.prd is None else f"{row.prd:.1f}"
        bands = "".join(f"{row.retained[band]:8.2f}" for band in BAND_EDGES)
        print(f"{row.method:<16}{row.codes_per_channel:>6}{prd:>8}{row.r:>7.2f}{bands}")
    print(
        "Bands: share of power that a restoration keeps; for energy codes, which restore no signal, the "
        "correlation with Welch's band power over windows, and R its mean."
    )
    return DONE
