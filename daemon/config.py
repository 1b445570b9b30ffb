"""One TOML file, decoded strictly and once; everything after this module works on checked values."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, structs

from daemon import mqtt_settings, signer_settings
from daemon.draft_settings import Drafts
from daemon.errors import ConfigError
from daemon.mqtt_settings import HOST, Mqtt, Name
from daemon.pseudonym import Pseudonym
from daemon.recording_settings import Recording
from daemon.signer_settings import CommandRules, Signer
from daemon.sources.settings import BrainFlowSource, RecordingSource, SourceSettings
from daemon.toml_file import load_toml
from pipeline.errors import KeyFileError
from pipeline.keys import public_key

# Levels that stand where a stream's name would stand.
RESERVED = ("status", "info", "health", "cmd", "response")

Age = Annotated[int, Meta(ge=0, le=120)]
Gender = Literal["female", "male", "other"]


class Model(Struct, frozen=True, forbid_unknown_fields=True):
    """bundle: folder of the model, None for the shipped one. threads: of one model run. spin: they burn their
    cores while they wait for each other, which is faster where nothing else wants the cores.

    trusted_keys: public keys; where there are any, one of them has to have signed the bundle.
    reader: `remote` asks a pool of `eeg-copilot reader` with the same bundle, over the same broker; what it
    has not answered after late_s seconds is read here.
    """

    bundle: str | None = None
    trusted_keys: Annotated[tuple[str, ...], Meta(max_length=16)] = ()
    threads: Annotated[int, Meta(ge=1, le=64)] = 2
    spin: bool = False
    reader: Literal["local", "remote"] = "local"
    late_s: Annotated[float, Meta(ge=0.1, le=5)] = 1.0


class Log(Struct, frozen=True, forbid_unknown_fields=True):
    """format: `auto` is text on a terminal, fields under systemd's journal and JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "text", "json", "journal"] = "auto"


class State(Struct, frozen=True, forbid_unknown_fields=True):
    """directory: what must survive a restart. keep_sent_days: how long sent messages stay at hand.

    max_waiting: messages. max_mib: of all messages, sent ones included.
    """

    directory: str | None = None
    keep_sent_days: Annotated[float, Meta(ge=0, le=365)] = 3.0
    max_waiting: Annotated[int, Meta(ge=100, le=10_000_000)] = 100_000
    max_mib: Annotated[int, Meta(ge=1, le=1_000_000)] = 512


class Metrics(Struct, frozen=True, forbid_unknown_fields=True):
    """`/metrics` for Prometheus. No password guards it, so by default only this machine may ask."""

    enabled: bool = False
    host: Annotated[str, Meta(pattern=HOST)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 9477


class Stream(Struct, frozen=True, forbid_unknown_fields=True):
    """One headset on one person.

    mains_hz: 0 for none, as far from any wire. calibration_s: None takes the bundle's.
    min_quality: share of good channels below which the stream's status is `degraded`, 0..1.
    record: keep its raw samples, see `Recording`.
    windows: publish what the model sees of each window too, for screens that show it.
    """

    name: Name
    source: SourceSettings
    subject: Pseudonym = "pseudo-unknown"
    age: Age | None = None
    gender: Gender | None = None
    mains_hz: Literal[0, 50, 60] = 50
    calibration_s: Annotated[float, Meta(ge=4, le=3600)] | None = None
    min_quality: Annotated[float, Meta(ge=0, le=1)] = 0.5
    record: bool = False
    windows: bool = False


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. Optional tables have the defaults of their structs."""

    stream: Annotated[list[Stream], Meta(min_length=1, max_length=64)]
    mqtt: Mqtt = msgspec.field(default_factory=Mqtt)
    model: Model = msgspec.field(default_factory=Model)
    log: Log = msgspec.field(default_factory=Log)
    state: State = msgspec.field(default_factory=State)
    recording: Recording = msgspec.field(default_factory=Recording)
    drafts: Drafts = msgspec.field(default_factory=Drafts)
    metrics: Metrics = msgspec.field(default_factory=Metrics)
    signer: Annotated[list[Signer], Meta(max_length=256)] = []
    commands: CommandRules = msgspec.field(default_factory=CommandRules)

    def fingerprint(self) -> str:
        """SHA-256 of the decoded values: two files that mean the same have the same."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()

    def state_directory(self) -> Path:
        """Where the outbox lives: the file's choice, systemd's StateDirectory, or the user's own."""
        if self.state.directory is not None:
            return Path(self.state.directory)
        given = os.environ.get("STATE_DIRECTORY")
        if given:
            return Path(given.split(":")[0])
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(home) / "eeg-copilot"

    def recordings(self) -> Path:
        """The folder for recordings."""
        given = self.recording.directory
        return self.state_directory() / "recordings" if given is None else Path(given)


def load_config(path: Path) -> Config:
    """Reads, decodes and checks `path`. Relative paths in it start at its own folder.

    Raises ConfigError: one line with the file, the key's path, what was wrong, what is allowed.
    """
    return load_toml(path, Config, _finished)


def _finished(config: Config, folder: Path) -> Config:
    config = _resolve(config, folder)
    _check(config)
    return config


def _resolve(config: Config, folder: Path) -> Config:
    def at(path: str | None) -> str | None:
        return None if path is None else str(folder / Path(path).expanduser())

    def source(settings: SourceSettings) -> SourceSettings:
        if isinstance(settings, RecordingSource):
            return structs.replace(settings, files=tuple(str(at(file)) for file in settings.files))
        if isinstance(settings, BrainFlowSource) and settings.file:
            return structs.replace(settings, file=str(at(settings.file)))
        return settings

    return structs.replace(
        config,
        mqtt=mqtt_settings.resolved(config.mqtt, folder),
        model=structs.replace(config.model, bundle=at(config.model.bundle)),
        state=structs.replace(config.state, directory=at(config.state.directory)),
        recording=structs.replace(config.recording, directory=at(config.recording.directory)),
        drafts=structs.replace(
            config.drafts, guidance=at(config.drafts.guidance), embedder=at(config.drafts.embedder)
        ),
        stream=[structs.replace(stream, source=source(stream.source)) for stream in config.stream],
    )


def check_trusted(keys: Sequence[str]) -> None:
    """Raises ConfigError where one of `model.trusted_keys` is no public key."""
    for number, key in enumerate(keys):
        try:
            public_key(key)
        except KeyFileError as why:
            raise ConfigError(f"model.trusted_keys[{number}]: {why}") from None


def _check(config: Config) -> None:
    """What no type can say: values that only make sense together."""
    mqtt_settings.check(config.mqtt)
    check_trusted(config.model.trusted_keys)
    names: set[str] = set()
    for number, stream in enumerate(config.stream):
        if stream.name in names:
            raise ConfigError(f"stream[{number}].name: {stream.name!r} is taken by an earlier stream")
        if stream.name in RESERVED:
            raise ConfigError(
                f"stream[{number}].name: {stream.name!r} is reserved, as are {', '.join(RESERVED)}"
            )
        names.add(stream.name)
    signer_settings.check(config.signer, local=config.mqtt.local)
