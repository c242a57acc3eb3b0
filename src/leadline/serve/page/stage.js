// The picture and its depth on one canvas: side by side under a slider or one over the other, and a distance read from it.

const LARGEST = 1600;

/** Width and height of a picture, no larger than is drawn. */
export function fitted(width, height, most = LARGEST) {
  const scale = Math.min(1, most / Math.max(width, height));
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}

export class Stage {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} tag that follows the pointer
   * @param told called with (value, x, y) of the map where somebody points, or with nothing
   */
  constructor(canvas, tag, told) {
    Object.assign(this, { canvas, tag, told, mode: "compare", share: 0.5, depth: null });
    this.context = canvas.getContext("2d");
    this.coloured = document.createElement("canvas");
    this.image = document.createElement("canvas");
    this.image.getContext("2d", { willReadFrequently: true });
    this._listen();
  }

  /**
   * @param source what a canvas can draw, or null where only the depth can be shown
   * @param depth a Depth
   */
  show(source, depth) {
    const [width, height] = fitted(depth.width, depth.height);
    for (const each of [this.canvas, this.coloured, this.image]) {
      if (each.width !== width || each.height !== height) [each.width, each.height] = [width, height];
    }
    this.depth = depth;
    this.coloured.getContext("2d").putImageData(depth.painted(width, height), 0, 0);
    this.image.getContext("2d").drawImage(source ?? this.coloured, 0, 0, width, height);
    this.draw();
    if (this.spot) this._read();
  }

  /** The picture's colours, as large as it is drawn. */
  pixels() {
    return this.image.getContext("2d").getImageData(0, 0, this.image.width, this.image.height);
  }

  forget() {
    this.spot = this.depth = null;
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.tag.hidden = true;
    this.told();
  }

  draw() {
    const { context, canvas: { width, height }, share } = this;
    context.globalAlpha = 1;
    context.drawImage(this.image, 0, 0);
    if (this.mode === "overlay") {
      context.globalAlpha = 1 - share;
      context.drawImage(this.coloured, 0, 0);
      context.globalAlpha = 1;
    } else {
      const cut = Math.round(share * width);
      if (cut < width) context.drawImage(this.coloured, cut, 0, width - cut, height, cut, 0, width - cut, height);
      context.fillStyle = "#fff";
      context.fillRect(cut - 1, 0, Math.max(2, width / 500), height);
    }
    if (this.spot) this._mark();
  }

  _mark() {
    const { context, canvas, spot } = this, scale = canvas.width / (canvas.clientWidth || canvas.width);
    for (const [colour, line] of [["#000a", 4], ["#fff", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = line * scale;
      context.beginPath();
      context.arc(spot.x * canvas.width, spot.y * canvas.height, 8 * scale, 0, 7);
      context.stroke();
    }
  }

  _point(x, y) {
    this.spot = { x: Math.min(1, Math.max(0, x)), y: Math.min(1, Math.max(0, y)) };
    this._read();
    this.draw();
  }

  _read() {
    const { canvas, depth, spot, tag } = this;
    const x = Math.min(depth.width - 1, Math.floor(spot.x * depth.width)), y = Math.min(depth.height - 1, Math.floor(spot.y * depth.height));
    const value = depth.at(x, y);
    this.told(value, x, y);
    tag.textContent = depth.told(value)[0];
    tag.hidden = false;
    const left = canvas.offsetLeft + spot.x * canvas.clientWidth, top = canvas.offsetTop + spot.y * canvas.clientHeight;
    const flip = left + 20 + tag.offsetWidth > canvas.offsetLeft + canvas.clientWidth;
    tag.style.transform = `translate(${flip ? left - 16 - tag.offsetWidth : left + 16}px, ${Math.max(4, top - 34)}px)`;
  }

  _listen() {
    const { canvas } = this;
    const at = (event) => {
      if (!this.depth) return;
      const box = canvas.getBoundingClientRect();
      this._point((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    };
    canvas.addEventListener("pointermove", at);
    canvas.addEventListener("pointerdown", at);
    canvas.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!way || !this.depth) return;
      const spot = this.spot ?? { x: 0.5, y: 0.5 }, size = event.shiftKey ? 0.05 : 0.01;
      this._point(spot.x + way[0] * size, spot.y + way[1] * size);
      event.preventDefault();
    });
  }
}
