"""Turns what the pipeline found into messages of one stream."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from daemon.latency import Latencies
from daemon.messages import (
    Calibration,
    ChannelVerdict,
    Emotion,
    EpisodeMessage,
    Latency,
    ModelRef,
    Quality,
    StreamState,
    StreamStatus,
    WindowMessage,
    WindowSpan,
    iso,
)
from daemon.post import Post
from daemon.wearer import Wearer
from pipeline.calibration import LEVELS
from pipeline.drafts.course import deviation, n_bands
from pipeline.records import ChannelQuality, CompressedWindow, Episode, Reading, Span
from pipeline.wavelet import BANDS


class Telling:
    """name: the stream's. latencies: shared by all streams."""

    def __init__(self, name: str, post: Post, model: ModelRef, latencies: Latencies) -> None:
        self._name = name
        self._post = post
        self._model = model
        self._latencies = latencies

    def status(
        self, state: StreamState, since: float, detail: str, subject: str, calibration: Calibration | None
    ) -> None:
        """since: UTC, seconds since the Unix epoch."""
        message = StreamStatus(
            state=state, since=iso(since), detail=detail, subject=subject, calibration=calibration
        )
        self._post.stream_status(self._name, message)

    def quality(self, electrodes: Sequence[str], quality: ChannelQuality) -> None:
        """electrodes: canonical names, one a row of `quality`."""
        verdicts = zip(electrodes, quality.good.tolist(), quality.reasons, strict=True)
        channels = {name: ChannelVerdict(good=good, reasons=why) for name, good, why in verdicts}
        self._post.quality(self._name, Quality(score=round(quality.score, 3), channels=channels))

    def window(self, window: CompressedWindow, subject: str) -> None:
        """The codes themselves, for a screen that shows what the model saw."""
        bands = n_bands(window.method)
        codes = dict(zip(window.channels, window.codes, strict=True))
        message = WindowMessage(
            subject=subject,
            window=_when(window.span),
            method=window.method,
            levels=LEVELS,
            codes={name: row.tolist() for name, row in codes.items()},
            bands=list(BANDS) if bands else [],
            deviations={
                name: deviation(row.astype(float)).reshape(bands, -1).mean(axis=1).round(2).tolist()
                for name, row in codes.items()
                if bands
            },
        )
        self._post.window(self._name, message)

    def emotion(self, reading: Reading, subject: str) -> None:
        span = reading.span
        label_ms = reading.infer_s * 1e3
        total_ms = (time.monotonic() - span.arrived) * 1e3
        self._latencies.add(label_ms, total_ms)
        message = Emotion(
            subject=subject,
            window=_when(span),
            label=reading.label,
            p=_rounded(reading.p),
            p_smooth=_rounded(reading.p_smooth),
            abstained=reading.abstained,
            reason=reading.reason,
            quality=round(reading.quality, 3),
            latency_ms=Latency(label=round(label_ms, 1), total=round(total_ms, 1)),
            model=self._model,
        )
        self._post.emotion(self._name, message)

    def episodes(self, wearer: Wearer, episodes: Iterable[Episode]) -> None:
        for episode in episodes:
            message = EpisodeMessage(
                episode=episode.id,
                phase=episode.phase,
                subject=wearer.subject,
                label=episode.label,
                start=iso(episode.start),
                end=iso(episode.end),
                readings=episode.readings,
                p_mean=round(episode.p_mean, 4),
                model=self._model,
            )
            self._post.episode(self._name, message)


def labelled(reading: Reading) -> dict[str, object]:
    """A reading as a recording notes it: whole, so that live and offline can be compared bit for bit."""
    span = reading.span
    return {
        "label": reading.label,
        "p": reading.p,
        "p_smooth": reading.p_smooth,
        "reason": reading.reason,
        "quality": reading.quality,
        "segment": span.segment,
        "start": iso(span.start),
        "end": iso(span.end),
    }


def _when(span: Span) -> WindowSpan:
    return WindowSpan(
        start=iso(span.start),
        end=iso(span.end),
        gap_pct=0.0,
        clock_unc_ms=round(span.time_uncertainty * 1e3, 3),
    )


def _rounded(p: dict[str, float]) -> dict[str, float]:
    return {label: round(value, 4) for label, value in p.items()}
