"""The table `[mqtt]`: where the broker is, and how the node and the broker prove who they are."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, structs

from daemon.errors import ConfigError
from daemon.secret_files import check_file, check_private, credential, place, read_secret
from daemon.topics import FLEET

# One level of an MQTT topic: nothing a broker or a subscriber could take for a wildcard or a level.
NAME = r"^[A-Za-z0-9_-]{1,64}\Z"
HOST = r"^([A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*|[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9]+)?)\Z"
Name = Annotated[str, Meta(pattern=NAME)]

# Taken where `password_file` is not given and systemd hands over a credential of this name.
PASSWORD_CREDENTIAL = "mqtt-password"


class Mqtt(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the broker is. keepalive, reading_expiry_s: seconds.

    The four files: paths, or `credential:NAME`. check_server_name: the broker's certificate has to be
    made out to `host`. broker_log: mosquitto's log, where it is on this machine.
    plain_over_network: says that an unencrypted connection to another machine is meant.
    """

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
    check_server_name: bool = True
    broker_log: str | None = None
    plain_over_network: bool = False
    keepalive: Annotated[int, Meta(ge=5, le=600)] = 30
    reading_expiry_s: Annotated[int, Meta(ge=1, le=86400)] = 60

    @property
    def encrypted(self) -> bool:
        return self.tls or self.ca_file is not None or self.cert_file is not None

    @property
    def local(self) -> bool:
        """True where the broker can only be on this machine."""
        return is_loopback(self.host)


def resolved(mqtt: Mqtt, folder: Path) -> Mqtt:
    """With the places of its files, as `place` finds them."""
    return structs.replace(
        mqtt,
        password_file=place(mqtt.password_file, folder),
        ca_file=place(mqtt.ca_file, folder),
        cert_file=place(mqtt.cert_file, folder),
        key_file=place(mqtt.key_file, folder),
        broker_log=place(mqtt.broker_log, folder),
    )


def check(mqtt: Mqtt) -> None:
    """Raises ConfigError."""
    if not mqtt.encrypted and not mqtt.plain_over_network and not mqtt.local:
        raise ConfigError(
            f"mqtt.host: {mqtt.host!r} is another machine and the connection is not encrypted: "
            "set mqtt.tls = true (or mqtt.ca_file), or mqtt.plain_over_network = true if you mean it"
        )
    if mqtt.node == FLEET:
        raise ConfigError(f"mqtt.node: {FLEET!r} is reserved for what nodes and readers say to each other")
    if mqtt.encrypted and mqtt.plain_over_network:
        raise ConfigError("mqtt.plain_over_network: the connection is encrypted: leave it out")
    if (mqtt.key_file is None) != (mqtt.cert_file is None):
        raise ConfigError("mqtt.cert_file, mqtt.key_file: a client certificate needs both")
    for key, file in (("mqtt.ca_file", mqtt.ca_file), ("mqtt.cert_file", mqtt.cert_file)):
        if file is not None:
            check_file(key, file)
    if mqtt.key_file is not None:
        check_private("mqtt.key_file", mqtt.key_file)
    password = read_password(mqtt)
    if mqtt.username is not None and password is None and mqtt.cert_file is None:
        raise ConfigError(
            f"mqtt.username: {mqtt.username!r} has no password: set mqtt.password_file, "
            f"or give systemd the credential {PASSWORD_CREDENTIAL!r}"
        )
    if password is not None and mqtt.username is None:
        raise ConfigError("mqtt.password_file: there is a password but no mqtt.username")


def warnings(mqtt: Mqtt) -> list[str]:
    """What is allowed by the configuration and still unwise, one line each: said at every start."""
    said = []
    if mqtt.plain_over_network and not mqtt.local:
        said.append(
            "mqtt.plain_over_network: everybody between here and the broker can read and change all "
            "that is said, passwords included"
        )
    if mqtt.encrypted and not mqtt.check_server_name:
        said.append("mqtt.check_server_name: any server that this CA has certified passes for the broker")
    return said


def read_password(mqtt: Mqtt) -> str | None:
    """The broker's password from its file, or from systemd's credential; None if there is neither."""
    given = credential(PASSWORD_CREDENTIAL)
    file = mqtt.password_file or (str(given) if given is not None else None)
    return None if file is None else read_secret("mqtt.password_file", file)


def is_loopback(host: str) -> bool:
    """True where `host` can only be this machine, by name or by address (nothing is looked up)."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
