import { element, find, ask } from "./talk.js";

/* The user's avatar beside the person; there only for users who have set one. */
export class Avatar {
  constructor() {
    this.root = document.getElementById("avatar");
    this.names = this.root ? JSON.parse(this.root.dataset.names) : [];
    this.number = 0;
  }

  hide() {
    this.number += 1;
    if (this.root) this.root.hidden = true;
  }

  /* Shows the avatar that an answer drives; `real` is the person's own word, if there was one. */
  async follow(answer, real = "") {
    if (!this.names.includes(answer.who)) return;
    const number = ++this.number;
    const shares = answer.choices.map((each) => each.share).join(",");
    const asked = new URLSearchParams({ name: answer.who, shares, real });
    let told;
    try {
      told = await ask("POST", `/avatars?${asked}`, await frame(find("video")), "image/png");
    } catch (error) {
      told = { picture: "", alt: "", mark: "", note: error.message };
    }
    if (number === this.number) this.show(told);
  }

  show({ picture, alt, mark, note }) {
    const image = find("avatar-picture");
    image.hidden = !picture;
    if (picture) image.src = picture;
    image.alt = alt;
    const caption = find("avatar-mark");
    caption.replaceChildren();
    if (mark) element("span", { class: "mark" }, mark, caption);
    element("p", { class: "small" }, note, caption);
    this.root.hidden = false;
  }
}

/* What the camera shows now, or nothing. It goes to this computer's own Mien only. */
function frame(video) {
  if (!video.videoWidth) return Promise.resolve(new Blob([]));
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob((blob) => resolve(blob || new Blob([])), "image/png"));
}
