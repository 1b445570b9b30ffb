// Times as people read them. Seconds are UTC since the Unix epoch, by the server's clock.

import { language, t } from "./texts.js";

// Readings further apart than this have something between them that no line may cross.
export const GAP_S = 8;

let ahead = 0; // seconds that the server's clock is ahead of this browser's

export function setClock(serverNow) {
  ahead = serverNow - Date.now() / 1000;
}

export function now() {
  return Date.now() / 1000 + ahead;
}

export function seconds(iso) {
  return Date.parse(iso) / 1000;
}

/** How long something has lasted: coarse, so that a screen full of times is quiet. */
export function lasting(since) {
  const s = Math.max(0, Math.floor(now() - since));
  if (s < 60) return t("time.s", { n: s });
  if (s < 3600) return t("time.min", { n: Math.floor(s / 60) });
  if (s < 86400) return t("time.h", { n: Math.floor(s / 3600), m: String(Math.floor((s % 3600) / 60)).padStart(2, "0") });
  return t("time.d", { n: Math.floor(s / 86400) });
}

const formats = new Map();

function format(name, options) {
  const key = `${language()} ${name}`;
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(language(), options));
  return formats.get(key);
}

export function clock(since) {
  return format("clock", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(since * 1000);
}

export function moment(since) {
  return format("moment", { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" }).format(since * 1000);
}

/** Fills every <time data-since> under an element. Their text belongs to this function alone. */
export function fill(root) {
  for (const one of root.querySelectorAll("time[data-since]")) {
    const text = lasting(Number(one.dataset.since));
    if (one.textContent !== text) one.textContent = text;
  }
}
