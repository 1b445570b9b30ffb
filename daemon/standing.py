"""What a stream says of itself: its state whenever that changes, and how far its calibration is."""

from __future__ import annotations

import time

import structlog

from daemon.messages import Calibration, StreamState
from daemon.telling import Telling
from daemon.vigil import Vigil
from pipeline.records import Chunk

log = structlog.get_logger("stream")


class Standing:
    """vigil: decides the state, and is told of the calibration here. calibration_s: length of the rest."""

    def __init__(self, name: str, vigil: Vigil, telling: Telling, calibration_s: float) -> None:
        self.calibration_s = calibration_s
        self._name = name
        self._vigil = vigil
        self._telling = telling
        self._rest_from: int | None = None  # number of the first sample of the calibration
        self._told: tuple[StreamState, str, Calibration | None] | None = None
        self._since = time.time()

    def begin_rest(self) -> None:
        self._rest_from = None
        self._vigil.calibration = Calibration(0.0, self.calibration_s)

    def rest(self, chunk: Chunk) -> None:
        """Counts a chunk, while calibrating; in whole seconds, which is often enough for a countdown."""
        if self._vigil.calibration is None:
            return
        if self._rest_from is None:
            self._rest_from = chunk.first_sample
        seconds = (chunk.first_sample + chunk.n_samples - self._rest_from) / chunk.rate
        self._vigil.calibration = Calibration(float(int(seconds)), self.calibration_s)

    def end_rest(self) -> None:
        self._vigil.calibration = None

    def tell(self, subject: str) -> None:
        """Says nothing where nothing has changed."""
        state, detail = self._vigil.state(time.monotonic())
        calibration = self._vigil.calibration if state == "calibrating" else None
        if (state, detail, calibration) == self._told:
            return
        if self._told is None or (state, detail) != self._told[:2]:
            log.info("stream is " + state, stream=self._name, detail=detail)
        if self._told is None or state != self._told[0]:
            self._since = time.time()
        self._told = (state, detail, calibration)
        self._telling.status(state, self._since, detail, subject, calibration)
