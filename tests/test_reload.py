"""SIGHUP: what a running daemon takes over and what waits. What the watchdog and the journal are told."""

import asyncio
import contextlib
import dataclasses
import socket
from pathlib import Path

import pytest
from broker import Mosquitto, listening
from msgspec import structs
from node import command, configuration, serving, stream

from daemon import journal
from daemon.config import load_config
from daemon.lifesigns import DRIVER_S, STUCK_S, lifeless
from daemon.reloading import compare
from daemon.sources.base import SourceEvent
from daemon.vigil import Vigil

SIMULATOR = 'kind = "simulator"'


def test_every_key_is_taken_or_waits(tmp_path: Path) -> None:
    old = load_config(configuration(tmp_path, 1883, stream("a", SIMULATOR) + stream("b", SIMULATOR)))
    assert compare(old, old).taken == compare(old, old).waiting == ()
    text = stream("a", SIMULATOR, 'subject = "pseudo-2"\nmin_quality = 0.9\nmains_hz = 60') + stream(
        "c", SIMULATOR
    )
    new = load_config(
        configuration(tmp_path, 1884, f'[log]\nlevel = "debug"\n[metrics]\nenabled = true\n{text}')
    )
    change = compare(old, new)
    assert set(change.taken) == {"log.level", "stream.a.subject", "stream.a.min_quality"}
    assert set(change.waiting) == {
        "mqtt.port",
        "metrics.enabled",
        "stream.a.mains_hz",
        "stream.b",
        "stream.c",
    }
    held = change.config
    assert (held.mqtt.port, held.stream[0].subject, held.stream[0].mains_hz) == (1883, "pseudo-2", 50)
    assert [s.name for s in held.stream] == ["a", "b"]
    # What holds now is not news the next time.
    assert compare(held, new).taken == ()


def test_reload_while_running(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """The person named in the file replaces the one before; what a command has said meanwhile stays."""

    async def body() -> None:
        file = configuration(tmp_path, mosquitto.port, stream("bed", SIMULATOR, "age = 40"))
        async with listening(mosquitto.port) as ear, serving(file) as running:
            await ear.until(lambda: any(m["state"] == "calibrating" for m in ear.under("bed/status")))
            answer = await command(ear, "bed", "patient", b'{"subject": "pseudo-9"}')
            assert answer["ok"]
            before = ear.under("/info")[-1]["config_sha256"]

            changed = stream("bed", SIMULATOR, "age = 41\nmin_quality = 0.9")
            running.service.reload(load_config(configuration(tmp_path, mosquitto.port, changed)))
            await ear.until(lambda: ear.under("/info")[-1]["config_sha256"] != before)
            told = len(ear.under("bed/status"))
            await ear.until(lambda: len(ear.under("bed/status")) >= told + 2)
            assert ear.under("bed/status")[-1]["subject"] == "pseudo-9"

            changed = stream("bed", SIMULATOR, 'subject = "pseudo-3"')
            running.service.reload(load_config(configuration(tmp_path, mosquitto.port, changed)))
            await ear.until(lambda: ear.under("bed/status")[-1]["subject"] == "pseudo-3")
            await running.finish()

    asyncio.run(body())


@dataclasses.dataclass
class Bed:
    """A stream as the watchdog sees it: numbers alone."""

    name: str = "bed"
    alive: bool = True
    driver_silent_s: float = 0.1
    driver_patience_s: float = 15.0
    waited: float = 0.0

    def untaken_s(self) -> float:
        return self.waited


def test_what_the_watchdog_calls_lifeless() -> None:
    assert lifeless([Bed(), Bed("other")], 0.5) == ""
    assert "model" in lifeless([Bed()], STUCK_S + 1)
    assert lifeless([Bed(), Bed("other", alive=False)], 0.0).startswith("other: the source's thread")
    assert "processed" in lifeless([Bed(waited=STUCK_S + 1)], 0.0)
    # A driver that was given a quarter of a minute to look for its device is not silent before that.
    assert lifeless([Bed(driver_silent_s=DRIVER_S + 14)], 0.0) == ""
    assert "driver" in lifeless([Bed(driver_silent_s=DRIVER_S + 16)], 0.0)


@pytest.mark.parametrize(
    ("event", "settled"), [("connecting", False), ("lost", True), ("refused", True), ("ended", True)]
)
def test_settled_once_the_headset_is_heard_of(event: str, settled: bool) -> None:
    vigil = Vigil(2.0, 0.5)
    vigil.event(SourceEvent(event, "", 0.0))  # type: ignore[arg-type]
    assert vigil.settled is settled


def test_journal_datagram(tmp_path: Path) -> None:
    """As systemd's Native Journal Protocol has it: a length before what has line breaks."""
    address = tmp_path / "journal"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald:
        journald.bind(str(address))
        event = {
            "event": "stream is offline",
            "level": "error",
            "stream": "bed-1",
            "exception": "a\nb",
            "ägg": 1,
        }
        with contextlib.closing(journal.JournalLogger(address)) as logger:
            logger.msg(journal.record(None, "error", event))
        told = journald.recv(65536)
    message = "stream is offline  stream=bed-1 ägg=1\na\nb".encode()
    assert b"MESSAGE\n" + len(message).to_bytes(8, "little") + message + b"\n" in told
    assert b"PRIORITY=3\n" in told and b"EEG_STREAM=bed-1\n" in told and b"EEG__GG=1\n" in told


def test_journal_away_is_no_loss(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with contextlib.closing(journal.JournalLogger(tmp_path / "nowhere")) as logger:
        logger.msg(journal.record(None, "info", {"event": "still said"}))
    assert capfdbinary.readouterr().err == b"still said\n"


def test_structs_of_streams_are_covered() -> None:
    """A key that is new in `Stream` is either taken over or told as waiting: `compare` reads them all."""
    from daemon.config import Stream
    from daemon.reloading import LIVE_STREAM

    assert set(LIVE_STREAM) <= {field.name for field in structs.fields(Stream)}
