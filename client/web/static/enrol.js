import { Camera } from "./camera.js";
import { Sending, element, find, sendFile } from "./talk.js";

function startEnrol(root) {
  const [form, record, files, send, outcome] = ["enrol", "record", "files", "send", "outcome"].map(find);
  const camera = new Camera((ready) => { record.disabled = !ready; });
  let busy = false;

  const say = (text, kind = "note") => outcome.replaceChildren(element("div", { class: kind }, text));

  async function work(clips) {
    if (busy || !form.reportValidity()) return;
    busy = true;
    record.disabled = send.disabled = true;
    const job = { do: "enrol", user: find("name").value.trim(), agreed: find("agreed").checked, federate: find("federate").checked };
    try {
      let told;
      for (const clip of clips) told = await clip(job);
      welcome(told);
    } catch (error) {
      say(error.message, "note warn");
    }
    busy = false;
    record.disabled = !camera.stream;
    send.disabled = !files.files.length;
    outcome.scrollIntoView({ block: "nearest" });
  }

  function welcome(told) {
    say("");
    const row = element("div", { class: "row" }, "", outcome.firstChild);
    element("p", {}, told.sentence, row);
    element("a", { class: "button primary", href: "/live" }, "Go to Live", row);
  }

  record.addEventListener("click", () => work([async (job) => {
    say("Look at the camera …");
    const sending = new Sending(job);
    await camera.record(Number(root.dataset.seconds), sending);
    say("Looking …");
    return sending.result;
  }]));
  files.addEventListener("change", () => { send.disabled = !files.files.length; });
  send.addEventListener("click", () => work([...files.files].map((file) => (job) => {
    say(`Looking at ${file.name} …`);
    return sendFile({ ...job, name: file.name }, file);
  })));
  form.addEventListener("submit", (event) => event.preventDefault());
}

startEnrol(find("live"));
