import { find, onKeys, sendFile } from "./talk.js";

/* Inbox: forms do the work, keys press their buttons. */
function startInbox() {
  const clips = [...document.querySelectorAll("[data-clip]")];
  const current = () => document.activeElement.closest("[data-clip]") || clips[0];
  onKeys({
    choose: (index) => current()?.querySelector(`[data-key="${index + 1}"]`)?.click(),
    right: () => current()?.querySelector("[data-right]")?.click(),
    undo: () => find("undo")?.click(),
  });
  if (find("undo") && !location.hash) clips[0]?.focus({ preventScroll: true });
  const progress = find("progress");
  find("files").addEventListener("change", async ({ target }) => {
    const problems = [];
    for (const [index, file] of [...target.files].entries()) {
      progress.hidden = false;
      progress.textContent = `Looking at ${file.name} (${index + 1} of ${target.files.length}) …`;
      try {
        await sendFile({ do: "recognise", name: file.name }, file);
      } catch (error) {
        problems.push(error.message);
      }
    }
    target.value = "";
    if (!problems.length) location.assign("/inbox");
    progress.textContent = problems.join(" ");
  });
}

startInbox();
