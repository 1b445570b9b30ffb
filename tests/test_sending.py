"""What the outbox sends, against a real mosquitto that refuses, loses its data and is mended."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from broker import Mosquitto, listening
from gateway import gateway
from publishing import at, emotion, running

from daemon.confirmed import ConfirmedClient
from daemon.login import Login
from daemon.messages import EpisodeMessage, ModelRef, iso
from daemon.mqtt_settings import Mqtt
from daemon.outbox import Outbox
from daemon.post import Post
from daemon.sending import Sender
from daemon.topics import Topics

BASE = "eegcopilot/v1/lab/n1"
OPEN = "topic readwrite eegcopilot/#\n"
CLOSED = "".join(f"topic readwrite {BASE}/{t}\n" for t in ("status", "info", "bed/#", "cmd/#"))


async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.02)


def episode(name: str) -> EpisodeMessage:
    return EpisodeMessage(
        episode=name,
        phase="begin",
        subject="pseudo-1",
        label="calm",
        start="",
        end="",
        readings=1,
        p_mean=0.75,
        model=ModelRef(id="x-1", sha256="0" * 64),
    )


def counted(outbox: Outbox, **wanted: int) -> bool:
    counts = outbox.counts()
    return {name: counts[name] for name in wanted} == wanted


def seqs(messages: list[dict[str, Any]]) -> list[int]:
    return [message["seq"] for message in messages]


def test_refused_messages_go_once_the_rules_are_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.outbox_store._RETRY_S", (0.2, 0.5))
    monkeypatch.setattr("daemon.sending.PROBE_S", 0.3)
    acl = tmp_path / "acl"
    acl.write_text(CLOSED)
    broker = Mosquitto(tmp_path, settings=f"allow_anonymous true\nacl_file {acl}").start()

    async def body() -> None:
        async with listening(broker.port) as ear, running(at(broker), tmp_path / "state") as node:
            for n in range(40):
                node.post.episode("secret", episode(f"e{n}"))
                node.post.episode("bed", episode(f"e{n}"))
            await ear.until(lambda: len(ear.under("bed/episode")) == 40)
            await ear.until(lambda: any(m["alarms"] for m in ear.under("n1/status")))
            assert "secret/episode" in ear.under("n1/status")[-1]["alarms"][0]
            # Heard is not confirmed yet. What is refused is in nobody's way: all others go.
            await until(lambda: counted(node.outbox, refused=40, waiting=0))
            acl.write_text(OPEN)
            assert broker._process is not None
            broker._process.send_signal(signal.SIGHUP)  # reads its rules anew
            await ear.until(lambda: len(ear.under("secret/episode")) == 40, 40)
            await ear.until(lambda: not ear.under("n1/status")[-1]["alarms"], 40)
            await node.finish()
            assert sorted(seqs(ear.under("secret/episode"))) == list(range(1, 41))
            assert node.outbox.counts()["refused"] == 0

    try:
        asyncio.run(body())
    finally:
        broker.stop()


def test_what_a_broker_lost_is_sent_again_on_command(free_mosquitto: Mosquitto, tmp_path: Path) -> None:
    """A PUBACK is no proof of durability: a monitor that was away and a broker without its data."""

    async def ask(ear: Any, payload: dict[str, Any], stream: str = "") -> dict[str, Any]:
        before = len(ear.under("cmd/response"))
        topic = f"{BASE}/cmd/{stream}/replay-outbox" if stream else f"{BASE}/cmd/replay-outbox"
        await ear.client.publish(topic, msgspec.json.encode(payload), 1)
        await ear.until(lambda: len(ear.under("cmd/response")) > before)
        return dict(ear.under("cmd/response")[-1])

    async def body() -> None:
        free_mosquitto.start()
        began = time.time()
        async with running(at(free_mosquitto), tmp_path) as node:
            for n in range(60):
                node.post.emotion("bed", emotion(n / 100))
                node.post.episode("bed", episode(f"e{n}"))
            await until(lambda: node.publisher.sender.sent == 120)
            free_mosquitto.kill()
            free_mosquitto.start()
            async with listening(free_mosquitto.port) as ear:
                # Its being online is still that of the connection which has just died.
                await until(lambda: node.publisher.connects == 2 and node.publisher.online.is_set())
                answer = await ask(ear, {"from": iso(began - 1), "topics": ["bed/episode"]})
                assert answer["ok"] and answer["detail"].startswith("60 messages"), answer
                await ear.until(lambda: len(ear.under("bed/episode")) == 60)
                assert seqs(ear.under("bed/episode")) == list(range(1, 61))
                assert all(m["replay"] for m in ear.under("bed/episode"))
                assert not any(raw.retain for topic, _, raw in ear.heard if "episode" in topic)
                ids = {m["id"] for m in ear.under("bed/episode")}
                # What has been asked for and is not confirmed yet is not asked for twice.
                await until(lambda: node.publisher.sender.again == 60)
                answer = await ask(ear, {"from": iso(began - 1), "to": iso(time.time())}, "bed")
                assert answer["detail"].startswith("120 messages"), answer
                await ear.until(lambda: len(ear.under("bed/emotion")) >= 60)
                await ear.until(lambda: len(ear.under("bed/episode")) == 120)
                assert {m["id"] for m in ear.under("bed/episode")} == ids  # an id catches each duplicate
                for bad in ({}, {"from": "yesterday"}, {"from": iso(began), "to": iso(began - 9)}):
                    assert not (await ask(ear, bad))["ok"]
                bad = {"from": iso(began), "topics": ["a#/b"]}
                assert "no topic filter" in (await ask(ear, bad))["detail"]
                # Live messages are no replays, and stay what is retained.
                node.post.emotion("bed", emotion(0.5))
                await ear.until(lambda: ear.under("bed/emotion")[-1]["seq"] == 61)
                assert ear.under("bed/emotion")[-1]["replay"] is False
            await node.finish()

    asyncio.run(body())


def test_too_large_for_the_broker_is_kept_apart_and_blocks_nobody(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, settings="allow_anonymous true\nmax_packet_size 20000").start()

    async def body() -> None:
        async with listening(broker.port) as ear, running(at(broker), tmp_path / "state") as node:
            node.outbox.put(f"{BASE}/bed/emr/draft", b'{"huge":"' + b"x" * 40000 + b'"}')
            node.post.episode("bed", episode("after"))
            await ear.until(lambda: ear.under("bed/episode"))
            await node.finish()
            assert node.outbox.counts()["refused"] == 1
            assert node.publisher.connects == 1

    try:
        asyncio.run(body())
    finally:
        broker.stop()


@pytest.mark.parametrize("replayed", [False, True], ids=["new", "asked for anew"])
def test_a_message_on_which_the_broker_hangs_up_is_kept_apart_whatever_else_goes(
    free_mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replayed: bool
) -> None:
    """Readings that are confirmed in the meantime acquit it of nothing; nor does it break one connection
    after the other when it is offered again."""
    monkeypatch.setattr("daemon.outbox_store._RETRY_S", (0.5, 600.0))
    monkeypatch.setattr("daemon.sending.PROBE_S", 0.3)

    async def body() -> None:
        free_mosquitto.start()
        async with (
            gateway(free_mosquitto.port, b"POISON") as between,
            listening(free_mosquitto.port) as ear,
            running(Mqtt(port=between.port, site="lab", node="n1"), tmp_path) as node,
        ):
            await ear.until(lambda: ear.under("/info"))

            async def readings() -> None:
                while True:
                    node.post.emotion("bed", emotion())
                    await asyncio.sleep(0.05)

            live = asyncio.create_task(readings())
            if replayed:
                node.outbox.put(f"{BASE}/bed/emr/draft", b'{"replay":false,"x":"POI-SON"}')
                await ear.until(lambda: ear.under("emr/draft"))
                changed = "update message set payload=? where topic like '%draft'"
                node.outbox._store._db.execute(changed, (b'{"replay":false,"x":"POISON"}',))
                # Heard is not confirmed yet.
                await until(
                    lambda: node.outbox.replay(0, time.time() + 9, lambda t: t.endswith("draft")) == 1
                )
            else:
                node.outbox.put(f"{BASE}/bed/emr/draft", b'{"x":"POISON"}')
            # New: kept apart, and offered in vain now and then, ever less often. A replay is given up.
            most = 4 if replayed else 4 + 10  # 0.5 s, doubled each time, reaches 600 s after ten
            await until(lambda: between.hung_up >= (4 if replayed else 6), 60)
            heard = len(ear.under("bed/emotion"))
            await ear.until(lambda: len(ear.under("bed/emotion")) > heard + 100)
            assert between.hung_up <= most
            assert counted(node.outbox, refused=int(not replayed))
            live.cancel()
            await until(lambda: node.outbox.counts()["waiting"] == 0)
            assert {*seqs(ear.under("bed/emotion"))} == {*range(1, max(seqs(ear.under("bed/emotion"))) + 1)}
            await node.finish()

    asyncio.run(body())


def test_a_broker_that_bears_few_messages_at_once_is_not_sent_more(tmp_path: Path) -> None:
    """MQTT 5, 3.3.4: it may hang up on whoever exceeds its Receive Maximum."""
    broker = Mosquitto(tmp_path, settings="allow_anonymous true\nmax_inflight_messages 3").start()
    mqtt = at(broker)

    async def body() -> None:
        with Outbox(tmp_path / "state") as outbox:
            for n in range(10):
                outbox.put(f"{BASE}/bed/episode", b"%d" % n)
            async with ConfirmedClient(mqtt, "n1", Login(mqtt)) as client:
                assert client.receive_maximum == 3
                broker.signal(signal.SIGSTOP)  # so that nothing is answered
                stop = asyncio.Event()
                sending = asyncio.create_task(Sender(outbox).drain(client, stop))
                await asyncio.sleep(0.5)
                # One is left for what the node says of itself.
                assert len(client._unconfirmed) == 2
                broker.signal(signal.SIGCONT)
                stop.set()
                await sending
                assert counted(outbox, waiting=0)

    try:
        asyncio.run(body())
    finally:
        broker.stop()


def test_what_a_node_says_of_itself_may_be_too_large_for_the_broker(tmp_path: Path) -> None:
    """Then it stays unsaid, and all else goes."""
    broker = Mosquitto(tmp_path, settings="allow_anonymous true\nmax_packet_size 900").start()

    async def body() -> None:
        async with listening(broker.port) as ear, running(at(broker), tmp_path / "state") as node:
            await ear.until(lambda: ear.under("n1/status"))
            node.outbox.put(f"{BASE}/bed/episode", b'{"small":1}')
            await ear.until(lambda: ear.under("bed/episode"))
            await node.finish()
            assert not ear.under("/info")
            assert node.publisher.connects == 1

    try:
        asyncio.run(body())
    finally:
        broker.stop()


def test_a_hung_broker_is_left_and_nothing_is_lost(
    free_mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.sending.CONFIRM_S", 2.0)
    monkeypatch.setattr("daemon.sending.PROBE_S", 0.5)

    async def body() -> None:
        free_mosquitto.start()
        async with running(at(free_mosquitto), tmp_path) as node, listening(free_mosquitto.port) as ear:
            await ear.until(lambda: ear.under("/info"))
            assert free_mosquitto._process is not None
            pid = free_mosquitto._process.pid
            os.kill(pid, signal.SIGSTOP)
            for n in range(50):
                node.post.episode("bed", episode(f"e{n}"))
            await until(lambda: not node.publisher.online.is_set())
            os.kill(pid, signal.SIGCONT)
            await ear.until(lambda: {*seqs(ear.under("bed/episode"))} == {*range(1, 51)}, 40)
            await node.finish()
            assert node.outbox.counts()["waiting"] == node.outbox.counts()["refused"] == 0

    asyncio.run(body())


def test_late_retained_states_do_not_replace_newer_ones(tmp_path: Path, free_mosquitto: Mosquitto) -> None:
    """A status that was refused and goes late is history."""

    async def body() -> None:
        with Outbox(tmp_path) as outbox:
            Post(outbox, Topics("lab", "n1"), 60.0)
            for n in (1, 2):
                outbox.put(f"{BASE}/bed/status", b'{"seq":%d}' % n, retain=True)
            first = outbox.waiting(0, 1)[0]
            outbox.settle(first.id, 135)
            outbox._store._db.execute("update message set retry=0")
        free_mosquitto.start()
        async with listening(free_mosquitto.port) as ear, running(at(free_mosquitto), tmp_path) as node:
            await ear.until(lambda: len(ear.under("bed/status")) == 2)
            await node.finish()
            assert seqs(ear.under("bed/status")) == [2, 1]
        async with listening(free_mosquitto.port) as late:
            await late.until(lambda: late.under("bed/status"))
            assert seqs(late.under("bed/status")) == [2]

    asyncio.run(body())
