// Sliders that deal, and runs that are drawn as they come. What applies, and every figure and picture, the server says.
"use strict";

const form = document.getElementById("play");
const at = (id) => document.getElementById(id);
const results = at("results");
let source = null;
let asked = 0;

function query() {
  const given = new URLSearchParams(new FormData(form));
  given.delete("epsilon");
  return given.toString();
}

function shown(input) {
  const output = input.parentElement.querySelector("output");
  if (!output || input.disabled) return;
  output.textContent = input.dataset.percent === undefined ? input.value : `${Math.round(input.value * 100)} %`;
}

function tell(why) {
  at("why").textContent = why;
  at("why").hidden = !why;
}

function count() {
  const chosen = Number(form.elements.hospitals.value);
  form.querySelector(".hospitals").dataset.count = chosen;
  form.querySelectorAll(".hospital").forEach((each, place) => {
    each.hidden = place >= chosen;
    each.disabled = place >= chosen;
  });
}

async function deal() {
  const mine = ++asked;
  let said;
  try {
    said = await (await fetch(`/playground/dealt?${query()}`)).json();
  } catch {
    said = { error: "The playground does not answer. Is it still running?" };
  }
  if (mine !== asked) return;
  tell(said.error || "");
  form.classList.toggle("late", Boolean(said.error));
  if (said.error) {
    at("run").disabled = true;
    return;
  }
  for (const [letter, each] of Object.entries(said.hospitals)) {
    const card = form.querySelector(`[data-letter="${letter}"]`);
    const picture = card.querySelector("img");
    if (picture.getAttribute("src") !== each.picture) picture.src = each.picture;
    card.querySelector("figcaption").textContent = each.text;
  }
  const secure = at("secure_sum");
  secure.disabled = Boolean(said.reasons.secure_sum);
  if (secure.disabled) secure.checked = false;
  at("secure_sum-why").textContent = said.reasons.secure_sum || "Whoever combines updates sees their sum alone.";
  if (said.reasons.run) at("run-why").textContent = said.reasons.run;
  at("run").disabled = Boolean(said.reasons.run);
  const address = said.query ? `?${said.query}` : "";
  history.replaceState(null, "", `/playground${address}`);
  at("link").href = `/playground${address}`;
  at("code").href = `/playground/script.py${address}`;
}

function ended(said) {
  if (source) source.close();
  source = null;
  at("run").hidden = false;
  at("stop").hidden = true;
  at("done").hidden = true;
  at("said").textContent = said;
  at("run-why").hidden = false;
  results.removeAttribute("aria-busy");
}

function run() {
  if (source) source.close();
  tell("");
  at("run").hidden = true;
  at("stop").hidden = false;
  at("stop").focus({ preventScroll: true });
  at("run-why").hidden = true;
  at("done").hidden = false;
  at("done").removeAttribute("value");
  results.classList.remove("stale");
  const smooth = matchMedia("(prefers-reduced-motion: no-preference)").matches;
  at("said").textContent = "Training has begun.";
  results.setAttribute("aria-busy", "true");
  let verdict = "";
  let quarter = 0;
  let seen = false;
  source = new EventSource(`/playground/run?${query()}`);
  source.addEventListener("drawn", (event) => {
    const data = JSON.parse(event.data);
    results.innerHTML = data.html;
    if (!seen) results.scrollIntoView({ behavior: smooth ? "smooth" : "auto", block: "start" });
    seen = true;
    at("done").max = data.planned;
    at("done").value = data.done;
    verdict = data.said[0] || "";
    const reached = Math.floor((4 * data.done) / data.planned);
    if (reached > quarter && reached < 4) {
      quarter = reached;
      at("said").textContent = `${quarter * 25} % of the rounds are done.`;
    }
  });
  source.addEventListener("end", () => {
    ended(`Done. ${verdict}`);
    at("run").focus({ preventScroll: true });
  });
  source.addEventListener("refused", (event) => {
    const { why } = JSON.parse(event.data);
    ended("");
    tell(why);
  });
  // A browser would ask again by itself, and so begin another run.
  source.onerror = () => {
    ended("");
    tell("The connection was lost before the run had ended.");
  };
}

let soon;
form.addEventListener("input", (event) => {
  shown(event.target);
  if (event.target.name === "strategy") at("strategy-what").textContent = event.target.selectedOptions[0].dataset.about;
  if (!source && results.querySelector(".what")) results.classList.add("stale");
  if (event.target.name === "hospitals") count();
  clearTimeout(soon);
  soon = setTimeout(deal, 120);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
at("stop").addEventListener("click", () => {
  ended("Stopped.");
  at("run").focus();
});
at("link").addEventListener("click", async (event) => {
  if (!navigator.clipboard) return;
  event.preventDefault();
  await navigator.clipboard.writeText(at("link").href);
  at("link").textContent = "Copied";
  at("said").textContent = "The link was copied.";
  setTimeout(() => { at("link").textContent = "Link to this"; }, 2000);
});
count();
