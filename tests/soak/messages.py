"""The ledger of messages: every number that the daemon took, and what became of it."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from daemon.outbox_file import REFUSED, SENT
from tests.soak.ears import Heard

# Said on the connection itself, not through the outbox: what a connection did not live to say lapses with it.
_OF_THE_CONNECTION = ("status", "info")
# Numbers that one connection may take without their being heard: its greeting, its will and its birth; and a
# status for each change of the alarms.
_LAPSE = 6


class _Numbered(msgspec.Struct):
    seq: int


@dataclass
class Ledger:
    """made: numbers taken, all topics. delivered: heard by a monitor. waiting: not sent yet; refused: by the
    broker, and kept; unconfirmed: QoS 0, written and not heard; lapsed: of a connection that had ended;
    expired, dropped: by the daemon's own tally, where it is needed to explain a number that was not heard.
    unaccounted: all others. duplicates: the same thing told under two ids, or two things under one number.
    """

    made: int = 0
    delivered: int = 0
    waiting: int = 0
    refused: int = 0
    unconfirmed: int = 0
    lapsed: int = 0
    expired: int = 0
    dropped: int = 0
    unaccounted: int = 0
    duplicates: int = 0
    findings: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """What became of the numbers; all but `made` and what is unaccounted for add up to it."""
        names = ("made", "delivered", "waiting", "refused", "unconfirmed", "lapsed", "expired", "dropped")
        return {name: getattr(self, name) for name in names}


class Rows:
    """What the outbox's file says. Read again and again, as rows leave it when their days are over."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._from = 0
        self.unheard_by_rule: dict[str, set[int]] = defaultdict(set)
        """Numbers by topic that were sent at QoS 0: nobody confirms them."""

    def note(self) -> None:
        """Remembers what was sent without confirmation."""
        with self._open() as db:
            rows = db.execute(
                "select id, topic, payload from message where qos=0 and state=? and id>? order by id",
                (SENT, self._from),
            ).fetchall()
        for row_id, topic, payload in rows:
            self._from = max(self._from, row_id)
            self.unheard_by_rule[topic].add(_seq(payload))

    def last(self) -> dict[str, int]:
        """The newest number of each topic."""
        with self._open() as db:
            return dict(db.execute("select topic, last from sequence"))

    def tally(self) -> dict[tuple[str, str], int]:
        """(topic, `expired` or `dropped`): how many."""
        with self._open() as db:
            return {
                (topic, what): n for topic, what, n in db.execute("select topic, what, number from tally")
            }

    def by_state(self) -> dict[str, dict[int, int]]:
        """Topic to number to state, of all that is still there."""
        found: dict[str, dict[int, int]] = defaultdict(dict)
        with self._open() as db:
            for topic, payload, state in db.execute("select topic, payload, state from message"):
                found[topic][_seq(payload)] = state
        return found

    def unsent(self) -> int:
        with self._open() as db:
            query = "select count(*) from message where state not in (?,?)"
            return int(db.execute(query, (SENT, REFUSED)).fetchone()[0])

    def kept_drafts(self) -> set[tuple[str, int]]:
        """(id, version) of those that were not sent: they wait, or the broker refused them."""
        query = "select payload from message where topic like '%/emr/%' and state<>?"
        with self._open() as db:
            told = [msgspec.json.decode(payload)["draft"] for (payload,) in db.execute(query, (SENT,))]
        return {(draft["id"], draft["version"]) for draft in told}

    def _open(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=10))


def account(rows: Rows, heard: Sequence[Heard], base: str, connections: int) -> Ledger:
    """base: the node's own topic. connections: how many the broker has seen of the daemon."""
    rows.note()
    ledger = Ledger()
    heard_numbers: dict[str, set[int]] = defaultdict(set)
    for one in heard:
        heard_numbers[one.topic].add(one.seq)
    states, tally = rows.by_state(), rows.tally()
    for topic, last in sorted(rows.last().items()):
        silent = set(range(1, last + 1)) - heard_numbers[topic]
        ledger.made += last
        ledger.delivered += last - len(silent)
        name = topic.removeprefix(f"{base}/")
        if name in _OF_THE_CONNECTION:
            ledger.lapsed += len(silent)
            continue
        kept = {number: states[topic][number] for number in silent & states[topic].keys()}
        unconfirmed = rows.unheard_by_rule[topic] & silent
        ledger.unconfirmed += len(unconfirmed)
        refused = {number for number, state in kept.items() if state == REFUSED}
        lost = {number for number, state in kept.items() if state == SENT} - unconfirmed
        ledger.refused += len(refused)
        ledger.waiting += len(kept) - len(refused) - len(lost) - len(unconfirmed & kept.keys())
        gone = len(silent - kept.keys() - unconfirmed)
        dropped = min(gone, tally.get((topic, "dropped"), 0))
        expired = min(gone - dropped, tally.get((topic, "expired"), 0))
        ledger.dropped += dropped
        ledger.expired += expired
        missing = gone - dropped - expired + len(lost)
        if missing:
            ledger.unaccounted += missing
            ledger.findings.append(
                f"{name}: {len(lost)} confirmed and never heard ({_few(lost)}), {missing - len(lost)} gone "
                f"without a count ({_few(silent - kept.keys() - unconfirmed)})"
            )
    if ledger.lapsed > _LAPSE * (connections + 1):
        ledger.findings.append(f"{ledger.lapsed} states lapsed in {connections} connections")
        ledger.unaccounted += ledger.lapsed - _LAPSE * (connections + 1)
    _duplicates(heard, ledger)
    return ledger


def _duplicates(heard: Iterable[Heard], ledger: Ledger) -> None:
    """Two ids for one number or for one thing; a repeated id is what ids are there to catch."""
    ids: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for one in heard:
        told = one.told
        ids[one.topic, one.seq].add(told["id"])
        if one.kind == "emotion":
            ids[one.topic, "window", told["window"]["start"], told["window"]["end"]].add(told["id"])
        elif one.kind == "episode" and told["phase"] != "update":
            ids[one.topic, told["episode"], told["phase"]].add(told["id"])
        elif one.kind in ("draft", "signed"):
            ids[one.topic, told["draft"]["id"], told["draft"]["version"]].add(told["id"])
    for what, found in ids.items():
        if len(found) > 1:
            ledger.duplicates += len(found) - 1
            ledger.findings.append(f"{len(found)} ids for {' '.join(map(str, what))}")


def lost_drafts(records: Path, heard: Iterable[Heard], rows: Rows) -> tuple[int, list[str]]:
    """(versions in the archive, those that neither a monitor nor the outbox has), as `id version`."""
    drafts = [one.told["draft"] for one in heard if one.kind in ("draft", "signed")]
    there = {(draft["id"], draft["version"]) for draft in drafts} | rows.kept_drafts()
    with closing(sqlite3.connect(f"file:{records}?mode=ro", uri=True)) as db:
        made = db.execute("select id, version from record").fetchall()
    return len(made), [f"{name} {version}" for name, version in made if (name, version) not in there]


def _seq(payload: bytes) -> int:
    return msgspec.json.decode(payload, type=_Numbered).seq


def _few(numbers: Iterable[int]) -> str:
    ranked = sorted(numbers)
    return ", ".join(map(str, ranked[:8])) + (", …" if len(ranked) > 8 else "")
