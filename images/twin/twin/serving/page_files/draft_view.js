// One draft: as it is written, and when it is there, with what was found of it.

import { judge } from "./client.js";
import { element } from "./elements.js";
import { checked, plain } from "./markdown.js";
import { Sources } from "./sources.js";
import { Judgement } from "./turn.js";

const LEGEND = {
  unsupported: "no source supports them, nor do the notes",
  copied: "they stand in the author's texts",
  contradicts: "a text of the author's says otherwise",
};

export class DraftView {
  /** `deeds`: revise(id, asked), read(id) as Markdown, and key(). */
  constructor(title, deeds) {
    this.deeds = deeds;
    this.body = element("div", { "aria-busy": "true", class: "said" });
    this.element = element(
      "article", { class: "draft", "aria-label": `Draft: ${title}` }, element("h2", {}, title), this.body,
    );
  }

  outline(points) {
    this.body.append(element("ol", { class: "outline", "aria-label": "Outline" }, ...points.map(item)));
  }

  section({ heading, sources }) {
    this.#paint();
    this.text = "";
    this.current = element("div", { class: "text" });
    const own = new Sources(sources, []);
    this.body.append(
      element(
        "section", { class: "pair" },
        element("div", {}, element("h3", { class: "heading" }, heading), this.current),
        own.element(`Sources of the section ${heading}`),
      ),
    );
  }

  /** More of a section's text; shown at most once a frame. */
  add(text) {
    if (!this.current) this.section({ heading: "", sources: [] });
    this.text += text;
    this.frame ??= requestAnimationFrame(() => this.#paint());
  }

  /** The draft is complete, which counts from now on. Returns it in words. */
  complete(answer) {
    this.#end();
    const draft = answer.draft;
    const sentences = marked(answer);
    const parts = draft.sections.map((section) => this.#whole(section, answer, sentences));
    if (!parts.length) parts.push(element("div", { class: "text" }, plain(answer.answer)));
    const marks = new Set(sentences.map((sentence) => sentence.mark).filter(Boolean));
    this.body.replaceChildren(
      ...parts, ...[...marks].sort().map(legend), ...(draft.sections.length ? [found(draft)] : []),
      element("p", { class: "lineage" }, `${answer.model}, version ${answer.model_version}.`),
    );
    if (draft.sections.length) this.body.append(this.#deedsOf(answer));
    this.body.append(new Judgement((given) => judge(this.deeds.key(), answer.id, given)).element);
    const count = draft.sections.length === 1 ? "1 section" : `${draft.sections.length} sections`;
    const doubted = sentences.filter((sentence) => sentence.mark === "unsupported").length;
    return `Draft complete, ${count}, ${doubted} unsupported ${doubted === 1 ? "sentence" : "sentences"}.`;
  }

  stopped() {
    this.#end();
    this.body.append(element("p", { class: "lineage" }, "Stopped."));
  }

  failed(message, again) {
    this.#end();
    const retry = element("button", { type: "button", onclick: again }, "Try again");
    this.body.append(element("p", { class: "error", role: "alert" }, message), retry);
  }

  #paint() {
    if (this.frame) cancelAnimationFrame(this.frame);
    this.frame = null;
    this.current?.replaceChildren(plain(this.text));
  }

  #end() {
    this.#paint();
    this.body.setAttribute("aria-busy", "false");
  }

  #whole(section, answer, sentences) {
    const inside = sentences
      .filter((sentence) => sentence.start >= section.start && sentence.end <= section.end)
      .map((sentence) => ({
        ...sentence, start: sentence.start - section.start, end: sentence.end - section.start,
      }));
    const own = new Sources(answer.sources, inside, section.sources);
    const text = checked(section.text, inside, own.cite);
    const cut = section.cut ? [element("p", { class: "lineage" }, "Cut short: its length is limited.")] : [];
    return element(
      "section", { class: "pair" },
      element(
        "div", {},
        element("h3", { class: "heading" }, section.heading), element("div", { class: "text" }, text), ...cut,
      ),
      own.element(`Sources of the section ${section.heading}`),
    );
  }

  #deedsOf(answer) {
    const told = element("p", { class: "told", role: "status" });
    const save = async () => {
      try {
        download(await this.deeds.read(answer.id), `draft-${answer.id.slice(0, 12)}.md`);
        told.textContent = "Exported.";
      } catch (error) {
        told.textContent = `Not exported: ${error.message}`;
      }
    };
    const wish = element("textarea", { rows: "2", maxlength: "2000", required: true });
    const which = element(
      "select", {}, element("option", { value: "" }, "The whole draft"),
      ...answer.draft.sections.map((section, place) =>
        element("option", { value: String(place + 1) }, `${place + 1}: ${section.heading}`)),
    );
    const revise = (event) => {
      event.preventDefault();
      const instruction = wish.value.trim();
      if (!instruction) return;
      const section = which.value ? { section: Number(which.value) } : {};
      this.deeds.revise(answer.id, { instruction, ...section });
    };
    return element(
      "div", {},
      element("div", { class: "judge" },
        element("button", { type: "button", onclick: save }, "Export as Markdown"), told),
      element(
        "form", { class: "revise", onsubmit: revise },
        element("label", {}, "How it is to change", wish),
        element("label", {}, "What changes", which),
        element("div", { class: "row" }, element("button", { type: "submit" }, "Revise")),
      ),
    );
  }
}

const item = (text) => element("li", {}, text);

function legend(name) {
  const mark = element("mark", { class: name }, "Marked");
  return element("p", { class: "legend" }, mark, ` words: ${LEGEND[name]}.`);
}

/** The sentences, each with its mark: what contradicts comes before what nothing supports. */
function marked(answer) {
  const at = (places) => new Set(places.map((place) => `${place.start}:${place.end}`));
  const { contradictions, copied, from_notes: notes } = answer.draft;
  const against = at(contradictions.filter((each) => each.latest));
  const copies = at(copied);
  const noted = at(notes);
  return answer.sentences.map((sentence) => {
    const place = `${sentence.start}:${sentence.end}`;
    const doubted = !sentence.supported && !noted.has(place) ? "unsupported" : null;
    const mark = against.has(place) ? "contradicts" : doubted ?? (copies.has(place) ? "copied" : null);
    return { ...sentence, mark };
  });
}

/** What was found of a draft, as a list. */
function found(draft) {
  const share = `${Math.round(100 * draft.copied_share)} % of its words stand in the author's texts.`;
  const views = draft.contradictions.map((each) => {
    const year = each.published ? `, ${each.published.slice(0, 10)}` : "";
    const text = `“${each.quote}” (${each.title}${year})`;
    return each.latest
      ? `The draft contradicts ${text}.`
      : `An older view, not followed: ${text}. Later: “${each.latest_quote}”`;
  });
  return element("ul", { class: "found", "aria-label": "What was found" }, ...[share, ...views, ...draft.remarks].map(item));
}

function download(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/markdown" }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
