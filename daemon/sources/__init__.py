"""Where samples come from: LSL, BrainFlow, recordings and a simulator, behind one face."""

from __future__ import annotations

import platform

from daemon.config_errors import one_line
from daemon.errors import ConfigError
from daemon.sources.base import Source
from daemon.sources.settings import (
    BrainFlowSource,
    LslSource,
    RecordingSource,
    SimulatorSource,
    SourceSettings,
)


def make_source(settings: SourceSettings) -> Source:
    """The source that `settings` describe, not yet opened.

    Raises ConfigError where this machine cannot have it.
    """
    try:
        return _source(settings)
    except (ImportError, OSError, RuntimeError) as why:
        kind, reason = str(settings.__struct_config__.tag), one_line(str(why))[:200]
        cure = _CURES.get(kind, "install the program anew")
        raise ConfigError(
            f"source {kind!r} cannot be had on this machine ({platform.machine()}): {reason}: {cure}"
        ) from None


_CURES = {
    "lsl": "install liblsl, or `pip install --no-deps mne-lsl`, which brings it for arm64",
    "brainflow": "its Linux libraries are for x86-64 alone; stream the headset over LSL",
}


def _source(settings: SourceSettings) -> Source:
    # Imported when needed: liblsl and BrainFlow load native libraries, which not every machine has.
    match settings:
        case LslSource():
            from daemon.sources.lsl import LslInlet

            return LslInlet(settings)
        case BrainFlowSource():
            from daemon.sources.brainflow_board import BrainFlowBoard

            return BrainFlowBoard(settings)
        case RecordingSource():
            from daemon.sources.recording import RecordingPlayer

            return RecordingPlayer(settings)
        case SimulatorSource():
            from daemon.sources.simulator import Simulator

            return Simulator(settings)
