"""What the monitor keeps and refuses; its configuration, its catalogues, its truth about connections."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from bare_drafts import Plain
from episodes_at_hand import context, maker, simulated

from daemon.decoding import decode
from daemon.errors import CommandError, ConfigError
from daemon.messages import StreamStatus, iso
from daemon.monitor.app import PAGES
from daemon.monitor.sealing import Keys, Sealer
from daemon.monitor.sessions import LINK_S, Sessions
from daemon.monitor.settings import Ward as WardSettings
from daemon.monitor.settings import load_monitor_config
from daemon.monitor.store import Store
from daemon.monitor.throttle import FREE, Throttle
from daemon.monitor.truth import NodeView, Patience, judge
from daemon.monitor.ward import Ward
from daemon.record_messages import NOTHING, AuditHead, DraftMessage, RecordRef
from daemon.signed_command import SignedCommand
from pipeline.drafts.drafting import Drafter, Order
from pipeline.drafts.record import digest, encode
from pipeline.guidance import Guidance
from pipeline.keys import new_key, public_text

ROOT = Path(__file__).parents[2]
NOW = 1.8e9


def test_a_wrong_file_or_an_empty_one_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "monitor.toml"
    for toml, why in (
        ('[web]\nhost = "0.0.0.0"\n', "in the clear"),
        ('[broker]\nhost = "broker.example"\n', "not encrypted"),
        ("[web]\nports = 1\n", "did you mean 'port'"),
    ):
        file.write_text(toml)
        with pytest.raises(ConfigError, match=why) as refusal:
            load_monitor_config(file)
        assert len(str(refusal.value).splitlines()) == 1

    def start(*more: str, said: str = "") -> tuple[int, str]:
        command = [sys.executable, "-m", "daemon", "monitor", "--config", str(file), *more]
        done = subprocess.run(command, input=said, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr

    file.write_text('[state]\ndirectory = "m"\n')
    code, said = start()
    assert code == 78 and "nobody can log in yet" in said and len(said.splitlines()) == 1, said
    code, said = start("user", "add", "x", "--role", "viewer", said="short\n")
    assert code == 78 and "12 to 200" in said
    assert start("user", "add", "x", "--role", "viewer", said="long enough, surely\n") == (0, "")


def test_a_record_that_is_not_what_it_says_is_not_kept(tmp_path: Path) -> None:
    draft = Drafter(Guidance.shipped(), Plain()).draft(
        Order(simulated(1, ("calm", "stress"))[0], context(), maker(), "test", 1.8e9, "bed")
    )
    about = {"id": draft.id, "version": 1, "status": "preliminary", "sha256": digest(draft), "label": ""}
    message = {
        "schema": "eegcopilot.draft/1", "subject": "pseudo-1", "episode": "e", "trigger": "t", "draft": about,
        "record": json.loads(encode(draft)), "fhir": None, "audit": {"entry": 1, "hash": ""},
        "time": iso(NOW),
    }  # fmt: skip

    def sent(**more: object) -> bytes:
        # The record's bytes as the node encodes them, not as json would.
        hull = json.dumps(message | more | {"record": "@"}).encode()
        return hull.replace(b'"@"', encode(draft))

    with Store(tmp_path / "m.sqlite") as store:
        with pytest.raises(CommandError, match="not what its hash says"):
            store.keep("n/r/b", decode(sent(draft=about | {"sha256": "0" * 64})))
        with pytest.raises(CommandError, match="not what its hash says"):
            store.keep("n/r/b", decode(sent(draft=about | {"version": 2})))
        assert store.keep("n/r/b", decode(sent())) is True
        assert store.keep("n/r/b", decode(sent())) is False
        assert [heard.id for heard in store.records("n/r/b")] == [draft.id]
        pointer = decode(json.dumps(message | {"record": None, "draft": about | {"id": "f" * 32}}).encode())
        assert store.keep("n/r/b", pointer) is True
        heard = store.find("f" * 32, 1)
        assert heard is not None and not heard.whole
        with pytest.raises(CommandError, match="read there"):
            store.payload(heard)


def pointer(draft: str) -> DraftMessage:
    """A record of which only the name travels."""
    return DraftMessage(
        subject="pseudo-1", episode="e", trigger="t", draft=RecordRef(draft, 1, "preliminary", "0", ""),
        record=NOTHING, fhir=NOTHING, audit=AuditHead(1, ""), time=iso(NOW),
    )  # fmt: skip


def test_a_node_cannot_fill_the_disk_with_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.monitor.store.RECORDS", (3, 3600.0))
    with Store(tmp_path / "m.sqlite") as store:
        for n in range(3):
            assert store.keep(f"n/bad/bed-{n}", pointer(f"d{n}")) is True
        with pytest.raises(CommandError, match="too many new records of n/bad"):
            store.keep("n/bad/another", pointer("d3"))
        assert store.keep("n/bad/bed-0", pointer("d0")) is False
        assert store.keep("n/good/bed", pointer("e")) is True
        assert store.find("d3", 1) is None
        with monkeypatch.context() as patch:
            patch.setattr("daemon.monitor.store.LEAST_FREE_BYTES", 1 << 62)
            with pytest.raises(CommandError, match="nearly full"):
                store.keep("n/good/bed", pointer("f"))
        monkeypatch.setattr("daemon.monitor.store.MOST_BYTES", 1 << 12)
        with pytest.raises(CommandError, match="has reached"):
            store.keep("n/good/bed", pointer("f"))
        store.note("root", "login")


def test_one_time_links_open_once() -> None:
    sessions = Sessions(60, 3600, lambda _: None)
    token = sessions.link("demo", 0.0)
    assert sessions.redeem(token, 1.0) == "demo" and sessions.redeem(token, 2.0) is None
    assert sessions.redeem(sessions.link("demo", 0.0), LINK_S + 1) is None


def test_failures_double_the_wait_and_a_good_login_does_not_clear_the_address() -> None:
    throttle = Throttle()
    keys = "account a", "address x"
    for _ in range(FREE):
        throttle.failed(*keys, 0.0)
    first = throttle.wait_s(*keys, 0.0)
    throttle.failed(*keys, first)
    assert throttle.wait_s(*keys, first) == 2 * first > 0
    assert throttle.wait_s("account b", "address y", 0.0) == 0.0
    # Many accounts from one address: the address waits in the end, and a good login among them helps little.
    for n in range(40):
        throttle.failed(f"account {n}", "address x", first)
        throttle.succeeded("account own", "address y", first)
    assert throttle.wait_s("account new", "address x", first) > 0


def status(state: str, since: float = NOW - 100, subject: str = "pseudo-1") -> StreamStatus:
    return StreamStatus(state=state, since=iso(since), detail="", subject=subject, time=iso(NOW))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("node", "said", "heard", "lost", "state", "since", "cause"),
    [
        (NodeView("online", NOW), status("online"), NOW - 1, None, "online", NOW - 100, ""),
        (NodeView("online", NOW), status("degraded"), NOW - 1, None, "degraded", NOW - 100, ""),
        # Whatever the status says: nothing was heard.
        (NodeView("online", NOW), status("online"), NOW - 11, None, "stalled", NOW - 11, "silence"),
        (NodeView("online", NOW), status("calibrating"), NOW - 61, None, "offline", NOW - 61, "silence"),
        # A stalled stream is quiet by nature: its own word stands.
        (NodeView("online", NOW), status("stalled", NOW - 20), NOW - 20, None, "stalled", NOW - 20, "stream"),
        (NodeView("offline", NOW - 5), status("online"), NOW - 6, None, "offline", NOW - 5, "node_lost"),
        # A will that was retained does not say when it was said.
        (NodeView("offline", None), status("online"), NOW - 60, None, "offline", NOW - 60, "node_lost"),
        (NodeView("stopped", NOW - 9), status("online"), NOW - 9, None, "offline", NOW - 9, "node_stopped"),
        (NodeView("online", NOW), status("online"), NOW - 1, NOW - 3, "unknown", NOW - 3, "broker"),
        (NodeView(), None, NOW - 2, None, "unknown", NOW - 2, "unheard"),
    ],
)  # fmt: skip
def test_the_truth_of_a_connection(
    node: NodeView,
    said: StreamStatus | None,
    heard: float,
    lost: float | None,
    state: str,
    since: float,
    cause: str,
) -> None:
    truth = judge(node, said, heard, lost, Patience(10, 60), NOW)
    assert (truth.state, truth.cause) == (state, cause)
    assert truth.since == pytest.approx(since, abs=1e-3)


def emotion_at(end: float, seq: int) -> dict[str, object]:
    """A reading of stress, of a window that ended then."""
    return {
        "schema": "eegcopilot.emotion/1", "seq": seq, "time": iso(end), "subject": "pseudo-1",
        "label": "stress",
        "window": {"start": iso(end - 10), "end": iso(end), "gap_pct": 0, "clock_unc_ms": 0},
        "p": {"calm": 0.1, "stress": 0.9}, "p_smooth": {"calm": 0.2, "stress": 0.8}, "abstained": False,
        "reason": "", "quality": 1, "latency_ms": {"label": 1, "total": 2},
        "model": {"id": "m", "sha256": ""},
    }  # fmt: skip


def test_what_was_read_before_a_pause_is_not_the_present() -> None:
    ward = Ward(WardSettings(), NOW)
    ward.broker(True, NOW)
    topic = "eegcopilot/v1/n/r/bed"

    def hear(what: str, told: dict[str, object] | StreamStatus, at: float) -> dict[str, object]:
        raw = msgspec.json.encode(told) if isinstance(told, StreamStatus) else json.dumps(told).encode()
        ward.hear(f"{topic}/{what}", decode(raw), False, at)
        return ward.snapshot(at)["beds"]["n/r/bed"]

    hear("status", status("online"), NOW)
    hear("emotion", emotion_at(NOW, 1), NOW)
    episode = {"schema": "eegcopilot.episode/1", "episode": "e", "phase": "begin", "subject": "pseudo-1",
               "label": "stress", "start": iso(NOW - 60), "end": iso(NOW), "readings": 30, "p_mean": 0.9,
               "model": {"id": "m", "sha256": ""}, "seq": 1, "time": iso(NOW)}  # fmt: skip
    card = hear("episode", episode, NOW)
    assert card["reading"]["since"] == pytest.approx(NOW - 60, abs=1e-3)
    # A calibration: neither what was read before it, nor a late word of that, is shown as what is.
    assert hear("status", status("calibrating", NOW + 1), NOW + 1)["reading"] is None
    assert hear("emotion", emotion_at(NOW + 0.5, 2), NOW + 1.1)["reading"] is None
    card = hear("status", status("online", NOW + 11), NOW + 11)
    assert card["reading"] is None and card["truth"].state == "online"
    # The node's episode runs on; that the state lasted all the while is not known.
    card = hear("emotion", emotion_at(NOW + 20, 3), NOW + 20)
    assert card["reading"]["since"] == pytest.approx(NOW + 20, abs=1e-3)
    # Another person in the same moment as a reading: screens get a trend without the one before.
    bed = ward.beds["n/r/bed"]
    hear("status", status("online", NOW + 11, "pseudo-2"), NOW + 21)
    assert {"point", "subject"} <= bed.changed
    told = ward.changes([bed], NOW + 21)["n/r/bed"]
    assert told["trend"] == [] and "point" not in told
    assert bed.detail(bed.changed)["points"] == []


def test_a_ward_takes_in_what_it_should_and_no_more() -> None:
    ward = Ward(WardSettings(), NOW)
    ward.broker(True, NOW)
    emotion = emotion_at(NOW, 5)

    def hear(what: str, told: dict[str, object], topic: str = "n/r/bed") -> None:
        message = decode(json.dumps(told).encode())
        ward.hear(f"eegcopilot/v1/{topic}/{what}", message, False, NOW)

    said = {"schema": "eegcopilot.stream-status/1", "state": "online", "since": iso(NOW), "detail": "",
            "subject": "pseudo-1", "time": iso(NOW)}  # fmt: skip
    hear("status", said)
    for seq in (5, 5, 8):
        hear("emotion", emotion | {"seq": seq})
    bed = ward.beds["n/r/bed"]
    assert bed.missed == 2
    card = ward.snapshot(NOW)["beds"]["n/r/bed"]
    assert card["reading"]["label"] == "stress" and card["rank"] == 1 and len(card["trend"]) == 2
    # Another person: nothing of the one before is left on the card.
    hear("status", said | {"subject": "pseudo-2"})
    card = ward.snapshot(NOW)["beds"]["n/r/bed"]
    assert card["subject"] == "pseudo-2" and card["reading"] is None and card["draft"] is None
    for topic in ("n/r/../bed", "n/r/<b>", "n", "n/r/cmd"):
        hear("emotion", emotion, topic)
    for n in range(1100):
        hear("status", said, f"n/r{n // 50}/b{n}")
    assert len(ward.beds) == 1000
    assert not [key for key in ward.beds if "<" in key or ".." in key or "cmd" in key]


def test_the_sample_configuration_is_right_and_names_every_key(tmp_path: Path) -> None:
    sample = ROOT / "systemd" / "monitor.toml"
    config = load_monitor_config(sample)
    text = sample.read_text(encoding="utf-8")
    for table in config.__struct_fields__:
        assert f"[{table}]" in text
        for key in getattr(config, table).__struct_fields__:
            assert re.search(rf"^(# )?{key} = ", text, re.MULTILINE), f"{table}.{key}"
    # What is commented out shows the default, or an example of something that has none.
    (tmp_path / "all.toml").write_text("".join(re.findall(r"^\[.*\]\n", text, re.MULTILINE)))
    assert load_monitor_config(tmp_path / "all.toml").web == config.web


def test_every_text_is_in_every_catalogue_and_used() -> None:
    texts = {
        file.stem: json.loads(file.read_text(encoding="utf-8")) for file in (PAGES / "texts").glob("*.json")
    }
    assert set(texts) == {"en", "zh"}
    assert set(texts["en"]) == set(texts["zh"])
    scripts = "".join(file.read_text(encoding="utf-8") for file in PAGES.glob("*.js"))
    called = set(re.findall(r"""\bt\(\s*["']([\w.]+)["']""", scripts))
    assert called <= set(texts["en"]), called - set(texts["en"])
    for key in texts["en"]:
        places = re.findall(r"\{\w+\}", texts["en"][key])
        assert sorted(places) == sorted(re.findall(r"\{\w+\}", texts["zh"][key])), key


def test_what_is_vendored_is_what_the_lock_file_brought() -> None:
    """`make vendor` writes the list; whoever edits a library by hand is found out."""
    folder = PAGES / "vendor"
    listed = dict(reversed(line.split("  ", 1)) for line in (folder / "SHA256SUMS").read_text().splitlines())
    there = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} - {"SHA256SUMS"}
    assert there == set(listed)
    for name, told in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == told, name


def test_pages_ask_for_nothing_from_outside() -> None:
    for file in PAGES.rglob("*"):
        if file.suffix in (".html", ".js", ".css") and "vendor" not in file.parts:
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), file
            assert "innerHTML" not in text and "style=" not in text, file


