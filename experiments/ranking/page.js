"use strict";

const study = JSON.parse(document.getElementById("study").textContent);
const keptAs = `ranking-study:${study.id}`;
const at = (id) => document.getElementById(id);
const list = at("copies");
const narrow = matchMedia("(max-width: 700px)");

// ---- What is known of this rater, kept at every change -------------------------------

function fresh() {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  return {
    rater: Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(""),
    name: "",
    view: "intro", // or the number of a trial, or "end"
    trials: study.trials.map((trial) => ({
      order: trial.copies.map((copy) => copy.id),
      moves: 0,
      milliseconds: 0,
      confirmed: false,
    })),
  };
}

function kept() {
  try {
    return JSON.parse(localStorage.getItem(keptAs)) || fresh();
  } catch {
    return fresh();
  }
}

function keep() {
  countTime();
  const text = JSON.stringify(state);
  // Nothing new to say: another tab may have said more in the meantime.
  if (text === lastKept) return;
  try {
    localStorage.setItem(keptAs, text);
    lastKept = text;
  } catch {
    at("notice").textContent =
      "This browser keeps nothing for this page: export before you close it.";
    at("notice").hidden = false;
  }
}

let state = kept();
let lastKept = JSON.stringify(state);
let since = null; // when the clock of the trial in sight was last read

function countTime() {
  const now = performance.now();
  if (since !== null) {
    state.trials[state.view].milliseconds += Math.round(now - since);
  }
  const running = typeof state.view === "number" && !document.hidden;
  since = running ? now : null;
}

// ---- Views -----------------------------------------------------------------------------

function show(view) {
  countTime();
  state.view = view;
  since = null;
  keep();
  for (const id of ["intro", "trial", "end"]) {
    at(id).hidden = id !== (typeof view === "number" ? "trial" : view);
  }
  const total = study.trials.length;
  const done = state.trials.filter((answer) => answer.confirmed).length;
  at("progress").hidden = view === "intro";
  at("bar").max = total;
  at("bar").value = done;
  at("count").textContent = `${done} of ${total}`;
  at("export-so-far").hidden = view === "end" || done === 0;
  announce("");
  if (typeof view === "number") showTrial(view);
  if (view === "end") at("done").focus();
  scrollTo(0, 0);
}

function showTrial(number) {
  const trial = study.trials[number];
  at("heading").textContent = `Picture ${number + 1} of ${study.trials.length}`;
  at("back").disabled = number === 0;
  at("original").querySelector("img").src = trial.original;
  const cards = new Map(
    trial.copies.map((copy, i) => [copy.id, card(copy, String.fromCharCode(65 + i))]),
  );
  list.replaceChildren(...state.trials[number].order.map((id) => cards.get(id)));
  label();
  fit();
  at("heading").focus({ preventScroll: true });
}

function card(copy, letter) {
  const made = at("copy").content.firstElementChild.cloneNode(true);
  made.querySelector("img").src = copy.source;
  made.dataset.id = copy.id;
  made.dataset.letter = letter;
  return made;
}

// Places, as seen and as read out; `places` are those that a drag would lead to.
function label(places = null) {
  const cards = [...list.children];
  cards.forEach((made, i) => {
    const place = places ? places[i] : i;
    const last = cards.length - 1;
    made.querySelector("b").textContent = place + 1;
    made.querySelector(".place span").textContent =
      place === 0 ? "most alike" : place === last ? "least alike" : "";
    const name = `Copy ${made.dataset.letter}`;
    made.querySelector(".mat").setAttribute(
      "aria-label",
      `${name}, place ${place + 1} of ${cards.length}. Arrow keys move it.`,
    );
    for (const button of made.querySelectorAll("button")) {
      const better = button.dataset.by === "-1";
      button.setAttribute("aria-label", `${name}: ${better ? "better" : "worse"}`);
      button.setAttribute("aria-disabled", place === (better ? 0 : last));
    }
  });
}

