// What the page asks of the endpoint, and how it fails.

const MODELS = "/v1/models";
const CHAT = "/v1/chat/completions";
const DRAFTS = "/v1/drafts";
const DONE = "[DONE]";

/** A request that was refused, or an answer that broke off. `status` 0: the connection is lost. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const lost = (what) =>
  new Refused(0, `The connection is lost${what}. Check your network, then try again.`);

async function request(path, key, options = {}) {
  let response;
  try {
    response = await fetch(path, {
      ...options,
      headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
      credentials: "omit",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw lost("");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const wait = response.headers.get("Retry-After");
  let message = `The endpoint answered with status ${response.status}.`;
  try {
    message = (await response.json()).error.message;
  } catch {
    // A proxy's own page: its status says enough.
  }
  const again = wait ? ` (try again in ${wait} s)` : "";
  return new Refused(response.status, message + again);
}

export async function models(key) {
  return (await (await request(MODELS, key)).json()).data;
}

/** The chunks of an answer as they come; ends with an error if the answer does. */
export async function* chat(key, model, messages, signal) {
  const body = JSON.stringify({ model, messages, stream: true });
  const response = await request(CHAT, key, { method: "POST", body, signal });
  for await (const { data } of events(response.body, signal, " in the middle of the answer")) {
    if (data === DONE) return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Refused(500, chunk.error.message);
    yield chunk;
  }
  throw lost(" in the middle of the answer");
}

/** The events of a draft, `{ name, data }`, up to the one named draft; `path` of a revision. */
export async function* draft(key, asked, signal, path = "") {
  const body = JSON.stringify({ ...asked, stream: true });
  const response = await request(DRAFTS + path, key, { method: "POST", body, signal });
  for await (const { name, data } of events(response.body, signal, MIDDLE)) {
    const event = { name, data: JSON.parse(data) };
    if (name === "error") throw new Refused(500, event.data.error.message);
    yield event;
    if (name === "draft") return;
  }
  throw lost(MIDDLE);
}

const MIDDLE = " in the middle of the draft";

/** A path of drafts, below `/v1/drafts`; with a body it is sent. */
export async function drafts(key, path, body, signal) {
  const options = body ? { method: "POST", body: JSON.stringify(body), signal } : {};
  return request(DRAFTS + path, key, options);
}

async function* events(stream, signal, where) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split(/\r?\n\r?\n/);
      rest = parts.pop();
      for (const part of parts) {
        const found = /^(?:event: ([^\r\n]*)\r?\n)?data: (.*)$/.exec(part);
        if (found) yield { name: found[1], data: found[2] };
      }
    }
  } catch (error) {
    if (signal.aborted) throw new DOMException("stopped", "AbortError");
    throw error instanceof TypeError ? lost(where) : error;
  } finally {
    reader.cancel().catch(() => {});
  }
}

export async function judge(key, answerId, feedback) {
  const path = `/v1/answers/${encodeURIComponent(answerId)}/feedback`;
  await request(path, key, { method: "POST", body: JSON.stringify(feedback) });
}
