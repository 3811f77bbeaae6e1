// One question with its answer: as it is written, when it is there, and how it is judged.

import { drawing, element } from "./elements.js";
import { checked, plain } from "./markdown.js";
import { Sources } from "./sources.js";

const THUMB =
  "M7 21H4a1 1 0 0 1-1-1v-9a1 1 0 0 1 1-1h3m0 11V10m0 11h10.2a2 2 0 0 0 2-1.6l1.5-7A2 2 0 0 0 18.8 10H14" +
  "V5.5A2.5 2.5 0 0 0 11.5 3L7 10";

export class Turn {
  constructor(question) {
    this.question = question;
    this.text = "";
    this.body = element("div", { class: "text" });
    this.said = element("div", { class: "said", "aria-busy": "true" }, this.body);
    this.pair = element("div", { class: "pair" }, this.said);
    this.element = element(
      "article", { class: "turn", "aria-label": "Question and answer" },
      element("h2", { class: "asked" }, question), this.pair,
    );
  }

  /** More of the text; shown at most once a frame, however fast it comes. */
  add(text) {
    this.text += text;
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.body.replaceChildren(plain(this.text));
    });
  }

  /** The answer is complete: `last` is the chunk with what it comes from. Returns it in words. */
  complete(last, judge) {
    const sentences = last.sentences ?? [];
    const sources = new Sources(last.sources ?? [], sentences);
    this.#end(checked(this.text.trim(), sentences, sources.cite));
    const doubted = sentences.filter((sentence) => !sentence.supported).length;
    if (doubted) {
      const mark = element("mark", { class: "unsupported" }, "Marked");
      this.said.append(element("p", { class: "legend" }, mark, " words: no source supports them."));
    }
    if (sources.items.length) this.pair.append(sources.element());
    const from = `${last.model}, version ${last.model_version}`;
    const none = last.grounded ? "" : " No source was used.";
    const cut = last.choices[0].finish_reason === "length" ? " Cut short: its length is limited." : "";
    this.said.append(element("p", { class: "lineage" }, `${from}.${none}${cut}`));
    if (last.answer_id) this.said.append(new Judgement(judge).element);
    const count = sources.items.length === 1 ? "1 source" : `${sources.items.length} sources`;
    return `Answer complete, ${count}, ${doubted} unsupported ${doubted === 1 ? "sentence" : "sentences"}.`;
  }

  stopped() {
    this.#end(plain(this.text));
    this.said.append(element("p", { class: "lineage" }, "Stopped."));
  }

  failed(message, again) {
    this.#end(plain(this.text));
    const retry = element("button", { type: "button", onclick: again }, "Try again");
    this.said.append(element("p", { class: "error", role: "alert" }, message), retry);
  }

  #end(content) {
    if (this.frame) cancelAnimationFrame(this.frame);
    this.frame = null;
    this.body.replaceChildren(content);
    this.said.setAttribute("aria-busy", "false");
  }
}

/** Thumbs, and a form for a better answer. What is sent last counts, so each sends all of it. */
export class Judgement {
  constructor(judge) {
    this.judge = judge;
    this.given = {};
    this.told = element("p", { class: "told", role: "status" });
    this.thumbs = [this.#thumb("up", "Good answer"), this.#thumb("down", "Bad answer")];
    const open = () => this.#toggle();
    this.opener = element(
      "button", { type: "button", "aria-expanded": "false", onclick: open }, "Correct it",
    );
    this.form = this.#form();
    const row = element("div", { class: "judge" }, ...this.thumbs, this.opener, this.told);
    this.element = element("div", {}, row, this.form);
  }

  #thumb(value, label) {
    const give = () => this.#send({ thumb: value });
    return element(
      "button",
      { type: "button", "aria-label": label, title: label, "aria-pressed": "false",
        "data-thumb": value, onclick: give },
      drawing(THUMB),
    );
  }

  #form() {
    this.correction = element("textarea", { maxlength: 20000 });
    this.comment = element("textarea", { maxlength: 4000 });
    const send = (event) => {
      event.preventDefault();
      const words = { correction: this.correction.value.trim(), comment: this.comment.value.trim() };
      if (words.correction || words.comment) this.#send(words);
      else this.told.textContent = "Write a correction or a comment first.";
    };
    return element(
      "form", { class: "correct", hidden: true, onsubmit: send },
      element("label", {}, "What the answer should have been", this.correction),
      element("label", {}, "Comment", this.comment),
      element("div", { class: "row" }, element("button", { type: "submit", class: "main" }, "Send")),
    );
  }

  #toggle() {
    this.form.hidden = !this.form.hidden;
    this.opener.setAttribute("aria-expanded", String(!this.form.hidden));
    if (!this.form.hidden) this.correction.focus();
  }

  async #send(more) {
    const feedback = { ...this.given, ...more };
    for (const [name, value] of Object.entries(feedback)) if (!value) delete feedback[name];
    this.told.textContent = "Sending …";
    try {
      await this.judge(feedback);
    } catch (error) {
      this.told.textContent = `Not sent: ${error.message}`;
      return;
    }
    this.given = feedback;
    for (const thumb of this.thumbs) {
      thumb.setAttribute("aria-pressed", String(thumb.dataset.thumb === feedback.thumb));
    }
    if ("correction" in more) {
      this.form.hidden = true;
      this.opener.setAttribute("aria-expanded", "false");
      this.opener.focus();
    }
    this.told.textContent = "Thank you.";
  }
}
