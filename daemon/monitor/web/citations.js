// Text with its [sources] as buttons that open them.

import { html } from "./vendor/lit-html/lit-html.js";
import { evidence } from "./dialog.js";
import { t } from "./texts.js";

/** facts: { id, text }; sources: { id, text } or { id, title, source }. */
export function cited(text, facts, sources) {
  const known = new Map([...facts, ...sources].map((one) => [one.id, one]));
  return text.split("\n").map((line) => html`<p>${pieces(line, known)}</p>`);
}

export function citation(id, one) {
  const rows = one
    ? [[t("citation.name"), one.name ?? one.title], [t("citation.text"), one.text ?? one.source], [t("citation.origin"), one.origin ? t(`origin.${one.origin}`) : ""]]
    : [[t("citation.text"), t("citation.missing")]];
  return html`<button type="button" class="citation" @click=${() => evidence(id, rows)}>${id}</button>`;
}

function pieces(line, known) {
  return line.split(/(\[[^\]]+\])/).map((part) => {
    const ids = part.startsWith("[") ? part.slice(1, -1).split(", ") : [];
    return ids.length && ids.every((id) => known.has(id)) ? html`${ids.map((id) => citation(id, known.get(id)))}` : part;
  });
}
