import { Avatar } from "./avatar.js";
import { Camera, drawBox, drawCurve } from "./camera.js";
import { Sending, element, find, onKeys, tell } from "./talk.js";

function startLive(root) {
  const seconds = Number(root.dataset.seconds);
  const [record, right, undo, outcome] = ["record", "right", "undo", "outcome"].map(find);
  const choices = [...document.querySelectorAll(".choice")];
  let clip = "";
  let guess = "";
  let answered = null;
  let busy = false;
  const avatar = new Avatar();
  const camera = new Camera((ready) => { record.disabled = !ready; });

  const say = (text, by = "") => {
    find("verdict").textContent = text;
    find("verdict").classList.add("waiting");
    find("byline").textContent = by;
  };

  function show(answer) {
    const verdict = find("verdict");
    verdict.textContent = `${answer.word} `;
    verdict.classList.remove("waiting");
    element("span", { class: "number" }, `${answer.percent} %`, verdict);
    find("byline").textContent = answer.why;
    find("tag").textContent = answer.who;
    find("tag").hidden = false;
    for (const [index, each] of answer.choices.entries()) {
      choices[index].querySelector("rect").setAttribute("width", each.percent);
      choices[index].querySelector(".number").textContent = `${each.percent} %`;
      choices[index].classList.toggle("top", each.key === answer.expression);
    }
    drawCurve(answer, seconds);
    drawBox(answer.moments.at(-1)?.box);
  }

  function open(id, expression) {
    clip = id;
    guess = expression;
    right.disabled = !id;
    choices.forEach((each) => { each.disabled = !id; });
  }

  function finish(answer, blob) {
    answered = answer;
    show(answer);
    avatar.follow(answer);
    find("warnings").replaceChildren();
    for (const text of answer.warnings) element("p", { class: "small muted" }, text, find("warnings"));
    camera.replay(blob);
    open(answer.clip, answer.expression);
    find("spoken").textContent = `${answer.word}, ${answer.percent} percent. ${answer.who}. ${answer.warnings.join(" ")}`;
    if (answer.clip) right.focus();
    else guest();
  }

  function guest() {
    outcome.replaceChildren();
    const note = element("div", { class: "note" }, "", outcome);
    const row = element("div", { class: "row" }, "", note);
    element("p", {}, "I don’t know this face, so nothing was kept.", row);
    element("a", { class: "button", href: "/users/new" }, "Enrol", row);
  }

  async function start() {
    if (busy || !camera.stream) return;
    busy = true;
    answered = null;
    avatar.hide();
    open("", "");
    undo.hidden = true;
    record.disabled = true;
    outcome.replaceChildren();
    find("warnings").replaceChildren();
    find("tag").hidden = true;
    drawBox(null);
    choices.forEach((each) => each.setAttribute("aria-pressed", "false"));
    say("Looking …", "The first time takes a moment longer.");
    try {
      await camera.show();
      const sending = new Sending({ do: "recognise" }, show);
      const blob = await camera.record(seconds, sending);
      finish(await sending.result, blob);
    } catch (error) {
      say("That did not work", error.message);
      find("spoken").textContent = error.message;
    }
    busy = false;
    record.disabled = !camera.stream;
    record.textContent = "Record again";
  }

  async function mark(expression) {
    if (!clip || !expression) return;
    const told = await attempt(() => tell(`/clips/${clip}/label`, { expression }));
    if (!told) return;
    choices.forEach((each) => each.setAttribute("aria-pressed", String(each.value === expression)));
    undo.hidden = false;
    right.disabled = true;
    if (answered) avatar.follow(answered, expression);
    thank(told);
    record.focus();
  }

  function thank(told) {
    outcome.replaceChildren();
    const note = element("div", { class: "note", role: "status" }, "", outcome);
    const row = element("div", { class: "row" }, "", note);
    element("p", {}, told.sentence, row);
    if (!told.due) return;
    const learn = element("button", { class: "primary" }, "Learn now", row);
    learn.addEventListener("click", async () => {
      learn.disabled = true;
      learn.textContent = "Learning …";
      const learned = await attempt(() => tell("/users/personalise", { name: told.user }));
      if (learned) note.replaceChildren(element("p", {}, learned.sentence));
    });
  }

  async function back() {
    if (undo.hidden) return;
    const told = await attempt(() => tell(`/clips/${clip}/undo`));
    if (!told) return;
    choices.forEach((each) => each.setAttribute("aria-pressed", String(each.value === told.expression)));
    if (answered) avatar.follow(answered, told.expression || "");
    undo.hidden = true;
    right.disabled = false;
    outcome.replaceChildren(element("p", { role: "status" }, told.sentence));
    right.focus();
  }

  async function attempt(work) {
    try {
      return await work();
    } catch (error) {
      outcome.replaceChildren(element("div", { class: "note warn", role: "alert" }, error.message));
      return null;
    }
  }

  /* While the recording is shown again, box and picture belong together. */
  find("video").addEventListener("timeupdate", () => {
    if (!answered || find("video").srcObject) return;
    const now = find("video").currentTime;
    drawBox((answered.moments.findLast(({ at }) => at <= now) || answered.moments[0])?.box);
  });
  record.addEventListener("click", start);
  right.addEventListener("click", () => mark(guess));
  undo.addEventListener("click", back);
  choices.forEach((each) => each.addEventListener("click", () => mark(each.value)));
  onKeys({ choose: (index) => !choices[index].disabled && mark(choices[index].value), right: () => right.disabled || mark(guess), undo: back });
}

startLive(find("live"));
