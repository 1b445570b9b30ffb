"""Two hosts and a broker between them, as network namespaces of this machine: links that can be cut."""

from __future__ import annotations

import contextlib
import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from broker import MOSQUITTO


class HostsError(RuntimeError):
    """Namespaces cannot be had here, and in one line why."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts `beds` and `pool`, and the broker's. name: what their namespaces begin with."""

    name: str

    def on(self, host: str) -> list[str]:
        """The command that starts a program there."""
        return ["ip", "netns", "exec", f"{self.name}-{host}"]

    def broker(self, host: str) -> str:
        """The broker's address as this host sees it."""
        return f"10.211.{_HOSTS.index(host) + 1}.1"

    def link(self, host: str, state: str) -> None:
        """state: `down` cuts the wire between this host and the broker, `up` mends it. Nobody is told."""
        _ip("-n", f"{self.name}-broker", "link", "set", host, state)


_HOSTS = ("beds", "pool")


@contextlib.contextmanager
def two_hosts() -> Iterator[Hosts]:
    """Raises HostsError where this user or this container may not make them."""
    hosts = Hosts(f"eeg-{uuid.uuid4().hex[:8]}")
    made: list[str] = []
    try:
        for host in ("broker", *_HOSTS):
            _ip("netns", "add", f"{hosts.name}-{host}")
            made.append(f"{hosts.name}-{host}")
            _ip("-n", made[-1], "link", "set", "lo", "up")
        for host in _HOSTS:
            there, broker = f"{hosts.name}-{host}", f"{hosts.name}-broker"
            _ip("-n", broker, "link", "add", host, "type", "veth", "peer", "name", "wire", "netns", there)
            address = hosts.broker(host)
            for where, name, own in ((broker, host, address), (there, "wire", address[:-1] + "2")):
                _ip("-n", where, "address", "add", f"{own}/24", "dev", name)
                _ip("-n", where, "link", "set", name, "up")
        _run([*hosts.on("beds"), "true"])
        yield hosts
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "delete", name], check=False)


@contextlib.contextmanager
def broker_between(hosts: Hosts, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A mosquitto on the middle one; anybody may come in, it is a wire of our own."""
    config = folder / "between.conf"
    config.write_text(f"listener {port} 0.0.0.0\nallow_anonymous true\nuser root\nset_tcp_nodelay true\n")
    with (folder / "between.log").open("wb") as log:
        process = subprocess.Popen(
            [*hosts.on("broker"), MOSQUITTO, "-c", str(config)], stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def _ip(*arguments: str) -> None:
    _run(["ip", *arguments])


def _run(command: list[str]) -> None:
    if os.geteuid() != 0:
        raise HostsError("network namespaces need root")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as why:
        raise HostsError(f"{command[0]}: {why.strerror}") from None
    if done.returncode:
        raise HostsError(f"{' '.join(command)}: {' '.join(done.stderr.split())}")
