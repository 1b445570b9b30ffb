// The compressed EEG as the model saw it: a row an electrode, a column a window, scrolling to the left.

import { html, render } from "./vendor/lit-html/lit-html.js";
import { t } from "./texts.js";
import { now } from "./times.js";

const SHOWN_S = 120;
const NAMES = 40; // pixels left of the rows
const ROW = 22;
const TRACE_S = 2; // of each window, what the one before did not have

export function codesPanel(body) {
  render(html`<canvas role="img" hidden></canvas><p class="hint"></p>`, body);
  const canvas = body.querySelector("canvas");
  const hint = body.querySelector(".hint");
  let last = null;

  function paint() {
    if (!last) return;
    const windows = last.windows.filter((one) => one.end > now() - SHOWN_S);
    const newest = last.windows.at(-1);
    hint.textContent = newest ? t("codes.hint", { method: newest.method, bands: newest.bands.join(", ") }) : t("codes.none");
    canvas.hidden = !newest;
    if (!newest) return;
    const channels = Object.keys(last.channels).length ? Object.keys(last.channels) : Object.keys(newest.codes);
    const width = canvas.parentElement.clientWidth;
    const height = channels.length * ROW;
    const ratio = devicePixelRatio;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.height = `${height}px`;
    }
    canvas.setAttribute("aria-label", t("codes.spoken", { n: channels.length, windows: windows.length }));
    const ctx = canvas.getContext("2d");
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    const style = getComputedStyle(document.documentElement);
    ctx.clearRect(0, 0, width, height);
    ctx.fillStyle = style.getPropertyValue("--text").trim();
    ctx.font = "13px system-ui, sans-serif";
    ctx.textBaseline = "middle";
    channels.forEach((name, row) => ctx.fillText(name, 0, row * ROW + ROW / 2));
    const scale = (width - NAMES) / SHOWN_S;
    const end = now();
    const colours = palette(newest.levels, style);
    for (const one of windows) {
      const x = width - (end - one.end + TRACE_S) * scale;
      if (x >= NAMES) channels.forEach((name, row) => cell(ctx, one, name, x, row * ROW, TRACE_S * scale, colours));
    }
  }

  const timer = setInterval(paint, 1000);
  return {
    draw(_, detail) {
      const first = last !== detail;
      last = detail;
      if (first) paint();
    },
    end() {
      clearInterval(timer);
    },
  };
}

function cell(ctx, one, name, x, y, width, colours) {
  const codes = one.codes[name];
  if (!codes) {
    // Bad in this window, or not there: a dot says that it is not merely at rest.
    ctx.fillStyle = colours.muted;
    ctx.fillRect(x + width / 2, y + ROW / 2, 1.5, 1.5);
    return;
  }
  if (one.bands.length) {
    const each = codes.length / one.bands.length;
    const tall = (ROW - 3) / one.bands.length;
    for (let n = 0; n < codes.length; n += 1) {
      ctx.fillStyle = colours.codes[codes[n]];
      const column = width / each;
      ctx.fillRect(x + (n % each) * column, y + Math.floor(n / each) * tall, Math.max(column, 1) + 0.3, tall);
    }
    return;
  }
  const middle = one.levels / 2;
  ctx.strokeStyle = colours.text;
  ctx.beginPath();
  const from = Math.floor(codes.length * 0.8);
  codes.slice(from).forEach((code, n) => {
    ctx.lineTo(x + (n / (codes.length - from)) * width, y + ROW / 2 - ((code - middle) / middle) * (ROW / 2 - 1));
  });
  ctx.stroke();
}

/** A colour for each code: below rest to one, above to another, rest between. Looked up once, drawn thousandfold. */
function palette(levels, style) {
  const [below, above, rest, text, muted] = ["below", "above", "rest", "text", "muted"].map((name) => style.getPropertyValue(`--${name}`).trim());
  const codes = Array.from({ length: levels }, (_, code) => {
    const deviation = (code + 0.5) / (levels / 2) - 1;
    const share = Math.min(1, Math.abs(deviation) * 1.6);
    return `color-mix(in srgb, ${deviation < 0 ? below : above} ${Math.round(share * 100)}%, ${rest})`;
  });
  return { codes, text, muted };
}
