"""The end of a campaign: what waits is sent, what a broker lost is asked for again, all is added up."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from daemon.archive import FILE as RECORDS
from daemon.messages import iso
from tests.soak import report
from tests.soak.campaign import Campaign
from tests.soak.counts import contradictions
from tests.soak.growth import Growth, growth
from tests.soak.laboratory import CYTON, TOPICS, Laboratory
from tests.soak.messages import Rows, account, lost_drafts
from tests.soak.samples import Run, Samples, account_cyton, account_lsl, recorded

_DRAIN_S = 90.0
_ARRIVE_S = 2.0
# Recorders look for room every ten seconds: what came before they did is unrecorded, and counted.
_RECORDING_AGAIN_S = 12.0
# Memory may grow by less than this, MB an hour, where it could be watched for long enough to say so.
_MB_PER_H = 1.0
_JUDGED_S = 1800.0
_WINDOW_MS = 10_000.0  # the shipped bundle's: a label must not be older than one window


def close_accounts(lab: Laboratory, campaign: Campaign) -> dict[str, Any]:
    """Ends headsets and daemon. Returns the JSON object of the last line, without the options."""
    rows = Rows(lab.state / "outbox.sqlite")
    # While it has to do all at once, at the end, memory says nothing of how it grows.
    vitals = list(lab.node.vitals)
    if not lab.node.up(60.0):
        lab.problems.append("the daemon is not there at the end")
    healed = max((one.began + one.lasted_s for one in campaign.done), default=0.0)
    time.sleep(max(0.0, healed + _RECORDING_AGAIN_S - time.time()))
    for headset in lab.headsets.values():
        headset.end()
    lab.cyton.end()
    time.sleep(_ARRIVE_S)
    _drained(lab, rows)
    time.sleep(_ARRIVE_S)
    _replayed(lab, rows)
    code = lab.node.stop()
    if code != 0:
        lab.problems.append(f"the daemon's exit code was {code} when it was asked to stop")
    time.sleep(_ARRIVE_S)
    return _summary(lab, campaign, rows, growth(vitals))


def _drained(lab: Laboratory, rows: Rows) -> None:
    end = time.monotonic() + _DRAIN_S
    while rows.unsent() and time.monotonic() < end:
        time.sleep(0.5)
    if left := rows.unsent():
        lab.problems.append(f"{left} messages still wait {_DRAIN_S:g} s after the last fault")


def _replayed(lab: Laboratory, rows: Rows) -> None:
    """What a broker confirmed and then lost is still in the outbox: it is asked for over MQTT."""
    heard = list(lab.ears.heard)
    if not account(rows, heard, TOPICS, 0).unaccounted:
        return
    mark, since = os.urandom(8), len(heard)
    start = iso(
        min((h.made for h in heard), default=time.time()) - 7200
    )  # the daemon's clock was off by an hour
    end = iso(time.time() + 7200)
    lab.ears.say(f"{TOPICS}/cmd/replay-outbox", json.dumps({"from": start, "to": end}).encode(), mark)
    answer = lab.ears.wait(lambda h: h.kind == "response" and h.told["verb"] == "replay-outbox", since, 30.0)
    if answer is None or not answer.told["ok"]:
        lab.problems.append(f"replay-outbox: {'no answer' if answer is None else answer.told['detail']}")
        return
    print(f"asked again for what the broker lost: {answer.told['detail']}", flush=True)
    _drained(lab, rows)


def _growing(grown: Growth) -> list[str]:
    found = []
    if grown.mb_per_h is not None and grown.seconds >= _JUDGED_S and grown.mb_per_h >= _MB_PER_H:
        found.append(f"memory grows by {grown.mb_per_h:.2f} MB an hour: at most {_MB_PER_H:g} is allowed")
    if grown.files is not None and grown.files[1] > grown.files[0]:
        found.append(f"open files grew from {grown.files[0]} to {grown.files[1]}")
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _samples(lab: Laboratory, runs: Mapping[str, Sequence[Run]]) -> Samples:
    found = Samples()
    for name, headset in lab.headsets.items():
        account_lsl(found, headset, runs[name])
    account_cyton(found, lab.cyton.board, runs[CYTON])
    return found


def _summary(lab: Laboratory, campaign: Campaign, rows: Rows, grown: Growth) -> dict[str, Any]:
    heard = list(lab.ears.heard)
    log = (lab.broker.folder / "mosquitto.log").read_text(errors="replace")
    connections = log.count(" as eegcopilot-soak-node ")
    messages = account(rows, heard, TOPICS, connections)
    drafts, lost = lost_drafts(lab.state / RECORDS, heard, rows)
    runs = {name: list(recorded(lab.state, name)) for name in (*lab.headsets, CYTON)}
    samples = _samples(lab, runs)
    stale = [h for h in heard if h.kind == "emotion" and h.told["latency_ms"]["total"] > _WINDOW_MS]
    problems = [*lab.problems, *messages.findings, *samples.findings, *(f"draft lost: {one}" for one in lost)]
    problems += contradictions(heard, runs) + _growing(grown)
    problems += [f"not to be read: {line}" for line in lab.ears.foreign]
    return {
        "faults": len(campaign.done),
        "unaccounted_messages": messages.unaccounted,
        "unaccounted_samples": samples.unaccounted,
        "lost_drafts": len(lost),
        "duplicates": messages.duplicates,
        "stale_labels": len({h.told["id"] for h in stale}),
        "messages": messages.counts(),
        "samples": samples.counts(),
        "drafts": drafts,
        "recovery_s": report.recoveries(campaign.done),
        "memory_mb_per_h": _rounded(grown.mb_per_h),
        "memory_interval": [_rounded(end) for end in grown.interval or ()],
        "memory_anon_mb_per_h": _rounded(grown.anon_mb_per_h),
        "memory_over_s": round(grown.seconds),
        "memory_warm_up_s": round(grown.warm_s),
        "descriptors": dict(zip(("first", "last"), grown.files or (), strict=False)) | {"most": grown.most},
        "node_exits": lab.node.ends,
        "not_run": campaign.not_run,
        "notes": [lab.disk.note] if lab.disk.note else [],
        "problems": problems,
    }
