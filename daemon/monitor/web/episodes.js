// Stable states over time.

import { html } from "./vendor/lit-html/lit-html.js";
import { percent } from "./state.js";
import { t, word } from "./texts.js";
import { clock, seconds } from "./times.js";

const SHOWN = 12;

export function episodes(list) {
  if (!list.length) return html`<p>${t("episodes.none")}</p>`;
  return html`<table><thead><tr><th scope="col">${t("episodes.state")}</th><th scope="col">${t("episodes.start")}</th>
      <th scope="col">${t("episodes.length")}</th><th scope="col">${t("episodes.p")}</th></tr></thead>
    <tbody>${list.slice(0, SHOWN).map((one) => html`<tr><td>${word("label", one.label)}${one.phase === "end" ? "" : ` (${t("episodes.running")})`}</td>
      <td>${clock(seconds(one.start))}</td><td>${t("time.s", { n: Math.round(seconds(one.end) - seconds(one.start)) })}</td>
      <td>${percent(one.p_mean)}</td></tr>`)}</tbody></table>`;
}
