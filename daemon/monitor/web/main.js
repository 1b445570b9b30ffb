// Begins the page, and shows the view that the address names.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { adminView } from "./admin.js";
import { bedView } from "./bedview.js";
import { dress, head } from "./head.js";
import { close, watch } from "./live.js";
import { loginView } from "./login.js";
import { me, recognise, redeem, whenOver } from "./server.js";
import { learn, t } from "./texts.js";
import { wardView } from "./wardview.js";

const main = document.querySelector("#main");
let leave = () => {};

function view() {
  const hash = location.hash;
  if (me() === null) {
    close();
    return loginView(main, show);
  }
  const bed = hash.match(/^#\/bed\/([\w-]+\/[\w-]+\/[\w-]+)$/);
  if (bed) return bedView(main, bed[1]);
  if (hash === "#/admin") return adminView(main);
  return wardView(main);
}

function show() {
  leave();
  render(nothing, main);
  // Each view begins from an empty element: none inherits another's state.
  main.replaceChildren();
  delete main._$litPart$;
  document.querySelector("#dialog").close();
  head(show);
  leave = view();
}

async function begin() {
  dress();
  await learn();
  // The token is in the fragment, which no server log and no Referer ever sees.
  const link = location.hash.match(/^#\/once\/([\w-]+)$/);
  if (link) {
    history.replaceState(null, "", "#/ward");
    try {
      await redeem(link[1]);
    } catch (why) {
      await recognise();
      if (me() === null) main.dataset.refused = why.message;
    }
  } else {
    await recognise();
  }
  whenOver(show);
  window.addEventListener("hashchange", () => {
    show();
    main.focus();
  });
  // Every second is often enough for what stands above, but a line that broke is told at once.
  watch((changed) => changed === null && head(show));
  setInterval(() => head(show), 1000);
  show();
}

begin().catch((why) => render(html`<p role="alert">${t("failed")} ${why.message}</p>`, main));
