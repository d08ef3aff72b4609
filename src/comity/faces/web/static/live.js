// Keeps a page as it is at the node: whenever something has happened there, its parts marked data-live are asked for anew.
"use strict";

(() => {
  const feed = document.querySelector("[data-feed]")?.dataset.feed || "/feed";
  const busy = (part) =>
    part.contains(document.activeElement) && document.activeElement !== document.body ||
    part.querySelector("details[open], input:checked") || part.querySelector(".tip:not([hidden])");
  const was = new Map();
  let asked = false, again = false;

  async function renew() {
    if (asked) { again = true; return; }
    asked = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
      if (answer.ok) replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // The node is away; the feed comes back with it.
    } finally {
      asked = false;
      if (again) { again = false; renew(); }
    }
  }

  function replace(page) {
    let changed = false;
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = page.getElementById(part.id);
      if (!next || next.outerHTML === was.get(part.id) || busy(part)) continue;
      was.set(part.id, next.outerHTML);
      const scrolled = [part.scrollLeft, part.scrollTop];
      const made = document.importNode(next, true);
      part.replaceWith(made);
      [made.scrollLeft, made.scrollTop] = scrolled;
      changed = true;
    }
    if (changed) document.dispatchEvent(new CustomEvent("comity:changed"));
  }

  let source = null;
  const listen = () => {
    source = new EventSource(feed);
    source.addEventListener("changed", renew);
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { source?.close(); source = null; }
    else if (!source) { listen(); renew(); }
  });
  addEventListener("pagehide", () => source?.close());
  if (!document.hidden) listen();
})();
