"""Labels recordings at full speed, through the very session and reader of the live daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.bundle import Bundle
from pipeline.prompt import Person
from pipeline.reader import Reader
from pipeline.recordings import Recording
from pipeline.records import Calibrating, CompressedWindow, Reading, Unreadable
from pipeline.session import Session, abstention
from pipeline.sitting import play
from pipeline.smoothing import Smoother

# Windows of one model run: more than this no longer makes it faster, and costs memory.
_BATCH = 32


@dataclass(frozen=True, slots=True)
class Labelled:
    """start_s, end_s: seconds since the file's first sample.

    window: what was read, None where nothing could be.
    """

    file: Path
    start_s: float
    end_s: float
    reading: Reading
    window: CompressedWindow | None


class Labelling:
    """One person's sitting. calibration_s: None takes the bundle's; mains_hz: 0 for none.

    calibrating: windows that were rest and got no label, so far.
    """

    def __init__(
        self,
        bundle: Bundle,
        reader: Reader,
        person: Person,
        *,
        mains_hz: float = 50.0,
        calibration_s: float | None = None,
    ) -> None:
        self.calibrating = 0
        self._bundle = bundle
        self._reader = reader
        self._person = person
        self._mains_hz = mains_hz
        self._calibration_s = calibration_s
        self._smoother = Smoother()

    def label(
        self, recordings: Sequence[Recording], progress: Callable[[float], None] = lambda seconds: None
    ) -> Iterator[Labelled]:
        """Every window after the calibration, in order. progress: told the seconds done so far.

        Raises MontageError, RecordingError.
        """
        first = recordings[0]
        session = Session(
            self._bundle.manifest.pipeline,
            first.channels,
            first.rate,
            mains=self._mains_hz,
            calibration=self._calibration_s,
        )
        waiting: list[tuple[Path, float, CompressedWindow | Reading]] = []
        done = 0
        for played in play(recordings):
            for step in session.feed(played.chunk):
                if isinstance(step, Calibrating):
                    self.calibrating += 1
                else:
                    item = abstention(step) if isinstance(step, Unreadable) else step
                    waiting.append((played.recording.path, played.offset_s, item))
            done += played.chunk.n_samples
            if len(waiting) >= _BATCH:
                yield from self._read(waiting)
                waiting = []
                progress(done / first.rate)
        yield from self._read(waiting)
        progress(done / first.rate)

    def _read(self, waiting: list[tuple[Path, float, CompressedWindow | Reading]]) -> Iterator[Labelled]:
        windows = [(item, self._person) for _, _, item in waiting if isinstance(item, CompressedWindow)]
        readings = iter(self._reader.read(windows))
        for file, offset_s, item in waiting:
            window = item if isinstance(item, CompressedWindow) else None
            reading = self._smoother.feed(item if isinstance(item, Reading) else next(readings))
            span = reading.span
            yield Labelled(file, span.start_s - offset_s, span.end_s - offset_s, reading, window)


def as_line(labelled: Labelled, bundle: Bundle) -> dict[str, object]:
    """As `label` writes it, one JSON object a line."""
    reading = labelled.reading
    return {
        "file": str(labelled.file),
        "start_s": round(labelled.start_s, 6),
        "end_s": round(labelled.end_s, 6),
        "label": reading.label,
        "p": {label: round(p, 6) for label, p in reading.p.items()},
        "p_smooth": {label: round(p, 6) for label, p in reading.p_smooth.items()},
        "abstained": reading.abstained,
        "reason": reading.reason,
        "quality": round(reading.quality, 4),
        "model": bundle.id,
        "research_use_only": True,
    }
