// What is known about the person: under a pseudonym, sent to the node, kept nowhere here.

import { html, render } from "./vendor/lit-html/lit-html.js";
import { bedPath, post } from "./server.js";
import { t } from "./texts.js";

const LINES = ["history", "medication", "allergies", "examination", "laboratory", "expenses"];
const PARTS = { medication: ["name", "dose", "since"], laboratory: ["name", "value", "unit", "date"], expenses: ["item", "amount", "currency", "date"] };

export function patientForm(body, key, subject) {
  let outcome = "";
  let failed = false;

  async function send(event) {
    event.preventDefault();
    try {
      outcome = (await post(bedPath(key, "patient"), context(new FormData(event.target)))).detail;
      failed = false;
    } catch (why) {
      outcome = why.message;
      failed = true;
    }
    draw();
  }

  function draw() {
    render(html`<details><summary>${t("patient.open")}</summary>
      <form @submit=${send}>
        <p class="hint">${t("patient.hint")}</p>
        <label>${t("patient.subject")} <input name="subject" required pattern="pseudo-[A-Za-z0-9_\\-]{1,48}" value=${subject} autocomplete="off" spellcheck="false"></label>
        <div class="pair">
          <label>${t("patient.age")} <input name="age" type="number" min="0" max="120" step="1"></label>
          <label>${t("patient.gender")} <select name="gender"><option value=""></option>
            ${["female", "male", "other"].map((one) => html`<option value=${one}>${t(`gender.${one}`)}</option>`)}</select></label>
        </div>
        <label>${t("patient.complaint")} <input name="complaint" maxlength="400" autocomplete="off"></label>
        ${LINES.map((name) => html`<label>${t(`patient.${name}`)} <span class="hint">${t(PARTS[name] ? `patient.${name}.parts` : "patient.lines")}</span>
          <textarea name=${name} rows="2"></textarea></label>`)}
        <button class="main">${t("patient.send")}</button>
        <p role="status" class=${failed ? "refused" : "outcome"}>${outcome}</p>
      </form></details>`, body);
  }

  draw();
  return true;
}

function context(form) {
  const told = { subject: form.get("subject") };
  if (form.get("age")) told.age = Number(form.get("age"));
  for (const name of ["gender", "complaint"]) if (form.get(name)) told[name] = form.get(name);
  for (const name of LINES) {
    const lines = form.get(name).split("\n").map((line) => line.trim()).filter(Boolean);
    if (lines.length) told[name] = PARTS[name] ? lines.map((line) => parts(line, PARTS[name])) : lines;
  }
  return told;
}

/** `a; b; c` under the names of its parts; an amount is a number. */
function parts(line, names) {
  const told = {};
  line.split(";").forEach((value, n) => {
    const text = value.trim();
    if (text && names[n]) told[names[n]] = names[n] === "amount" ? Number(text) : text;
  });
  return told;
}
