// The second tab: a form, and the drafts that were written with it.

import { Refused, draft, drafts } from "./client.js";
import { ComparisonView } from "./comparison_view.js";
import { DraftView } from "./draft_view.js";
import { byId } from "./elements.js";

// Two seeds of one model; what they are, nobody needs to know.
const SEEDS = 2 ** 31;
const COMPARISONS = "/comparisons";
const FIELDS = ["kind", "language", "length", "notes", "outline", "topic"];

export class Drafts {
  /** `page`: the key, the model, how to ask for a key, and how to say what has happened. */
  constructor(page) {
    this.page = page;
    this.stopping = null;
    this.form = byId("draft");
    this.fields = Object.fromEntries(FIELDS.map((name) => [name, byId(`draft-${name}`)]));
    this.write = byId("draft-write");
    this.stopper = byId("draft-stop");
    this.list = byId("drafts");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#begin(this.#asked());
    });
    this.stopper.addEventListener("click", () => this.stop());
    this.comparing = byId("draft-compare");
    this.comparing.addEventListener("click", () => {
      if (this.form.reportValidity()) this.#compare(this.#asked());
    });
  }

  stop() {
    this.stopping?.abort();
  }

  #asked() {
    const given = Object.fromEntries(FIELDS.map((name) => [name, this.fields[name].value.trim()]));
    const outline = given.outline.split("\n").map((line) => line.trim()).filter(Boolean);
    return { ...given, outline, model: this.page.model() };
  }

  /** Write a draft, or a revision at `path`, into a view of its own. */
  async #begin(asked, path = "") {
    if (this.stopping || (!path && !asked.topic)) return;
    if (!this.page.key()) {
      this.page.askForKey();
      return;
    }
    const view = new DraftView(path ? asked.instruction : asked.topic, this.#deeds());
    await this.#fill(view, () => this.#follow(view, asked, path), () => this.#begin(asked, path));
  }

  /** Two drafts by one model, of which a person prefers one. */
  async #compare({ model, ...asked }) {
    if (this.stopping) return;
    if (!this.page.key()) {
      this.page.askForKey();
      return;
    }
    const send = (path, body) =>
      drafts(this.page.key(), COMPARISONS + path, body, this.stopping?.signal);
    const vote = async (id, preferred) =>
      (await send(`/${encodeURIComponent(id)}/feedback`, { preferred })).json();
    const view = new ComparisonView(asked.topic, vote);
    const first = Math.floor(Math.random() * (SEEDS - 1));
    const arms = [{ model, seed: first }, { model, seed: first + 1 }];
    const both = async () => {
      this.page.say("Two drafts are being written.");
      this.page.say(view.complete(await (await send("", { ...asked, arms })).json()));
    };
    await this.#fill(view, both, () => this.#compare({ model, ...asked }));
  }

  /** Fill a view, with all that may happen meanwhile. */
  async #fill(view, fill, again) {
    this.list.append(view.element);
    view.element.scrollIntoView({ block: "start" });
    this.stopping = new AbortController();
    this.#busy(true);
    try {
      await fill();
    } catch (error) {
      this.#ended(view, error, again);
    } finally {
      this.stopping = null;
      this.#busy(false);
    }
  }

  async #follow(view, asked, path) {
    const events = draft(this.page.key(), asked, this.stopping.signal, path);
    for await (const { name, data } of events) {
      if (name === "outline") {
        view.outline(data.outline);
        this.page.say(`An outline of ${data.outline.length} points.`);
      } else if (name === "section") {
        view.section(data);
      } else if (name === "text") {
        view.add(data.text);
      } else if (name === "draft") {
        this.page.say(view.complete(data));
      }
    }
  }

  #ended(view, error, again) {
    if (error.name === "AbortError") {
      view.stopped();
      this.page.say("The draft was stopped.");
      return;
    }
    const known = error instanceof Refused;
    view.failed(known ? error.message : "The page failed: reload it.", () => {
      view.element.remove();
      again();
    });
    if (!known) console.error(error);
    if (error.status === 401) this.page.askForKey("This key is not valid any more.");
  }

  /** What can be done with a draft that is there. */
  #deeds() {
    return {
      revise: (id, asked) => this.#begin(asked, `/${encodeURIComponent(id)}/revisions`),
      read: async (id) => (await drafts(this.page.key(), `/${id}?format=markdown`)).text(),
      key: this.page.key,
    };
  }

  #busy(is) {
    const focused = [this.write, this.comparing, this.stopper].includes(document.activeElement);
    this.write.hidden = is;
    this.comparing.hidden = is;
    this.stopper.hidden = !is;
    if (focused) (is ? this.stopper : this.write).focus();
  }
}
