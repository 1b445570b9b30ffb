"""Commands over a real mosquitto: obeyed, or refused in one line, and always answered."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest
import structlog
from broker import Listener, Mosquitto, listening
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from publishing import Node, at, running

from daemon.authority import Authority, StrangerError
from daemon.commands import Patient
from daemon.nonces import Nonces
from daemon.signed_command import seal
from daemon.signer_settings import CommandRules, Signer
from daemon.topics import Topics
from pipeline.keys import public_text


async def ask(ear: Listener, topic: str, payload: bytes, mark: bytes, retain: bool = False) -> dict:
    """Sends a command and returns the answer that carries `mark` as its correlation data."""
    properties = Properties(PacketTypes.PUBLISH)
    properties.CorrelationData = mark
    await ear.client.publish(topic, payload, 1, retain, properties)

    def answers() -> list[dict]:
        return [m for _, m, raw in ear.heard if getattr(raw.properties, "CorrelationData", b"") == mark]

    def responses() -> list[dict]:
        return [m for m in answers() if m.get("schema") == "eegcopilot.response/1"]

    await ear.until(responses)
    return responses()[0]


@contextlib.asynccontextmanager
async def commanded(broker: Mosquitto, folder: Path) -> AsyncIterator[tuple[Node, Listener]]:
    async with (
        running(at(broker), folder) as node,
        listening(broker.port, "eegcopilot/v1/lab/n1/cmd/response") as ear,
    ):
        await asyncio.wait_for(node.publisher.online.wait(), 15)
        yield node, ear


def test_commands_are_obeyed_and_answered(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async def body() -> None:
        topics = Topics("lab", "n1")
        async with commanded(mosquitto, tmp_path) as (node, ear):
            answer = await ask(ear, topics.command("bed", "calibrate"), b"", b"\x01")
            assert (answer["ok"], answer["stream"], answer["verb"]) == (True, "bed", "calibrate")
            patient = b'{"subject": "pseudo-7f3a", "age": 41, "gender": "female"}'
            assert (await ask(ear, topics.command("bed", "patient"), patient, b"\x02"))["ok"]
            assert node.bed.told == ["calibrate", Patient("pseudo-7f3a", 41, "female")]

    asyncio.run(body())


HOSTILE = [
    ("bed", "patient", b"", "subject: is missing"),
    ("bed", "patient", b"\xff\xfe", "not JSON"),
    ("bed", "patient", b'{"subject": "Jane Doe"}', "pseudonym"),
    ("bed", "patient", b'{"subject": "pseudo-1", "age": "old"}', "age"),
    ("bed", "patient", b'{"subject": "pseudo-1", "age": -1}', "age"),
    ("bed", "patient", b'{"subject": "pseudo-1", "gender": "x"}', "gender"),
    ("bed", "patient", b'{"subject": "pseudo-1", "nmae": "Jane"}', "an unknown key; allowed are age"),
    ("bed", "patient", b"[" * 4000, "not JSON"),
    ("bed", "patient", b"[1]", "expected"),
    ("bed", "patient", b'{"subject": "pseudo-1", "age": NaN}', "not JSON"),
    ("bed", "patient", b" " * 13_000, "bytes"),
    ("bed", "calibrate", b'{"now": true}', "an unknown key; allowed are none"),
    ("bed", "calibrate", b" " * 300, "bytes"),
    ("bed", "patient", b'{"subject": "pseudo-1", "history": ' + b"[" * 20 + b"]" * 20 + b"}", "16 levels"),
    ("bed", "patient", b'{"subject": "pseudo-1", "complaint": "Mrs. Miller coughs"}', "looks like a name"),
    ("bed", "patient", b'{"subject": "pseudo-1", "Jane Doe": 1}', "top level: has an unknown key"),
    ("bed", "patient", b'{"subject": "pseudo-1", "Mrs. Miller": 1}', "a key: holds what looks like a name"),
    ("bed", "patient", b'{"subject": "pseudo-1", "Jane": {"a": "MRN 00123456"}}', "a text: holds what looks"),
    ("bed", "explode", b"", "there are calibrate, patient"),
    ("nobody", "calibrate", b"", "there are bed"),
    ("x" * 3000, "calibrate", b"", "there are bed"),
    ("bed\u2028б", "calibrate", b"", "there are bed"),
]


def test_hostile_commands_are_refused_in_one_line(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async def body() -> None:
        topics = Topics("lab", "n1")
        async with commanded(mosquitto, tmp_path) as (node, ear):
            for number, (stream, verb, payload, part) in enumerate(HOSTILE):
                answer = await ask(ear, topics.command(stream, verb), payload, b"m%d" % number)
                assert not answer["ok"]
                assert part in answer["detail"], answer
                assert answer["detail"].isprintable() and len(answer["detail"]) < 400
                assert "Jane" not in answer["detail"] and "Miller" not in answer["detail"]
                assert answer["stream"].isprintable() and len(answer["stream"]) <= 64
            assert node.bed.told == []
            # Larger than the packets the daemon takes: the broker itself keeps it away.
            await ear.client.publish(topics.command("bed", "calibrate"), b"x" * 200_000, 1)
            assert (await ask(ear, topics.command("bed", "calibrate"), b"", b"last"))["ok"]

    asyncio.run(body())


def test_retained_command_is_not_obeyed(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async def body() -> None:
        topics = Topics("lab", "n1")
        async with aiomqtt.Client("127.0.0.1", mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.publish(topics.command("bed", "calibrate"), b"", 1)
            await client.publish(topics.command("bed", "calibrate"), b"{}", 1, True)
        async with (
            listening(mosquitto.port, topics.response) as ear,
            running(at(mosquitto), tmp_path) as node,
        ):
            await ear.until(lambda: ear.under("response"))
            assert not ear.under("response")[0]["ok"]
            assert node.bed.told == []

    asyncio.run(body())


def test_flood_of_commands_is_survived(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async def body() -> None:
        topics = Topics("lab", "n1")
        async with commanded(mosquitto, tmp_path) as (node, ear):
            await asyncio.gather(
                *(ear.client.publish(topics.command("bed", f"v{n}"), b"x", 0) for n in range(500))
            )
            assert (await ask(ear, topics.command("bed", "calibrate"), b"", b"end"))["ok"]
            assert not node.task.done()

    asyncio.run(body())


def test_too_many_of_one_command_leave_the_others_alone(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """A client that calibrates in a loop does not keep the sitting calibrating for ever."""

    async def body() -> None:
        topics = Topics("lab", "n1")
        async with commanded(mosquitto, tmp_path) as (node, ear):
            answers = [await ask(ear, topics.command("bed", "calibrate"), b"", b"c%d" % n) for n in range(12)]
            assert [answer["ok"] for answer in answers] == [True] * 6 + [False] * 6
            assert "too many calibrate: try again in" in answers[-1]["detail"]
            assert node.bed.told == ["calibrate"] * 6
            patient = b'{"subject": "pseudo-1"}'
            assert (await ask(ear, topics.command("bed", "patient"), patient, b"p"))["ok"]

    asyncio.run(body())


def test_refusals_without_end_are_counted_and_not_all_answered(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async def body() -> None:
        topics = Topics("lab", "n1")
        with structlog.testing.capture_logs() as logs:
            async with commanded(mosquitto, tmp_path) as (node, ear):
                await asyncio.gather(
                    *(ear.client.publish(topics.command("bed", "calibrate"), b"[]", 1) for _ in range(300))
                )
                assert (await ask(ear, topics.command("bed", "calibrate"), b"", b"end"))["ok"]
                assert node.commands.refused == 300
                assert node.commands.unanswered >= 200
                assert len(ear.under("response")) < 100
        assert len([line for line in logs if line["event"] == "command refused"]) < 100

    asyncio.run(body())


def test_nothing_is_published_where_a_sender_wants_it(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """MQTT 5 lets a request name a topic for its response: ours would be a way to speak with our voice."""

    async def body() -> None:
        topics = Topics("lab", "n1")
        async with commanded(mosquitto, tmp_path) as (_, ear), listening(mosquitto.port, "door/#") as door:
            for number, wanted in enumerate(("door/open", topics.of("bed", "emotion"), "door/" * 99)):
                properties = Properties(PacketTypes.PUBLISH)
                properties.ResponseTopic = wanted
                properties.CorrelationData = b"r%d" % number
                await ear.client.publish(topics.command("bed", "calibrate"), b"{}", 1, False, properties)
            await ear.until(lambda: len(ear.under("cmd/response")) == 3)
            await ear.client.publish("door/last", b"{}", 1)
            await door.until(lambda: door.heard)
            assert [topic for topic, _, _ in door.heard] == ["door/last"]
        async with listening(mosquitto.port) as retained:
            await retained.until(lambda: retained.under("n1/info"))
            assert not retained.under("bed/emotion")

    asyncio.run(body())


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"{", b"\xff", b'"\x80"', b"1e400", b'{"schema": "eegcopilot.command/1", "time": 1e400}'),
        *(b"[" * 100_000, b'{"a":' * 100_000, b'{"schema": ["eegcopilot.command/1"]}'),
    ],
)
def test_what_is_no_signed_command_is_a_strangers(tmp_path: Path, payload: bytes) -> None:
    with Nonces(tmp_path) as nonces:
        authority = Authority([], CommandRules(), nonces)
        with pytest.raises(StrangerError, match="signed command") as refusal:
            authority.admit("eegcopilot/v1/lab/n1/cmd/bed/calibrate", "calibrate", payload, 0.0)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"command": {"name": "Jane Doe"}}, "command: expected str, got object"),
        ({"signer": "Dr. Jane Miller"}, "signer: expected letters"),
        ({"nonce": "Jane"}, "nonce"),
        ({"patient Jane Doe": 1}, "top level: has an unknown key; allowed are command, nonce"),
    ],
)
def test_nothing_of_a_bad_signed_command_is_repeated(
    tmp_path: Path, wrong: dict[str, object], part: str
) -> None:
    topic = "eegcopilot/v1/lab/n1/cmd/bed/patient"
    told = {"schema": "eegcopilot.command/1", "topic": topic, "command": "", "signer": "dr-1", "time": "x"}
    with Nonces(tmp_path) as nonces:
        authority = Authority([], CommandRules(), nonces)
        with pytest.raises(StrangerError) as refusal:
            authority.admit(topic, "patient", json.dumps(told | {"nonce": "n" * 16} | wrong).encode(), 0.0)
    assert part in str(refusal.value) and "Jane" not in str(refusal.value)


def admitting(folder: Path, key: Ed25519PrivateKey) -> tuple[Authority, Nonces]:
    nonces = Nonces(folder)
    signer = Signer(id="dr-1", public_key=public_text(key))
    return Authority([signer], CommandRules(max_age_s=60), nonces), nonces


@pytest.mark.parametrize("restarted", [False, True])
def test_a_command_is_never_obeyed_again_whatever_the_clocks_do(tmp_path: Path, restarted: bool) -> None:
    key, topic = Ed25519PrivateKey.generate(), "eegcopilot/v1/lab/n1/cmd/bed/calibrate"
    begin, day = 1_800_000_000.0, 86400.0
    authority, nonces = admitting(tmp_path, key)

    def admit(payload: bytes, now: float) -> None:
        authority.admit(topic, "calibrate", payload, now)

    recorded = seal(topic, "", "dr-1", key, begin)
    admit(recorded, begin)
    for later in (1.1 * day, 2.2 * day):
        admit(seal(topic, "", "dr-1", key, begin + later), begin + later)
    if restarted:
        nonces.__exit__()
        authority, nonces = admitting(tmp_path, key)
    with pytest.raises(StrangerError, match="signed long before the latest command") as refusal:
        admit(recorded, begin + 5)
    assert refusal.value.claimed == "dr-1"

    # Clocks that are off by what is allowed lock nobody out.
    now = begin + 3 * day
    admit(seal(topic, "", "dr-1", key, now + 59), now)
    late = seal(topic, "", "dr-1", key, now - 59)
    admit(late, now)
    with pytest.raises(StrangerError, match="a replay"):
        admit(late, now)
    nonces.__exit__()
