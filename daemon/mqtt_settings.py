"""Where the broker is, and how it and whoever connects prove who they are; a node's table `[mqtt]`."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

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


class Reach(Struct, frozen=True, forbid_unknown_fields=True):
    """How a broker is reached, by nodes and monitors alike. keepalive: seconds.

    table: of the configuration, for what is said about it. files: the fields that are paths, or
    `credential:NAME`. check_server_name: the broker's certificate has to be made out to `host`.
    plain_over_network: says that an unencrypted connection to another machine is meant.
    """

    table: ClassVar[str] = "mqtt"
    files: ClassVar[tuple[str, ...]] = ("password_file", "ca_file", "cert_file", "key_file")

    host: Annotated[str, Meta(pattern=HOST)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    username: str | None = None
    password_file: str | None = None
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    check_server_name: bool = True
    plain_over_network: bool = False
    keepalive: Annotated[int, Meta(ge=5, le=600)] = 30

    @property
    def encrypted(self) -> bool:
        return self.tls or self.ca_file is not None or self.cert_file is not None

    @property
    def local(self) -> bool:
        """True where the broker can only be on this machine."""
        return is_loopback(self.host)

    @property
    def where(self) -> str:
        return f"{self.host}:{self.port}"


class Mqtt(Reach, frozen=True, forbid_unknown_fields=True):
    """broker_log: mosquitto's log, where it is on this machine. reading_expiry_s: seconds."""

    files: ClassVar[tuple[str, ...]] = (*Reach.files, "broker_log")

    site: Name = "home"
    node: Name = "eeg"
    broker_log: str | None = None
    reading_expiry_s: Annotated[int, Meta(ge=1, le=86400)] = 60

    def identifier(self, role: str = "") -> str:
        """The name of a connection: role sets it apart from another one of the same node.

        Always the same: at a reconnection the broker then ends our former connection, and says its will,
        before we say that we are online; and two daemons of one name are noticed.
        """
        return f"eegcopilot-{self.site}-{self.node}{role and '.'}{role}"


R = TypeVar("R", bound=Reach)


def resolved(reach: R, folder: Path) -> R:
    """With the places of its files, as `place` finds them."""
    return structs.replace(reach, **{key: place(getattr(reach, key), folder) for key in reach.files})


def check(reach: Reach) -> None:
    """Raises ConfigError."""
    table = reach.table
    if not reach.encrypted and not reach.plain_over_network and not reach.local:
        raise ConfigError(
            f"{table}.host: {reach.host!r} is another machine and the connection is not encrypted: "
            f"set {table}.tls = true (or {table}.ca_file), or {table}.plain_over_network = true "
            "if you mean it"
        )
    if getattr(reach, "node", None) == FLEET:
        raise ConfigError(f"{table}.node: {FLEET!r} is reserved for what nodes and readers say to each other")
    if reach.encrypted and reach.plain_over_network:
        raise ConfigError(f"{table}.plain_over_network: the connection is encrypted: leave it out")
    if (reach.key_file is None) != (reach.cert_file is None):
        raise ConfigError(f"{table}.cert_file, {table}.key_file: a client certificate needs both")
    for key, file in (("ca_file", reach.ca_file), ("cert_file", reach.cert_file)):
        if file is not None:
            check_file(f"{table}.{key}", file)
    if reach.key_file is not None:
        check_private(f"{table}.key_file", reach.key_file)
    password = read_password(reach)
    if reach.username is not None and password is None and reach.cert_file is None:
        raise ConfigError(
            f"{table}.username: {reach.username!r} has no password: set {table}.password_file, "
            f"or give systemd the credential {PASSWORD_CREDENTIAL!r}"
        )
    if password is not None and reach.username is None:
        raise ConfigError(f"{table}.password_file: there is a password but no {table}.username")


def warnings(reach: Reach) -> list[str]:
    """What is allowed by the configuration and still unwise, one line each: said at every start."""
    said = []
    if reach.plain_over_network and not reach.local:
        said.append(
            f"{reach.table}.plain_over_network: everybody between here and the broker can read and change "
            "all that is said, passwords included"
        )
    if reach.encrypted and not reach.check_server_name:
        said.append(
            f"{reach.table}.check_server_name: any server that this CA has certified passes for the broker"
        )
    return said


def read_password(reach: Reach) -> str | None:
    """The broker's password from its file, or from systemd's credential; None if there is neither."""
    given = credential(PASSWORD_CREDENTIAL)
    file = reach.password_file or (str(given) if given is not None else None)
    return None if file is None else read_secret(f"{reach.table}.password_file", file)


def is_loopback(host: str) -> bool:
    """True where `host` can only be this machine, by name or by address (nothing is looked up)."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
