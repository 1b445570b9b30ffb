"""What the bedside sees: a real browser on a real monitor, broker and node."""

from __future__ import annotations

import io
import os
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker import Mosquitto
from PIL import Image
from stack import PASSWORD, ROOT, Client, Stack, until

pytest.importorskip("playwright", reason="comes with the extra `dev`")

from page import ORDER, SLOW_MS, chromium, log_in, violations, watched
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.timeout(300)

# Where pictures of each view go: `make screenshots` puts them into the documentation.
PICTURES = Path(os.environ.get("PICTURES") or ROOT / "build" / "pictures")
BED = "#/bed/north/room-1/bed-2"
# Of somebody whose one state lasts: no episode ends, and no newer version of a draft comes by itself.
STEADY = "#/bed/north/room-1/bed-1"
# Publication to screen, as it is promised; and of how many labels that is looked at.
WITHIN_MS, LABELS = 300, 20
LABEL = re.compile("calm|stress|no label|平静|紧张|无标签")

# Notes when each reading appeared in the page, by the clock that the node stamps with too.
OBSERVE = """() => {
  window.appeared = {};
  const note = (item) => { const id = item.dataset.reading; if (id && !(id in appeared)) {
    appeared[id] = null; requestAnimationFrame(() => { appeared[id] = Date.now(); }); } };
  new MutationObserver((all) => all.forEach((one) => note(one.target)))
    .observe(document.querySelector('#ward'), {subtree: true, attributeFilter: ['data-reading']});
}"""


