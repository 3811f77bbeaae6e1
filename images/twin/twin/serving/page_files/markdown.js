// An answer as HTML: Markdown by marked, cleaned by DOMPurify, its sentences marked.

import { Marked } from "./vendor/marked-18.2.1.mjs";
import DOMPurify from "./vendor/dompurify-3.5.0.mjs";

const TAGS = [
  "p", "br", "strong", "em", "del", "code", "pre", "blockquote", "ul", "ol", "li", "a", "hr",
  "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td",
];
// Punctuation that hardly any text has: Markdown treats it as such, so emphasis still works.
const OPEN = "\u2e28";
const CLOSE = "\u2e29";
const MARKS = /([\u2e28\u2e29])(\d+)\1/g;
// What of a line is not its sentence: list marks, headings, quotations, borders of cells.
const BEFORE = /^(?:(?:[-*+]|\d+[.)]|#{1,6}|>)\s+|\|\s*)*/;
const BEHIND = /(?:\s*\|)*\s*$/;

const escaped = (text) =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }) => escaped(text), // a twin's answer has no HTML, only text that looks like it
    image: ({ text }) => escaped(text), // nothing is fetched from elsewhere
    heading({ tokens, depth }) {
      const level = Math.min(6, depth + 2);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
  },
});

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  }
});

function html(text) {
  return DOMPurify.sanitize(marked.parse(text), {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ["href", "start"],
    ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
    RETURN_DOM_FRAGMENT: true,
  });
}

/** An answer without marks, as it is while it is written. */
export function plain(text) {
  return html(text);
}

// What a marked sentence is, in words for those who do not see the mark.
const SAID = {
  unsupported: " (no source supports this)",
  copied: " (stands in the author's texts)",
  contradicts: " (contradicts a text of the author's)",
};

/**
 * An answer whose doubtful sentences are marked and whose others lead to their sources.
 *
 * `cite(citation)` makes the button of a citation. A sentence may name its `mark`, one of `SAID` or
 * null; else it is marked if no source supports it.
 */
export function checked(text, sentences, cite) {
  const fragment = html(withMarks(text, sentences));
  const walker = document.createTreeWalker(fragment, NodeFilter.SHOW_TEXT);
  const nodes = [];
  while (walker.nextNode()) nodes.push(walker.currentNode);
  let current = null;
  for (const node of nodes) {
    const parts = [];
    let place = 0;
    for (const mark of node.data.matchAll(MARKS)) {
      parts.push(...piece(node.data.slice(place, mark.index), current));
      place = mark.index + mark[0].length;
      const sentence = sentences[Number(mark[2])];
      if (mark[1] === OPEN) {
        current = sentence;
      } else if (sentence) {
        parts.push(...ending(sentence, cite));
        current = null;
      }
    }
    parts.push(...piece(node.data.slice(place), current));
    node.replaceWith(...parts);
  }
  return fragment;
}

/** Places are counted in characters, while JavaScript counts halves of some of them. */
export function characters(text) {
  return Array.from(text);
}

function withMarks(text, sentences) {
  const letters = characters(text).map((letter) => (/[\u2e28\u2e29]/.test(letter) ? " " : letter));
  let marks = "";
  let place = 0;
  sentences.forEach((sentence, number) => {
    const said = letters.slice(sentence.start, sentence.end).join("");
    const before = characters(said.match(BEFORE)[0]).length;
    const behind = characters(said.match(BEHIND)[0]).length;
    if (before + behind >= sentence.end - sentence.start) return;
    const start = sentence.start + before;
    const end = sentence.end - behind;
    marks += letters.slice(place, start).join("") + OPEN + number + OPEN;
    marks += letters.slice(start, end).join("") + CLOSE + number + CLOSE;
    place = end;
  });
  return marks + letters.slice(place).join("");
}

function piece(text, sentence) {
  if (!text) return [];
  const name = sentence && markOf(sentence);
  if (!name) return [document.createTextNode(text)];
  const mark = document.createElement("mark");
  mark.className = name;
  mark.textContent = text;
  return [mark];
}

function ending(sentence, cite) {
  const parts = sentence.citations.map(cite);
  const mark = markOf(sentence);
  if (!mark) return parts;
  const said = document.createElement("span");
  said.className = "hidden";
  said.textContent = SAID[mark];
  return [...parts, said];
}

function markOf(sentence) {
  if (sentence.mark !== undefined) return sentence.mark;
  return sentence.supported ? null : "unsupported";
}