def test_sealed_commands_are_proved_by_the_right_key(tmp_path: Path) -> None:
    keys = {
        name: public_text(new_key(tmp_path / f"{name}.key", password))
        for name, password in (("monitor", None), ("dr-1", "her password"))
    }
    sealer = Sealer(Keys(str(tmp_path)))
    topic = "eegcopilot/v1/n/r/cmd/bed/ask"
    for signer, who in (("", "monitor"), ("dr-1", "dr-1")):
        payload = sealer.payload(topic, b'{"question":"\xc3\xa4"}', signer, "her password")
        told = msgspec.json.decode(payload, type=SignedCommand)
        assert told.fits(keys[who]) and (told.topic, told.signer) == (topic, who)
        assert json.loads(told.command) == {"question": "ä"}
    with pytest.raises(CommandError, match="does not open with this password"):
        sealer.payload(topic, b"{}", "dr-1", "another password")
    with pytest.raises(CommandError, match=r"dr-2\.key: cannot be read"):
        sealer.payload(topic, b"{}", "dr-2")
    (tmp_path / "monitor.key").chmod(0o644)
    with pytest.raises(CommandError, match="others may read"):
        sealer.payload(topic, b"{}")
    assert Sealer(Keys()).payload(topic, b"{}") == b"{}"
