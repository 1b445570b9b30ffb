// The door.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { logIn } from "./server.js";
import { t } from "./texts.js";

export function loginView(main, done) {
  let refused = main.dataset.refused ?? "";
  delete main.dataset.refused;

  async function enter(event) {
    event.preventDefault();
    const form = new FormData(event.target);
    try {
      await logIn(form.get("name"), form.get("password"));
      done();
    } catch (why) {
      refused = why.message;
      draw();
      main.querySelector("input[name=password]").focus();
    }
  }

  function draw() {
    render(
      html`<h1>${t("login.title")}</h1>
        <form class="narrow" @submit=${enter}>
          <label>${t("login.name")} <input name="name" autocomplete="username" autocapitalize="none" required></label>
          <label>${t("login.password")} <input name="password" type="password" autocomplete="current-password" required></label>
          ${refused ? html`<p class="refused" role="alert">${refused}</p>` : nothing}
          <button class="main">${t("login.enter")}</button>
        </form>
        <p>${t("notice.long")}</p>`,
      main,
    );
  }

  draw();
  return () => render(nothing, main);
}
