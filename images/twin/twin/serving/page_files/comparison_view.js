// Two drafts side by side: one vote, and then what wrote which.

import { element } from "./elements.js";
import { plain } from "./markdown.js";

const CHOICES = { A: "A is better", tie: "They are alike", B: "B is better" };

export class ComparisonView {
  /** `vote(id, preferred)` sends the vote and returns what wrote which. */
  constructor(topic, vote) {
    this.vote = vote;
    this.body = element("div", { "aria-busy": "true" }, element("p", { class: "told" }, "Both are being written …"));
    this.element = element(
      "article", { class: "draft", "aria-label": `Comparison: ${topic}` }, element("h2", {}, topic), this.body,
    );
  }

  /** Both drafts are there. Returns it in words. */
  complete(comparison) {
    this.#end();
    const columns = comparison.drafts.map((draft) =>
      element(
        "div", { role: "region", "aria-label": `Draft ${draft.label}` },
        element("h3", { class: "heading" }, draft.label), element("div", { class: "text" }, plain(draft.answer)),
      ),
    );
    this.told = element("p", { class: "told", role: "status" });
    this.buttons = Object.entries(CHOICES).map(([preferred, label]) =>
      element("button", { type: "button", onclick: () => this.#choose(comparison.id, preferred) }, label),
    );
    this.body.replaceChildren(
      element("div", { class: "both" }, ...columns),
      element("div", { class: "judge" }, ...this.buttons, this.told),
    );
    return "Two drafts are there: say which is better.";
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

  async #choose(id, preferred) {
    this.#disable(true);
    try {
      const { arms } = await this.vote(id, preferred);
      this.told.textContent = `Thank you. ${Object.entries(arms).map(described).join(" ")}`;
    } catch (error) {
      this.told.textContent = `Not sent: ${error.message}`;
      this.#disable(false);
    }
  }

  #disable(is) {
    for (const button of this.buttons) button.disabled = is;
  }

  #end() {
    this.body.setAttribute("aria-busy", "false");
  }
}

function described([label, arm]) {
  const settings = ["temperature", "top_p", "seed"]
    .filter((name) => arm[name] !== null)
    .map((name) => `, ${name.replace("_", " ")} ${arm[name]}`);
  return `${label}: ${arm.model}, version ${arm.model_version}${settings.join("")}.`;
}
