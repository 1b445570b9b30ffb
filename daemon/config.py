"""One TOML file, decoded strictly and once; everything after this module works on checked values."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, structs

from daemon.config_errors import explain, one_line
from daemon.draft_settings import Drafts, Signer
from daemon.errors import ConfigError
from daemon.sources.settings import BrainFlowSource, RecordingSource, SourceSettings

# One level of an MQTT topic: nothing a broker or a subscriber could take for a wildcard or a level.
NAME = r"^[A-Za-z0-9_-]{1,64}\Z"
HOST = r"^([A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*|[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9]+)?)\Z"
# People appear under a pseudonym only; the prefix makes a name typed by mistake a refusal.
PSEUDONYM = r"^pseudo-[A-Za-z0-9_-]{1,48}\Z"
# Levels that stand where a stream's name would stand.
RESERVED = ("status", "info", "health", "cmd", "response")

Name = Annotated[str, Meta(pattern=NAME)]
Pseudonym = Annotated[str, Meta(pattern=PSEUDONYM)]
Age = Annotated[int, Meta(ge=0, le=120)]
Gender = Literal["female", "male", "other"]

# systemd's credentials directory is searched for this file where `password_file` is not given.
PASSWORD_CREDENTIAL = "mqtt-password"


class Mqtt(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the broker is. keepalive, reading_expiry_s: seconds."""

    host: Annotated[str, Meta(pattern=HOST)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    site: Name = "home"
    node: Name = "eeg"
    username: str | None = None
    password_file: str | None = None
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    plain: bool = False
    keepalive: Annotated[int, Meta(ge=5, le=600)] = 30
    reading_expiry_s: Annotated[int, Meta(ge=1, le=86400)] = 60

    @property
    def encrypted(self) -> bool:
        return self.tls or self.ca_file is not None or self.cert_file is not None


class Model(Struct, frozen=True, forbid_unknown_fields=True):
    """bundle: folder of the model, None for the shipped one. threads: of one model run."""

    bundle: str | None = None
    threads: Annotated[int, Meta(ge=1, le=64)] = 2


class Log(Struct, frozen=True, forbid_unknown_fields=True):
    """format: `auto` is text on a terminal, fields under systemd's journal and JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "text", "json", "journal"] = "auto"


class State(Struct, frozen=True, forbid_unknown_fields=True):
    """directory: what must survive a restart. keep_sent_days: how long sent messages stay at hand."""

    directory: str | None = None
    keep_sent_days: Annotated[float, Meta(ge=0, le=365)] = 3.0
    max_waiting: Annotated[int, Meta(ge=100, le=10_000_000)] = 100_000


class Metrics(Struct, frozen=True, forbid_unknown_fields=True):
    """`/metrics` for Prometheus. No password guards it, so by default only this machine may ask."""

    enabled: bool = False
    host: Annotated[str, Meta(pattern=HOST)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 9477


class Stream(Struct, frozen=True, forbid_unknown_fields=True):
    """One headset on one person.

    mains_hz: 0 for none, as far from any wire. calibration_s: None takes the bundle's.
    min_quality: share of good channels below which the stream's status is `degraded`, 0..1.
    """

    name: Name
    source: SourceSettings
    subject: Pseudonym = "pseudo-unknown"
    age: Age | None = None
    gender: Gender | None = None
    mains_hz: Literal[0, 50, 60] = 50
    calibration_s: Annotated[float, Meta(ge=4, le=3600)] | None = None
    min_quality: Annotated[float, Meta(ge=0, le=1)] = 0.5


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. Optional tables have the defaults of their structs."""

    stream: Annotated[list[Stream], Meta(min_length=1, max_length=64)]
    mqtt: Mqtt = msgspec.field(default_factory=Mqtt)
    model: Model = msgspec.field(default_factory=Model)
    log: Log = msgspec.field(default_factory=Log)
    state: State = msgspec.field(default_factory=State)
    drafts: Drafts = msgspec.field(default_factory=Drafts)
    metrics: Metrics = msgspec.field(default_factory=Metrics)
    signer: Annotated[list[Signer], Meta(max_length=256)] = []

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


def load_config(path: Path) -> Config:
    """Reads, decodes and checks `path`. Relative paths in it start at its own folder.

    Raises ConfigError: one line with the file, the key's path, what was wrong, what is allowed.
    """
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file: give the path of a TOML configuration") from None
    except OSError as why:
        raise ConfigError(f"{path}: cannot be read: {why.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as why:
        raise ConfigError(f"{path}: not a TOML file: {one_line(str(why))}") from None
    except RecursionError:
        raise ConfigError(f"{path}: not a TOML file: nested too deeply") from None
    try:
        config = msgspec.convert(raw, Config)
        config = _resolve(config, path.resolve().parent)
        _check(config)
    except msgspec.ValidationError as why:
        raise ConfigError(f"{path}: {explain(why, raw, Config)}") from None
    except ConfigError as why:
        raise ConfigError(f"{path}: {why}") from None
    return config


def read_password(mqtt: Mqtt) -> str | None:
    """The broker's password from its file, or from systemd's credentials directory; None if neither is."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if mqtt.password_file is not None:
        file = Path(mqtt.password_file)
    elif credentials:
        file = Path(credentials) / PASSWORD_CREDENTIAL
    else:
        return None
    try:
        if mqtt.password_file is None and not file.is_file():
            return None
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as why:
        raise ConfigError(f"mqtt.password_file: {file} cannot be read: {one_line(str(why))}") from None


def _resolve(config: Config, folder: Path) -> Config:
    def at(path: str | None) -> str | None:
        return None if path is None else str(folder / Path(path).expanduser())

    def source(settings: SourceSettings) -> SourceSettings:
        if isinstance(settings, RecordingSource):
            return structs.replace(settings, files=tuple(str(at(file)) for file in settings.files))
        if isinstance(settings, BrainFlowSource) and settings.file:
            return structs.replace(settings, file=str(at(settings.file)))
        return settings

    mqtt = config.mqtt
    return structs.replace(
        config,
        mqtt=structs.replace(
            mqtt,
            password_file=at(mqtt.password_file),
            ca_file=at(mqtt.ca_file),
            cert_file=at(mqtt.cert_file),
            key_file=at(mqtt.key_file),
        ),
        model=structs.replace(config.model, bundle=at(config.model.bundle)),
        state=structs.replace(config.state, directory=at(config.state.directory)),
        drafts=structs.replace(
            config.drafts, guidance=at(config.drafts.guidance), embedder=at(config.drafts.embedder)
        ),
        stream=[structs.replace(stream, source=source(stream.source)) for stream in config.stream],
    )


def _check(config: Config) -> None:
    """What no type can say: values that only make sense together."""
    mqtt = config.mqtt
    if not mqtt.encrypted and not mqtt.plain and not is_loopback(mqtt.host):
        raise ConfigError(
            f"mqtt.host: {mqtt.host!r} is another machine and the connection is not encrypted: "
            "set mqtt.tls = true (or mqtt.ca_file), or mqtt.plain = true if the network is yours alone"
        )
    if (mqtt.key_file is None) != (mqtt.cert_file is None):
        raise ConfigError("mqtt.cert_file, mqtt.key_file: a client certificate needs both")
    for key in ("ca_file", "cert_file", "key_file"):
        file = getattr(mqtt, key)
        if file is not None and not Path(file).is_file():
            raise ConfigError(f"mqtt.{key}: {file} is not a file")
    password = read_password(mqtt)
    if mqtt.username is not None and password is None and mqtt.cert_file is None:
        raise ConfigError(
            f"mqtt.username: {mqtt.username!r} has no password: set mqtt.password_file, "
            f"or give systemd the credential {PASSWORD_CREDENTIAL!r}"
        )
    if password is not None and mqtt.username is None:
        raise ConfigError("mqtt.password_file: there is a password but no mqtt.username")
    names: set[str] = set()
    for number, stream in enumerate(config.stream):
        if stream.name in names:
            raise ConfigError(f"stream[{number}].name: {stream.name!r} is taken by an earlier stream")
        if stream.name in RESERVED:
            raise ConfigError(
                f"stream[{number}].name: {stream.name!r} is reserved, as are {', '.join(RESERVED)}"
            )
        names.add(stream.name)
    signers = [signer.id for signer in config.signer]
    for number, signer in enumerate(signers):
        if signer in signers[:number]:
            raise ConfigError(f"signer[{number}].id: {signer!r} is taken by an earlier signer")


def is_loopback(host: str) -> bool:
    """True where `host` can only be this machine, by name or by address (nothing is looked up)."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
