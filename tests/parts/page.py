"""A page in Debian's Chromium that fails a test for whatever it complains about."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = Path(__file__).parent / "axe" / "axe.min.js"
# What takes a moment takes much longer where other tests have the processor.
SLOW_MS = 60_000
expect.set_options(timeout=SLOW_MS)
# Nothing of a browser's own life: no updates, no services, and root's sandbox is the container.
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
    # The network is cut: no name is found, and no address but this machine's.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)  # fmt: skip
# Rank and name of each card as they stand: what needs attention comes first.
ORDER = """() => Array.from(document.querySelectorAll('.card'), (one) =>
    [Number(one.dataset.rank), one.dataset.key])"""
# Breaks of the policy are told to the page only; here they become errors that a test sees.
_TELL = """addEventListener('securitypolicyviolation',
    (event) => console.error('CSP', event.violatedDirective, event.blockedURI))"""
# What the network says while a broker, a node or the monitor is away on purpose.
_NETWORK = ("net::ERR_", "Failed to load resource")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Must be closed before anything else in this thread uses asyncio.run."""
    if PROGRAM is None:
        pytest.skip("chromium is not installed: make test installs it through apt")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched(browser: Browser, url: str, *, dark: bool = False, wide: int = 1400) -> Iterator[Page]:
    """Raises AssertionError for any error in the console, in a script, or against the policy, and for any
    request that leaves the monitor."""
    context = browser.new_context(
        viewport={"width": wide, "height": 900}, color_scheme="dark" if dark else "light", locale="en-GB"
    )
    page = context.new_page()
    page.set_default_timeout(SLOW_MS)
    wrong: list[str] = []
    page.add_init_script(_TELL)
    page.on("console", lambda told: wrong.append(told.text) if told.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(url) else wrong.append(asked.url))
    page.goto(url)
    try:
        yield page
    finally:
        context.close()
    wrong = [line for line in wrong if not any(word in line for word in _NETWORK)]
    if wrong:
        raise AssertionError(f"the page complains: {wrong}")


def log_in(page: Page, name: str, password: str) -> None:
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", password)
    page.click("button.main")
    page.wait_for_selector("nav")


def violations(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.0 to 2.2, A and AA, and its own best practices.

    Looks once the view is drawn: until then the page has no heading.
    """
    expect(page.locator("h1")).to_be_visible()
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        """() => axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa',
        'best-practice']})"""
    )
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
