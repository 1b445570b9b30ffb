// Accounts, and the trail of what was done through this monitor.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { listen } from "./live.js";
import { get, may, me, post } from "./server.js";
import { t } from "./texts.js";
import { moment, seconds } from "./times.js";

export function adminView(main) {
  let users = [];
  let entries = [];
  let said = "";
  let failed = false;

  async function load() {
    try {
      users = (await get("api/users")).users;
      entries = (await get("api/audit")).entries;
    } catch (why) {
      [said, failed] = [why.message, true];
    }
    draw();
  }

  async function change(path, body, text) {
    try {
      await post(path, body);
      [said, failed] = [text, false];
    } catch (why) {
      [said, failed] = [why.message, true];
    }
    await load();
    return !failed;
  }

  async function add(event) {
    event.preventDefault();
    const form = event.target;
    const given = Object.fromEntries(new FormData(form));
    if (await change("api/users", given, t("admin.added", { name: given.name }))) form.reset();
  }

  function row(user) {
    const turn = () => change("api/users/disable", { name: user.name, disabled: !user.disabled }, t("admin.changed", { name: user.name }));
    return html`<tr><th scope="row">${user.name}</th><td>${t(`role.${user.role}`)}</td><td>${user.signer || t("none")}</td>
      <td>${user.disabled ? t("admin.disabled") : t("admin.enabled")}</td>
      <td>${user.name === me()?.name ? nothing : html`<button type="button" @click=${turn}>${user.disabled ? t("admin.enable") : t("admin.disable")} <span class="unseen">${user.name}</span></button>`}</td></tr>`;
  }

  function draw() {
    render(html`<h1>${t("admin.title")}</h1>
      <p role="status" class=${failed ? "refused" : "outcome"}>${said}</p>
      <section class="panel" aria-labelledby="users-title"><h2 id="users-title">${t("admin.users")}</h2>
        <div class="scroll" tabindex="0" role="group" aria-labelledby="users-title"><table><thead><tr>${["name", "role", "signer", "state", "deed"].map((one) => html`<th scope="col">${t(`admin.${one}`)}</th>`)}</tr></thead>
        <tbody>${users.map(row)}</tbody></table></div>
        <form @submit=${add}><h3>${t("admin.add")}</h3><div class="pair">
          <label>${t("admin.name")} <input name="name" required pattern="[a-z0-9][a-z0-9._\\-]*" maxlength="64" autocomplete="off" autocapitalize="none"></label>
          <label>${t("admin.role")} <select name="role">${["viewer", "clinician", "administrator"].map((one) => html`<option value=${one}>${t(`role.${one}`)}</option>`)}</select></label>
          <label>${t("admin.signer")} <input name="signer" pattern="[A-Za-z0-9_\\-]*" maxlength="64" autocomplete="off"></label>
          <label>${t("admin.password")} <input name="password" type="password" minlength="12" maxlength="200" autocomplete="new-password" required></label></div>
          <button class="main">${t("admin.add")}</button></form></section>
      ${may("audit") ? html`<section class="panel" aria-labelledby="audit-title"><h2 id="audit-title">${t("admin.audit")}</h2>
        <div class="scroll" tabindex="0" role="group" aria-labelledby="audit-title"><table><thead><tr><th scope="col">#</th><th scope="col">${t("time.at")}</th><th scope="col">${t("admin.who")}</th><th scope="col">${t("admin.deed")}</th><th scope="col">${t("admin.detail")}</th></tr></thead>
        <tbody>${entries.map((one) => html`<tr><td>${one.n}</td><td class="when">${moment(seconds(one.time))}</td><td>${one.actor}</td><td>${one.action}</td><td class="detail">${Object.entries(one.detail).map(([key, value]) => `${key}: ${value}`).join(", ")}</td></tr>`)}</tbody></table></div></section>` : nothing}`,
    main);
  }

  listen();
  draw();
  load();
  return () => {};
}
