// One bed on the ward.

import { html, nothing, svg } from "./vendor/lit-html/lit-html.js";
import { shape } from "./shapes.js";
import { causeOf, chanceOf, percent, qualityOf, stateOf, stateSince } from "./state.js";
import { t, word } from "./texts.js";
import { clock, GAP_S, seconds } from "./times.js";

const WIDTH = 120;
const HEIGHT = 30;

export function card(bed) {
  const state = stateOf(bed);
  const since = stateSince(bed);
  return html`
    <div class="top">
      <h2><a href="#/bed/${bed.key}">${bed.stream}</a></h2>
      <span class="where">${bed.site} / ${bed.node}</span>
    </div>
    <p class="state kind-${state.kind}">${shape(state.kind)} <span class="word">${state.word}</span></p>
    <p class="since">
      ${since ? html`<span>${t("ward.for")} <time data-since=${since} title=${clock(since)}></time></span>` : nothing}
      ${chance(bed)}
    </p>
    ${sparkline(bed)}
    <dl>
      <div><dt>${t("ward.connection")}</dt><dd>${connection(bed.truth)}</dd></div>
      <div><dt>${t("ward.quality")}</dt><dd>${qualityOf(bed)}</dd></div>
      <div><dt>${t("ward.draft")}</dt><dd>${draft(bed.draft)}</dd></div>
      <div><dt>${t("ward.subject")}</dt><dd>${bed.subject || t("none")}</dd></div>
    </dl>`;
}

export function connection(truth) {
  const cause = causeOf(truth);
  return html`<span class="truth kind-${truth.state}">${shape(truth.state)} ${word("truth", truth.state)}
    <time data-since=${truth.since} title=${clock(truth.since)}></time></span>
    ${cause ? html`<span class="cause">${cause}</span>` : nothing}`;
}

function chance(bed) {
  if (bed.truth?.state === "calibrating" && bed.calibration) {
    const left = Math.max(0, Math.ceil(bed.calibration.of - bed.calibration.seconds));
    return html`<span>${t("calibration.left", { n: left })}</span>`;
  }
  return html`<span>${chanceOf(bed)}</span>`;
}

function draft(one) {
  if (!one) return t("none");
  return html`<span class="record kind-${one.status}">${shape(one.status)} ${word("status", one.status)}
    <time data-since=${seconds(one.at)}></time></span>`;
}

/** The probability of the present label over the last readings, 0 at the bottom. */
function sparkline(bed) {
  const points = bed.trend ?? [];
  const shown = points.findLast((point) => point[1] >= 0)?.[1] ?? 0;
  const right = points.at(-1)?.[0] ?? 0;
  const span = Math.max(60, right - (points[0]?.[0] ?? 0));
  let path = "";
  let before = -Infinity;
  for (const [at, , p] of points) {
    // A gap stays a gap: nothing is drawn where nothing was read.
    const x = WIDTH - ((right - at) / span) * WIDTH;
    path += `${at - before > GAP_S ? "M" : "L"}${x.toFixed(1)} ${(HEIGHT - (p[shown] ?? 0) * HEIGHT).toFixed(1)}`;
    before = at;
  }
  const name = bed.reading ? Object.keys(bed.reading.p_smooth)[shown] : undefined;
  const first = points[0]?.[2][shown];
  const last = points.at(-1)?.[2][shown];
  const spoken = name === undefined || first === undefined
    ? t("ward.no_trend")
    : t("ward.trend", { label: word("label", name), from: percent(first), to: percent(last) });
  return html`<svg class="trend" viewBox="0 -2 ${WIDTH} ${HEIGHT + 4}" role="img" aria-label=${spoken} preserveAspectRatio="none">
    ${svg`<path class="half" d="M0 ${HEIGHT / 2}H${WIDTH}"/><path class="line" d=${path || "M0 0"}/>`}</svg>`;
}
