"""Panels that a page shows one at a time: tabs, accordions, what a search on the page opens.

Their text is the author's as much as that of the panel that is open.
"""

import re
from typing import TYPE_CHECKING

from twin.crawl.formats.element_text import link_share, size_of

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_NOT_TEXT = frozenset(
    {"dialog", "alertdialog", "menu", "menubar", "navigation", "search", "listbox"}
)
_PANEL = re.compile(
    r"(?:^|[\s_-])(?:tabs?-?(?:panel|pane|content|item)s?|tabitem\w*|panel-?(?:body|content)?"
    r"|accordion-?\w*|collaps\w*|toggle-?content|pane)(?:[\s_-]|$)",
    re.IGNORECASE,
)
_STYLE = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)\s*;?", re.IGNORECASE)
_MAX_LINK_SHARE = 0.5


def show_panels(tree: "HtmlElement") -> None:
    """Show hidden panels, and put the name of each over it."""
    controls = _controls(tree)
    for panel in tree.xpath("//*[@hidden or @role='tabpanel' or @aria-hidden='true' or @style]"):
        if panel.getparent() is None or not _is_panel(panel, controls):
            continue
        for attribute in ("hidden", "aria-hidden"):
            panel.attrib.pop(attribute, None)
        if style := panel.get("style"):
            panel.set("style", _STYLE.sub("", style))
    for tabs in tree.xpath("//*[@role='tablist']"):
        _name_panels(tabs, controls)


def _controls(tree: "HtmlElement") -> "dict[str, HtmlElement]":
    """Ids of panels to the tab or button that shows each."""
    controls = {}
    for control in tree.xpath("//*[@aria-controls]"):
        for name in control.get("aria-controls").split():
            controls.setdefault(name, control)
    return controls


def _is_panel(panel: "HtmlElement", controls: "dict[str, HtmlElement]") -> bool:
    if (
        panel.tag in ("nav", "dialog", "form", "menu", "span", "svg")
        or panel.get("role") in _NOT_TEXT
    ):
        return False
    hidden = (
        panel.get("hidden") is not None
        or panel.get("aria-hidden") == "true"
        or _STYLE.search(panel.get("style") or "") is not None
    )
    if not hidden:
        return False
    known = (
        panel.get("hidden") == "until-found"
        or panel.get("role") == "tabpanel"
        or (panel.get("id") in controls and panel.get("role") in (None, "region"))
        or (_PANEL.search(panel.get("class") or "") is not None and _has_like_beside(panel))
    )
    text = panel.xpath("boolean(.//p | .//pre | .//li | .//table)") or size_of(panel) > 0
    return bool(known and text and link_share(panel) < _MAX_LINK_SHARE)


def _has_like_beside(panel: "HtmlElement") -> bool:
    """Whether a sibling is a panel as well."""
    return any(
        beside.tag == panel.tag and _PANEL.search(beside.get("class") or "")
        for beside in (panel.getprevious(), panel.getnext())
        if beside is not None and isinstance(beside.tag, str)
    )


def _name_panels(tabs: "HtmlElement", controls: "dict[str, HtmlElement]") -> None:
    """The label of each tab over its panel, and the panels as parts of the text."""
    labels = tabs.xpath(".//*[@role='tab']")
    holder = tabs.getparent()
    if holder is None or not labels:
        return
    panels = holder.xpath(".//*[@role='tabpanel']")
    by_label = [
        next((p for p in panels if p.get("id") and controls.get(p.get("id")) is label), None)
        for label in labels
    ]
    if None in by_label:
        by_label = panels if len(panels) == len(labels) else []
    if not by_label or any(
        link_share(panel) >= _MAX_LINK_SHARE or not panel.xpath("boolean(.//p | .//pre)")
        for panel in by_label
    ):
        return
    for label, panel in zip(labels, by_label, strict=True):
        name = panel.makeelement("p")
        strong = panel.makeelement("strong")
        strong.text = " ".join(label.text_content().split())
        name.append(strong)
        panel.insert(0, name)
        name.tail, panel.text = panel.text, None
    tabs.drop_tree()
    for panel in by_label:
        _open(panel, holder)
    if not _has_own_text(holder) and holder.tag in ("div", "section"):
        holder.drop_tag()


def _open(panel: "HtmlElement", holder: "HtmlElement") -> None:
    """The content of a panel right in the holder of the tabs."""
    around = [above for above in panel.iterancestors() if above is not holder]
    for above in around:
        if above.getparent() is None or holder not in list(above.iterancestors()):
            break
        if above.tag in ("div", "section") and not _has_own_text(above):
            above.drop_tag()
    if not _has_own_text(panel):
        panel.drop_tag()


def _has_own_text(element: "HtmlElement") -> bool:
    texts = [element.text, *(child.tail for child in element)]
    return any((text or "").strip() for text in texts)
