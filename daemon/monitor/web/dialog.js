// Small windows over the page: to be sure, and to open a source.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { t } from "./texts.js";

function open(content) {
  const dialog = document.querySelector("#dialog");
  render(content, dialog);
  dialog.setAttribute("aria-labelledby", "dialog-title");
  dialog.returnValue = "";
  dialog.showModal();
  return dialog;
}

/** Resolves to whether it was confirmed. */
export function sure(title, text) {
  const dialog = open(html`<form method="dialog"><h2 id="dialog-title">${title}</h2><p>${text}</p>
    <p class="buttons"><button class="main" value="yes" autofocus>${title}</button><button value="">${t("cancel")}</button></p></form>`);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** What a statement rests on. rows: [name, value] pairs. */
export function evidence(id, rows) {
  open(html`<form method="dialog"><h2 id="dialog-title">${id}</h2>
    <dl class="evidence">${rows.map(([name, value]) => (value ? html`<div><dt>${name}</dt><dd>${value}</dd></div>` : nothing))}</dl>
    <p class="buttons"><button autofocus>${t("close")}</button></p></form>`);
}
