export const find = (id) => document.getElementById(id);
const csrf = document.querySelector("meta[name=csrf]").content;
export const PIECE = 512 * 1024;
const LOST = "Mien does not answer any more. Is it still running? Then reload this page.";

/* Talking with the device */

export async function ask(method, address, body, kind) {
  const headers = { "X-Mien-CSRF": csrf, Accept: "application/json" };
  if (kind) headers["Content-Type"] = kind;
  let answer;
  try {
    answer = await fetch(address, { method, headers, body });
  } catch {
    throw new Error(LOST);
  }
  let told = {};
  try {
    told = await answer.json();
  } catch {
    if (answer.ok) throw new Error(LOST);
  }
  if (!answer.ok) throw new Error(told.error || "Mien could not do that. Please reload the page.");
  return told;
}

export const tell = (address, fields = {}) =>
  ask("POST", address, new URLSearchParams(fields), "application/x-www-form-urlencoded");

/* One clip on its way: pieces are sent one after another, answers come while it is under way. */
export class Sending {
  constructor(job, heard = () => {}) {
    this.heard = heard;
    this.number = 0;
    this.begun = ask("POST", "/recordings", JSON.stringify(job), "application/json");
    this.chain = this.begun;
    this.result = this.begun.then(({ id }) => this.listen(id));
    this.result.catch(() => {});
  }

  add(piece, last = false) {
    const number = this.number++;
    this.chain = this.chain.then(async () => {
      const { id } = await this.begun;
      await ask("PUT", `/recordings/${id}?piece=${number}&last=${Number(last)}`, piece, "application/octet-stream");
    });
    this.chain.catch(() => {});
    return this.chain;
  }

  async addFile(file) {
    for (let start = 0; start < file.size; start += PIECE) {
      await this.add(file.slice(start, start + PIECE));
    }
    await this.add(new Blob([]), true);
  }

  async listen(id) {
    for (let seen = 0; ; ) {
      const told = await ask("GET", `/recordings/${id}?seen=${seen}`);
      seen = told.seen;
      if (told.error) throw new Error(told.error);
      if (told.done) return told.result;
      if (told.answer) this.heard(told.answer);
    }
  }
}

export async function sendFile(job, file) {
  const sending = new Sending(job);
  await sending.addFile(file).catch((error) => sending.result.then(() => {}, (better) => { throw better; }).then(() => { throw error; }));
  return sending.result;
}

export function element(kind, words, text, parent) {
  const made = document.createElementNS(kind === "polyline" || kind === "text" ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml", kind);
  for (const [name, value] of Object.entries(words)) made.setAttribute(name, value);
  made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

/* 1 to 8, Enter and u; not where one types, and Enter not where it presses something. */
export function onKeys({ choose, right, undo }) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.matches("input[type=text]")) return;
    if (event.key >= "1" && event.key <= "8") choose(Number(event.key) - 1);
    else if (event.key === "u") undo();
    else if (event.key === "Enter" && !event.target.closest("button, a, summary, input, label")) right();
    else return;
    event.preventDefault();
  });
}

document.querySelectorAll("[data-script]").forEach((each) => { each.hidden = false; });
document.querySelectorAll("form[data-busy]").forEach((form) => form.addEventListener("submit", () => {
  const button = form.querySelector("button:not([type=button])");
  button.textContent = form.dataset.busy;
  button.setAttribute("aria-busy", "true");
}));
