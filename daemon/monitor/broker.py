"""Where the monitor's broker is, and how it is reached."""

from __future__ import annotations

import ipaddress
from typing import Annotated, ClassVar

from msgspec import Meta

from daemon.mqtt_settings import Reach


class Broker(Reach, frozen=True, forbid_unknown_fields=True):
    """sites: those that are watched, `+` for all. keepalive: seconds.

    name: this monitor's, the broker keeps what it missed under it: another monitor needs another one.
    """

    table: ClassVar[str] = "broker"

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")] = "ward"
    sites: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^(\+|[A-Za-z0-9_-]{1,64})\Z")], ...], Meta(min_length=1)
    ] = ("+",)
    keepalive: Annotated[int, Meta(ge=5, le=600)] = 15


def everywhere(host: str) -> bool:
    """True where listening on `host` is listening on every address of this machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
