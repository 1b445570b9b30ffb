// The records of a bed: what waits for a decision, what was decided, and the one that is open.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { recordView } from "./record.js";
import { bedPath, get, may, post } from "./server.js";
import { shape } from "./shapes.js";
import { t, word } from "./texts.js";
import { moment, seconds } from "./times.js";

export function recordsPanel(body, key) {
  let records = [];
  let said = "";
  let failed = false;
  let opened = null;

  async function load() {
    try {
      records = (await get(bedPath(key, "records"))).records;
      draw();
    } catch (why) {
      say(why.message, true);
    }
  }

  function say(text, bad) {
    said = text;
    failed = bad;
    draw();
  }

  async function draft() {
    say(t("records.drafting"), false);
    try {
      say((await post(bedPath(key, "draft"))).detail, false);
      await load();
    } catch (why) {
      say(why.message, true);
    }
  }

  async function open(one) {
    opened = one;
    draw();
    // Nothing of the one before stays meanwhile: no text to decide on, and no password.
    render(nothing, body.querySelector(".open"));
    try {
      const told = await get(`api/records/${one.id}/${one.version}/record.json`);
      recordView(body.querySelector(".open"), key, told.heard, told.record, (detail) => {
        say(detail, false);
        opened = null;
        render(nothing, body.querySelector(".open"));
        load();
      });
    } catch (why) {
      say(why.message, true);
    }
  }

  function list(title, some) {
    return html`<h3>${title}</h3>${some.length ? html`<ul class="records">${some.map((one) => html`<li>
      <button type="button" class="record kind-${one.status}" data-record=${one.id} aria-expanded=${opened?.id === one.id && opened.version === one.version} @click=${() => open(one)}>
        ${shape(one.status)} <span>${word("status", one.status)}, ${moment(seconds(one.told))}${one.who ? html`, ${one.who}` : nothing}</span>
        <span class="where">${t("records.version", { n: one.version })}</span></button></li>`)}</ul>` : html`<p>${t("none")}</p>`}`;
  }

  /** What was heard since one was opened: the node takes decisions about the newest version alone. */
  function newer() {
    const found = opened && records.find((one) => one.id === opened.id && one.version > opened.version);
    return found ? html`<p class="refused" role="alert">${t("records.newer")}
      <button type="button" id="newer" @click=${() => open(found)}>${t("records.version", { n: found.version })}</button></p>` : nothing;
  }

  function draw() {
    render(html`
      ${may("draft") ? html`<button type="button" id="draft-now" @click=${draft}>${t("records.draft")}</button>` : nothing}
      <p role="status" class=${failed ? "refused" : "outcome"}>${said}</p>
      ${list(t("records.waiting"), records.filter((one) => one.status === "preliminary"))}
      ${newer()}
      <div class="open"></div>
      ${list(t("records.decided"), records.filter((one) => one.status !== "preliminary"))}`, body);
  }

  draw();
  return { load };
}
