// Every word on the screen, from a catalogue file for each language.

export const LANGUAGES = { en: "English", zh: "中文" };

let texts = {};
let chosen = "en";

/** Loads the user's language; falls back to the browser's, then to English. */
export async function learn(language) {
  const wanted = language ?? localStorage.getItem("language") ?? navigator.language.slice(0, 2);
  chosen = wanted in LANGUAGES ? wanted : "en";
  if (language) localStorage.setItem("language", chosen);
  const answer = await fetch(`texts/${chosen}.json`);
  texts = await answer.json();
  document.documentElement.lang = chosen === "zh" ? "zh-Hans" : chosen;
  document.title = texts["title"];
}

export function language() {
  return chosen;
}

/** The text under a key, with {names} filled in. A missing key shows itself: tests look for that. */
export function t(key, values = {}) {
  const text = texts[key] ?? `⟨${key}⟩`;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** A word of the daemon's (a label, a state) in this language, or as it is. */
export function word(kind, name) {
  return texts[`${kind}.${name}`] ?? name;
}