# Whether anything is drawn on a canvas.
INK = """(which) => { const c = document.querySelector(which); const blank = document.createElement('canvas');
  [blank.width, blank.height] = [c.width, c.height]; return c.toDataURL() !== blank.toDataURL(); }"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture
def clinician(browser: Browser, ward: Stack) -> Iterator[Page]:
    with watched(browser, ward.url) as page:
        log_in(page, "dr.lee", PASSWORD.format("dr.lee"))
        yield page


def picture(page: Page, name: str, *, whole: bool = False) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.mouse.move(0, 0)  # nothing is to look as if it were pointed at
    shot = Image.open(io.BytesIO(page.screenshot(full_page=whole)))
    # Flat colours: a palette is a fifth of the size.
    shot.convert("RGB").quantize(128).save(PICTURES / f"monitor-{name}.png", optimize=True)


def labelled(page: Page, bed: str = "bed-2") -> None:
    """Until the card of a bed shows a label."""
    card = page.locator(f".card[data-key$='{bed}']")
    expect(card.locator(".word")).to_have_text(LABEL)


def test_labels_are_on_the_screen_soon_after_they_are_told(clinician: Page, ward: Stack) -> None:
    page = clinician
    labelled(page)
    page.evaluate(OBSERVE)
    # The node's own stamp of each reading, as the page got it.
    page.evaluate(
        """async () => { const {ward, watch} = await import('./live.js'); window.told = {};
        watch(() => { for (const bed of ward.beds.values()) if (bed.reading)
          told[bed.reading.id] = Date.parse(bed.reading.sent); }); }"""
    )
    # Not wait_for_function: it evaluates text in the page, which the policy forbids.
    until(lambda: page.evaluate("Object.values(appeared).filter(Boolean).length") >= LABELS, SLOW_MS / 1000)
    appeared, told = page.evaluate("appeared"), page.evaluate("told")
    delays = sorted(at - told[one] for one, at in appeared.items() if at and one in told)
    assert len(delays) >= LABELS / 2
    worst = delays[int(0.99 * len(delays))]
    within = sum(delay <= WITHIN_MS for delay in delays) / len(delays)
    print(
        f"{len(delays)} labels, publication to screen: median {statistics.median(delays):.0f} ms, "
        f"p99 {worst:.0f} ms, {within:.0%} within {WITHIN_MS} ms"
    )
    # Most of them, as this machine may be busy with other tests; `make bench` has the distribution of many.
    assert statistics.median(delays) <= WITHIN_MS
    order = page.evaluate(ORDER)
    assert len(order) == 4 and order == sorted(order)


def test_a_bed_shows_what_was_measured(clinician: Page, ward: Stack) -> None:
    page = clinician
    page.goto(f"{ward.url}/{BED}")
    expect(page.locator("#timeline canvas")).to_be_visible()
    expect(page.locator("#codes canvas")).to_be_visible()
    expect(page.locator(".headmap")).to_have_attribute("aria-label", re.compile("of 19 electrodes"))
    expect(page.locator(".bands tbody tr")).to_have_count(5)
    expect(page.locator("#now .word")).to_have_text(LABEL)
    page.locator("#timeline summary").click()
    expect(page.locator("#timeline tbody tr").first).to_contain_text("%")
    # The plot has ink in it, and so has the strip of codes.
    for canvas in ("#timeline canvas", "#codes canvas"):
        until(lambda one=canvas: page.evaluate(INK, one))


def test_draft_amend_sign_reject_and_ask(clinician: Page, ward: Stack) -> None:
    page = clinician
    page.goto(f"{ward.url}/{STEADY}")
    expect(page.locator("#episodes tbody tr").first).to_be_visible()
    page.locator("#draft-now").click()
    waiting = page.locator("#records button.kind-preliminary")
    waiting.first.click()
    article = page.locator("article.draft")
    expect(article.locator(".mark")).to_contain_text("Unsigned draft")
    expect(article.locator("h4")).to_contain_text(["Basic Information", "Medical Expenses"])
    # A statement's source opens.
    article.locator(".statement .citation").first.click()
    expect(page.locator("dialog .evidence dd").first).not_to_be_empty()
    assert violations(page) == []
    page.locator("dialog button").click()
    # A newer version comes while this one is read: only that one can be decided on.
    page.locator("#draft-now").click()
    page.locator("#newer").click()
    expect(article.locator("a[href$='/2/record.pdf']")).to_be_visible()
    expect(page.locator("#newer")).to_have_count(0)

    # A wrong password signs nothing.
    article.locator("input[name=password]").fill("not the password")
    article.locator("button[value=accept]").click()
    expect(article.locator(".refused")).to_contain_text("wrong")

    article.locator("#amend").click()
    article.locator("textarea[name=follow_up]").fill("See again in a week, if the person wishes.")
    article.locator("input[name=comment]").fill("shortened")
    article.locator("input[name=password]").fill(PASSWORD.format("dr.lee"))
    article.locator("button[value=amend]").click()
    amended = page.locator("#records button.kind-amended")
    expect(amended).to_have_count(1)
    amended.first.click()
    expect(article.locator(".mark")).to_contain_text("Amended and signed by dr-1")
    expect(article).to_contain_text("See again in a week")
    for name, begin in (("record.pdf", b"%PDF-"), ("record.fhir.json", b"{")):
        with page.expect_download() as download:
            article.locator(f"a[href$='{name}']").click()
        assert Path(download.value.path()).read_bytes().startswith(begin)

    for decision, kind in (("reject", "rejected"), ("accept", "final")):
        page.locator("#draft-now").click()
        expect(waiting.first).to_be_visible()
        waiting.first.click()
        expect(article.locator(f"button[value={decision}]")).to_be_visible()
        article.locator("input[name=password]").fill(PASSWORD.format("dr.lee"))
        article.locator(f"button[value={decision}]").click()
        expect(page.locator(f"#records button.kind-{kind}").first).to_be_visible()

    page.locator("#dialogue input").fill("What is the present state, and what helps against stress?")
    page.locator("#dialogue button.main").click()
    answer = page.locator(".answer[aria-busy=false]").first
    expect(answer.locator(".citation").first).to_be_visible()
    answer.locator(".citation").first.click()
    expect(page.locator("dialog .evidence")).to_contain_text(":")
    page.locator("dialog button").click()
    page.locator("#dialogue input").fill("Is this epilepsy?")
    page.locator("#dialogue button.main").click()
    expect(page.locator(".answer .refused").first).to_contain_text("disease")
    page.locator("#dialogue").scroll_into_view_if_needed()
    picture(page, "dialogue")


def test_calibrate_and_say_who_it_is(clinician: Page, ward: Stack) -> None:
    page = clinician
    page.goto(f"{ward.url}/{BED}")
    page.locator("#calibrate").click()
    page.locator("dialog button.main").click()
    expect(page.locator("#now .word")).to_have_text("calibrating")
    expect(page.locator("progress")).to_be_visible()
    expect(page.locator("#now .p")).to_have_text("")
    picture(page, "calibration")
    page.locator("#patient summary").click()
    page.locator("#patient input[name=age]").fill("41")
    page.locator("#patient textarea[name=medication]").fill("Ibuprofen; 400 mg as needed; 2025-03-01")
    page.locator("#patient button.main").click()
    expect(page.locator("#patient .outcome")).to_contain_text("taken over")
    expect(page.locator("#now .word")).to_have_text(LABEL)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, ward: Stack, theme: str) -> None:
    with watched(browser, ward.url, dark=theme == "dark") as page:
        assert violations(page) == []
        log_in(page, "dr.lee", PASSWORD.format("dr.lee"))
        labelled(page)
        assert violations(page) == []
        page.goto(f"{ward.url}/{BED}")
        expect(page.locator("#codes canvas")).to_have_attribute("aria-label", re.compile("electrodes"))
        page.locator("#records button.record").first.click()
        expect(page.locator("article.draft")).to_be_visible()
        page.locator("#patient summary").click()
        assert violations(page) == []
        page.evaluate("scrollTo(0, 0)")
        picture(page, "bed-dark" if theme == "dark" else "bed")


def test_readable_from_afar_by_keyboard_and_in_chinese(browser: Browser, ward: Stack) -> None:
    with watched(browser, ward.url, wide=1920) as page:
        log_in(page, "wall", PASSWORD.format("wall"))
        labelled(page)
        page.select_option("select:has(option[value=wall])", "wall")
        size = page.locator(".card .word").first.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
        assert size >= 72
        assert violations(page) == []
        picture(page, "wall")
        page.select_option("select:has(option[value=zh])", "zh")
        expect(page.locator("h1")).to_have_text("病房")
        expect(page.locator("#foot")).to_contain_text("非医疗器械")
        assert page.evaluate("document.documentElement.lang") == "zh-Hans"
        assert "⟨" not in page.locator("body").inner_text()
        # The choices last; and from the first key press: past the head, into the ward, to a bed.
        page.reload()
        expect(page.locator("h1")).to_have_text("病房")
        labelled(page)
        for key, focused in (("Tab", ".skip"), ("Enter", "#main"), ("Tab", ".card a:focus")):
            page.keyboard.press(key)
            expect(page.locator(focused)).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#timeline")).to_be_visible()
        expect(page.locator("#codes canvas")).to_be_visible()
        assert "⟨" not in page.locator("body").inner_text()
        assert violations(page) == []
        picture(page, "chinese")
        # A viewer sees states and no records.
        assert page.locator("#records, #dialogue, #patient, #calibrate").count() == 0


def test_administration(browser: Browser, ward: Stack) -> None:
    with watched(browser, ward.url) as page:
        log_in(page, "root", PASSWORD.format("root"))
        page.locator("nav a[href='#/admin']").click()
        form = page.locator("form:has(select[name=role])")
        form.locator("input[name=name]").fill("dr.three")
        form.locator("select").select_option("clinician")
        form.locator("input[name=password]").fill(PASSWORD.format("dr.three"))
        form.locator("button.main").click()
        expect(page.locator("th", has_text="dr.three")).to_be_visible()
        expect(page.locator("#audit-title + div")).to_contain_text("account put")
        assert violations(page) == []
        picture(page, "admin")
    Client(ward.port).log_in("dr.three")


def test_a_broker_that_is_killed_and_comes_back(clinician: Page, ward: Stack, ward_broker: Mosquitto) -> None:
    page = clinician
    labelled(page)
    ward_broker.kill()
    expect(page.locator("#line")).to_contain_text("lost its broker")
    expect(page.locator(".card .state .word").first).to_have_text("unknown")
    ward_broker.start()
    expect(page.locator("#line")).to_have_text("live")
    labelled(page)


def test_a_node_that_is_lost(clinician: Page, ward: Stack) -> None:
    page = clinician
    labelled(page)
    # What needs attention stands first; the second bed's person is often stressed.
    expect(page.locator(".card").first).to_have_attribute("data-rank", "1")
    picture(page, "ward")
    ward.kill_node()
    card = page.locator(".card[data-key$='bed-2']")
    expect(card.locator(".state .word")).to_have_text("offline")
    expect(card.locator(".cause")).to_contain_text("its node is gone")
    # Nothing is said of the present that is not known.
    expect(card.locator("dd").nth(1)).to_have_text("none")
    expect(page.locator("#line")).to_have_text("live")
    assert violations(page) == []
    picture(page, "lost")
    page.goto(f"{ward.url}/{BED}")
    expect(page.locator("#now .past")).to_contain_text("Nothing is measured at present")
    expect(page.locator("#now .p")).to_have_text("")
    page.goto(f"{ward.url}/#/ward")
    ward.start_node()
    labelled(page)


def test_a_monitor_that_is_gone_is_said(browser: Browser, ward: Stack) -> None:
    """The last one here: it ends the ward's monitor."""
    with watched(browser, ward.url) as page:
        log_in(page, "wall", PASSWORD.format("wall"))
        labelled(page)
        ward.monitor.end()
        expect(page.locator("#line")).to_contain_text("lost its monitor")
