// What a bed's state is called, and which shape and colour it has.

import { t, word } from "./texts.js";

const QUIET = new Set(["calm", "neutral", "joy", "amusement", "inspiration", "tenderness", "positive"]);

/** Whether its newest reading is about the present. */
export function isRead(bed) {
  return ["online", "degraded"].includes(bed.truth?.state) && Boolean(bed.reading);
}

/** { word, kind }: kind names the shape and the colour. */
export function stateOf(bed) {
  const truth = bed.truth?.state ?? "unknown";
  if (!isRead(bed)) return { word: word("truth", truth), kind: truth };
  const label = bed.reading.label;
  if (label === null) return { word: t("reading.none"), kind: "unsure" };
  if (bed.rank === 1) return { word: word("label", label), kind: "attention" };
  return { word: word("label", label), kind: QUIET.has(label) ? "calm" : "other" };
}

/** Since when, UTC seconds. */
export function stateSince(bed) {
  return isRead(bed) ? bed.reading.since : bed.truth?.since;
}

/** The probability of the present label in words; empty where there is no label. */
export function chanceOf(bed) {
  const label = isRead(bed) ? bed.reading.label : null;
  return label === null ? "" : percent(bed.reading.p[label] ?? 0);
}

/** Why a connection is as it is; the node's own words as they came. */
export function causeOf(truth) {
  const said = truth.cause && truth.cause !== "stream" ? t(`cause.${truth.cause}`) : "";
  return [said, truth.detail].filter(Boolean).join(": ");
}

/** The share of good electrodes, while there is one: of a stream that is away nothing is known. */
export function qualityOf(bed) {
  const live = ["online", "degraded", "calibrating"].includes(bed.truth?.state);
  return live && typeof bed.quality === "number" ? percent(bed.quality) : t("none");
}

export function percent(share) {
  return `${Math.round(share * 100)} %`;
}
