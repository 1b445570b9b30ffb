// What a bed's state is called, and which shape and colour it has.

import { t, word } from "./texts.js";

const QUIET = new Set(["calm", "neutral", "joy", "amusement", "inspiration", "tenderness", "positive"]);

/** { word, kind }: kind names the shape and the colour. */
export function stateOf(bed) {
  const truth = bed.truth?.state ?? "unknown";
  if (truth !== "online" && truth !== "degraded") return { word: word("truth", truth), kind: truth };
  if (!bed.reading) return { word: word("truth", truth), kind: truth };
  const label = bed.reading.label;
  if (label === null) return { word: t("reading.none"), kind: "unsure" };
  if (bed.rank === 1) return { word: word("label", label), kind: "attention" };
  return { word: word("label", label), kind: QUIET.has(label) ? "calm" : "other" };
}

/** Since when, UTC seconds. */
export function stateSince(bed) {
  const truth = bed.truth?.state;
  const labelled = (truth === "online" || truth === "degraded") && bed.reading;
  return labelled ? bed.reading.since : bed.truth?.since;
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
