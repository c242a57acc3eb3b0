// Depth maps as 16-bit PNG files with leadline's metadata. A canvas would keep 8 of the 16 bits.

/**
 * @param {ArrayBuffer} buffer a file as /v1/depth?format=png16 sends it
 * @returns {Promise<{width, height, values: Float32Array, kind, unit, camera}>} NaN where a value is not valid
 */
export async function decode(buffer) {
  const bytes = new Uint8Array(buffer), view = new DataView(buffer);
  let at = 8, width = 0, height = 0, meta = null;
  const parts = [];
  while (at < bytes.length) {
    const length = view.getUint32(at), type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const data = bytes.subarray(at + 8, at + 8 + length);
    if (type === "IHDR") {
      width = view.getUint32(at + 8);
      height = view.getUint32(at + 12);
      if (bytes[at + 16] !== 16 || bytes[at + 17] !== 0 || bytes[at + 20] !== 0) throw new Error("no 16-bit depth map");
    } else if (type === "IDAT") parts.push(data);
    else if (type === "tEXt") {
      const cut = data.indexOf(0);
      if (new TextDecoder("latin1").decode(data.subarray(0, cut)) === "leadline") {
        meta = JSON.parse(new TextDecoder("latin1").decode(data.subarray(cut + 1)));
      }
    }
    at += 12 + length;
  }
  if (!meta) throw new Error("a depth map that does not say what it holds");
  const raw = new Uint8Array(await new Response(new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer());
  const codes = unfiltered(raw, width, height), values = new Float32Array(width * height);
  for (let i = 0; i < values.length; i++) {
    const code = (codes[2 * i] << 8) | codes[2 * i + 1];
    values[i] = code === 0 ? NaN : meta.offset + meta.step * code;
  }
  const camera = meta.meta.camera ? JSON.parse(meta.meta.camera) : null;
  return { width, height, values, kind: meta.meta.kind, unit: meta.meta.unit, camera };
}

/** Undo the row filters of PNG (W3C PNG specification, section 9), two bytes a pixel. */
function unfiltered(raw, width, height) {
  const row = 2 * width, out = new Uint8Array(row * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (row + 1)], source = y * (row + 1) + 1, to = y * row;
    for (let x = 0; x < row; x++) {
      const left = x < 2 ? 0 : out[to + x - 2], up = y ? out[to + x - row] : 0;
      let guess = 0;
      if (filter === 1) guess = left;
      else if (filter === 2) guess = up;
      else if (filter === 3) guess = (left + up) >> 1;
      else if (filter === 4) guess = paeth(left, up, x < 2 || !y ? 0 : out[to + x - row - 2]);
      out[to + x] = raw[source + x] + guess;
    }
  }
  return out;
}

function paeth(a, b, c) {
  const p = a + b - c, pa = Math.abs(p - a), pb = Math.abs(p - b), pc = Math.abs(p - c);
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}
