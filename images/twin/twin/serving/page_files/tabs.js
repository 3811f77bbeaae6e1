// Tabs by the ARIA Authoring Practices: arrows, Home and End go from one to another.

/** Show the panel of the tab that is chosen; `changed(panel)` is told of its id. */
export function tabs(list, changed) {
  const all = [...list.querySelectorAll("[role=tab]")];
  const choose = (chosen) => {
    for (const tab of all) {
      const is = tab === chosen;
      tab.setAttribute("aria-selected", String(is));
      tab.tabIndex = is ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !is;
    }
    changed(chosen.getAttribute("aria-controls"));
  };
  for (const tab of all) tab.addEventListener("click", () => choose(tab));
  list.addEventListener("keydown", (event) => {
    const place = all.indexOf(document.activeElement);
    const next = {
      ArrowRight: (place + 1) % all.length,
      ArrowLeft: (place - 1 + all.length) % all.length,
      Home: 0,
      End: all.length - 1,
    }[event.key];
    if (next === undefined || place < 0) return;
    event.preventDefault();
    all[next].focus();
    choose(all[next]);
  });
}
