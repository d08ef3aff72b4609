// Charts: the figures where the pointer is, lines that can be hidden, pictures to keep. Without it they are still there.
"use strict";

const NAMESPACE = "http://www.w3.org/2000/svg";

// Which lines of which chart were hidden, for when it is drawn anew.
const hiding = new Map();

function prepare(figure) {
  if (figure.dataset.ready) return;
  figure.dataset.ready = "yes";
  const data = JSON.parse(figure.querySelector("script").textContent);
  const svg = figure.querySelector(".plot > svg"), tip = figure.querySelector(".tip");
  const cursor = svg.querySelector(".cursor"), box = svg.viewBox.baseVal;
  const title = figure.querySelector("h2").textContent;
  if (!hiding.has(title)) hiding.set(title, new Set());
  const kept = hiding.get(title);
  const hidden = new Set(data.legend.filter((each) => kept.has(each.name)).flatMap((each) => each.lines));
  let pinned = null;

  const places = new Map();
  data.series.forEach((series, number) => {
    for (const [x, shown, at] of series.points) {
      if (!places.has(at)) places.set(at, { x, rows: [] });
      places.get(at).rows.push({ number, name: series.name, look: series.look, shown });
    }
  });

  function nearest(event) {
    const frame = svg.getBoundingClientRect();
    const wanted = ((event.clientX - frame.left) / frame.width) * box.width;
    return [...places.keys()].reduce((best, at) => (Math.abs(at - wanted) < Math.abs(best - wanted) ? at : best), Infinity);
  }

  function show(at) {
    const place = places.get(at);
    if (!place) return;
    const rows = place.rows.filter((row) => !hidden.has(row.number));
    tip.replaceChildren(Object.assign(document.createElement("strong"), { textContent: `${data.axis} ${place.x}` }));
    for (const row of rows) {
      const line = document.createElement("p"), name = document.createElement("span"), value = document.createElement("b");
      name.className = row.look;
      name.textContent = row.name;
      value.textContent = row.shown;
      line.append(name, value);
      tip.append(line);
    }
    tip.hidden = cursor.hidden = false;
    cursor.removeAttribute("hidden");
    cursor.firstElementChild.setAttribute("d", `M${at} 12V${box.height - 34}`);
    const frame = svg.getBoundingClientRect(), x = (at / box.width) * frame.width;
    const left = x + 16 + tip.offsetWidth > frame.width ? x - tip.offsetWidth - 16 : x + 16;
    tip.style.transform = `translate(${Math.max(0, left)}px, 8px)`;
    tip.classList.toggle("pinned", pinned !== null);
  }

  function hide() {
    tip.hidden = true;
    cursor.setAttribute("hidden", "");
  }

  svg.addEventListener("pointermove", (event) => { if (pinned === null && places.size) show(nearest(event)); });
  svg.addEventListener("pointerleave", () => { if (pinned === null) hide(); });
  svg.addEventListener("click", (event) => {
    if (event.target.closest("a") || !places.size) return;
    const at = nearest(event);
    pinned = pinned === at ? null : at;
    show(at);
  });

  for (const button of figure.querySelectorAll("[data-toggle]")) {
    const numbers = button.dataset.toggle.split(" ").map(Number);
    const lines = numbers.map((number) => svg.querySelector(`[data-line="${number}"]`));
    const name = button.textContent;
    const apply = (off) => {
      for (const number of numbers) if (off) hidden.add(number); else hidden.delete(number);
      for (const line of lines) line.classList.toggle("off", off);
      button.setAttribute("aria-pressed", String(!off));
    };
    apply(hidden.has(numbers[0]));
    button.addEventListener("click", () => {
      const off = !hidden.has(numbers[0]);
      if (off) kept.add(name); else kept.delete(name);
      apply(off);
      if (pinned !== null) show(pinned);
    });
    const others = () => [...svg.querySelectorAll(".line")].filter((each) => !lines.includes(each));
    button.addEventListener("pointerenter", () => others().forEach((each) => each.classList.add("dim")));
    button.addEventListener("pointerleave", () => others().forEach((each) => each.classList.remove("dim")));
  }

  figure.querySelector(".tools").hidden = false;
  for (const button of figure.querySelectorAll("[data-save]")) {
    button.addEventListener("click", () => save(svg, button.dataset.save, button.dataset.name, data.legend));
  }
}

// A picture of its own has no style sheet: what is computed here is written into each element.
function alone(svg) {
  const copy = svg.cloneNode(true), box = svg.viewBox.baseVal;
  const from = [svg, ...svg.querySelectorAll("*")], to = [copy, ...copy.querySelectorAll("*")];
  from.forEach((each, at) => {
    const style = getComputedStyle(each);
    for (const name of ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size", "display"]) {
      to[at].setAttribute(name, style.getPropertyValue(name));
    }
    to[at].removeAttribute("class");
  });
  for (const link of copy.querySelectorAll("a")) link.replaceWith(...link.childNodes);
  copy.querySelector("g[hidden]")?.remove();
  copy.setAttribute("xmlns", NAMESPACE);
  copy.setAttribute("width", box.width);
  copy.setAttribute("height", box.height);
  const ground = document.createElementNS(NAMESPACE, "rect");
  ground.setAttribute("width", box.width);
  ground.setAttribute("height", box.height);
  ground.setAttribute("fill", getComputedStyle(svg.closest(".card")).backgroundColor);
  copy.prepend(ground);
  return new XMLSerializer().serializeToString(copy);
}

function save(svg, kind, name, names) {
  const text = legend(alone(svg), svg, names);
  if (kind === "svg") return give(new Blob([text], { type: "image/svg+xml" }), `${name}.svg`);
  const picture = new Image();
  picture.onload = () => {
    const canvas = document.createElement("canvas");
    canvas.width = picture.width * 2;
    canvas.height = picture.height * 2;
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => give(blob, `${name}.png`));
  };
  picture.src = `data:image/svg+xml,${encodeURIComponent(text)}`;
}

function legend(text, svg, names) {
  const made = new DOMParser().parseFromString(text, "image/svg+xml"), root = made.documentElement;
  const box = svg.viewBox.baseVal, height = box.height + 18 * Math.ceil(names.length / 3) + 8;
  root.setAttribute("viewBox", `0 0 ${box.width} ${height}`);
  root.setAttribute("height", height);
  root.querySelector("rect").setAttribute("height", height);
  names.forEach((each, at) => {
    const x = 52 + (at % 3) * 170, y = box.height + 14 + Math.floor(at / 3) * 18;
    const line = svg.querySelector(`[data-line="${each.lines[0]}"]`);
    const mark = made.createElementNS(NAMESPACE, "path"), label = made.createElementNS(NAMESPACE, "text");
    mark.setAttribute("d", `M${x} ${y - 4}h14`);
    mark.setAttribute("stroke", getComputedStyle(line).color);
    mark.setAttribute("stroke-width", "3");
    label.setAttribute("x", x + 20);
    label.setAttribute("y", y);
    label.setAttribute("font-size", "12");
    label.setAttribute("font-family", "sans-serif");
    label.setAttribute("fill", getComputedStyle(svg.closest(".card")).color);
    label.textContent = each.name;
    root.append(mark, label);
  });
  return new XMLSerializer().serializeToString(made);
}

function give(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const prepareAll = () => document.querySelectorAll("[data-chart]").forEach(prepare);
document.addEventListener("comity:changed", prepareAll);
prepareAll();
