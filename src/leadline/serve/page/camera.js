// The camera of the device: one frame after the other, each as soon as the last one is answered.

import { fitted } from "./stage.js";

const SEEN = 640;

export class Camera {
  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.video = video;
    this.canvas = document.createElement("canvas");
  }

  /** Runs until `stop`; `each` is given a JPEG (Blob) and the canvas it was taken from, and is waited for. */
  async run(each) {
    if (!navigator.mediaDevices?.getUserMedia) throw new Error("the camera needs a secure page: https, or this machine itself");
    const video = { facingMode: "environment", width: { ideal: 1280 } };
    this.stream = await navigator.mediaDevices.getUserMedia({ video, audio: false }).catch((error) => {
      throw new Error(error.name === "NotAllowedError" ? "the camera was not allowed" : "no camera was found");
    });
    this.video.srcObject = this.stream;
    await this.video.play();
    this.on = true;
    try {
      while (this.on) {
        const [width, height] = fitted(this.video.videoWidth, this.video.videoHeight, SEEN);
        [this.canvas.width, this.canvas.height] = [width, height];
        this.canvas.getContext("2d").drawImage(this.video, 0, 0, width, height);
        await each(await new Promise((made) => this.canvas.toBlob(made, "image/jpeg", 0.92)), this.canvas);
        await new Promise(requestAnimationFrame);
      }
    } finally {
      this.stop();
    }
  }

  stop() {
    this.on = false;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.video.srcObject = null;
  }
}