// The largest whole number of screen pixels per pixel that leaves room for all.
function fit() {
  const { width, height } = study;
  const cards = study.trials[0].copies.length;
  const padding = parseFloat(getComputedStyle(at("trial").parentElement).paddingLeft);
  const room = at("trial").parentElement.clientWidth - 2 * padding;
  const rows = Math.ceil(cards / Math.max(1, Math.floor(room / 240) - 1));
  const inRow = Math.ceil(cards / rows);
  const wide = narrow.matches ? room / 2 - 24 : room / (inRow + 1) - 40;
  const tall = narrow.matches
    ? Math.max(120, (innerHeight - 190) / cards - 60)
    : Math.max(200, innerHeight - 330);
  const scale = devicePixelRatio * Math.min(wide / width, tall / height);
  const zoom = (scale >= 1 ? Math.floor(scale) : scale) / devicePixelRatio;
  const style = at("stage").style;
  style.setProperty("--width", `${width * zoom}px`);
  style.setProperty("--height", `${height * zoom}px`);
  style.setProperty("--rendering", scale >= 1 ? "pixelated" : "auto");
}

function announce(text) {
  at("announcement").textContent = text;
}

// ---- Moving ----------------------------------------------------------------------------

function move(made, to) {
  const cards = [...list.children];
  const from = cards.indexOf(made);
  to = Math.max(0, Math.min(cards.length - 1, to));
  const focused = document.activeElement;
  const before = cards.map((one) => one.getBoundingClientRect());
  for (const one of cards) one.style.transform = "";
  if (from !== to) {
    list.insertBefore(made, cards[to + (to > from)] || null);
    focused.focus({ preventScroll: true }); // Which it lost on the way.
    const answer = state.trials[state.view];
    answer.order = [...list.children].map((one) => one.dataset.id);
    answer.moves += 1;
    // The answer counts again when it is confirmed again.
    answer.confirmed = false;
    keep();
    announce(`Copy ${made.dataset.letter}: place ${to + 1} of ${cards.length}`);
  }
  label();
  // Each glides from where it was seen last.
  cards.forEach((one, i) => {
    const after = one.getBoundingClientRect();
    const [x, y] = [before[i].left - after.left, before[i].top - after.top];
    one.classList.remove("settling");
    one.style.transform = `translate(${x}px, ${y}px)`;
  });
  list.getBoundingClientRect(); // Makes the browser see the start of the glide.
  for (const one of cards) {
    one.classList.add("settling");
    one.style.transform = "";
  }
}

let drag = null;

list.addEventListener("pointerdown", (event) => {
  const mat = event.target.closest(".mat");
  if (!mat || drag || event.button !== 0) return;
  const cards = [...list.children];
  drag = {
    pointer: event.pointerId,
    card: mat.parentElement,
    from: cards.indexOf(mat.parentElement),
    to: cards.indexOf(mat.parentElement),
    start: [event.pageX, event.pageY],
    // Places do not move while cards do.
    slots: cards.map((one) => [one.offsetLeft, one.offsetTop]),
    begun: false,
  };
  list.setPointerCapture(event.pointerId);
});

list.addEventListener("pointermove", (event) => {
  if (!drag || event.pointerId !== drag.pointer) return;
  const by = [event.pageX - drag.start[0], event.pageY - drag.start[1]];
  if (!drag.begun && Math.hypot(...by) < 5) return;
  if (!drag.begun) {
    drag.begun = true;
    list.classList.add("sorting");
    drag.card.classList.add("dragged");
    for (const one of list.children) one.classList.remove("settling");
  }
  const [left, top] = drag.slots[drag.from];
  const distances = drag.slots.map(([x, y]) => Math.hypot(left + by[0] - x, top + by[1] - y));
  drag.to = distances.indexOf(Math.min(...distances));
  const places = drag.slots.map((_, i) => {
    if (i === drag.from) return drag.to;
    if (i > drag.from && i <= drag.to) return i - 1;
    if (i < drag.from && i >= drag.to) return i + 1;
    return i;
  });
  [...list.children].forEach((one, i) => {
    const [x, y] = i === drag.from
      ? by
      : [0, 1].map((axis) => drag.slots[places[i]][axis] - drag.slots[i][axis]);
    one.style.transform = `translate(${x}px, ${y}px)`;
  });
  label(places);
});

