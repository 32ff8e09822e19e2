const { backbones, videos, categories, results } = JSON.parse(
  document.getElementById("choices").textContent
);
const [backbone, video, category, seed] = ["backbone", "video", "category", "seed"].map((id) =>
  document.getElementById(id)
);
const shown = document.getElementById("shown");
const player = new Player(document.querySelector(".player"));

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

// Fills a list of choices and keeps the one that was chosen, if it is still there.
function fill(select, values) {
  const before = select.value;
  select.replaceChildren(...values.map((value) => new Option(value, value)));
  if (values.map(String).includes(before)) select.value = before;
  select.parentElement.hidden = values.length < 2;
}

function drawing(curve) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 24");
  svg.setAttribute("class", "curve");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", curve.text);
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  line.setAttribute("class", "loss");
  line.setAttribute("points", curve.line);
  line.setAttribute("vector-effect", "non-scaling-stroke");
  svg.append(line);
  return svg;
}

function figure(name, file, detail, { error, flow, curve } = {}) {
  const made = document.createElement("figure");
  if (file) {
    const player = document.createElement("video");
    Object.assign(player, { muted: true, playsInline: true, preload: "auto", src: file });
    player.setAttribute("aria-label", name);
    made.append(player);
  } else {
    made.append(element("p", error ?? "This video is not there.", "missing error"));
  }
  const caption = element("figcaption", `${name} `);
  caption.append(element("span", detail, "detail"));
  made.append(caption);
  if (flow) {
    const picture = element("img", "", "flow");
    Object.assign(picture, { src: flow, alt: `Motion flows of the reference and of ${name}`, loading: "lazy" });
    made.append(picture);
  }
  if (curve) made.append(drawing(curve), element("p", curve.text, "faint"));
  return made;
}

function show() {
  const here = results.filter(
    (r) =>
      r.backbone === backbone.value && r.video === video.value && r.category === category.value
  );
  fill(seed, [...new Set(here.map((r) => r.seed))]);
  const chosen = here.filter((r) => String(r.seed) === seed.value);
  document.getElementById("prompt").textContent = chosen.length
    ? `“${chosen[0].prompt}”`
    : "Nothing was made for this choice yet.";
  for (const old of shown.querySelectorAll("video")) old.removeAttribute("src"); // let it go
  shown.replaceChildren(
    figure("reference", videos[video.value], video.value),
    ...chosen.map((r) => figure(r.name, r.file, r.scores, r))
  );
  document.getElementById("colours").hidden = !shown.querySelector(".flow");
  player.take();
}

function step(by) {
  const count = video.options.length;
  video.selectedIndex = (video.selectedIndex + by + count) % count;
  show();
}

fill(backbone, backbones);
fill(video, Object.keys(videos));
fill(category, categories);
for (const select of [backbone, video, category, seed]) select.addEventListener("change", show);
document.getElementById("previous").addEventListener("click", () => step(-1));
document.getElementById("next").addEventListener("click", () => step(1));
show();
