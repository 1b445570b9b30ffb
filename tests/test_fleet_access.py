"""Questions and answers at a broker as `systemd/mosquitto` sets it up: who may ask, answer and listen."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from fleet import PEOPLE, ReaderProcess, accounted, simulated_windows
from hospital import BASE, Hospital, hospital  # noqa: F401 (a fixture)

from daemon.fleet.pool import Pool
from daemon.fleet.topics import FleetTopics
from daemon.mqtt_settings import Mqtt
from pipeline.bundle import Bundle, shipped_bundle
from pipeline.reader import Reader

NOT_AUTHORIZED = 135  # MQTT 5, 3.4.2.1


def test_only_nodes_ask_and_only_readers_answer(hospital: Hospital, tmp_path: Path) -> None:  # noqa: F811
    hospital.broker.start()
    bundle = Bundle.load(shipped_bundle())
    topics = FleetTopics("home", bundle.sha256)
    windows = simulated_windows(bundle, 4)
    worker, node = hospital.pair("reader-1"), hospital.pair("bedside-1")
    process = ReaderProcess(
        tmp_path,
        "reader-1",
        f'port = {hospital.broker.port}\nca_file = "{hospital.ca.file}"\n'
        f'cert_file = "{worker.certificate}"\nkey_file = "{worker.key}"',
    )
    mqtt = Mqtt(
        port=hospital.broker.port,
        node="bedside-1",
        ca_file=str(hospital.ca.file),
        cert_file=str(node.certificate),
        key_file=str(node.key),
    )

    async def body() -> None:
        pool = Pool(mqtt, bundle, 10.0)
        asking = asyncio.create_task(pool.run())
        everything = ("eegcopilot/#", topics.ask("+"), topics.answer("+"))
        async with (
            hospital.person("monitor-1", *everything) as monitor,
            hospital.person("ward-1", *everything) as ward,
            hospital.person("dr-1", *everything) as doctor,
            hospital.person("reader-1", topics.ask("+")) as reader,
        ):
            async with asyncio.timeout(30):
                while not pool.online:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            told = [await pool.read(window, PEOPLE[0]) for window in windows]
            assert [one.p for one in told if one] == [
                one.p for one in Reader(bundle).read([(window, PEOPLE[0]) for window in windows])
            ]
            # Who may hear questions does, so that the silence of the others says something.
            await reader.until(lambda: len(reader.heard) == len(windows))
            await monitor.until(lambda: monitor.under("reader-1/reader"))
            for who in (monitor, ward, doctor):
                assert not [topic for topic, _, _ in who.heard if "/fleet/" in topic]
            for who, topic in (
                (monitor, topics.ask("monitor-1")),
                (monitor, topics.answer("bedside-1")),
                (ward, topics.answer("bedside-1")),
                (doctor, topics.answer("bedside-1")),
                (doctor, topics.ask("bedside-1")),
                (reader, topics.ask("bedside-1")),
                (reader, f"{BASE}/bed-1/emotion"),
                (reader, f"{BASE}/cmd/bed-1/calibrate"),
                (reader, f"{BASE}/status"),
            ):
                assert await who.client.send(topic, b"{}", 1, False) == NOT_AUTHORIZED, topic

            # Mosquitto lets anybody join the readers, and gives them their turn, though not the question:
            # the node asks again or reads by itself, and nobody hears what they may not.
            await monitor.client.subscribe(topics.shared, qos=1)
            before = pool.counts()
            for window in windows:
                await pool.read(window, PEOPLE[0])
            after = pool.counts()
            assert after["answered"] + after["read_here"] == before["answered"] + len(windows)
            assert after["answered"] > before["answered"] and after["strange"] == 0
            assert not [topic for topic, _, _ in monitor.heard if "/fleet/" in topic]
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    try:
        process.waits_for_questions()
        asyncio.run(body())
        counts = process.stop()
    finally:
        process.end()
    assert accounted(counts) and counts["malformed"] == counts["denied"] == 0, counts
    log = (hospital.folder / "mosquitto.log").read_text()
    assert "Denied PUBLISH from eegcopilot-home-bedside-1.readers" not in log
    assert "Denied PUBLISH from eegcopilot-home-reader-1.reader" not in log, json.dumps(counts)
