"""What one bed costs, measured here: processor time, bytes on the wire, bytes on the disk.

Processor time is that of the process and not of the clock, so that a busy machine changes it little.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from daemon.fleet.letters import judgement, question
from daemon.fleet.pool import Pool
from daemon.fleet.topics import FleetTopics
from daemon.mqtt_settings import Mqtt
from daemon.outbox import Outbox
from daemon.recording_file import RecordingFile
from daemon.topics import Topics
from pipeline.bundle import Bundle, shipped_bundle
from pipeline.reader import Reader
from pipeline.records import Chunk, CompressedWindow
from tests.bench.beds import reading
from tests.bench.sizing.load import Load, a_broker
from tests.bench.sizing.wire import publish_bytes
from tests.bench.trial import trial
from tests.parts.fleet import PEOPLE, ReaderProcess, simulated_windows
from tests.parts.machine import cpu_s, memory_mb

CHANNELS, RATE = 19, 250.0
_TOPIC = Topics("load", "n1").of("bed-1", "emotion")
_HEADSETS = 4


@dataclass(frozen=True, slots=True)
class PoolCosts:
    """Processor seconds of a window that a pool reads, on each side. reader_mb: memory of one reader.

    wire_bytes: of its question and answer at the broker, in and out. question_bytes: of the payload alone.
    """

    node_s: float
    broker_s: float
    reader_s: float
    wire_bytes: float
    question_bytes: int
    reader_mb: float


@dataclass(frozen=True, slots=True)
class Costs:
    """hop_s: between two windows of a bed. model_s: processor seconds of a window's model run; message_s: of
    a message's making, storing and sending.

    node_cores: of the daemon, for each bed that it reads by itself, at that hop. node_mb: of that daemon.
    broker_in_s, broker_out_s: processor seconds of a message that comes in, and of each that goes out.
    broker_mb, connection_mb: memory without any connection, and of each. reading_bytes: one way.
    outbox_bytes: of a message kept after it was sent. recording_bytes: of a second of raw samples.
    """

    hop_s: float
    model_s: float
    message_s: float
    node_cores: float
    node_mb: float
    broker_in_s: float
    broker_out_s: float
    broker_mb: float
    connection_mb: float
    reading_bytes: float
    outbox_bytes: float
    recording_bytes: float
    pool: PoolCosts


def costs(one: Load, three: Load, few: Load, *, quick: bool) -> Costs:
    """one, three: the same load with one and with three listeners; few: one with far fewer connections."""
    bundle = Bundle.load(shipped_bundle())
    node = trial(_HEADSETS, CHANNELS, RATE, 4.0 if quick else 20.0)
    per_message = one.broker_cores / one.offered
    out_s = max(0.0, three.broker_cores / three.offered - per_message) / (three.listeners - one.listeners)
    connection_mb = (one.broker_mb - few.broker_mb) / (one.connections - few.connections)
    with tempfile.TemporaryDirectory(prefix="eeg-copilot-sizing-") as folder:
        outbox_bytes, outbox_s = _outbox(Path(folder))
        return Costs(
            hop_s=bundle.manifest.pipeline.hop,
            model_s=_model_s(bundle, 20 if quick else 200),
            message_s=one.players_cores / one.offered + outbox_s,
            node_cores=node.cores / _HEADSETS,
            node_mb=node.peak_mb,
            broker_in_s=per_message - out_s * one.listeners,
            broker_out_s=out_s,
            broker_mb=few.broker_mb - connection_mb * few.connections,
            connection_mb=connection_mb,
            reading_bytes=publish_bytes(_TOPIC, reading(1, 1)),
            outbox_bytes=outbox_bytes,
            recording_bytes=_recording_bytes(Path(folder)),
            pool=_pool(Path(folder), bundle, 40 if quick else 600),
        )


def _model_s(bundle: Bundle, count: int) -> float:
    reader, windows = Reader(bundle, 1), simulated_windows(bundle, 20)
    reader.judge(windows[0], PEOPLE[0])
    began = time.process_time()
    for n in range(count):
        reader.judge(windows[n % len(windows)], PEOPLE[0])
    return (time.process_time() - began) / count


def _outbox(folder: Path, messages: int = 2000) -> tuple[float, float]:
    """Bytes and processor seconds of a message that is stored, confirmed and kept."""
    topic, began = _TOPIC, time.process_time()
    with Outbox(folder / "state") as outbox:
        for n in range(messages):
            outbox.put(topic, reading(n, outbox.peek_seq(topic)), retain=True, expiry_s=60.0)
        for row in outbox.waiting(0, messages):
            outbox.settle(row.id, 0)
    used = time.process_time() - began
    size = sum(file.stat().st_size for file in (folder / "state").glob("outbox.sqlite*"))
    return size / messages, used / messages


def _recording_bytes(folder: Path, seconds: int = 60) -> float:
    names = tuple(f"E{n}" for n in range(CHANNELS))
    stamps = np.arange(int(RATE)) / RATE
    file: RecordingFile | None = None
    for second in range(seconds):
        data = np.zeros((CHANNELS, int(RATE)), dtype=np.float32)
        first = second * int(RATE)
        chunk = Chunk(data, first, 1e9 + second, 0.0, 0.0, names, RATE, 0, stamps + second, 0.0)
        file = file or RecordingFile(folder / "bed.xdf", "bed", "pseudo-1", chunk, 1e9)
        file.add(chunk)
    assert file is not None
    file.close()
    return file.bytes / seconds


def _pool(folder: Path, bundle: Bundle, count: int) -> PoolCosts:
    with a_broker(folder) as broker:
        assert broker.pid is not None
        reader = ReaderProcess(folder, "reader-1", f'site = "load"\nport = {broker.port}')
        try:
            reader.waits_for_questions()
            windows = simulated_windows(bundle, 20)
            began = cpu_s(broker.pid), cpu_s(reader.process.pid)
            node_s = asyncio.run(_ask(broker.port, bundle, windows, count))
            broker_s, reader_s = cpu_s(broker.pid) - began[0], cpu_s(reader.process.pid) - began[1]
            megabytes = memory_mb(reader.process.pid)
        finally:
            reader.end()
    return PoolCosts(
        node_s=node_s / count,
        broker_s=broker_s / count,
        reader_s=reader_s / count,
        wire_bytes=_wire_bytes(bundle, question(windows[0], PEOPLE[0])),
        question_bytes=len(question(windows[0], PEOPLE[0])),
        reader_mb=megabytes,
    )


def _wire_bytes(bundle: Bundle, asked: bytes) -> float:
    topics = FleetTopics("load", bundle.sha256)
    properties = Properties(PacketTypes.PUBLISH)
    properties.CorrelationData = bytes(16)
    properties.MessageExpiryInterval = 1
    answered = judgement([0.5] * len(bundle.manifest.labels), 0.01)
    one_way = publish_bytes(topics.answer("n1"), answered, properties)
    properties.ResponseTopic = topics.answer("n1")
    return 2 * (one_way + publish_bytes(topics.ask("n1"), asked, properties))


async def _ask(port: int, bundle: Bundle, windows: list[CompressedWindow], count: int) -> float:
    """Processor seconds of this side. Raises RuntimeError where the pool does not answer."""
    pool = Pool(Mqtt(port=port, site="load", node="n1"), bundle, 30.0)
    task = asyncio.create_task(pool.run())
    while not pool.online:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    began = time.process_time()
    for n in range(count):
        if await pool.read(windows[n % len(windows)], PEOPLE[n // 50 % len(PEOPLE)]) is None:
            raise RuntimeError("the pool does not answer")
    used = time.process_time() - began
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return used
