// How far each band is from the person's own rest, over the good electrodes of the newest window.

import { html, svg } from "./vendor/lit-html/lit-html.js";
import { t, word } from "./texts.js";

const LIMIT = 4; // spreads: where codes saturate
const WIDTH = 320;
const ROW = 30;

export function bandsPanel(detail) {
  const newest = detail.windows.at(-1);
  if (!newest || !newest.bands.length) return html`<p>${t("bands.none")}</p>`;
  const rows = newest.bands.map((band, n) => {
    const values = Object.values(newest.deviations).map((one) => one[n]);
    const mean = values.reduce((sum, one) => sum + one, 0) / values.length;
    return { band, mean, least: Math.min(...values), most: Math.max(...values) };
  });
  return html`<table class="bands"><thead><tr><th scope="col">${t("bands.band")}</th><th scope="col">${t("bands.mean")}</th>
      <th scope="col">${t("bands.range")}</th><th scope="col"><span class="unseen">${t("bands.drawn")}</span></th></tr></thead>
    <tbody>${rows.map((row) => html`<tr><th scope="row">${word("band", row.band)}</th><td>${signed(row.mean)}</td>
      <td>${signed(row.least)} … ${signed(row.most)}</td><td>${bar(row)}</td></tr>`)}</tbody></table>
    <p class="hint">${t("bands.hint")}</p>`;
}

function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
}

function bar({ mean, least, most }) {
  const x = (value) => WIDTH / 2 + (Math.max(-LIMIT, Math.min(LIMIT, value)) / LIMIT) * (WIDTH / 2);
  const y = ROW / 2;
  return html`<svg class="bar" viewBox="0 0 ${WIDTH} ${ROW}" aria-hidden="true">
    ${svg`<rect class=${mean < 0 ? "below" : "above"} x=${Math.min(x(0), x(mean))} y="6" width=${Math.abs(x(mean) - x(0))} height=${ROW - 12} />
      <path class="range" d="M${x(least)} ${y}H${x(most)}M${x(least)} ${y - 5}v10M${x(most)} ${y - 5}v10"/>
      <path class="rest" d="M${x(0)} 0V${ROW}"/>`}</svg>`;
}
