const { study, trials } = JSON.parse(document.getElementById("study").textContent);
const byName = new Map(trials.map((trial) => [trial.name, trial]));
const store = `ditflow rating ${study}`;
const find = (id) => document.getElementById(id);
const form = find("form");
const statements = [...new Set([...form.querySelectorAll("input")].map((input) => input.name))];
const player = new Player(document.querySelector(".player"));
const state = restored() ?? { rater: randomName(), order: shuffled([...byName.keys()]), at: 0, answers: {} };

function randomName() {
  return [...crypto.getRandomValues(new Uint8Array(6))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

function shuffled(names) {
  for (let last = names.length - 1; last > 0; last--) {
    const [draw] = crypto.getRandomValues(new Uint32Array(1));
    const other = draw % (last + 1);
    [names[last], names[other]] = [names[other], names[last]];
  }
  return names;
}

// What this browser kept of this study; nothing if it keeps nothing.
function restored() {
  try {
    const kept = JSON.parse(localStorage.getItem(store));
    const whole = kept && kept.order.length === trials.length && kept.order.every((n) => byName.has(n));
    return whole ? kept : null;
  } catch {
    return null;
  }
}

function keep() {
  try {
    localStorage.setItem(store, JSON.stringify(state));
  } catch {
    // The answers are still on the page, and are saved at the end.
  }
}

function rated(name) {
  return statements.every((statement) => state.answers[name]?.[statement]);
}

function only(id) {
  for (const section of ["intro", "trial", "end"]) find(section).hidden = section !== id;
}

function video(label, address) {
  const made = document.createElement("figure");
  const shown = document.createElement("video");
  Object.assign(shown, { muted: true, playsInline: true, preload: "auto", src: address });
  shown.setAttribute("aria-label", label);
  const caption = document.createElement("figcaption");
  caption.textContent = label;
  made.append(shown, caption);
  return made;
}

function show() {
  if (state.at >= state.order.length) {
    player.play(false);
    only("end");
    find("thanks").focus();
    return;
  }
  const name = state.order[state.at];
  const trial = byName.get(name);
  only("trial");
  find("place").textContent = `Video ${state.at + 1} of ${state.order.length}`;
  find("progress").value = state.order.filter(rated).length;
  find("prompt").textContent = trial.prompt;
  find("shown").replaceChildren(video("reference", trial.reference), video("generated", trial.video));
  form.reset();
  for (const statement of statements) {
    const level = state.answers[name]?.[statement];
    if (level) form.elements[statement].value = String(level);
  }
  find("back").disabled = state.at === 0;
  find("next").disabled = !rated(name);
  player.playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  player.take();
  find("place").focus();
}

function go(by) {
  state.at += by;
  keep();
  show();
}

form.addEventListener("change", (event) => {
  const name = state.order[state.at];
  (state.answers[name] ??= {})[event.target.name] = Number(event.target.value);
  find("next").disabled = !rated(name);
  keep();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (rated(state.order[state.at])) go(1);
});
find("begin").addEventListener("click", () => show());
find("back").addEventListener("click", () => go(-1));
find("review").addEventListener("click", () => go(-1));
find("save").addEventListener("click", () => {
  const { rater, order, answers } = state;
  const text = JSON.stringify({ study, rater, order, answers }, null, 1);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = `answers-${rater}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000); // some browsers read it later
});
if (Object.keys(state.answers).length) find("begin").textContent = "Go on";
