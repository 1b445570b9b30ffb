"""Everything that records need, put together from the configuration."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from daemon import config
from daemon.archive import Archive
from daemon.config import Config
from daemon.drafting import Drafting
from daemon.guides import guide
from daemon.post import Post
from daemon.record_post import RecordPost
from daemon.scribe import Scribe
from daemon.turns import Turns
from pipeline.bundle import Bundle
from pipeline.drafts.context import PatientContext
from pipeline.drafts.facts import Maker
from pipeline.drafts.model_writer import ModelWriter
from pipeline.drafts.sources import Guide
from pipeline.drafts.writing import Writer
from pipeline.reader import Reader
from pipeline.wavelet import METHODS, versioned

_PACKAGE = "eeg-emotion-copilot"


class Records:
    """The drafting thread's work, and a scribe for each stream."""

    def __init__(
        self, settings: Config, bundle: Bundle, reader: Reader, post: Post, turns: Turns, archive: Archive
    ) -> None:
        self._settings = settings.drafts
        self._bundle = bundle
        self._reader = reader
        self._turns = turns
        signers = {signer.id: signer for signer in settings.signer}
        self.drafting = Drafting(settings.drafts, signers, archive, RecordPost(post), self._equip)

    def scribe(self, stream: config.Stream) -> Scribe:
        """In a running event loop."""
        about = PatientContext(subject=stream.subject, age=stream.age, gender=stream.gender)
        wanted = stream.calibration_s
        pipeline = self._bundle.manifest.pipeline
        rest = pipeline.calibration if wanted is None else wanted
        made = maker(self._bundle, f"{stream.source.__struct_config__.tag} {stream.name}", rest)
        return Scribe(stream.name, self._settings, made, pipeline.hop, about, self.drafting)

    def _equip(self) -> tuple[Guide, Writer]:
        index, embedder = (at and Path(at) for at in (self._settings.guidance, self._settings.embedder))
        return guide(index or None, embedder or None), ModelWriter(self._reader, turn=self._turns.writing)


def _version() -> str:
    try:
        return metadata.version(_PACKAGE)
    except metadata.PackageNotFoundError:  # run from its source
        return "of unknown version"


def maker(bundle: Bundle, headset: str, calibration_s: float, *, utc: bool = True) -> Maker:
    manifest = bundle.manifest
    return Maker(
        model=bundle.id,
        sha256=bundle.sha256,
        labels=manifest.labels,
        label_schema=manifest.label_schema,
        program=f"{_PACKAGE} {_version()}",
        headset=headset,
        calibration_s=calibration_s,
        compression=versioned(METHODS[manifest.pipeline.compression]),
        utc=utc,
    )
