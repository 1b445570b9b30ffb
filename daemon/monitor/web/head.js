// The bar over every view: where we are, whether the screen is alive, and how it looks.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { ward } from "./live.js";
import { logOut, may, me } from "./server.js";
import { shape } from "./shapes.js";
import { LANGUAGES, language, learn, t } from "./texts.js";
import { clock, fill } from "./times.js";

const THEMES = ["auto", "light", "dark"];
const SIZES = ["normal", "wall"];

const darkness = matchMedia("(prefers-color-scheme: dark)");
darkness.addEventListener("change", dress);

/** Puts the choices of last time into effect; without one, the system's. */
export function dress() {
  const theme = kept("theme", THEMES);
  document.documentElement.dataset.theme = theme === "auto" ? (darkness.matches ? "dark" : "light") : theme;
  document.documentElement.dataset.size = kept("size", SIZES);
}

export function head(redraw) {
  const where = location.hash;
  render(
    html`
      <a class="skip" href="#main" @click=${toMain}>${t("head.skip")}</a>
      <p class="title"><a href="#/ward">${t("title")}</a></p>
      ${me() === null ? nothing : html`
        <nav aria-label=${t("head.nav")}>
          <a href="#/ward" aria-current=${where.startsWith("#/ward") || where === "" ? "page" : nothing}>${t("ward.title")}</a>
          ${may("users") ? html`<a href="#/admin" aria-current=${where.startsWith("#/admin") ? "page" : nothing}>${t("admin.title")}</a>` : nothing}
        </nav>
        <p id="line" class="line" role="status">${line()}</p>`}
      <div class="choices">
        <label>${t("head.language")}
          <select @change=${(event) => learn(event.target.value).then(redraw)}>
            ${Object.entries(LANGUAGES).map(([key, name]) => html`<option value=${key} lang=${key} ?selected=${key === language()}>${name}</option>`)}
          </select></label>
        <label>${t("head.theme")} ${choice("theme", THEMES, redraw)}</label>
        <label>${t("head.size")} ${choice("size", SIZES, redraw)}</label>
        ${me() === null ? nothing : html`<span class="me">${me().name}, ${t(`role.${me().role}`)}</span>
          <button type="button" @click=${() => logOut()}>${t("head.logout")}</button>`}
      </div>`,
    document.querySelector("#head"),
  );
  document.querySelector("#foot").textContent = t("notice");
  fill(document.querySelector("#head"));
}

/** Whether what is shown is the present: this page's own line first, then the broker's. */
function line() {
  if (!ward.connected && ward.lostAt) return bad("line.page", ward.lostAt);
  if (!ward.connected) return html`<span class="kind-unknown">${shape("unknown")} ${t("line.connecting")}</span>`;
  if (ward.brokerLost !== null) return bad("line.broker", ward.brokerLost);
  return html`<span class="kind-online">${shape("online")} ${t("line.live")}</span>`;
}

function bad(key, since) {
  return html`<span class="kind-offline">${shape("offline")} ${t(key)} <time data-since=${since} title=${clock(since)}></time></span>`;
}

function choice(name, values, redraw) {
  const change = (event) => {
    localStorage.setItem(name, event.target.value);
    dress();
    redraw();
  };
  return html`<select @change=${change}>${values.map((value) => html`<option value=${value} ?selected=${value === kept(name, values)}>${t(`${name}.${value}`)}</option>`)}</select>`;
}

function kept(name, values) {
  const value = localStorage.getItem(name);
  return values.includes(value) ? value : values[0];
}

function toMain(event) {
  event.preventDefault();
  document.querySelector("#main").focus();
}
