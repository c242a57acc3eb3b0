// What the values of a depth map mean to a person: a length, something relative, a colour.

/** The Turbo colour map (A. Mikhailov, Google, Apache-2.0) at 26 places; between them it is straight to 3 of 255 steps. */
const TURBO = `30123b 3b3080 424cb7 4667df 4681f8 3e9bfe 2db4f1 1dccd9 18dfbe 26eda4 46f783 6efd61 93fe45
  b0f836 caed33 e1dc37 f2c83a fbb236 fd962b f9781e ef5a11 e24209 cf2e04 b71d01 9b0e01 7a0402`.split(/\s+/)
  .map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
/** 256 colours, far to near. */
export const COLOURS = Array.from({ length: 256 }, (_, i) => {
  const place = (i / 255) * (TURBO.length - 1), low = Math.min(TURBO.length - 2, Math.floor(place)), part = place - low;
  return TURBO[low].map((from, channel) => Math.round(from + part * (TURBO[low + 1][channel] - from)));
});

export class Depth {
  /** @param map as png16.decode gives it */
  constructor(map) {
    Object.assign(this, map);
    this.metric = this.kind.startsWith("metric");
    this.affine = this.kind.startsWith("affine");
    this.isDepth = this.kind.endsWith("depth");
    [this.far, this.near] = range(this.values, (value) => this.nearness(value));
  }

  /** Larger where nearer, in steps that suit the eye: disparity, where there is one. */
  nearness(value) {
    if (this.affine) return this.isDepth ? -value : value;
    return this.isDepth ? 1 / value : value;
  }

  /** Position of a value in the colours, 0 (far) to 1 (near). */
  position(value) {
    return Math.min(1, Math.max(0, (this.nearness(value) - this.far) / (this.near - this.far)));
  }

  /** z-depth of a value, in `length`; not for affine kinds. */
  z(value) { return this.isDepth ? value : 1 / value; }

  get length() { return this.metric ? this.unit.replace("1/", "") : ""; }

  at(x, y) { return this.values[y * this.width + x]; }

  /** A value for people: [figure, what it is]. */
  told(value) {
    if (!Number.isFinite(value)) return ["–", "no value here"];
    if (this.affine) return [`${Math.round(100 * this.position(value))} %`, "relative: 100 % is nearest, no unit is known"];
    const figure = short(this.z(value));
    return this.metric ? [`${figure} ${this.length}`, "along the camera's axis"] : [figure, "relative: up to one factor, no unit is known"];
  }

  /** RGBA of the map, `width` x `height`. */
  painted(width, height) {
    const out = new Uint8ClampedArray(4 * width * height);
    for (let y = 0, to = 0; y < height; y++) {
      const row = Math.min(this.height - 1, Math.floor(((y + 0.5) * this.height) / height)) * this.width;
      for (let x = 0; x < width; x++, to += 4) {
        const value = this.values[row + Math.min(this.width - 1, Math.floor(((x + 0.5) * this.width) / width))];
        const colour = Number.isFinite(value) ? COLOURS[Math.round(255 * this.position(value))] : [128, 128, 128];
        out[to] = colour[0]; out[to + 1] = colour[1]; out[to + 2] = colour[2]; out[to + 3] = 255;
      }
    }
    return new ImageData(out, width, height);
  }
}

/** Percentiles 2 and 98 of a sample: colours are not spent on extremes. */
function range(values, of) {
  const step = Math.max(1, Math.floor(values.length / 20000)), sample = [];
  for (let i = 0; i < values.length; i += step) if (Number.isFinite(values[i])) sample.push(of(values[i]));
  if (!sample.length) return [0, 1];
  sample.sort((a, b) => a - b);
  const low = sample[Math.floor(0.02 * (sample.length - 1))], high = sample[Math.ceil(0.98 * (sample.length - 1))];
  return high > low ? [low, high] : [low, low + Math.max(1e-6, Math.abs(low) * 1e-3)];
}

/** Three digits that count. */
export function short(number) {
  if (!Number.isFinite(number)) return "–";
  const size = Math.abs(number);
  return size >= 1000 ? Math.round(number).toLocaleString("en") : size >= 100 ? number.toFixed(0) : size >= 10 ? number.toFixed(1)
    : size >= 1 ? number.toFixed(2) : Number(number.toPrecision(3)).toString();
}
