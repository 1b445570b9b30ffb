"""What `make sizing` says: sums that can be checked by hand, and a small ward through a real broker."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from broker import Mosquitto
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from daemon.confirmed import ConfirmedClient
from daemon.login import Login
from daemon.mqtt_settings import Mqtt
from tests.bench.sizing.costs import Costs, PoolCosts
from tests.bench.sizing.load import play
from tests.bench.sizing.needs import FRAME_BYTES, Plan, needs
from tests.bench.sizing.wire import CONFIRMATION_BYTES, publish_bytes

COSTS = Costs(
    hop_s=2.0,
    model_s=0.002,
    message_s=0.001,
    node_cores=0.03,
    node_mb=200.0,
    broker_in_s=20e-6,
    broker_out_s=30e-6,
    broker_mb=10.0,
    connection_mb=0.02,
    reading_bytes=600.0,
    outbox_bytes=800.0,
    recording_bytes=21_000.0,
    pool=PoolCosts(0.001, 100e-6, 0.003, 1200.0, 250, 160.0),
)
PLAN = Plan(
    readings_per_s=1.0, listeners=2, beds_per_node=4, busy=0.5, keep_days=3.0, max_mib=512, others=1.0
)


def test_sums() -> None:
    told = needs(1000, COSTS, PLAN)
    assert (told.nodes, told.messages_in, told.messages_out) == (250, 2000, 4000)
    # Twice as many windows as were measured: half a window and a message more a second.
    assert told.edge_cores == pytest.approx(1000 * (0.03 + 0.5 * (0.002 + 2 * 0.001)) / 0.5)
    assert told.thin_cores == pytest.approx(told.edge_cores + 1000 * (0.001 - 0.002) / 0.5)
    assert told.readers == 6
    assert told.broker_cores == pytest.approx((2000 * 20e-6 + 4000 * 30e-6) / 0.5)
    assert told.pool_broker_cores == pytest.approx(told.broker_cores + 1000 * 100e-6 / 0.5)
    assert told.broker_mb == pytest.approx(10 + 0.02 * 502)
    assert told.network_mbit == pytest.approx(6000 * (600 + FRAME_BYTES) * 8 / 1e6)
    assert told.outbox_gb == pytest.approx(250 * 512 * 2**20 / 1e9)
    assert told.recordings_gb == pytest.approx(1000 * 21_000 * 86400 / 1e9)


def test_needs_grow_with_the_beds() -> None:
    few, many = needs(10, COSTS, PLAN), needs(100, COSTS, PLAN)
    assert many.edge_cores == pytest.approx(10 * few.edge_cores)
    assert many.network_mbit == pytest.approx(10 * few.network_mbit)
    # Kept for three days, or as much as the nodes have room for.
    roomy = needs(10, COSTS, replace(PLAN, max_mib=10**6))
    assert roomy.outbox_gb == pytest.approx(3 * 86400 * 20 * 800 / 1e9)
    assert roomy.outbox_gb > few.outbox_gb


def test_bytes_on_the_wire(mosquitto: Mosquitto) -> None:
    """As a message's way through a counter of bytes tells."""
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = "a/b"
    properties.CorrelationData = bytes(16)
    messages = [("a/topic", b"x" * 20, None), ("a/topic", b"x" * 500, None), ("ä", b"x" * 20_000, properties)]

    async def body() -> list[int]:
        passed = 0

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counts: bool) -> None:
            nonlocal passed
            while data := await reader.read(65536):
                passed += counts * len(data)
                writer.write(data)
            writer.close()
            await writer.wait_closed()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection("127.0.0.1", mosquitto.port)
            await asyncio.gather(carry(reader, back, True), carry(there, writer, False))
            gone.set()

        gone = asyncio.Event()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        found = []
        async with server:
            mqtt = Mqtt(port=port)
            async with ConfirmedClient(mqtt, mqtt.identifier(), Login(mqtt)) as client:
                for topic, payload, more in messages:
                    before = passed
                    assert await client.send(topic, payload, 1, False, more) < 128
                    found.append(passed - before)
            await gone.wait()
        return found

    expected = [publish_bytes(*message) - CONFIRMATION_BYTES for message in messages]
    assert asyncio.run(body()) == expected


def test_a_small_ward(tmp_path: Path) -> None:
    load = play(tmp_path, beds=24, per_node=4, rate=2.0, seconds=2.0, listeners=2)
    assert load.whole, load
    assert (load.sent, load.heard, load.connections) == (96, 192, 8)
    assert 0 < load.p50_ms <= load.p99_ms and load.broker_mb > 1
    for short in ({"heard": 191}, {"confirmed": 95}, {"missed": 1}):
        assert not replace(load, **short).whole
