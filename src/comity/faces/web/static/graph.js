// The graph of a plan: zoom by buttons, ctrl and wheel, or pinching; move by dragging. Without it one scrolls.
"use strict";

function prepareGraph() {
  const view = document.querySelector("[data-graph]");
  if (!view) return;
  document.querySelector(".zoom").hidden = false;
  if (view.dataset.ready) return;
  view.dataset.ready = "yes";
  const steps = view.querySelector(".steps"), lanes = view.querySelector(".lanes");
  const width = steps.viewBox.baseVal.width, height = steps.viewBox.baseVal.height;
  let scale = prepareGraph.scale ?? 1;

  function apply(next, x = view.clientWidth / 2) {
    const at = (view.scrollLeft + x) / scale;
    scale = prepareGraph.scale = Math.min(4, Math.max(0.05, next));
    steps.setAttribute("width", width * scale);
    steps.setAttribute("height", height * scale);
    lanes.setAttribute("height", height * scale);
    lanes.setAttribute("viewBox", `0 0 120 ${height * scale}`);
    lanes.querySelectorAll("rect").forEach((rect) => {
      rect.dataset.y ??= rect.getAttribute("y");
      rect.dataset.h ??= rect.getAttribute("height");
      rect.setAttribute("y", rect.dataset.y * scale);
      rect.setAttribute("height", rect.dataset.h * scale);
      rect.nextElementSibling.setAttribute("y", (Number(rect.dataset.y) + rect.dataset.h / 2) * scale + 4);
    });
    view.scrollLeft = at * scale - x;
  }

  const fit = () => apply(Math.min(1, (view.clientWidth - 130) / width));
  prepareGraph.zoom = (kind) => (kind === "fit" ? fit() : apply(scale * (kind === "in" ? 1.3 : 1 / 1.3)));
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    apply(scale * Math.exp(-event.deltaY / 300), event.clientX - view.getBoundingClientRect().left);
  }, { passive: false });

  let from = null, moved = false;
  view.addEventListener("pointerdown", (event) => {
    if (event.button || event.pointerType === "touch") return;
    from = [event.clientX + view.scrollLeft, event.clientY + view.scrollTop];
    moved = false;
  });
  addEventListener("pointermove", (event) => {
    if (!from) return;
    const left = from[0] - event.clientX, top = from[1] - event.clientY;
    moved ||= Math.abs(left - view.scrollLeft) + Math.abs(top - view.scrollTop) > 4;
    if (moved) view.scrollTo(left, top);
  });
  addEventListener("pointerup", () => { from = null; });
  view.addEventListener("click", (event) => { if (moved) event.preventDefault(); moved = false; }, true);
  view.addEventListener("dragstart", (event) => event.preventDefault());
  if (prepareGraph.scale) apply(scale);
}

document.addEventListener("click", (event) => {
  const kind = event.target.dataset?.zoom;
  if (kind) prepareGraph.zoom(kind);
});
document.addEventListener("comity:changed", prepareGraph);
prepareGraph();
