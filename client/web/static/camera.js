import { PIECE, element, find } from "./talk.js";

/* The camera */

const CAMERA_ERRORS = {
  NotAllowedError: "The browser may not use the camera. Allow it beside the address of this page, then try again.",
  NotFoundError: "No camera was found. Plug one in and try again, or use clips you have.",
  NotReadableError: "The camera is in use by another program. Close that one, then try again.",
};

export class Camera {
  constructor(onReady) {
    this.video = find("video");
    this.onReady = onReady;
    find("camera-on").addEventListener("click", () => this.on());
    find("camera-off").addEventListener("click", () => this.off());
    addEventListener("pagehide", () => this.off());
    if (!navigator.mediaDevices || !window.MediaRecorder) {
      this.cover("This browser can’t record from a camera. Use a current Firefox, Chrome, Edge or Safari, or clips you have.");
      find("camera-on").hidden = true;
    }
  }

  cover(text, again = "Turn the camera on") {
    find("cover-text").textContent = text;
    find("camera-on").textContent = again;
    find("cover").hidden = false;
  }

  async on() {
    const wanted = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 }, facingMode: "user" };
    find("cover-text").textContent = "The browser now asks whether this page may use the camera. Please allow it.";
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    } catch (error) {
      this.cover(CAMERA_ERRORS[error.name] || "The camera could not be started. Please try again.", "Try again");
      return;
    }
    this.stream.getVideoTracks()[0].addEventListener("ended", () => this.off("The camera was taken away. Plug it in and try again."));
    await this.show();
    find("cover").hidden = true;
    find("camera-off").hidden = false;
    this.onReady(true);
  }

  async show() {
    this.video.loop = false;
    if (this.video.src) URL.revokeObjectURL(this.video.src);
    this.video.removeAttribute("src");
    this.video.srcObject = this.stream;
    await this.video.play();
  }

  off(text = "The camera is off.") {
    if (this.stream) this.stream.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.video.srcObject = null;
    drawBox(null);
    this.cover(text);
    find("camera-off").hidden = true;
    this.onReady(false);
  }

  replay(blob) {
    this.video.srcObject = null;
    this.video.src = URL.createObjectURL(blob);
    this.video.loop = true;
    this.video.play().catch(() => {});
  }

  /* Records for some seconds and sends the pieces as they come; the whole clip as a Blob. */
  async record(seconds, sending) {
    const type = ["video/webm;codecs=vp8", "video/mp4"].find((each) => MediaRecorder.isTypeSupported(each));
    const recorder = new MediaRecorder(this.stream, { mimeType: type, videoBitsPerSecond: 2500000 });
    const pieces = [];
    const ended = new Promise((resolve) => recorder.addEventListener("stop", resolve));
    recorder.addEventListener("dataavailable", ({ data }) => {
      if (!data.size) return;
      pieces.push(data);
      for (let start = 0; start < data.size; start += PIECE) sending.add(data.slice(start, start + PIECE));
    });
    const count = find("count");
    const until = performance.now() + seconds * 1000;
    const tick = setInterval(() => {
      count.textContent = String(Math.max(1, Math.ceil((until - performance.now()) / 1000)));
    }, 100);
    count.textContent = String(seconds);
    count.hidden = false;
    find("stage").classList.add("recording");
    recorder.start(200);
    const enough = setTimeout(() => recorder.state === "inactive" || recorder.stop(), seconds * 1000);
    sending.result.catch(() => recorder.state === "inactive" || recorder.stop());
    await ended;
    clearTimeout(enough);
    clearInterval(tick);
    count.hidden = true;
    find("stage").classList.remove("recording");
    sending.add(new Blob([]), true);
    return new Blob(pieces, { type });
  }
}

/* Boxes are parts of the frame; the preview shows the middle of it, as large as fits. */
export function drawBox(box) {
  const rect = find("box");
  const video = find("video");
  if (!box || !video.videoWidth) return rect.setAttribute("visibility", "hidden");
  const [width, height] = [video.videoWidth, video.videoHeight];
  find("overlay").setAttribute("viewBox", `0 0 ${width} ${height}`);
  const [left, top, right, bottom] = box;
  const place = { x: left * width, y: top * height, width: (right - left) * width, height: (bottom - top) * height, rx: width / 60 };
  for (const [name, value] of Object.entries(place)) rect.setAttribute(name, String(Math.max(0, value)));
  rect.setAttribute("visibility", "visible");
}

/* Probabilities over time, 400 by 120: the two likeliest stand out and carry their names. */
export function drawCurve(answer, seconds) {
  const svg = find("curve");
  svg.querySelectorAll("polyline, text").forEach((each) => each.remove());
  const moments = answer.moments;
  if (!moments.length) return;
  const until = answer.final ? moments.at(-1).at : Math.max(seconds, moments.at(-1).at);
  const x = ({ at }) => (until ? (400 * at) / until : 400);
  const y = (share) => 118 - 102 * share;
  const ranked = answer.choices.map((each, index) => ({ ...each, index })).sort((a, b) => b.percent - a.percent);
  for (const [rank, { index }] of [...ranked.entries()].reverse()) {
    const line = moments.map((each) => `${x(each).toFixed(1)},${y(each.parts[index]).toFixed(1)}`);
    element("polyline", { points: line.join(" "), class: ["first", "second"][rank] || "" }, "", svg);
  }
  const ends = ranked.slice(0, 2).map(({ index }) => y(moments.at(-1).parts[index]));
  const places = [ends[0] < 30 ? ends[0] + 15 : ends[0] - 7, ends[1] < 30 ? ends[1] + 15 : ends[1] - 7];
  if (Math.abs(places[0] - places[1]) < 14) places[0] = Math.max(11, places[1] - 14);
  for (const rank of [0, 1]) {
    const words = { x: Math.max(60, x(moments.at(-1)) - 2), y: places[rank], class: ["first", "second"][rank], "text-anchor": "end" };
    element("text", words, ranked[rank].word, svg);
  }
}
