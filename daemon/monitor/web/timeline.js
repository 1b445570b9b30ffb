// Probabilities of the labels over time, with the label that was told as a strip beneath.

import uPlot from "./vendor/uplot/uPlot.esm.js";
import { html, render } from "./vendor/lit-html/lit-html.js";
import { percent } from "./state.js";
import { language, t, word } from "./texts.js";
import { clock, GAP_S, now } from "./times.js";

const SHOWN_S = 300;
const STRIP = 12;
const TABLE_ROWS = 10;

export function timeline(body) {
  render(html`<div class="plot" role="img"></div><div class="legend"></div>
    <details><summary></summary><div class="rows"></div></details>`, body);
  const box = body.querySelector(".plot");
  let plot = null;
  let shown = "";
  let points = [];
  let newest = null;

  function colour(n) {
    return getComputedStyle(document.documentElement).getPropertyValue(n < 0 ? "--muted" : `--series-${(n % 9) + 1}`).trim();
  }

  function strip(self) {
    const { ctx, bbox } = self;
    const y = bbox.top + bbox.height - STRIP * devicePixelRatio;
    points.forEach(([at, label], n) => {
      const next = points[n + 1]?.[0] ?? at + 2;
      const left = Math.max(self.valToPos(at, "x", true), bbox.left);
      // Beyond some readings' distance nothing was read, and nothing is drawn.
      const right = Math.min(self.valToPos(Math.min(next, at + 5), "x", true), bbox.left + bbox.width);
      if (right <= left) return;
      ctx.fillStyle = colour(label);
      ctx.fillRect(left, y, right - left, (label < 0 ? STRIP / 3 : STRIP) * devicePixelRatio);
    });
  }

  function make(labels) {
    plot?.destroy();
    const text = colour(-1);
    const grid = { stroke: getComputedStyle(document.documentElement).getPropertyValue("--line").trim(), width: 1 };
    plot = new uPlot({
      width: Math.max(box.clientWidth, 200),
      height: 220,
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: true, range: () => [now() - SHOWN_S, now()] }, y: { range: [-0.08, 1] } },
      axes: [
        { stroke: text, grid, ticks: grid, values: (_, splits) => splits.map((at) => clock(at)), space: 90 },
        { stroke: text, grid, ticks: grid, splits: [0, 0.5, 1], values: (_, splits) => splits.map(percent), size: 56 },
      ],
      series: [{}, ...labels.map((label, n) => ({
        label, stroke: colour(n), width: 2.5, dash: n % 2 ? [7, 4] : undefined, spanGaps: false, points: { show: false },
      }))],
      hooks: { draw: [strip] },
    }, [[], ...labels.map(() => [])], box);
    render(html`${labels.map((label, n) => html`<span class="key"><svg viewBox="0 0 26 6" width="26" height="6" aria-hidden="true">
      <path d="M0 3H26" stroke=${colour(n)} stroke-width="4" stroke-dasharray=${n % 2 ? "7 4" : "none"}/></svg>${word("label", label)}</span>`)}`,
      body.querySelector(".legend"));
  }

  function data(labels) {
    const columns = [[], ...labels.map(() => [])];
    let before = null;
    for (const [at, , p] of points) {
      if (before !== null && at - before > GAP_S) {
        columns[0].push(before + 1);
        labels.forEach((_, n) => columns[n + 1].push(null));
      }
      columns[0].push(at);
      labels.forEach((_, n) => columns[n + 1].push(p[n] ?? null));
      before = at;
    }
    return columns;
  }

  function draw(bed, detail) {
    newest = [bed, detail];
    const labels = detail.node?.labels?.length ? detail.node.labels : Object.keys(bed.reading?.p_smooth ?? {});
    points = detail.points.filter(([at]) => at > now() - SHOWN_S);
    const look = `${labels} ${document.documentElement.dataset.theme} ${language()}`;
    if (labels.length && look !== shown) {
      shown = look;
      make(labels);
    }
    if (!plot) return;
    plot.setData(data(labels));
    const last = points.at(-1);
    box.setAttribute("aria-label", last
      ? t("timeline.spoken", { label: last[1] < 0 ? t("reading.none") : word("label", labels[last[1]]), n: points.length })
      : t("timeline.empty"));
    body.querySelector("summary").textContent = t("timeline.table", { n: TABLE_ROWS });
    render(table(points.slice(-TABLE_ROWS).reverse(), labels), body.querySelector(".rows"));
  }

  const sized = new ResizeObserver(() => plot?.setSize({ width: Math.max(box.clientWidth, 200), height: 220 }));
  sized.observe(box);
  // Time goes on where nothing is read any more.
  const timer = setInterval(() => newest && draw(...newest), 1000);
  return {
    draw,
    end() {
      sized.disconnect();
      clearInterval(timer);
      plot?.destroy();
    },
  };
}

function table(rows, labels) {
  return html`<table><thead><tr><th scope="col">${t("time.at")}</th><th scope="col">${t("timeline.label")}</th>
    ${labels.map((label) => html`<th scope="col">${word("label", label)}</th>`)}</tr></thead>
    <tbody>${rows.map(([at, label, p]) => html`<tr><td>${clock(at)}</td>
      <td>${label < 0 ? t("reading.none") : word("label", labels[label])}</td>${p.map((one) => html`<td>${percent(one)}</td>`)}</tr>`)}</tbody></table>`;
}
