// The ward: a card for each bed, what needs attention first.

import { html, render } from "./vendor/lit-html/lit-html.js";
import { card } from "./card.js";
import { ward, listen, watch } from "./live.js";
import { stateOf } from "./state.js";
import { t } from "./texts.js";
import { fill } from "./times.js";

// How often a screen reader may be told of beds that need attention.
const SAY_MS = 5000;

export function wardView(main) {
  render(html`<h1>${t("ward.title")}</h1><p id="summary" class="summary"></p><ul class="ward" id="ward"></ul>`, main);
  const grid = main.querySelector("#ward");
  const summary = main.querySelector("#summary");
  const items = new Map();
  const ranks = new Map();
  let saidAt = 0;

  function draw(keys) {
    for (const key of keys) {
      const bed = ward.beds.get(key);
      let item = items.get(key);
      if (!item) {
        item = document.createElement("li");
        item.className = "card";
        item.dataset.key = key;
        items.set(key, item);
      }
      item.dataset.rank = bed.rank;
      item.dataset.reading = bed.reading?.id ?? "";
      render(card(bed), item);
      fill(item);
    }
  }

  /** moving: the items whose rank is another now. No other is touched: a move costs the layout of a card. */
  function sort(moving) {
    const wanted = [...ward.beds.values()].sort((a, b) => a.rank - b.rank || (a.key < b.key ? -1 : 1));
    const focused = document.activeElement;
    let place = grid.firstElementChild;
    for (const bed of wanted) {
      const item = items.get(bed.key);
      while (place && place !== item && moving.has(place)) place = place.nextElementSibling;
      if (item === place) place = place.nextElementSibling;
      else grid.insertBefore(item, place);
    }
    if (focused !== document.activeElement && grid.contains(focused)) focused.focus({ preventScroll: true });
  }

  function summarise() {
    const beds = [...ward.beds.values()];
    const urgent = beds.filter((bed) => bed.rank <= 1).length;
    const text = beds.length ? t("ward.summary", { n: beds.length, urgent }) : t("ward.empty");
    if (summary.textContent !== text) summary.textContent = text;
  }

  function say(keys) {
    const news = [];
    for (const key of keys) {
      const bed = ward.beds.get(key);
      const before = ranks.get(key);
      if (before !== undefined && before > 1 && bed.rank <= 1) news.push(`${bed.stream}: ${stateOf(bed).word}`);
      if (performance.now() - saidAt > SAY_MS || before === undefined || bed.rank > 1) ranks.set(key, bed.rank);
    }
    if (news.length && performance.now() - saidAt > SAY_MS) {
      saidAt = performance.now();
      document.querySelector("#said").textContent = news.join(", ");
    }
  }

  function update(changed) {
    const keys = changed ?? ward.beds.keys();
    const told = [...keys];
    const moved = told.filter((key) => items.get(key)?.dataset.rank !== String(ward.beds.get(key).rank));
    draw(told);
    if (changed === null || moved.length) {
      for (const [key, item] of items) {
        if (!ward.beds.has(key)) {
          item.remove();
          items.delete(key);
        }
      }
      sort(new Set(moved.map((key) => items.get(key))));
      summarise();
    }
    say(told);
  }

  listen();
  const forget = watch(update);
  const timer = setInterval(() => fill(grid), 1000);
  return () => {
    forget();
    clearInterval(timer);
    render(html``, main);
  };
}
