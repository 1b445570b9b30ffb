// Electrodes on a head seen from above, nose up: a filled circle is good, a crossed square is not.

import { html, nothing, svg } from "./vendor/lit-html/lit-html.js";
import { t } from "./texts.js";

// Rows of the 10-10 system (Nuwer et al., 1998), on an azimuthal projection where the ring through Fpz, T7
// and Oz has the radius 0.8: the angle of a row's outermost site from the nose, and its midline site's height.
const ROWS = {
  N: [0, 1], Fp: [18, 0.8], AF: [36, 0.6], F: [54, 0.4], FT: [72, 0.2], FC: [72, 0.2], T: [90, 0], C: [90, 0],
  TP: [108, -0.2], CP: [108, -0.2], P: [126, -0.4], PO: [144, -0.6], O: [162, -0.8], I: [162, -1], A: [90, 0], M: [100, -0.1],
};
const RING = 0.8;
const SIZE = 320;

/** [x, y] in -1..1, x to the right and y to the nose; null for a name without a place. */
export function place(name) {
  const parts = name.match(/^([A-Z][A-Za-z]?|Fp)(z|\d+)$/);
  if (!parts || !(parts[1] in ROWS)) return null;
  const [angle, middle] = ROWS[parts[1]];
  if (parts[2] === "z") return [0, middle];
  const number = Number(parts[2]);
  const side = number % 2 ? -1 : 1;
  const outer = [RING * Math.sin((angle * Math.PI) / 180), RING * Math.cos((angle * Math.PI) / 180)];
  // 7 and 8 lie on the ring, 9 and 10 beyond it; of Fp and O there are only two, on the ring too.
  const step = ["Fp", "O", "I"].includes(parts[1]) ? 4 : Math.ceil(number / 2);
  const share = ["A", "M"].includes(parts[1]) ? 1.25 : step / 4;
  return [side * outer[0] * share, middle + (outer[1] - middle) * share];
}

export function headMap(channels) {
  const names = Object.keys(channels);
  if (!names.length) return html`<p>${t("headmap.none")}</p>`;
  const bad = names.filter((name) => !channels[name].good);
  return html`<svg class="headmap" viewBox="-1.15 -1.2 2.3 2.35" width=${SIZE} height=${SIZE} role="img"
      aria-label=${t("headmap.spoken", { good: names.length - bad.length, n: names.length })}>
      ${svg`<circle class="skull" r="1"/><path class="skull" d="M-.12 -.99 0 -1.14 .12 -.99"/>
        <path class="skull" d="M-1 -.12c-.09 0-.09.28 0 .26M1 -.12c.09 0 .09.28 0 .26"/>`}
      ${names.map((name) => electrode(name, channels[name]))}</svg>
    ${bad.length ? html`<ul class="bad">${bad.map((name) => html`<li><strong>${name}</strong>: ${channels[name].reasons || t("headmap.bad")}</li>`)}</ul>` : html`<p>${t("headmap.all_good")}</p>`}`;
}

function electrode(name, verdict) {
  const at = place(name);
  if (!at) return nothing;
  const [x, y] = [at[0], -at[1]];
  const mark = verdict.good
    ? svg`<circle class="good" cx=${x} cy=${y} r=".095"/>`
    : svg`<rect class="wrong" x=${x - 0.09} y=${y - 0.09} width=".18" height=".18"/><path class="wrong" d="M${x - 0.09} ${y - 0.09}l.18 .18m0-.18l-.18 .18"/>`;
  return svg`<g>${mark}<text class=${verdict.good ? "name" : "name wrong"} x=${x} y=${verdict.good ? y + 0.03 : y - 0.12}>${name}</text></g>`;
}
