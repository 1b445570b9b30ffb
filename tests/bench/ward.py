"""The monitor with a hundred beds at one reading a second: a real broker, a real server, a real browser."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.bench.beds import publish
from tests.bench.report import Report, Table

sys.path.insert(0, str(Path(__file__).parents[1] / "parts"))

from broker import Mosquitto
from page import PROGRAM, chromium, log_in
from stack import PASSWORD, Stack, until

BEDS = 100
# How often memory is looked at, seconds.
_EVERY_S = 10.0
# Until every card's trend is full, and memory can be flat, seconds.
_FILL_S = 70.0
# Counts, by the millisecond, how long readings took from their publication to the frame that shows them.
_OBSERVE = """() => {
  window.delays = new Uint32Array(5001);
  new MutationObserver((all) => { const news = all.map((one) => one.target.dataset.reading);
    requestAnimationFrame(() => { const at = Date.now(); for (const id of news) {
      const sent = Number(id.split('-')[1]);
      if (sent) delays[Math.min(Math.max(at - sent, 0), 5000)] += 1; } }); })
    .observe(document.querySelector('#ward'), {subtree: true, attributeFilter: ['data-reading']});
}"""


def run(report: Report, *, quick: bool) -> None:
    if PROGRAM is None:
        report.miss("ward", "chromium is not installed: apt-get install chromium")
        return
    stop = threading.Event()
    with tempfile.TemporaryDirectory(prefix="eeg-copilot-bench-") as folder, contextlib.ExitStack() as whole:
        broker = Mosquitto(Path(folder)).start()
        whole.callback(broker.stop)
        stack = Stack(Path(folder), broker, "")
        whole.callback(stack.end)
        beds = threading.Thread(target=publish, args=(broker.port, BEDS, stop))
        beds.start()
        try:
            found = measure(stack.url, stack.monitor.pid, *((5, 20) if quick else (_FILL_S, 600)))
        finally:
            stop.set()
            beds.join()
    for key, value in found.items():
        report.figure(f"ward_{key}", value)
    report.tables.append(
        Table(
            f"Monitor: {BEDS} beds, one reading a second each, on one page of Chromium",
            ("measure", "value"),
            [(key.replace("_", " "), f"{value:g}") for key, value in found.items()],
            "Main thread: its tasks' time as a share of the time. Heap: after a collection. To screen: from "
            "publication to the frame that shows it. Server: the monitor's own process.",
        )
    )


def measure(url: str, monitor: int, fill_s: float, seconds: float) -> dict[str, float]:
    """monitor: its process's id. Shares are of one core, memory is in MiB."""
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1920, "height": 1080})
        page = context.new_page()
        page.goto(url)
        log_in(page, "wall", PASSWORD.format("wall"))
        until(lambda: page.locator(".card").count() >= BEDS, 60)
        page.evaluate(_OBSERVE)
        cdp = context.new_cdp_session(page)
        # In processor time: on a busy machine the clock would count what others take.
        cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.wait_for_timeout(fill_s * 1000)
        page.evaluate("delays.fill(0)")

        def look() -> dict[str, float]:
            told = {one["name"]: one["value"] for one in cdp.send("Performance.getMetrics")["metrics"]}
            cdp.send("HeapProfiler.collectGarbage")
            heap = cdp.send("Runtime.getHeapUsage")["usedSize"] / 2**20
            return told | {"heap": heap, "cpu": _cpu(monitor), "rss": _rss(monitor)}

        looks = [look()]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            page.wait_for_timeout(min(_EVERY_S, max(1.0, end - time.monotonic())) * 1000)
            looks.append(look())
        counts = page.evaluate("Array.from(delays)")
        context.close()
    first, last = looks[0], looks[-1]
    span = last["Timestamp"] - first["Timestamp"]

    def share(*names: str) -> float:
        return sum(last[name] - first[name] for name in names) / span

    return {
        "seconds": span,
        "readings": sum(counts),
        "main_thread_share": share("TaskDuration"),
        "script_share": share("ScriptDuration"),
        "layout_share": share("LayoutDuration", "RecalcStyleDuration"),
        "heap_first_mb": first["heap"],
        "heap_middle_mb": looks[len(looks) // 2]["heap"],
        "heap_last_mb": last["heap"],
        "nodes_first": first["Nodes"],
        "nodes_last": last["Nodes"],
        "to_screen_p50_ms": _percentile(counts, 0.5),
        "to_screen_p99_ms": _percentile(counts, 0.99),
        "server_cores": share("cpu"),
        "server_first_mb": first["rss"],
        "server_last_mb": last["rss"],
    }


def _percentile(counts: list[int], share: float) -> int:
    """The least value below or at which this share lies."""
    wanted, seen = share * sum(counts), 0
    for value, count in enumerate(counts):
        seen += count
        if seen >= wanted:
            return value
    return len(counts) - 1


def _cpu(pid: int) -> float:
    """Seconds of processor time so far (proc(5): utime and stime in ticks of 1/100 s)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _rss(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20
