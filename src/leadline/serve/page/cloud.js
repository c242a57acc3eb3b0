// A point cloud to move through: WebGL points, turned by drags, arrow keys and fingers.

const MOST = 400000;

const VERTEX = `
attribute vec3 point; attribute vec3 colour;
uniform mat3 turn; uniform vec3 pivot, shift; uniform vec2 lens; uniform float grain;
varying vec3 shade;
void main() {
  vec3 p = turn * (point - pivot) + shift;
  float near = 0.01 * pivot.z, far = 200.0 * pivot.z;
  gl_Position = vec4(lens * vec2(p.x, -p.y), (p.z * (far + near) - 2.0 * far * near) / (far - near), p.z);
  gl_PointSize = clamp(grain * point.z / max(p.z, near), 1.0, 24.0);
  shade = colour;
}`;
const FRAGMENT = `precision mediump float; varying vec3 shade; void main() { gl_FragColor = vec4(shade, 1.0); }`;

export class Cloud {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    const gl = (this.gl = canvas.getContext("webgl", { antialias: true }));
    if (!gl) throw new Error("this browser shows no 3D graphics (WebGL)");
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST);
    this.uniform = (name) => gl.getUniformLocation(program, name);
    for (const [name, at] of [["point", 0], ["colour", 12]]) {
      const place = gl.getAttribLocation(program, name);
      if (!at) gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, 3, at ? gl.UNSIGNED_BYTE : gl.FLOAT, Boolean(at), 16, at);
    }
    this.count = 0;
    this.reset();
    this._listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Where the picture was taken from. */
  reset() {
    this.yaw = this.pitch = this.x = this.y = 0;
    this.zoom = 1;
    this.draw();
  }

  /**
   * @param depth a Depth that is not affine
   * @param pixels ImageData of the same picture, of any size
   * @param camera {fx, fy, cx, cy} in pixels of the depth map
   */
  show(depth, pixels, camera) {
    const step = Math.max(1, Math.ceil(Math.sqrt((depth.width * depth.height) / MOST)));
    const data = new ArrayBuffer(16 * Math.ceil(depth.width / step) * Math.ceil(depth.height / step));
    const points = new Float32Array(data), colours = new Uint8Array(data), zs = [];
    let count = 0;
    for (let v = 0; v < depth.height; v += step) {
      for (let u = 0; u < depth.width; u += step) {
        const z = depth.z(depth.at(u, v));
        if (!(z > 0 && Number.isFinite(z))) continue;
        points.set([((u - camera.cx) / camera.fx) * z, ((v - camera.cy) / camera.fy) * z, z], 4 * count);
        const from = 4 * (Math.floor((v * pixels.height) / depth.height) * pixels.width + Math.floor((u * pixels.width) / depth.width));
        for (let c = 0; c < 3; c++) colours[16 * count + 12 + c] = pixels.data[from + c];
        if (count % 16 === 0) zs.push(z);
        count++;
      }
    }
    zs.sort((a, b) => a - b);
    this.pivot = zs[zs.length >> 1] ?? 1;
    this.count = count;
    this.step = step;
    this.tangent = [depth.width / 2 / camera.fx, depth.height / 2 / camera.fy];
    this.rows = depth.height;
    this.gl.bufferData(this.gl.ARRAY_BUFFER, new Uint8Array(data, 0, 16 * count), this.gl.STATIC_DRAW);
    this.draw();
  }

  /** Draws once, before the screen is painted next. */
  draw() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => { this.asked = 0; this._draw(); });
  }

  _draw() {
    const { gl, canvas } = this, ratio = Math.min(2, window.devicePixelRatio || 1);
    const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (!width || !height || !this.count) return;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    gl.viewport(0, 0, width, height);
    gl.clearColor(0.063, 0.071, 0.082, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const half = Math.max(this.tangent[1], (this.tangent[0] * height) / width) * 1.04; // all of the picture is seen
    const [a, b] = [Math.cos(this.yaw), Math.sin(this.yaw)], [c, d] = [Math.cos(this.pitch), Math.sin(this.pitch)];
    gl.uniformMatrix3fv(this.uniform("turn"), false, [a, b * d, -b * c, 0, c, d, b, -a * d, a * c]);
    gl.uniform3f(this.uniform("pivot"), 0, 0, this.pivot);
    gl.uniform3f(this.uniform("shift"), this.x * this.pivot, this.y * this.pivot, this.pivot / this.zoom);
    gl.uniform2f(this.uniform("lens"), height / width / half, 1 / half);
    // as large on the screen as the pixels were that the points stand for
    gl.uniform1f(this.uniform("grain"), (1.25 * this.step * height * this.tangent[1]) / half / this.rows);
    gl.drawArrays(gl.POINTS, 0, this.count);
  }

  _turn(x, y) {
    this.yaw += x * 0.008;
    this.pitch = Math.max(-1.4, Math.min(1.4, this.pitch + y * 0.008));
    this.draw();
  }

  _move(x, y) {
    const size = 2 / this.canvas.clientHeight / this.zoom;
    this.x += x * size;
    this.y += y * size;
    this.draw();
  }

  _scale(factor) {
    this.zoom = Math.max(0.15, Math.min(40, this.zoom * factor));
    this.draw();
  }

  _listen() {
    const { canvas } = this, fingers = new Map();
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, event);
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const x = event.clientX - before.clientX, y = event.clientY - before.clientY;
      if (fingers.size === 2) {
        const other = [...fingers.values()].find((each) => each.pointerId !== event.pointerId);
        const apart = (each) => Math.hypot(each.clientX - other.clientX, each.clientY - other.clientY);
        this._scale(apart(event) / Math.max(1, apart(before)));
        this._move(x / 2, y / 2);
      } else if (event.buttons & 2 || event.shiftKey) this._move(x, y);
      else this._turn(x, y);
      fingers.set(event.pointerId, event);
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this._scale(Math.exp(-event.deltaY * 0.0015));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const turn = { ArrowLeft: [-12, 0], ArrowRight: [12, 0], ArrowUp: [0, -12], ArrowDown: [0, 12] }[event.key];
      const scale = { "+": 1.15, "=": 1.15, "-": 1 / 1.15 }[event.key];
      if (turn) this._turn(...turn);
      else if (scale) this._scale(scale);
      else if (event.key === "Home") this.reset();
      else return;
      event.preventDefault();
    });
  }
}
