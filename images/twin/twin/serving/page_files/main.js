// The page: key, models, turns.

import { Refused, chat, judge, models } from "./client.js";
import { Drafts } from "./drafts.js";
import { byId, element } from "./elements.js";
import { tabs } from "./tabs.js";
import { Turn } from "./turn.js";

const KEY = "twin.key";
const MODEL = "twin.model";
const THEME = "twin.theme";
const NEAR_THE_END = 120;
// What a header can carry.
const PRINTABLE = /^[\x21-\x7e]+$/;

const page = Object.fromEntries(
  ["ask", "conversation", "fresh", "key", "model", "notice", "question", "send", "status", "stop",
    "theme", "title", "trouble"].map((id) => [id, byId(id)]),
);
const dialog = { box: byId("key-dialog"), value: byId("key-value"), error: byId("key-error") };
const DEFAULT_NOTICE = page.notice.textContent;

let messages = [];
let cards = [];
let stopping = null;

// Key

const key = () => sessionStorage.getItem(KEY);

function askForKey(message = "") {
  dialog.error.textContent = message;
  if (!dialog.box.open) dialog.box.showModal();
  dialog.value.select();
}

byId("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const before = key();
  const given = dialog.value.value.trim();
  if (!PRINTABLE.test(given)) {
    askForKey("This is no key: it has blanks, or characters that no key has.");
    return;
  }
  sessionStorage.setItem(KEY, given);
  if (await loadModels()) {
    dialog.value.value = "";
    dialog.box.close();
    page.question.focus();
  } else if (before) {
    sessionStorage.setItem(KEY, before);
  } else {
    sessionStorage.removeItem(KEY);
  }
});
byId("key-close").addEventListener("click", () => dialog.box.close());
page.key.addEventListener("click", () => askForKey());

// Models

async function loadModels() {
  try {
    cards = await models(key());
  } catch (error) {
    if (error.status === 401) askForKey("This key is not valid.");
    else if (dialog.box.open) askForKey(error.message);
    else trouble(error.message);
    return false;
  }
  page.model.replaceChildren(...cards.filter((card) => card.versions).map(group));
  page.model.disabled = !page.model.options.length;
  const wanted = sessionStorage.getItem(MODEL);
  if ([...page.model.options].some((option) => option.value === wanted)) page.model.value = wanted;
  showModel();
  trouble(page.model.disabled ? "No model is in service." : "");
  return true;
}

/** What keeps the page as a whole from working; "" if nothing does. */
function trouble(message) {
  page.trouble.hidden = !message;
  page.trouble.querySelector("p").textContent = message;
}

page.trouble.querySelector("button").addEventListener("click", loadModels);

function group(card) {
  const shares = Object.entries(card.versions);
  const pinned = shares.map(([version, share]) =>
    element("option", { value: `${card.id}-v${version}` }, `version ${version} (${share} % of traffic)`),
  );
  const served = shares.some(([, share]) => share);
  const any = served ? [element("option", { value: card.id }, `${card.id}, in service`)] : [];
  return element("optgroup", { label: card.id }, ...any, ...pinned);
}

function showModel() {
  const option = page.model.selectedOptions[0];
  const card = cards.find((one) => one.id === option?.parentElement.label);
  page.notice.textContent = card?.notice ?? DEFAULT_NOTICE;
  page.title.textContent = card?.author ? `The twin of ${card.author}` : "LLM Twin";
  document.title = page.title.textContent;
}

page.model.addEventListener("change", () => {
  sessionStorage.setItem(MODEL, page.model.value);
  showModel();
});

// Turns

page.ask.addEventListener("submit", (event) => {
  event.preventDefault();
  const question = page.question.value.trim();
  if (!question || stopping) return;
  if (!key()) {
    askForKey();
    return;
  }
  if (!page.model.value) {
    loadModels();
    return;
  }
  page.question.value = "";
  ask(question);
});

async function ask(question) {
  const turn = new Turn(question);
  const conversation = messages;
  page.conversation.append(turn.element);
  turn.element.scrollIntoView({ block: "end" });
  stopping = new AbortController();
  busy(true);
  try {
    await follow(turn, stopping.signal);
    remember(turn, conversation);
  } catch (error) {
    if (error.name === "AbortError") stop(turn, conversation);
    else fail(turn, error);
  } finally {
    stopping = null;
    busy(false);
  }
}

async function follow(turn, signal) {
  const asked = [...messages, { role: "user", content: turn.question }];
  for await (const chunk of chat(key(), page.model.value, asked, signal)) {
    const choice = chunk.choices[0];
    if (choice?.delta.content) {
      const follows = atTheEnd();
      turn.add(choice.delta.content);
      if (follows) requestAnimationFrame(toTheEnd);
    }
    if (choice?.finish_reason) {
      const give = (feedback) => judge(key(), chunk.answer_id, feedback);
      const follows = atTheEnd();
      page.status.textContent = turn.complete(chunk, give);
      if (follows) toTheEnd();
    }
  }
}

function stop(turn, conversation) {
  turn.stopped();
  if (conversation !== messages) return;
  page.status.textContent = "The answer was stopped.";
  if (turn.text.trim()) remember(turn, conversation);
}

function fail(turn, error) {
  const known = error instanceof Refused;
  const again = () => {
    turn.element.remove();
    if (!stopping) ask(turn.question);
  };
  turn.failed(known ? error.message : "The page failed: reload it.", again);
  if (!known) console.error(error);
  if (error.status === 401) askForKey("This key is not valid any more.");
}

/** What was said goes into the next question, unless another conversation was begun meanwhile. */
function remember(turn, conversation) {
  conversation.push({ role: "user", content: turn.question }, { role: "assistant", content: turn.text });
}

function busy(is) {
  const focused = document.activeElement === page.send || document.activeElement === page.stop;
  page.send.hidden = is;
  page.stop.hidden = !is;
  if (focused) page.question.focus();
}

const atTheEnd = () =>
  window.innerHeight + window.scrollY > document.body.scrollHeight - NEAR_THE_END;
const toTheEnd = () => window.scrollTo(0, document.body.scrollHeight);

page.stop.addEventListener("click", () => stopping?.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !dialog.box.open) stopping?.abort();
});
page.question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    page.ask.requestSubmit();
  }
});
page.fresh.addEventListener("click", () => {
  stopping?.abort();
  messages = [];
  page.conversation.replaceChildren();
  page.status.textContent = "A new conversation.";
  page.question.focus();
});

// Theme

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (prefersDark.matches ? "dark" : "light")) === "dark";

function showTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  page.theme.setAttribute("aria-pressed", String(isDark()));
}

page.theme.addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  localStorage.setItem(THEME, theme);
  showTheme(theme);
});
prefersDark.addEventListener("change", () => showTheme(null));

// Tabs

const drafts = new Drafts({
  key,
  model: () => page.model.value,
  askForKey,
  say: (text) => (page.status.textContent = text),
});
tabs(byId("tab-talk").parentElement, (chosen) => {
  const talks = chosen === "panel-talk";
  page.ask.hidden = !talks;
  page.fresh.hidden = !talks;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !dialog.box.open) drafts.stop();
});

showTheme(localStorage.getItem(THEME));
if (key()) loadModels();
else askForKey();
