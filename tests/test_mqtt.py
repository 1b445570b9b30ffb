"""Publisher and outbox against a real mosquitto."""

import asyncio
import subprocess
from pathlib import Path

import pytest
import structlog
from broker import Mosquitto, listening
from certificates import Authority
from publishing import at, emotion, running

from daemon.decoding import decode
from daemon.errors import LoginError
from daemon.outbox import Outbox
from daemon.post import Post
from daemon.sending import CONFIRM_S
from daemon.topics import Topics


def test_birth_status_and_clean_goodbye(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async def body() -> None:
        async with listening(mosquitto.port) as ear, running(at(mosquitto), tmp_path) as node:
            await ear.until(lambda: ear.under("/info"))
            node.post.emotion("bed", emotion())
            await node.finish()
            await ear.until(lambda: len(ear.under("n1/status")) == 2)
            assert [m["state"] for m in ear.under("n1/status")] == ["online", "stopped"]
            assert [m["seq"] for m in ear.under("n1/status")] == [1, 2]
            assert ear.under("/info")[0]["schema"] == "eegcopilot.info/1"
            (reading,) = ear.under("bed/emotion")
            assert reading["schema"] == "eegcopilot.emotion/1"
            assert reading["research_use_only"] is True
            assert reading["id"] and reading["seq"] == 1
        async with listening(mosquitto.port) as late:  # what is retained
            await late.until(lambda: len(late.heard) >= 3)
            kept = {topic.rpartition("n1/")[2]: message for topic, _, message in late.heard}
            assert set(kept) == {"status", "info", "bed/emotion"}
            assert all(message.retain for message in kept.values())
            assert 0 < kept["bed/emotion"].properties.MessageExpiryInterval <= 60
            assert decode(kept["status"].payload).state == "stopped"

    asyncio.run(body())


def test_killed_daemon_is_offline_by_will(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async def body() -> None:
        async with listening(mosquitto.port) as ear:
            async with running(at(mosquitto), tmp_path):
                await ear.until(lambda: ear.under("/info"))
            # Left by cancellation, as when another task of the daemon fails.
            await ear.until(lambda: len(ear.under("n1/status")) == 2)
            assert [m["state"] for m in ear.under("n1/status")] == ["online", "offline"]
            async with running(at(mosquitto), tmp_path):
                await ear.until(lambda: len(ear.under("n1/status")) == 3)
            await ear.until(lambda: len(ear.under("n1/status")) == 4)
            assert [m["seq"] for m in ear.under("n1/status")] == [1, 2, 3, 4]

    asyncio.run(body())


def test_broker_that_is_not_there_yet(tmp_path: Path, free_mosquitto: Mosquitto) -> None:
    async def body() -> None:
        async with running(at(free_mosquitto), tmp_path) as node:
            for n in range(50):
                node.post.emotion("bed", emotion(n / 100))
            await asyncio.sleep(0.3)
            assert not node.task.done()
            free_mosquitto.start()
            await asyncio.wait_for(node.publisher.online.wait(), 15)
            async with listening(free_mosquitto.port):
                await node.finish()
            assert node.outbox.counts()["waiting"] == 0
            assert node.publisher.sender.sent == 50

    asyncio.run(body())


def test_broker_killed_loses_nothing_and_keeps_order(free_mosquitto: Mosquitto, tmp_path: Path) -> None:
    async def body() -> None:
        free_mosquitto.start()
        heard: list[int] = []
        async with running(at(free_mosquitto), tmp_path) as node:
            for round_ in range(3):
                async with listening(free_mosquitto.port) as ear:
                    await asyncio.wait_for(node.publisher.online.wait(), 15)
                    wanted = 40 * round_ + 20
                    for n in range(20):
                        node.post.emotion("bed", emotion(n / 100))
                    await ear.until(lambda: any(m["seq"] == wanted for m in ear.under("emotion")))  # noqa: B023
                    heard += [
                        m["seq"] for topic, m, raw in ear.heard if "emotion" in topic and not raw.retain
                    ]
                free_mosquitto.kill()
                for n in range(20):  # while nobody is there
                    node.post.emotion("bed", emotion(n / 100))
                free_mosquitto.start()
                async with listening(free_mosquitto.port) as ear:
                    wanted = 40 * round_ + 40
                    await ear.until(lambda: any(m["seq"] == wanted for m in ear.under("emotion")))  # noqa: B023
                    heard += [m["seq"] for m in ear.under("emotion")]
            await node.finish()
            assert node.publisher.connects == 4
        once = list(dict.fromkeys(heard))
        assert once == sorted(once)
        assert set(range(1, 121)) - set(once) == set()

    asyncio.run(body())


def test_denied_publish_is_seen_and_blocks_nobody(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text(
        "topic readwrite eegcopilot/v1/lab/n1/status\ntopic readwrite eegcopilot/v1/lab/n1/info\n"
        "topic readwrite eegcopilot/v1/lab/n1/bed/#\ntopic readwrite eegcopilot/v1/lab/n1/cmd/#\n"
    )
    broker = Mosquitto(tmp_path, settings=f"allow_anonymous true\nacl_file {acl}").start()

    async def body() -> None:
        async with listening(broker.port) as ear, running(at(broker), tmp_path / "state") as node:
            node.post.emotion("secret", emotion())
            node.post.emotion("bed", emotion())
            await ear.until(lambda: ear.under("bed/emotion"))
            await node.finish()
            assert node.outbox.counts()["refused"] == 1
            assert node.outbox.counts()["waiting"] == 0

    try:
        asyncio.run(body())
    finally:
        broker.stop()


def test_broker_that_hangs_up_on_the_birth_is_tried_again_soon(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic read eegcopilot/#\n")
    settings = f"allow_anonymous true\nacl_file {acl}\nmax_queued_messages 0"
    broker = Mosquitto(tmp_path, settings=settings).start()

    async def body() -> None:
        async with running(at(broker), tmp_path / "state") as node, asyncio.timeout(CONFIRM_S - 5):
            while node.publisher.connects < 3:
                await asyncio.wait({node.task}, timeout=0.05)

    try:
        asyncio.run(body())
    finally:
        broker.stop()


def test_refused_login_ends_it(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, settings="allow_anonymous false").start()

    async def body() -> None:
        async with running(at(broker), tmp_path / "state") as node:
            with pytest.raises(LoginError, match="refuses the login"):
                await asyncio.wait_for(node.task, 15)

    try:
        asyncio.run(body())
    finally:
        broker.stop()


def test_late_reading_is_told_but_no_longer_the_present(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async def body() -> None:
        with Outbox(tmp_path) as outbox:
            Post(outbox, Topics("lab", "n1"), 60.0).emotion("bed", emotion())
            outbox._store._db.execute("update message set created=created-100")
        async with listening(mosquitto.port) as ear, running(at(mosquitto), tmp_path) as node:
            await ear.until(lambda: ear.under("bed/emotion"))
            await node.finish()
        async with listening(mosquitto.port) as late:
            await late.until(lambda: len(late.heard) >= 2)
            assert {topic.rpartition("n1/")[2] for topic, _, _ in late.heard} == {"status", "info"}

    asyncio.run(body())


# paho leaves the socket of a failed handshake to the garbage collector, which closes it with a warning.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_over_tls_with_a_password(tmp_path: Path) -> None:
    authority, users, password = Authority(tmp_path, "own"), tmp_path / "users", tmp_path / "password"
    server = authority.server()
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "eeg", "secret"], check=True)
    password.write_text("secret\n")
    password.chmod(0o600)
    settings = (
        f"allow_anonymous false\npassword_file {users}\ncertfile {server.certificate}\nkeyfile {server.key}"
    )
    broker = Mosquitto(tmp_path, settings=settings).start()
    secure = at(broker, username="eeg", password_file=str(password), ca_file=str(authority.file))
    other_ca = at(broker, username="eeg", password_file=str(password), tls=True)

    async def body() -> None:
        async with running(secure, tmp_path / "state") as node:
            await asyncio.wait_for(node.publisher.online.wait(), 15)
            node.post.emotion("bed", emotion())
            await node.finish()
            assert node.outbox.counts()["waiting"] == 0
        with structlog.testing.capture_logs() as logs:
            async with running(other_ca, tmp_path / "state") as node:
                node.stop.set()
                await asyncio.wait_for(node.task, 15)
        assert any("from a CA that is not trusted here" in str(line.get("reason")) for line in logs)

    try:
        asyncio.run(body())
    finally:
        broker.stop()
