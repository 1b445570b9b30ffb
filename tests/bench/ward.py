"""The monitor with a hundred beds at one reading a second: a real broker, a real server, a real browser."""

from __future__ import annotations

import contextlib
import itertools
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.bench.beds import publish
from tests.bench.report import Report, Table

sys.path.insert(0, str(Path(__file__).parents[1] / "parts"))

from broker import Mosquitto
from page import ORDER, PROGRAM, chromium, log_in
from playwright.sync_api import Browser
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
            "Main thread: processor time of the page's own thread by the kernel's count, as a share of a "
            "core, and the most in any 10 s; tasks, script, layout: by the browser's count. Page: all "
            "threads of its process. Memory: medians of the first and the last quarter; heap: after a "
            "collection; page, server: resident. To screen: from publication to the frame that shows it. "
            "Load: of the machine, in the mean. Processor time is fair on a busy machine, times to the "
            "screen are not.",
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
        renderer = _renderer(browser)
        page.evaluate("delays.fill(0)")

        def look() -> dict[str, float]:
            told = {one["name"]: one["value"] for one in cdp.send("Performance.getMetrics")["metrics"]}
            cdp.send("HeapProfiler.collectGarbage")
            return told | {
                "heap": cdp.send("Runtime.getHeapUsage")["usedSize"] / 2**20,
                "main": _cpu(f"{renderer}/task/{renderer}"),
                "page": _cpu(str(renderer)),
                "server": _cpu(str(monitor)),
                "page_rss": _rss(renderer),
                "server_rss": _rss(monitor),
                "load": os.getloadavg()[0],
            }

        looks = [look()]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            page.wait_for_timeout(min(_EVERY_S, max(1.0, end - time.monotonic())) * 1000)
            looks.append(look())
        counts = page.evaluate("Array.from(delays)")
        order = page.evaluate(ORDER)
        context.close()
    if order != sorted(order):
        raise AssertionError(f"the cards are out of order: {order}")
    span = looks[-1]["Timestamp"] - looks[0]["Timestamp"]

    def shares(name: str) -> list[float]:
        return [(b[name] - a[name]) / (b["Timestamp"] - a["Timestamp"]) for a, b in itertools.pairwise(looks)]

    def share(*names: str) -> float:
        return sum(looks[-1][name] - looks[0][name] for name in names) / span

    return {
        "seconds": span,
        "readings_a_second": sum(counts) / span,
        "main_thread_share": share("main"),
        "main_thread_share_most": max(shares("main")),
        "tasks_share": share("TaskDuration"),
        "script_share": share("ScriptDuration"),
        "layout_share": share("LayoutDuration", "RecalcStyleDuration"),
        "page_cores": share("page"),
        "server_cores": share("server"),
        **_memory("heap", [one["heap"] for one in looks]),
        **_memory("page", [one["page_rss"] for one in looks]),
        **_memory("server", [one["server_rss"] for one in looks]),
        "nodes_first": looks[0]["Nodes"],
        "nodes_last": looks[-1]["Nodes"],
        "to_screen_p50_ms": _percentile(counts, 0.5),
        "to_screen_p90_ms": _percentile(counts, 0.9),
        "to_screen_p99_ms": _percentile(counts, 0.99),
        "to_screen_within_300_ms": sum(counts[:301]) / max(1, sum(counts)),
        "load": statistics.fmean(one["load"] for one in looks),
    }


def _memory(name: str, seen: list[float]) -> dict[str, float]:
    """Medians of the first and the last quarter: one look may fall between two collections."""
    quarter = max(1, len(seen) // 4)
    return {
        f"{name}_first_mb": statistics.median(seen[:quarter]),
        f"{name}_last_mb": statistics.median(seen[-quarter:]),
        f"{name}_most_mb": max(seen),
    }


def _percentile(counts: list[int], share: float) -> int:
    """The least value below or at which this share lies."""
    wanted, seen = share * sum(counts), 0
    for value, count in enumerate(counts):
        seen += count
        if seen >= wanted:
            return value
    return len(counts) - 1


def _renderer(browser: Browser) -> int:
    """The process of the page, whose first thread is the page's main one: the busiest of Chromium's
    renderers, as it may keep a spare one."""
    told = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    renderers = [one for one in told if one["type"] == "renderer"]
    return int(max(renderers, key=lambda one: float(one["cpuTime"]))["id"])


def _cpu(process: str) -> float:
    """Seconds of processor time so far of a process, or a thread of it (proc(5): ticks of 1/100 s)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _rss(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20
