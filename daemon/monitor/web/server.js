// What the page asks of its server. Every deed carries the session's token.

let session = null;
let onOver = () => {};

export class RefusedError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function me() {
  return session;
}

export function may(action) {
  return session !== null && session.may.includes(action);
}

/** over: called when the server no longer knows us. */
export function whenOver(over) {
  onOver = over;
}

export function over() {
  session = null;
  onOver();
}

export async function get(path) {
  return read(await fetch(path, { headers: { Accept: "application/json" } }));
}

export async function post(path, body = {}) {
  return read(await send(path, body));
}

/** The values of a streamed answer, one a line. */
export async function* stream(path, body) {
  const answer = await send(path, body);
  if (!answer.ok) await read(answer);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

/** Who this browser is logged in as, or null. */
export async function recognise() {
  session = (await get("api/session")).session;
  return session;
}

export async function logIn(name, password) {
  session = await post("api/login", { name, password });
}

export async function redeem(token) {
  session = await post("api/link", { token });
}

export async function logOut() {
  await post("api/logout");
  over();
}

export function bedPath(key, what) {
  return `api/beds/${key.split("/").map(encodeURIComponent).join("/")}/${what}`;
}

function send(path, body) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": session?.csrf ?? "" };
  return fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
}

async function read(answer) {
  let told = {};
  try {
    told = await answer.json();
  } catch {
    // Not from our server, or cut off: its status says enough.
  }
  if (answer.ok) return told;
  if (answer.status === 401 && session !== null && told.detail === "log in first") over();
  throw new RefusedError(answer.status, told.detail ?? `HTTP ${answer.status}`);
}
