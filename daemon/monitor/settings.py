"""monitor.toml, decoded strictly and once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, structs

from daemon import mqtt_settings
from daemon.errors import ConfigError
from daemon.monitor.broker import Broker, everywhere
from daemon.monitor.sealing import Keys
from daemon.mqtt_settings import is_loopback
from daemon.secret_files import check_file, check_private, place
from daemon.tls import tls_context
from daemon.toml_file import load_toml

FILE = "monitor.sqlite"

Label = Annotated[str, Meta(min_length=1, max_length=64)]


class Web(Struct, frozen=True, forbid_unknown_fields=True):
    """names: under which browsers reach it, besides `host`; any other Host header is refused.

    behind_proxy: a reverse proxy on this machine speaks TLS and tells the browser's address.
    idle_minutes: without any deed, until a clinician or an administrator is asked to log in again.
    session_hours: until everybody is.
    """

    host: Annotated[str, Meta(min_length=1, max_length=255)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    names: tuple[Annotated[str, Meta(min_length=1, max_length=255)], ...] = ()
    cert_file: str | None = None
    key_file: str | None = None
    behind_proxy: bool = False
    idle_minutes: Annotated[float, Meta(gt=0, le=1440)] = 30.0
    session_hours: Annotated[float, Meta(gt=0, le=168)] = 12.0

    @property
    def secure(self) -> bool:
        """Whether browsers reach it over TLS, so that cookies may be told to travel no other way."""
        return self.cert_file is not None or self.behind_proxy


class Ward(Struct, frozen=True, forbid_unknown_fields=True):
    """silent_s: a stream that says it is alive and is not heard for so long is shown as stalled, seconds.

    absent_s: and for so long, as offline. attention_labels: states that are sorted to the front.
    """

    silent_s: Annotated[float, Meta(ge=3, le=600)] = 10.0
    absent_s: Annotated[float, Meta(ge=3, le=3600)] = 60.0
    attention_labels: tuple[Label, ...] = ("stress", "anger", "disgust", "fear", "sadness")


class State(Struct, frozen=True, forbid_unknown_fields=True):
    """directory: accounts, heard records and the trail of deeds."""

    directory: str | None = None


class Log(Struct, frozen=True, forbid_unknown_fields=True):
    """format: `auto` is text on a terminal and JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "text", "json"] = "auto"


class MonitorConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; every table may be left out."""

    broker: Broker = msgspec.field(default_factory=Broker)
    web: Web = msgspec.field(default_factory=Web)
    ward: Ward = msgspec.field(default_factory=Ward)
    keys: Keys = msgspec.field(default_factory=Keys)
    state: State = msgspec.field(default_factory=State)
    log: Log = msgspec.field(default_factory=Log)

    def state_directory(self) -> Path:
        """The file's choice, systemd's StateDirectory, or the user's own."""
        given = self.state.directory or os.environ.get("STATE_DIRECTORY", "").split(":")[0]
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(given) if given else Path(home) / "eeg-copilot-monitor"


def load_monitor_config(path: Path) -> MonitorConfig:
    """Relative paths in the file start at its own folder. Raises ConfigError, one line."""
    return load_toml(path, MonitorConfig, _finished)


def _finished(config: MonitorConfig, folder: Path) -> MonitorConfig:
    config = _resolve(config, folder)
    mqtt_settings.check(config.broker)
    tls_context(config.broker)
    _check(config.web)
    return config


def _resolve(config: MonitorConfig, folder: Path) -> MonitorConfig:
    def at(path: str | None) -> str | None:
        return place(path, folder)

    web = config.web
    return structs.replace(
        config,
        broker=mqtt_settings.resolved(config.broker, folder),
        web=structs.replace(web, cert_file=at(web.cert_file), key_file=at(web.key_file)),
        keys=structs.replace(config.keys, directory=at(config.keys.directory)),
        state=State(at(config.state.directory)),
    )


def _check(web: Web) -> None:
    if (web.cert_file is None) != (web.key_file is None):
        raise ConfigError("web.cert_file, web.key_file: TLS needs both")
    if web.cert_file is not None:
        check_file("web.cert_file", web.cert_file)
    if web.key_file is not None:
        check_private("web.key_file", web.key_file)
    if web.behind_proxy and not is_loopback(web.host):
        raise ConfigError(
            f"web.host: {web.host!r} is open to other machines, past the proxy: "
            "set it to 127.0.0.1, or give web.cert_file instead of web.behind_proxy"
        )
    if not web.secure and not is_loopback(web.host):
        raise ConfigError(
            f"web.host: {web.host!r} would send passwords in the clear: "
            "give web.cert_file and web.key_file, or put a proxy before 127.0.0.1 and set web.behind_proxy"
        )
    if everywhere(web.host) and not web.names:
        raise ConfigError("web.names: is missing: name the addresses under which browsers reach this monitor")
