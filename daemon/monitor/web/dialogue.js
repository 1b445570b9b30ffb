// Questions about this bed: answered by its node, from facts and sources, or refused.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { cited } from "./citations.js";
import { bedPath, stream } from "./server.js";
import { t } from "./texts.js";

export function dialogue(body, key) {
  const turns = [];
  let busy = false;

  async function ask(event) {
    event.preventDefault();
    const question = new FormData(event.target).get("question").trim();
    if (!question || busy) return;
    event.target.reset();
    const turn = { question, text: "", done: null, refused: "", failed: "" };
    turns.push(turn);
    busy = true;
    draw();
    try {
      for await (const told of stream(bedPath(key, "ask"), { question })) {
        if (told.ok === false && !turn.refused) turn.failed = told.detail;
        if (told.done) Object.assign(turn, { done: told, text: told.text, refused: told.refused });
        else if (told.piece) turn.text += told.piece;
        draw();
      }
    } catch (why) {
      turn.failed = why.message;
    }
    busy = false;
    draw();
  }

  function draw() {
    render(html`
      <div class="log" role="log" aria-live="polite" tabindex="0" aria-label=${t("dialogue.title")}>
        ${turns.map((turn) => html`<div class="turn"><p class="question">${turn.question}</p>
          <div class="answer" aria-busy=${turn.done || turn.failed ? "false" : "true"}>
            ${turn.done ? cited(turn.text, turn.done.facts, turn.done.sources) : turn.text.split("\n").map((line) => html`<p>${line}</p>`)}
            ${turn.refused ? html`<p class="refused">${t("dialogue.refused")} ${turn.refused}</p>` : nothing}
            ${turn.failed ? html`<p class="refused" role="alert">${t("failed")} ${turn.failed}</p>` : nothing}
            ${turn.done?.facts.length ? html`<p class="hint">${t("dialogue.facts")}</p><ul class="facts">${turn.done.facts.map((fact) => html`<li><code>${fact.id}</code> ${fact.text}</li>`)}</ul>` : nothing}
          </div></div>`)}
        ${turns.length ? nothing : html`<p class="hint">${t("dialogue.hint")}</p>`}
      </div>
      <form class="ask" @submit=${ask}><label>${t("dialogue.question")} <input name="question" maxlength="500" autocomplete="off" required></label>
        <button class="main" ?disabled=${busy}>${t("dialogue.ask")}</button></form>`, body);
    const log = body.querySelector(".log");
    log.scrollTop = log.scrollHeight;
  }

  draw();
}
