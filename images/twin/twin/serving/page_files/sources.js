// The sources beside an answer, each with the words that the answer rests on.

import { element } from "./elements.js";
import { characters } from "./markdown.js";

/** The list of sources, and the buttons that lead from a sentence into it. */
export class Sources {
  /** `numbers` are those of the sources that are shown; unset: all, from 1. */
  constructor(sources, sentences, numbers = sources.map((_, place) => place + 1)) {
    this.sources = sources;
    this.quotes = new Map();
    const citations = sentences.flatMap((sentence) => sentence.citations);
    this.byNumber = new Map(
      numbers.map((number) => {
        const own = citations.filter((citation) => citation.source === number);
        return [number, this.#item(sources[number - 1], own, number)];
      }),
    );
    this.items = [...this.byNumber.values()];
  }

  element(label = "Sources of this answer") {
    return element(
      "aside", { class: "sources", "aria-label": label },
      element("h3", {}, this.items.length === 1 ? "1 source" : `${this.items.length} sources`),
      element("ol", {}, ...this.items.map((item) => element("li", {}, item))),
    );
  }

  /** A button that opens the source and shows the quotation. */
  cite = (citation) => {
    const source = this.sources[citation.source - 1];
    const label = `Source ${citation.source}: ${source.title}`;
    const show = () => this.#show(citation);
    return element(
      "button", { type: "button", class: "cite", "aria-label": label, title: label, onclick: show },
      String(citation.source),
    );
  };

  #show(citation) {
    const item = this.byNumber.get(citation.source);
    item.open = true;
    const target = this.quotes.get(place(citation)) ?? item.firstChild;
    target.focus({ preventScroll: true });
    target.scrollIntoView({ block: "nearest" });
  }

  #item(source, citations, number) {
    const path = [source.title, ...source.headings].join(" › ");
    return element(
      "details", { open: citations.length > 0 },
      element("summary", {}, `[${number}] ${path}`),
      element(
        "div", { class: "body" },
        element("p", { class: "where" }, address(source.url)),
        element("blockquote", {}, ...this.#text(source.text, citations)),
      ),
    );
  }

  #text(text, citations) {
    const letters = characters(text);
    const spans = new Map(citations.map((citation) => [place(citation), citation]));
    const parts = [];
    let end = 0;
    for (const span of [...spans.values()].sort((one, other) => one.start - other.start)) {
      if (span.start < end || span.start === span.end) continue;
      const words = letters.slice(span.start, span.end).join("");
      const quote = element("mark", { tabindex: "-1" }, words);
      this.quotes.set(place(span), quote);
      parts.push(letters.slice(end, span.start).join(""), quote);
      end = span.end;
    }
    parts.push(letters.slice(end).join(""));
    return parts;
  }
}

const place = (citation) => `${citation.source}:${citation.start}:${citation.end}`;

/** A link where the address is one of the web, else its text. */
function address(url) {
  if (!/^https?:\/\//i.test(url)) return url;
  return element("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, url);
}
