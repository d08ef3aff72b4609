// Keeps a page as it is at the node: whenever something has happened there, its parts marked data-live are asked for anew.
// What the visitor can do with it comes with the whole page, which is asked for when a part says that this has changed.
"use strict";

(() => {
  const feed = document.querySelector("[data-feed]")?.dataset.feed || "/feed";
  const busy = (part) =>
    part.contains(document.activeElement) && document.activeElement !== document.body ||
    part.querySelector("details[open], input:checked") || part.querySelector(".tip:not([hidden])");
  const was = new Map();
  let held = null;
  const acts = () => document.querySelector("[data-acts]")?.dataset.acts;
  let asked = false, again = "";

  async function renew(word) {
    if (asked) { again = word; return; }
    asked = true;
    try {
      const before = acts();
      await take({ "comity-live": word });
      if (acts() !== before) await take({});
    } catch {
      // The node is away; the feed comes back with it.
    } finally {
      asked = false;
      if (again) { const next = again; again = ""; renew(next); }
    }
  }

  async function take(headers) {
    const answer = await fetch(location.href, { headers: { accept: "text/html", ...headers }, redirect: "error" });
    if (answer.ok) replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
  }

  function replace(page) {
    let changed = false;
    held = null;
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = page.getElementById(part.id);
      if (!next || next.outerHTML === was.get(part.id)) continue;
      if (busy(part)) { held = page; continue; }
      was.set(part.id, next.outerHTML);
      const scrolled = [part.scrollLeft, part.scrollTop];
      const made = document.importNode(next, true);
      part.replaceWith(made);
      [made.scrollLeft, made.scrollTop] = scrolled;
      changed = true;
    }
    if (changed) document.dispatchEvent(new CustomEvent("comity:changed"));
  }

  // What came while a part was in use is shown once it is not.
  for (const kind of ["focusout", "toggle", "change", "click", "pointerout"]) {
    document.addEventListener(kind, () => { if (held) setTimeout(() => { if (held) replace(held); }); }, true);
  }

  let source = null;
  const listen = (size) => {
    source = new EventSource(feed + (feed.includes("?") ? "&" : "?") + `size=${size}`);
    source.addEventListener("changed", (event) => renew(event.data));
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { source?.close(); source = null; }
    else if (!source) listen(0);
  });
  addEventListener("pagehide", () => source?.close());
  if (!document.hidden) listen(document.getElementById("main").dataset.size);
})();
