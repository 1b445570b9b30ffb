// One bed: what was measured on the left, what is written about it on the right.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { bandsPanel } from "./bands.js";
import { calibration } from "./calibration.js";
import { connection } from "./card.js";
import { codesPanel } from "./codes.js";
import { dialogue } from "./dialogue.js";
import { episodes } from "./episodes.js";
import { headMap } from "./headmap.js";
import { listen, ward, watch } from "./live.js";
import { patientForm } from "./patient.js";
import { recordsPanel } from "./records.js";
import { may } from "./server.js";
import { shape } from "./shapes.js";
import { chanceOf, isRead, qualityOf, stateOf, stateSince } from "./state.js";
import { t } from "./texts.js";
import { clock, fill } from "./times.js";
import { timeline } from "./timeline.js";

// In these nothing is measured, and what the panels show is of the past.
const SILENT = ["stalled", "offline", "unknown"];
const PANELS = ["timeline", "codes", "bands", "headmap", "episodes"];

export function bedView(main, key) {
  const asides = [may("records") && "records", may("ask") && "dialogue", may("patient") && "patient"].filter(Boolean);
  const panel = (name) => html`<section id=${name} aria-labelledby="${name}-title" class="panel">
    <h2 id="${name}-title">${t(`${name}.title`)}</h2><div class="body"></div></section>`;
  render(
    html`<h1>${key.split("/")[2]} <span class="where">${key.split("/").slice(0, 2).join(" / ")}</span></h1>
      <div id="now" class="now"></div>
      <div class="bed">
        <div class="measured">${PANELS.map(panel)}</div>
        ${asides.length ? html`<div class="written">${asides.map(panel)}</div>` : nothing}
      </div>`,
    main,
  );
  const body = (name) => main.querySelector(`#${name} .body`);
  const drawn = [timeline(body("timeline")), codesPanel(body("codes"))];
  const records = may("records") ? recordsPanel(body("records"), key) : null;
  if (may("ask")) dialogue(body("dialogue"), key);
  let patient = null;
  let draftSeen = "";

  function update(changed) {
    if (changed !== null && !changed.has(key)) return;
    const bed = ward.beds.get(key);
    render(bed ? now(bed, key) : html`<p>${t("bed.unknown")}</p>`, main.querySelector("#now"));
    if (bed && ward.detail) {
      const detail = ward.detail;
      for (const one of drawn) one.draw(bed, detail);
      render(bandsPanel(detail), body("bands"));
      render(headMap(detail.channels), body("headmap"));
      render(episodes(detail.episodes), body("episodes"));
      if (may("patient")) patient ??= patientForm(body("patient"), key, bed.subject);
    }
    const draft = bed?.draft ? `${bed.draft.id} ${bed.draft.version}` : "";
    if (records && draft !== draftSeen) {
      draftSeen = draft;
      records.load();
    }
    fill(main);
  }

  listen(key);
  records?.load();
  const forget = watch(update);
  const timer = setInterval(() => fill(main), 1000);
  return () => {
    forget();
    clearInterval(timer);
    for (const one of drawn) one.end();
  };
}

function now(bed, key) {
  const state = stateOf(bed);
  const { reading, truth } = bed;
  return html`
    <p class="state kind-${state.kind}">${shape(state.kind)} <span class="word">${state.word}</span>
      <span class="p">${chanceOf(bed)}</span>
      <time data-since=${stateSince(bed)}></time></p>
    <p>${connection(truth)}</p>
    ${SILENT.includes(truth.state) ? html`<p class="past">${t("bed.past", { at: clock(truth.since) })}</p>` : nothing}
    ${isRead(bed) && reading.reason ? html`<p class="cause">${reading.reason}</p>` : nothing}
    <p>${t("ward.subject")}: ${bed.subject || t("none")}. ${t("ward.quality")}: ${qualityOf(bed)}.
      ${reading ? html`${t("bed.model")}: ${reading.model}.` : nothing}
      ${ward.detail?.missed ? html`${t("bed.missed", { n: ward.detail.missed })}` : nothing}</p>
    ${calibration(bed, key)}`;
}
