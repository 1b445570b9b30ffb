"""`python -m tests.bench.sizing`: what 10 to 10,000 beds need, and how far one broker goes.

From what one bed costs on this machine. docs/sizing.md tells what the figures mean.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.bench.report import Report, Table
from tests.bench.rounds import number
from tests.bench.sizing.costs import Costs, costs
from tests.bench.sizing.load import Load, play
from tests.bench.sizing.needs import Needs, Plan, needs
from tests.parts.machine import describe

BEDS = (10, 100, 1_000, 10_000)
_SIMULATED = 1_000
_FEW = 20
# A reading that is older than this when it is heard is late.
_LATE_MS = 1000.0
# Less of what was wanted means that this harness, and not the broker, has reached its end.
_OFFERED = 0.9
_MOST_STEPS = 8


def main() -> int:
    options = _options()
    machine, plan = describe(), Plan()
    beds, seconds = (40, 3.0) if options.quick else (_SIMULATED, 20.0)
    few = _play(_FEW, plan, 1.0, seconds)
    one = _play(beds, plan, 1.0, seconds)
    three = _play(beds, plan, 1.0, seconds, listeners=3)
    steps = [one]
    while not options.quick and len(steps) < _MOST_STEPS and _holds(steps[-1]):
        steps.append(_play(beds, plan, 2.0 ** len(steps), seconds / 2))
    found = costs(one, three, few, quick=options.quick)
    report = Report(title="make sizing")
    for key, value in _flat(asdict(found)).items():
        report.figure(key, value)
    for load in (one, three):
        report.figure(f"simulated_{load.beds}_beds_{load.listeners}_listeners_p99_ms", load.p99_ms)
    report.figure("simulated_lost", sum(load.sent * load.listeners - load.heard for load in (one, three)))
    report.figure(
        "one_broker_readings_per_s", max((step.offered for step in steps if _holds(step)), default=0.0)
    )
    report.tables += [_costs(found), _loads([few, one, three, *steps[1:]]), _needs(found, plan)]
    report.write(options.out, {**machine, "quick": int(options.quick)})
    print(report.text(machine))
    print(f"\n{options.out}, {options.out.with_suffix('.md')}")
    return 0 if one.whole and three.whole else 1


def _play(beds: int, plan: Plan, rate: float, seconds: float, listeners: int = 1) -> Load:
    with tempfile.TemporaryDirectory(prefix="eeg-copilot-sizing-") as folder:
        load = play(Path(folder), beds, plan.beds_per_node, rate, seconds, listeners)
    arrived = "all arrived" if load.whole else "NOT all arrived"
    print(
        f"  {beds} beds, {load.offered:.0f} of {load.wanted:.0f} readings a second, {listeners} listeners: "
        f"p99 {load.p99_ms:.0f} ms, broker {load.broker_cores:.2f} cores, {arrived}",
        flush=True,
    )
    return load


def _holds(load: Load) -> bool:
    return load.whole and load.p99_ms <= _LATE_MS and load.offered >= _OFFERED * load.wanted


def _flat(told: dict[str, object], before: str = "") -> dict[str, float]:
    flat: dict[str, float] = {}
    for key, value in told.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{key}_")
        elif isinstance(value, int | float):
            flat[f"{before}{key}"] = value
    return flat


def _costs(found: Costs) -> Table:
    pool = found.pool
    return Table(
        "What one costs, processor time of one core",
        ("what", "value"),
        [
            ("node that reads by itself, each bed", f"{found.node_cores * 100:.1f} % of a core"),
            ("of which the model, a window", f"{found.model_s * 1e3:.1f} ms"),
            ("and a message that it publishes", f"{found.message_s * 1e3:.1f} ms"),
            ("thin node, a window asked", f"{pool.node_s * 1e3:.1f} ms"),
            (
                "reader of a pool, a window",
                f"{pool.reader_s * 1e3:.1f} ms, {pool.reader_mb:.0f} MB each reader",
            ),
            (
                "broker, a window of a pool",
                f"{pool.broker_s * 1e6:.0f} µs, {pool.wire_bytes:.0f} bytes of MQTT",
            ),
            ("broker, a message in", f"{found.broker_in_s * 1e6:.0f} µs"),
            ("broker, each listener to it", f"{found.broker_out_s * 1e6:.0f} µs"),
            ("broker, each connection", f"{found.connection_mb * 1e3:.0f} kB"),
            ("a reading on the wire", f"{found.reading_bytes:.0f} bytes of MQTT"),
            ("a message in the outbox", f"{found.outbox_bytes:.0f} bytes"),
            ("a recording, a bed", f"{found.recording_bytes * 86400 / 1e9:.2f} GB a day"),
        ],
    )


def _loads(loads: list[Load]) -> Table:
    return Table(
        "Simulated: real readings through one mosquitto",
        ("beds × readings a second", "listeners", "connections", "offered", "p50 ms", "p99 ms",
         "broker cores", "broker MB", "this harness's cores", "all arrived"),
        [
            (
                f"{load.beds} × {load.wanted / load.beds:g}", str(load.listeners), str(load.connections),
                f"{load.offered:.0f}", number(load.p50_ms), number(load.p99_ms), f"{load.broker_cores:.2f}",
                f"{load.broker_mb:.0f}", f"{load.players_cores + load.listeners_cores:.2f}",
                "yes" if load.whole else "no",
            )
            for load in loads
        ],
        "From a reading's making in one process to its hearing in another, all on this machine.",
    )  # fmt: skip


def _needs(found: Costs, plan: Plan) -> Table:
    columns = [needs(beds, found, plan) for beds in BEDS]
    rows: list[tuple[str, str, str]] = [
        ("nodes", "nodes", ",.0f"),
        ("cores, every node reads by itself", "edge_cores", ",.1f"),
        ("cores of thin nodes", "thin_cores", ",.1f"),
        ("and readers of a pool, a core each", "readers", ",.0f"),
        ("messages a second into the broker", "messages_in", ",.0f"),
        ("and out of it", "messages_out", ",.0f"),
        ("cores of the broker", "broker_cores", ",.2f"),
        ("with a pool", "pool_broker_cores", ",.2f"),
        ("memory of the broker, MB", "broker_mb", ",.0f"),
        ("network at the broker, Mbit/s", "network_mbit", ",.1f"),
        ("with a pool", "pool_network_mbit", ",.1f"),
        ("outboxes on the nodes, GB", "outbox_gb", ",.1f"),
        ("recordings, GB a day", "recordings_gb", ",.0f"),
    ]
    return Table(
        f"What it takes, at {plan.readings_per_s:g} reading a second",
        ("beds", *(f"{one.beds:,}" for one in columns)),
        [(name, *(_told(one, key, form) for one in columns)) for name, key, form in rows],
        f"Cores are used to {plan.busy:.0%} at most. {plan.listeners} listeners to every message, "
        f"{plan.others:g} other messages a reading, {plan.beds_per_node} beds a node, messages kept "
        f"{plan.keep_days:g} days or {plan.max_mib} MiB a node. Mosquitto uses one core: more than 1 takes "
        "several brokers, or another one.",
    )


def _told(one: Needs, key: str, form: str) -> str:
    return format(getattr(one, key), form)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sizing", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/sizing.json"), help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures mean little")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