function drop(place) {
  const { card: made, begun, from } = drag;
  drag = null;
  list.classList.remove("sorting");
  made.classList.remove("dragged");
  made.querySelector(".mat").focus({ preventScroll: true });
  if (begun) move(made, place ?? from);
}

list.addEventListener("pointerup", (event) => {
  if (drag && event.pointerId === drag.pointer) drop(drag.to);
});
for (const kind of ["pointercancel", "lostpointercapture"]) {
  list.addEventListener(kind, (event) => {
    if (drag && event.pointerId === drag.pointer) drop(null);
  });
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && drag) drop(null);
});

list.addEventListener("keydown", (event) => {
  const made = event.target.closest(".copy");
  if (!made || drag || event.ctrlKey || event.altKey || event.metaKey) return;
  const cards = [...list.children];
  const from = cards.indexOf(made);
  const places = {
    ArrowLeft: from - 1,
    ArrowUp: from - 1,
    ArrowRight: from + 1,
    ArrowDown: from + 1,
    Home: 0,
    End: cards.length - 1,
  };
  if (!(event.key in places)) return;
  event.preventDefault();
  move(made, places[event.key]);
});

list.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const made = button.closest(".copy");
  button.focus();
  move(made, [...list.children].indexOf(made) + Number(button.dataset.by));
});

// ---- Buttons ---------------------------------------------------------------------------

function exportAnswers() {
  keep();
  const answers = {
    format: "ranking-answers/1",
    study: study.id,
    rater: state.rater,
    name: state.name,
    sealed: study.sealed,
    trials_in_study: study.trials.length,
    trials: study.trials.flatMap((trial, i) => {
      const { order, moves, milliseconds, confirmed } = state.trials[i];
      const shown = trial.copies.map((copy) => copy.id);
      const { image } = trial;
      return confirmed ? [{ image, shown, order, moves, milliseconds }] : [];
    }),
  };
  const blob = new Blob([JSON.stringify(answers, null, 2) + "\n"], {
    type: "application/json",
  });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  const count = `${answers.trials.length}of${study.trials.length}`;
  link.download = `answers-${study.id}-${state.rater}-${count}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function confirmOrder() {
  state.trials[state.view].confirmed = true;
  const next = state.view + 1;
  // What was changed on the way back and not confirmed again comes before the end.
  const open = state.trials.findIndex((answer) => !answer.confirmed);
  show(next < study.trials.length ? next : open >= 0 ? open : "end");
}

at("begin").addEventListener("click", () => show(0));
at("name").addEventListener("input", (event) => {
  state.name = event.target.value.trim();
  keep();
});
at("back").addEventListener("click", () => show(state.view - 1));
at("confirm").addEventListener("click", confirmOrder);
at("review").addEventListener("click", () => show(study.trials.length - 1));
at("export").addEventListener("click", exportAnswers);
at("export-so-far").addEventListener("click", exportAnswers);
at("another").addEventListener("click", () => {
  if (!confirm("Forget these answers and start anew? Export them first.")) return;
  state = fresh();
  since = null;
  at("name").value = "";
  show("intro");
});
addEventListener("resize", () => typeof state.view === "number" && fit());
addEventListener("pagehide", keep);
addEventListener("storage", (event) => {
  if (event.key !== keptAs) return;
  state = kept();
  lastKept = JSON.stringify(state);
  since = null;
  at("name").value = state.name;
  show(state.view);
});
document.addEventListener("visibilitychange", keep);

at("how-many").textContent = study.trials.length;
at("how-many-done").textContent = study.trials.length;
at("how-many-copies").textContent = study.trials[0].copies.length;
at("name").value = state.name;
show(state.view);
