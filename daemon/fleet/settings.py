"""The configuration of a reader of a pool: which broker, which bundle, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, structs

from daemon import mqtt_settings
from daemon.config import Log, check_trusted
from daemon.config_errors import explain
from daemon.errors import ConfigError
from daemon.mqtt_settings import Mqtt
from daemon.secret_files import place
from daemon.toml_file import load_toml


class ReaderModel(Struct, frozen=True, forbid_unknown_fields=True):
    """As the node's `[model]`. threads: one is the best use of a core; another core takes another reader."""

    bundle: str | None = None
    trusted_keys: Annotated[tuple[str, ...], Meta(max_length=16)] = ()
    threads: Annotated[int, Meta(ge=1, le=64)] = 1


class ReaderConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. mqtt.node: the reader's own name, another one for each."""

    mqtt: Mqtt = msgspec.field(default_factory=lambda: Mqtt(node="reader-1"))
    model: ReaderModel = msgspec.field(default_factory=ReaderModel)
    log: Log = msgspec.field(default_factory=Log)


def load_reader_config(path: Path) -> ReaderConfig:
    """Relative paths in the file start at its own folder. Raises ConfigError, one line."""
    return load_toml(path, ReaderConfig, _finished)


def _finished(config: ReaderConfig, folder: Path) -> ReaderConfig:
    config = structs.replace(
        config,
        mqtt=mqtt_settings.resolved(config.mqtt, folder),
        model=structs.replace(config.model, bundle=place(config.model.bundle, folder)),
    )
    check(config)
    return config


def at_broker(broker: str, site: str, name: str, bundle: str | None, threads: int) -> ReaderConfig:
    """A configuration without a file, for a broker that asks for no login. Raises ConfigError.

    broker: `HOST` or `HOST:PORT`.
    """
    host, colon, port = broker.rpartition(":")
    if not colon or not port.isdigit():
        host, port = broker, "1883"
    raw = {
        "mqtt": {"host": host, "port": int(port), "site": site, "node": name},
        "model": {"bundle": bundle, "threads": threads},
    }
    try:
        config = msgspec.convert(raw, ReaderConfig)
    except msgspec.ValidationError as why:
        raise ConfigError(explain(why, raw, ReaderConfig)) from None
    check(config)
    return config


def check(config: ReaderConfig) -> None:
    """Raises ConfigError."""
    mqtt_settings.check(config.mqtt)
    check_trusted(config.model.trusted_keys)
