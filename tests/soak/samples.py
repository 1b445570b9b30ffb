"""The ledger of samples: each number that a headset sent is on the disk, or the daemon knows that it is not.

The daemon's own recordings hold what it received, with each sample's number in the first channel, and where
it knows of a gap. What it does not know of is unaccounted for.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyxdf

from pipeline.recordings.xdf import EVENTS
from pipeline.recordings.xdf_chunks import whole_bytes
from tests.parts import fake_cyton
from tests.soak.headsets import TWIN_FIRST, LslHeadset

Numbers = npt.NDArray[np.int64]

# By stamps a loss is known as well as they are: shorter ones cannot be told from jitter, seconds.
_JITTER_S = 0.1
# How much of a stream may come late between two gaps, seconds: what a serial line and its driver buffer, and
# what came before the driver's next look.
_HELD_UP_S = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Samples that the daemon recorded as one stretch without a gap. numbers: as they lie in the file.

    first_sample: the daemon's own number of the first; it counts lost ones in, and begins anew with each of
    the daemon's lives.
    """

    numbers: Numbers
    first_sample: int
    rate: float


@dataclass
class Samples:
    """sent: by headsets. recorded: of these. before: sent before anybody listened. away: while there was no
    daemon. known: missing, and the daemon counted at least as many. jitter: missing beyond that, within what
    stamps can tell. unaccounted: missing, repeated or changed, and the daemon does not know.
    """

    sent: int = 0
    recorded: int = 0
    before: int = 0
    away: int = 0
    known: int = 0
    jitter: int = 0
    unaccounted: int = 0
    findings: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        return {
            name: getattr(self, name) for name in ("sent", "recorded", "before", "away", "known", "jitter")
        }

    def fault(self, line: str, number: int) -> None:
        self.unaccounted += number
        self.findings.append(f"{line}: {number} samples")


def recorded(folder: Path, stream: str) -> Iterator[Run]:
    """What the daemon recorded of a stream, in the order of its recording."""
    for file in sorted(folder.rglob("*.xdf"), key=lambda path: path.stat().st_ctime_ns):
        raw = file.read_bytes()
        streams, _ = pyxdf.load_xdf(io.BytesIO(raw[: whole_bytes(raw)]), dejitter_timestamps=False)
        eeg = next(s for s in streams if s["info"]["type"] == ["EEG"])
        if eeg["info"]["name"] != [stream] or not len(eeg["time_stamps"]):
            continue
        events = next(s for s in streams if s["info"]["type"] == [EVENTS])["time_series"]
        told = [json.loads(text) for (text,) in events]
        starts = [one for one in told if one["event"] == "segment"]
        values, rate = np.asarray(eeg["time_series"])[:, 0], float(eeg["info"]["nominal_srate"][0])
        for start, end in zip(starts, [one["sample"] for one in starts[1:]] + [len(values)], strict=True):
            if len(part := values[start["sample"] : end]):
                yield Run(part, start["first_sample"], rate)


def account_lsl(found: Samples, headset: LslHeadset, runs: Sequence[Run]) -> None:
    """Adds a stream's samples. Of a twin's it only matters that they come in runs of their own."""
    lives = [life for life in headset.lives if not life.twin]
    found.sent += sum(life.sent for life in lives)
    found.before += sum(life.unheard for life in lives)
    sent = np.concatenate([life.first + np.arange(life.unheard, life.sent) for life in lives])
    balance = _Balance(found, headset.name, _JITTER_S)
    last, own, before = -1, -1, -1  # number; the daemon's own for it, -1 in another life of the daemon
    for run in runs:
        numbers = np.round(run.numbers).astype(np.int64)
        _within(found, headset.name, numbers, not np.array_equal(numbers, run.numbers), run.rate)
        own = -1 if run.first_sample <= before else own
        before = run.first_sample + numbers.size - 1
        if numbers[0] >= TWIN_FIRST:
            continue
        found.recorded += numbers.size
        missing = int(np.searchsorted(sent, numbers[0]) - np.searchsorted(sent, last, "right"))
        if last < 0:
            found.before += missing
        elif numbers[0] <= last:
            found.fault(f"{headset.name}: sample {numbers[0]} again, behind {last}", numbers.size)
        elif own < 0:
            found.away += missing
        else:
            balance.gap(last, missing, run.first_sample - own - 1, run.rate)
        balance.run(numbers.size)
        last, own = int(numbers[-1]), before
    if tail := sent.size - int(np.searchsorted(sent, last, "right")):
        found.fault(f"{headset.name}: sent and not recorded at the end", tail)


def _within(found: Samples, name: str, numbers: Numbers, changed: bool, rate: float) -> None:
    """Steps within a run: stamps do not show a short loss, as where liblsl's buffer just overflows."""
    steps = np.diff(numbers) - 1
    short = (steps > 0) & (steps <= round(_JITTER_S * rate))
    found.jitter += int(steps[short].sum())
    if odd := int(np.abs(steps[~short]).sum()) or int(changed):
        found.fault(f"{name}: not consecutive behind sample {numbers[0]}", odd)


def account_cyton(found: Samples, board: fake_cyton.FakeCyton, runs: Sequence[Run]) -> None:
    """Adds the board's packets; their numbers begin anew whenever the driver starts it.

    Between the last packet of one start and the first of the next nobody listened to it.
    """
    found.sent += sum(board.runs)
    # The board numbers its packets: while it runs their loss is known exactly.
    balance = _Balance(found, "cyton", 0.0)
    last = own = -1
    covered = 0
    for run in runs:
        exact = run.numbers.astype(np.float64) / fake_cyton.MICROVOLTS / fake_cyton.value(1)
        numbers = np.round(exact).astype(np.int64)
        odd = int(np.count_nonzero(np.diff(numbers) != 1) + np.count_nonzero(abs(exact - numbers) > 0.01))
        if odd:
            found.fault(f"cyton: not consecutive, or damaged, behind packet {numbers[0]}", odd)
        missing = int(numbers[0]) - last - 1
        if last >= 0 and missing >= 0 and run.first_sample > own:
            balance.gap(last, missing, run.first_sample - own - 1, run.rate)
            covered += missing
        balance.run(numbers.size)
        found.recorded += numbers.size
        covered += numbers.size
        last, own = int(numbers[-1]), run.first_sample + numbers.size - 1
    found.away += max(0, sum(board.runs) - covered)


class _Balance:
    """Of one stream: what is missing at each gap against what the daemon counted there.

    Where a device was held up, and lost something then, what it had buffered comes late between two gaps: the
    daemon knows the time that is missing in all, and takes the first gap for the longer one.
    """

    def __init__(self, found: Samples, name: str, jitter_s: float) -> None:
        self._found, self._name, self._jitter_s = found, name, jitter_s
        self._spare = self._since = 0

    def run(self, n_samples: int) -> None:
        self._since += n_samples

    def gap(self, behind: int, missing: int, counted: int, rate: float) -> None:
        spare = self._spare if self._since < _HELD_UP_S * rate else 0
        known = min(missing, max(0, counted) + spare)
        jitter = min(missing - known, round(self._jitter_s * rate))
        self._found.known += known
        self._found.jitter += jitter
        self._spare, self._since = max(0, counted + spare - missing), 0
        if left := missing - known - jitter:
            self._found.fault(f"{self._name} behind {behind}: {missing} missing, {counted} counted", left)
