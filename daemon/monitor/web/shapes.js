// A shape for each state, so that colour is never the only sign.

import { svg } from "./vendor/lit-html/lit-html.js";

const SHAPES = {
  calm: svg`<circle cx="12" cy="12" r="9" fill="currentColor"/>`,
  attention: svg`<path d="M12 2 23 21H1z" fill="currentColor"/>`,
  other: svg`<rect x="4" y="4" width="16" height="16" rx="2" fill="currentColor"/>`,
  unsure: svg`<circle cx="12" cy="12" r="9" fill="none" stroke="currentColor" stroke-width="2.5" stroke-dasharray="4 3"/>`,
  calibrating: svg`<path d="M6 3h12v3l-4.5 6L18 18v3H6v-3l4.5-6L6 6z" fill="none" stroke="currentColor" stroke-width="2.5" stroke-linejoin="round"/>`,
  online: svg`<path d="M4 13l5 5L20 6" fill="none" stroke="currentColor" stroke-width="3.5"/>`,
  degraded: svg`<path d="M12 2 22 12 12 22 2 12z" fill="none" stroke="currentColor" stroke-width="2.5"/><path d="M12 7v6m0 3v2" stroke="currentColor" stroke-width="2.5"/>`,
  stalled: svg`<path d="M7 4v16M17 4v16" stroke="currentColor" stroke-width="5"/>`,
  offline: svg`<path d="M4 4l16 16M20 4 4 20" stroke="currentColor" stroke-width="4"/>`,
  unknown: svg`<path d="M7 8a5 5 0 1 1 7 5c-2 1-2 2-2 3m0 3v2.5" fill="none" stroke="currentColor" stroke-width="3"/>`,
  preliminary: svg`<path d="M5 2h10l4 4v16H5z" fill="none" stroke="currentColor" stroke-width="2"/><path d="M8 11h8M8 15h5" stroke="currentColor" stroke-width="2"/>`,
  final: svg`<path d="M5 2h10l4 4v16H5z" fill="none" stroke="currentColor" stroke-width="2"/><path d="M8 14l3 3 5-6" fill="none" stroke="currentColor" stroke-width="2"/>`,
  amended: svg`<path d="M5 2h10l4 4v16H5z" fill="none" stroke="currentColor" stroke-width="2"/><path d="M8 17l1-4 5-5 3 3-5 5z" fill="none" stroke="currentColor" stroke-width="1.5"/>`,
  rejected: svg`<path d="M5 2h10l4 4v16H5z" fill="none" stroke="currentColor" stroke-width="2"/><path d="M9 11l6 6m0-6-6 6" stroke="currentColor" stroke-width="2"/>`,
};

/** Says nothing to a screen reader: the word always stands beside it. */
export function shape(name) {
  return svg`<svg class="shape" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" focusable="false">${SHAPES[name] ?? SHAPES.other}</svg>`;
}
