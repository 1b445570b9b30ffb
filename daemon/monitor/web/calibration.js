// The countdown of the rest, and the button that begins it anew.

import { html, nothing } from "./vendor/lit-html/lit-html.js";
import { sure } from "./dialog.js";
import { bedPath, may, post } from "./server.js";
import { t } from "./texts.js";

export function calibration(bed, key) {
  const running = bed.truth.state === "calibrating" ? bed.calibration : null;
  return html`<div class="calibration">
    ${running ? html`<label>${t("calibration.left", { n: Math.max(0, Math.ceil(running.of - running.seconds)) })}
      <progress max=${running.of || 1} value=${running.seconds}></progress></label>` : nothing}
    ${may("calibrate") ? html`<button type="button" id="calibrate" @click=${() => begin(key)}>${t("calibration.button")}</button>` : nothing}
    <span class="outcome" role="status" id="calibration-outcome"></span></div>`;
}

async function begin(key) {
  if (!(await sure(t("calibration.button"), t("calibration.sure")))) return;
  const outcome = document.querySelector("#calibration-outcome");
  try {
    outcome.textContent = (await post(bedPath(key, "calibrate"))).detail;
  } catch (why) {
    outcome.textContent = `${t("failed")} ${why.message}`;
  }
}
