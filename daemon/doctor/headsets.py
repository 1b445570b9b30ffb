"""The way to the headsets: serial ports, Lab Streaming Layer, and what the unit allows of either."""

from __future__ import annotations

import grp
import platform
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from daemon.config import Config, Stream
from daemon.doctor.finding import Finding, ask
from daemon.sources.settings import BrainFlowSource, LslSource, RecordingSource

# What liblsl sends its discovery to within a site, and the port it uses (its documentation, lsl_api.cfg).
_GROUP, _PORT = "239.255.172.215", 16571
# Boards that need neither a port nor Bluetooth.
_VIRTUAL = {"synthetic", "playback_file", "streaming"}
DROP_INS = Path(sys.prefix) / "share" / "systemd" / "drop-ins"


def look_at_headsets(config: Config) -> Iterator[Finding]:
    for stream in config.stream:
        source = stream.source
        if isinstance(source, BrainFlowSource):
            yield from _board(stream.name, source)
        elif isinstance(source, RecordingSource):
            yield from _files(stream)
    if any(isinstance(stream.source, LslSource) for stream in config.stream):
        yield from _lsl()


def _files(stream: Stream) -> Iterator[Finding]:
    assert isinstance(stream.source, RecordingSource)
    for file in stream.source.files:
        if not Path(file).is_file():
            yield Finding(
                "device", "bad", f"{stream.name}: {file} is not a file", f"ls -l {Path(file).parent}"
            )


def _board(name: str, source: BrainFlowSource) -> Iterator[Finding]:
    if platform.machine() != "x86_64":
        detail = (
            f"{name}: BrainFlow has no Linux libraries for {platform.machine()}: stream the headset over LSL"
        )
        yield Finding("device", "bad", detail, 'run the headset\'s own LSL outlet, and set kind = "lsl"')
    elif source.serial_port:
        yield _port(name, Path(source.serial_port))
    elif str(source.board) not in _VIRTUAL and not source.ip_address:
        families = ask("systemctl", "show", "-p", "RestrictAddressFamilies", "--value", "eeg-copilot.service")
        if families and "AF_BLUETOOTH" not in families:
            detail = f"{name}: {source.board} is sought over Bluetooth, which the unit does not allow"
            yield Finding("bluetooth", "bad", detail, drop_in("bluetooth"))


def _port(name: str, port: Path) -> Finding:
    try:
        found = port.stat()
    except OSError as why:
        detail = f"{name}: {port}: {why.strerror}: the dongle is not plugged in, or has another name"
        return Finding("device", "bad", detail, "ls -l /dev/eeg /dev/ttyUSB* /dev/ttyACM*")
    if not stat.S_ISCHR(found.st_mode):
        return Finding(
            "device", "bad", f"{name}: {port} is not a serial port", "ls -l /dev/ttyUSB* /dev/ttyACM*"
        )
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = str(found.st_gid)
    everybody = found.st_mode & 0o006 == 0o006
    if not everybody and (group != "dialout" or found.st_mode & 0o060 != 0o060):
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        detail = f"{name}: {port} belongs to {group} ({mode}): the service may not open it"
        return Finding("device", "bad", detail, f"chgrp dialout {port} && chmod 660 {port}")
    return Finding("device", "good", f"{name}: {port} may be opened by the group {group}")


def _lsl() -> Iterator[Finding]:
    try:
        from daemon.sources.liblsl import pylsl

        pylsl.library_version()
    except (ImportError, OSError, RuntimeError):
        detail = f"liblsl is not here: pylsl has none for {platform.machine()}"
        yield Finding("lsl", "bad", detail, "pip install --no-deps mne-lsl==1.14.0")
        return
    reason = _multicast()
    if reason:
        detail = f"multicast does not work on this machine: {reason}"
        yield Finding(
            "lsl", "bad", detail, "ip link set lo multicast on && ip route add 239.0.0.0/8 dev eth0"
        )
    else:
        yield Finding("lsl", "good", f"liblsl is here and multicast to {_GROUP} goes through")
    allowed = ask("systemctl", "show", "-p", "IPAddressAllow", "--value", "eeg-copilot.service")
    denied = ask("systemctl", "show", "-p", "IPAddressDeny", "--value", "eeg-copilot.service")
    # systemd shows `multicast` as the networks that it stands for.
    if denied and "224.0.0.0/4" not in (allowed or ""):
        yield Finding("lsl-allowed", "bad", "the unit does not allow LSL's multicast", drop_in("lsl"))


def drop_in(name: str) -> str:
    """The command that switches a named drop-in on."""
    to = f"/etc/systemd/system/eeg-copilot.service.d/{name}.conf"
    again = "systemctl daemon-reload && systemctl restart eeg-copilot"
    return f"install -D -m 644 {DROP_INS / name}.conf {to} && {again}"


def _multicast() -> str:
    """Why a packet to the group does not come back to this machine; empty where it does."""
    mine = struct.pack("4s4s", socket.inet_aton(_GROUP), socket.inet_aton("0.0.0.0"))  # nosec B104 (any interface listens to a group)
    mark = b"eeg-copilot doctor"
    try:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth,
        ):
            ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            ear.bind(("", _PORT))
            ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mine)
            ear.settimeout(2.0)
            mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
            mouth.sendto(mark, (_GROUP, _PORT))
            while ear.recv(64) != mark:
                pass
    except TimeoutError:
        return "a packet to the group does not come back (a firewall?)"
    except OSError as why:
        return str(why.strerror or why)
    return ""
