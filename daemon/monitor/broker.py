"""Where the monitor's broker is, and how it is reached."""

from __future__ import annotations

import ipaddress
import ssl
from typing import Annotated

from msgspec import Meta, Struct

from daemon.config_errors import one_line
from daemon.errors import ConfigError
from daemon.mqtt_settings import PASSWORD_CREDENTIAL, is_loopback
from daemon.secret_files import check_file, check_private, credential, read_secret


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
    plain_over_network: bool = False
    keepalive: Annotated[int, Meta(ge=5, le=600)] = 15

    def check(self) -> None:
        """Raises ConfigError where values do not make sense together."""
        if not self._encrypted and not self.plain_over_network and not is_loopback(self.host):
            raise ConfigError(
                f"broker.host: {self.host!r} is another machine and the connection is not encrypted: "
                "set broker.tls = true (or broker.ca_file), or broker.plain_over_network = true if you mean "
                "it"
            )
        if (self.key_file is None) != (self.cert_file is None):
            raise ConfigError("broker.cert_file, broker.key_file: a client certificate needs both")
        if self.ca_file is not None:
            check_file("broker.ca_file", self.ca_file)
        if self.key_file is not None:
            check_private("broker.key_file", self.key_file)
        if self.password() is not None and self.username is None:
            raise ConfigError("broker.password_file: there is a password but no broker.username")
        self.tls_context()

    def password(self) -> str | None:
        """From its file or systemd's credentials, None if neither is there. Raises ConfigError."""
        given = credential(PASSWORD_CREDENTIAL)
        file = self.password_file or (str(given) if given is not None else None)
        return None if file is None else read_secret("broker.password_file", file)

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


def everywhere(host: str) -> bool:
    """True where listening on `host` is listening on every address of this machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
