"""Where the monitor's broker is, and how it is reached."""

from __future__ import annotations

import ipaddress
import os
import ssl
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from daemon.config_errors import one_line
from daemon.errors import ConfigError

# systemd's credentials directory is searched for this file where `password_file` is not given.
PASSWORD_CREDENTIAL = "mqtt-password"


class Broker(Struct, frozen=True, forbid_unknown_fields=True):
    """sites: those that are watched, `+` for all. keepalive: seconds.

    name: this monitor's, the broker keeps what it missed under it: another monitor needs another one.
    """

    host: Annotated[str, Meta(min_length=1, max_length=255)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")] = "ward"
    sites: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^(\+|[A-Za-z0-9_-]{1,64})\Z")], ...], Meta(min_length=1)
    ] = ("+",)
    username: str | None = None
    password_file: str | None = None
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    plain: bool = False
    keepalive: Annotated[int, Meta(ge=5, le=600)] = 15

    def check(self) -> None:
        """Raises ConfigError where values do not make sense together."""
        if not self._encrypted and not self.plain and not loopback(self.host):
            raise ConfigError(
                f"broker.host: {self.host!r} is another machine and the connection is not encrypted: "
                "set broker.tls = true (or broker.ca_file), or broker.plain = true on a network of your own"
            )
        if (self.key_file is None) != (self.cert_file is None):
            raise ConfigError("broker.cert_file, broker.key_file: a client certificate needs both")
        if self.password() is not None and self.username is None:
            raise ConfigError("broker.password_file: there is a password but no broker.username")
        self.tls_context()

    def password(self) -> str | None:
        """From its file or systemd's credentials, None if neither is there. Raises ConfigError."""
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        if self.password_file is not None:
            file = Path(self.password_file)
        elif credentials and (Path(credentials) / PASSWORD_CREDENTIAL).is_file():
            file = Path(credentials) / PASSWORD_CREDENTIAL
        else:
            return None
        try:
            return file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as why:
            raise ConfigError(f"broker.password_file: {file} cannot be read: {one_line(str(why))}") from None

    def tls_context(self) -> ssl.SSLContext | None:
        """None for a plain connection. Raises ConfigError for certificates that cannot be used."""
        if not self._encrypted:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ssl.SSLError) as why:
            raise ConfigError(f"broker: certificate files cannot be used: {one_line(str(why))}") from None
        return context

    @property
    def _encrypted(self) -> bool:
        return self.tls or self.ca_file is not None or self.cert_file is not None


def loopback(host: str) -> bool:
    """True where `host` can only be this machine; nothing is looked up."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def everywhere(host: str) -> bool:
    """True where listening on `host` is listening on every address of this machine."""
    address = _address(host)
    return address is not None and address.is_unspecified


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
