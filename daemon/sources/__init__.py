"""Where samples come from: LSL, BrainFlow, recordings and a simulator, behind one face."""

from __future__ import annotations

from daemon.sources.base import Source
from daemon.sources.settings import (
    BrainFlowSource,
    LslSource,
    RecordingSource,
    SimulatorSource,
    SourceSettings,
)


def make_source(settings: SourceSettings) -> Source:
    """The source that `settings` describe, not yet opened."""
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
