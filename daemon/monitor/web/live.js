// The ward as the server tells it: a whole at first, then what changes.

import { over } from "./server.js";
import { now, setClock } from "./times.js";

// The server speaks every second. This long without a word, and the screen must not look alive.
const SILENT_MS = 5000;
const MOST_CARD = 60;
const MOST_POINTS = 300;
const MOST_WINDOWS = 120;

export const ward = { beds: new Map(), brokerLost: null, connected: false, lostAt: 0, detail: null };

const watchers = new Set();
let source = null;
let listening = "";
let timer = 0;
let dirty = new Set();
let whole = false;
let waiting = false;

/** Calls back at most once a frame, with the keys of the beds that changed, or null where all did. */
export function watch(callback) {
  watchers.add(callback);
  return () => watchers.delete(callback);
}

/** Listens from now on; bed: the key of the one whose details are wanted, or empty. */
export function listen(bed = "") {
  close();
  ward.detail = null;
  listening = bed;
  source = new EventSource(bed ? `api/events?bed=${encodeURIComponent(bed)}` : "api/events");
  source.addEventListener("whole", (event) => takeWhole(JSON.parse(event.data)));
  source.addEventListener("change", (event) => takeChange(JSON.parse(event.data)));
  source.addEventListener("over", () => {
    close();
    over();
  });
  source.addEventListener("error", () => {
    // A session that is over answers 401, after which the browser does not try again.
    if (source?.readyState === EventSource.CLOSED) over();
    else silent();
  });
}

export function close() {
  source?.close();
  source = null;
  clearTimeout(timer);
}

function heard(told) {
  setClock(told.now);
  ward.brokerLost = told.broker_lost;
  clearTimeout(timer);
  timer = setTimeout(silent, SILENT_MS);
  if (!ward.connected) {
    ward.connected = true;
    whole = true;
  }
}

function silent() {
  if (ward.connected) {
    ward.connected = false;
    ward.lostAt = now();
    whole = true;
    tell();
  }
}

function takeWhole(told) {
  heard(told);
  ward.beds = new Map(Object.entries(told.beds));
  for (const [key, bed] of ward.beds) bed.key = key;
  ward.detail = told.detail ?? null;
  whole = true;
  tell();
}

function takeChange(told) {
  heard(told);
  for (const [key, part] of Object.entries(told.beds)) {
    const bed = ward.beds.get(key) ?? { key, trend: [] };
    const { point, ...rest } = part;
    Object.assign(bed, rest);
    if (point) push(bed.trend, point, MOST_CARD);
    if (!bed.site) [bed.site, bed.node, bed.stream] = key.split("/");
    ward.beds.set(key, bed);
    dirty.add(key);
  }
  if (told.detail) takeDetail(told.detail, told.beds);
  tell();
}

function takeDetail(part, beds) {
  const { window: one, ...rest } = part;
  // A bed that was not there yet when this page began to listen.
  ward.detail ??= { windows: [], points: [], channels: {}, episodes: [], node: null };
  Object.assign(ward.detail, rest);
  if (one) push(ward.detail.windows, one, MOST_WINDOWS);
  const point = beds[listening]?.point;
  if (point) push(ward.detail.points, point, MOST_POINTS);
}

function push(list, item, most) {
  list.push(item);
  if (list.length > most) list.splice(0, list.length - most);
}

function tell() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    const changed = whole ? null : dirty;
    dirty = new Set();
    whole = false;
    for (const callback of watchers) callback(changed);
  });
}
