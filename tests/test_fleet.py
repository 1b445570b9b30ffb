"""Thin nodes and readers at a real broker: the same answer bit for bit, once, whatever comes in between."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiomqtt
import msgspec
import numpy as np
import pytest
from broker import Mosquitto, listening
from fleet import PEOPLE, ReaderProcess, accounted, simulated_windows
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from daemon.alarms import Alarms
from daemon.config import load_config
from daemon.decoding import decode
from daemon.errors import ConfigError
from daemon.fleet import pool as pool_module
from daemon.fleet.letters import (
    Question,
    judgement,
    packet_bytes,
    question,
    read_judgement,
    read_question,
)
from daemon.fleet.pool import Pool
from daemon.fleet.settings import at_broker, load_reader_config
from daemon.fleet.topics import FleetTopics
from daemon.mqtt_settings import Mqtt
from pipeline.bundle import Bundle, shipped_bundle
from pipeline.calibration import LEVELS
from pipeline.prompt import Person, prefix
from pipeline.reader import Reader
from pipeline.records import CompressedWindow
from tests.parts.daemon_process import DaemonProcess

_SETTINGS = Bundle.load(shipped_bundle()).manifest.pipeline
# A machine that tests other things meanwhile takes its time.
PATIENT_S = 5.0


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(shipped_bundle())


@pytest.fixture(scope="module")
def local(bundle: Bundle) -> Reader:
    return Reader(bundle)


@pytest.fixture(scope="module")
def windows(bundle: Bundle) -> list[CompressedWindow]:
    return simulated_windows(bundle, 8)


@pytest.fixture
def reader(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Callable[..., ReaderProcess]]:
    running: list[ReaderProcess] = []

    def start(name: str = "reader-1", bundle: Path | None = None) -> ReaderProcess:
        running.append(ReaderProcess(tmp_path, name, f'site = "lab"\nport = {mosquitto.port}', bundle))
        running[-1].waits_for_questions()
        return running[-1]

    yield start
    for one in running:
        one.end()


@contextlib.asynccontextmanager
async def asking(
    broker: Mosquitto, bundle: Bundle, late_s: float = PATIENT_S, alarms: Alarms | None = None
) -> AsyncIterator[Pool]:
    pool = Pool(Mqtt(port=broker.port, site="lab", node="n1"), bundle, late_s, alarms)
    task = asyncio.create_task(pool.run())
    try:
        async with asyncio.timeout(20):
            while not pool.online:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        yield pool
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class FakeReader:
    """A member of the pool that answers as a test says: what a real one would never do."""

    def __init__(self, client: aiomqtt.Client, topics: FleetTopics) -> None:
        self.client, self.topics = client, topics
        self.asked: list[aiomqtt.Message] = []

    async def next(self) -> aiomqtt.Message:
        async with asyncio.timeout(20):
            async for message in self.client.messages:
                self.asked.append(message)
                return message
        raise AssertionError

    async def answer(self, to: aiomqtt.Message, payload: bytes, mark: bytes | None = None) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = to.properties.CorrelationData if mark is None else mark
        await self.client.publish(to.properties.ResponseTopic, payload, 1, properties=properties)


@contextlib.asynccontextmanager
async def fake_reader(broker: Mosquitto, bundle: Bundle) -> AsyncIterator[FakeReader]:
    topics = FleetTopics("lab", bundle.sha256)
    async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.subscribe(topics.shared, qos=1)
        yield FakeReader(client, topics)


def test_letters_hold_the_window_and_nothing_else(bundle: Bundle, windows: list[CompressedWindow]) -> None:
    settings_ = bundle.manifest.pipeline
    for person in PEOPLE:
        sent = question(windows[0], person)
        assert len(sent) < packet_bytes(settings_) < 16384
        window, told = read_question(sent, settings_)
        assert np.array_equal(window.codes, windows[0].codes) and window.codes.dtype == np.int16
        assert window.channels == windows[0].channels
        assert prefix(told) == prefix(person)
    # Of the age its decade, and of the time nothing.
    assert question(windows[0], Person(41)) == question(windows[0], Person(49))
    asked = msgspec.msgpack.decode(question(windows[0], PEOPLE[0]))
    assert len(asked) == len(Question.__struct_fields__) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"method": "w50-energy/99"},
        {"channels": ["Fp1"] * 19},
        {"channels": ["Fp2", "Fp1"]},
        {"channels": ["Nz", "Fp1", "Fp2", "F7"]},
        {"codes": b""},
        {"codes": bytes([LEVELS]) * (19 * 50)},
        {"decade": 41},
        {"decade": -10},
        {"gender": "x"},
        {"gender": 7},
    ],
)
def test_a_question_that_no_node_asks(
    bundle: Bundle, windows: list[CompressedWindow], change: dict[str, object]
) -> None:
    names = Question.__struct_fields__
    raw = msgspec.msgpack.decode(question(windows[0], PEOPLE[0]))
    for name, value in change.items():
        raw[names.index(name)] = value
    with pytest.raises(ValueError) as refusal:
        read_question(msgspec.msgpack.encode(raw), bundle.manifest.pipeline)
    assert "\n" not in str(refusal.value)


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_refused_in_one_line(payload: bytes) -> None:
    for read in (lambda: read_judgement(payload, 2), lambda: read_question(payload, _SETTINGS)):
        with pytest.raises(ValueError) as refusal:
            read()
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("p", [[0.5], [0.5, 0.4], [1.5, -0.5], [float("nan"), 0.5], [0.5, 0.25, 0.25]])
def test_an_answer_that_is_no_distribution(p: list[float]) -> None:
    with pytest.raises(ValueError):
        read_judgement(judgement(p, 0.01), 2)
    assert read_judgement(judgement([0.25, 0.75], 0.01), 2).p == [0.25, 0.75]


def test_the_pool_reads_as_the_node_does(
    mosquitto: Mosquitto,
    bundle: Bundle,
    local: Reader,
    windows: list[CompressedWindow],
    reader: Callable[..., ReaderProcess],
) -> None:
    """Bit for bit, whoever of the pool reads, and whatever else it reads meanwhile."""
    pool_of = [reader("reader-1"), reader("reader-2")]
    batch = [(window, person) for window in windows for person in PEOPLE]

    async def body() -> list[object]:
        async with asking(mosquitto, bundle) as pool:
            told = await asyncio.gather(*(pool.read(window, person) for window, person in batch))
            counts = pool.counts()
            assert counts["asked"] == counts["answered"] == len(batch), counts
            assert counts["read_here"] == counts["late"] == counts["strange"] == 0
        return told

    told = asyncio.run(body())
    for (window, _), there, here in zip(batch, told, local.read(batch), strict=True):
        assert there.p == here.p and there.label == here.label and there.reason == here.reason
        assert there.span == window.span and there.infer_s > 0
    counts = [one.stop() for one in pool_of]
    assert all(accounted(one) and one["heard"] > 0 for one in counts), counts
    assert sum(one["answered"] for one in counts) >= len(batch)


def test_nobody_there_is_known_at_once(
    mosquitto: Mosquitto, bundle: Bundle, windows: list[CompressedWindow]
) -> None:
    async def body() -> None:
        async with asking(mosquitto, bundle, late_s=60.0) as pool:
            began = time.monotonic()
            assert await pool.read(windows[0], PEOPLE[0]) is None
            assert await pool.read(windows[1], PEOPLE[0]) is None
            assert time.monotonic() - began < 20
            # The second one did not have to ask.
            assert (pool.counts()["asked"], pool.counts()["read_here"]) == (1, 2)

    asyncio.run(body())


def test_readers_of_another_bundle_are_not_asked(
    mosquitto: Mosquitto,
    bundle: Bundle,
    windows: list[CompressedWindow],
    reader: Callable[..., ReaderProcess],
    tmp_path: Path,
) -> None:
    other = tmp_path / "other"
    shutil.copytree(bundle.path, other)
    manifest = other / "bundle.toml"
    manifest.write_text(manifest.read_text() + "\n")
    assert Bundle.load(other).sha256 != bundle.sha256
    process = reader("reader-1", other)

    async def body() -> None:
        async with asking(mosquitto, bundle, late_s=60.0) as pool:
            assert await pool.read(windows[0], PEOPLE[0]) is None
        async with asking(mosquitto, Bundle.load(other)) as pool:
            assert await pool.read(windows[0], PEOPLE[0]) is not None

    asyncio.run(body())
    assert process.stop()["heard"] == 1


def test_answers_that_come_late_twice_or_from_strangers(
    mosquitto: Mosquitto,
    bundle: Bundle,
    windows: list[CompressedWindow],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "REST_S", 0.0)
    monkeypatch.setattr(pool_module, "TELL_S", 0.0)
    alarms = Alarms()
    good = judgement([0.25, 0.75], 0.001)

    async def body() -> None:
        async with fake_reader(mosquitto, bundle) as other, asking(mosquitto, bundle, 0.8, alarms) as pool:

            async def settled(**counts: int) -> None:
                async with asyncio.timeout(20):
                    while not counts.items() <= pool.counts().items():  # noqa: ASYNC110
                        await asyncio.sleep(0.02)

            # Sent twice, as the first one was not answered half-way; then it is the node's.
            assert await pool.read(windows[0], PEOPLE[0]) is None
            first, again = await other.next(), await other.next()
            assert first.properties.CorrelationData == again.properties.CorrelationData
            assert first.payload == again.payload
            assert first.properties.MessageExpiryInterval == 1
            await other.answer(first, good)
            await other.answer(again, good)
            await settled(late=2, resent=1, asked=1, answered=0, read_here=1)

            async with asyncio.timeout(20):  # once somebody fails it is told, with every further window
                while "readers" not in alarms:
                    await pool.read(windows[1], PEOPLE[0])
            while len(other.asked) < 2 * pool.counts()["asked"]:
                await other.next()

            reading = asyncio.create_task(pool.read(windows[2], PEOPLE[0]))
            asked = await other.next()
            await other.answer(asked, b"\xc1", None)
            await other.answer(asked, judgement([0.9, 0.9], 0.0))
            await other.answer(asked, good, b"nobody's mark")
            await other.answer(asked, good)
            await other.answer(asked, good)
            told = await reading
            assert told is not None and list(told.p.values()) == [0.25, 0.75]
            await settled(strange=3, duplicates=1, answered=1)
            assert "readers" not in alarms
            counts = pool.counts()
            assert counts["asked"] == counts["answered"] + counts["read_here"]

    asyncio.run(body())


def test_a_reader_is_not_to_be_misled(
    mosquitto: Mosquitto,
    bundle: Bundle,
    windows: list[CompressedWindow],
    reader: Callable[..., ReaderProcess],
) -> None:
    """Hostile questions are counted and dropped; nothing is said anywhere but to the node that asked."""
    process = reader()
    topics = FleetTopics("lab", bundle.sha256)
    good = question(windows[0], PEOPLE[0])
    fields: list[tuple[str, bytes, str | None, bytes | None]] = [
        (topics.ask("n1"), b"", topics.answer("n1"), b"m"),
        (topics.ask("n1"), b"\x80\x04\x95", topics.answer("n1"), b"m"),  # as a pickle begins
        (topics.ask("n1"), b"\x91" * 3000, topics.answer("n1"), b"m"),
        (topics.ask("n1"), good[:-1], topics.answer("n1"), b"m"),
        (topics.ask("n1"), good + b"\x00", topics.answer("n1"), b"m"),
        (topics.ask("n1"), good, None, b"m"),
        (topics.ask("n1"), good, topics.answer("n2"), b"m"),
        (topics.ask("n1"), good, "eegcopilot/v1/lab/n1/bed-1/emotion", b"m"),
        (topics.ask("n1"), good, topics.answer("n1"), None),
        (topics.ask("n1"), good, topics.answer("n1"), b"m" * 65),
    ]

    async def body() -> None:
        async with aiomqtt.Client("127.0.0.1", mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            # The broker keeps this one to itself: it is larger than the reader takes.
            await client.publish(topics.ask("n1"), bytes(packet_bytes(_SETTINGS)), 1)
            for topic, payload, to, mark in fields:
                properties = Properties(PacketTypes.PUBLISH)
                if to is not None:
                    properties.ResponseTopic = to
                if mark is not None:
                    properties.CorrelationData = mark
                await client.publish(topic, payload, 1, properties=properties)
        async with asking(mosquitto, bundle) as pool:
            # It goes on as if nothing had been.
            assert await pool.read(windows[0], PEOPLE[0]) is not None

    asyncio.run(body())
    counts = process.stop()
    assert counts["malformed"] == len(fields) and counts["answered"] == 1 and accounted(counts), counts
    assert len(process.log.read_text().splitlines()) < 12


def test_a_reader_says_how_it_is(
    mosquitto: Mosquitto, bundle: Bundle, reader: Callable[..., ReaderProcess]
) -> None:
    process = reader()

    async def states(number: int, end: Callable[[], object]) -> list[str]:
        async with listening(mosquitto.port, "eegcopilot/v1/lab/reader-1/reader") as ear:
            await ear.until(lambda: ear.heard)
            await asyncio.to_thread(end)
            await ear.until(lambda: len(ear.heard) >= number)
            message = decode(ear.heard[0][2].payload)
            assert message.sha256 == bundle.sha256 and message.research_use_only
            return [payload["state"] for _, payload, _ in ear.heard]

    assert asyncio.run(states(2, process.stop)) == ["online", "stopped"]
    process = reader()
    assert asyncio.run(states(2, process.kill)) == ["online", "offline"]


def test_a_node_with_a_remote_reader(
    mosquitto: Mosquitto, reader: Callable[..., ReaderProcess], tmp_path: Path
) -> None:
    """The daemon whole: labels with a pool and, once that has gone, without it; none is missing."""
    config = tmp_path / "node.toml"
    config.write_text(
        f'[mqtt]\nport = {mosquitto.port}\nsite = "lab"\nnode = "n1"\n'
        f'[model]\nreader = "remote"\nlate_s = 2.0\n[state]\ndirectory = "state"\n'
        '[[stream]]\nname = "bed-1"\ncalibration_s = 4\nsource = {kind = "simulator"}\n'
    )
    worker = reader()

    async def body() -> None:
        async with listening(mosquitto.port, "eegcopilot/v1/lab/n1/#") as ear:
            node = await asyncio.to_thread(DaemonProcess, config)
            try:
                await ear.until(lambda: len(ear.under("bed-1/emotion")) >= 2, 90)
                worker.kill()
                with_pool = len(ear.under("bed-1/emotion"))
                await ear.until(lambda: len(ear.under("bed-1/emotion")) > with_pool, 90)
            finally:
                code = await asyncio.to_thread(node.stop)
            assert code == 0
            await ear.until(lambda: ear.under("n1/status")[-1]["state"] == "stopped")
            readings, health = ear.under("bed-1/emotion"), ear.under("n1/health")[-1]
            assert [m["seq"] for m in readings] == list(range(1, len(readings) + 1))
            told = health["pool"]
            assert told["answered"] >= 1 and told["read_here"] >= 1, told
            stream = health["streams"]["bed-1"]
            assert told["answered"] + told["read_here"] == len(readings), (told, stream)
            assert stream["windows_dropped"] == stream["windows_stale"] == 0

    asyncio.run(body())


def test_settings(tmp_path: Path) -> None:
    file = tmp_path / "reader.toml"
    file.write_text('[mqtt]\nnode = "reader-7"\n[model]\nbundle = "here"\nthreads = 2\n')
    config = load_reader_config(file)
    assert config.mqtt.node == "reader-7" and config.model.bundle == str(tmp_path / "here")
    for text, part in (
        ("[stream]\n", "stream"),
        ('[mqtt]\nnode = "fleet"\n', "reserved"),
        ('[mqtt]\nhost = "broker.example"\n', "not encrypted"),
        ('[model]\ntrusted_keys = ["x"]\n', "model.trusted_keys[0]"),
        ("[model]\nthreads = 0\n", "model.threads"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r".*") as refusal:
            load_reader_config(file)
        assert part in str(refusal.value) and "\n" not in str(refusal.value)
    sample = Path(__file__).parents[1] / "systemd" / "reader.toml"
    assert load_reader_config(sample).mqtt.node == "reader-1"
    assert at_broker("127.0.0.1:1884", "home", "r", None, 1).mqtt.port == 1884
    assert at_broker("localhost", "home", "r", None, 1).mqtt.port == 1883
    with pytest.raises(ConfigError, match="not encrypted"):
        at_broker("broker.example:1883", "home", "r", None, 1)

    node = tmp_path / "node.toml"
    stream = '[[stream]]\nname = "bed-1"\nsource = {kind = "simulator"}\n'
    node.write_text(f'[model]\nreader = "remote"\nlate_s = 0.5\n{stream}')
    assert load_config(node).model.reader == "remote"
    for text in ('reader = "nearby"', "late_s = 0", "late_s = 60"):
        node.write_text(f"[model]\n{text}\n{stream}")
        with pytest.raises(ConfigError, match="model"):
            load_config(node)
