// The page: what was given, what is shown, what can be taken home.

import { Camera } from "./camera.js";
import { Cloud } from "./cloud.js";
import { COLOURS, Depth, short } from "./depth.js";
import { decode } from "./png16.js";
import { call, depthOf, onLocked, save } from "./service.js";
import { Stage } from "./stage.js";
import { VideoJob } from "./video.js";

const $ = (id) => document.getElementById(id);
const SUFFIX = { png16: "depth.png", npz: "depth.npz", colour: "colour.png", ply: "ply" };
const stage = new Stage($("picture"), $("tag"), told);
const camera = new Camera($("lens"));
let model, cloud, job;
/** What is looked at: the bytes sent, a name for downloads, the Depth of it, the camera of the points. */
let now = null;
/** Grows when something new is given, so that late answers to the old are dropped. */
let turn = 0;

function problem(error) {
  $("problem").hidden = !error;
  $("problem").textContent = error ? (error.message ?? String(error)) : "";
}

function busy(text) {
  $("busy").hidden = !text;
  if (text) $("doing").textContent = text;
}

function screen(name) {
  for (const each of ["welcome", "shown", "clip"]) $(each).hidden = each !== name;
  $("freeze").hidden = true;
}

/** Runs what a user asked for; what goes wrong is said. */
async function attempt(work) {
  problem(null);
  try { await work(); } catch (error) {
    if (error.name !== "AbortError") problem(error);
    return false;
  }
  return true;
}

// Depth of images ------------------------------------------------------------------------------------------------

/** The field of view is sent only where a person said it: the file may know better. */
const chosen = () => ($("fov").dataset.chosen ? { fov: $("fov").value } : {});

async function look(blob, source, name) {
  const mine = turn, sent = await depthOf(blob, "png16", model?.needs_camera ? { fov: $("fov").value } : chosen());
  const depth = new Depth(await decode(await sent.arrayBuffer()));
  if (mine !== turn) return;
  now = { blob, name, depth };
  if ($("shown").hidden) screen("shown");
  stage.show(source, depth);
  // as large as fits, and the slider as wide, so that its thumb stands below the edge it moves
  $("picture").style.width = $("mix").style.width = `min(100%, ${(72 * depth.width) / depth.height}vh)`;
  $("far").textContent = depth.affine ? "far" : `far ${end(depth.far)}`;
  $("near").textContent = depth.affine ? "near" : `near ${end(depth.near)}`;
  if (depth.camera) setFov((360 / Math.PI) * Math.atan(depth.width / 2 / depth.camera.fx));
  $("fovnote").textContent = !depth.camera ? "A guess: points are stretched in depth where it is wrong."
    : chosen().fov ? "As you said." : "As the picture or the service says.";
  for (const button of document.querySelectorAll("[data-format]")) {
    button.disabled = !model.formats.includes(button.dataset.format);
  }
  view();
}

/** A nearness as it stands beside the colours. */
function end(nearness) {
  const depth = now.depth, value = depth.isDepth ? 1 / nearness : nearness;
  return `${short(depth.z(value))}${depth.length && ` ${depth.length}`}`;
}

function setFov(degrees) { $("fov").value = Math.round(degrees * 10) / 10; }

/** Nothing is shown, and the view is the first one. */
function clear() {
  turn++;
  now = null;
  job?.leave();
  job = null;
  stage.forget();
  document.querySelector("[value=compare]").checked = true;
  view();
}

async function openImage(file) {
  clear();
  screen("shown");
  busy("Sounding…");
  const source = await createImageBitmap(file).catch(() => null); // a format this browser does not know
  try { await look(file, source, file.name.replace(/\.[^.]*$/, "") || "image"); } finally { busy(); }
}

async function openCamera() {
  clear();
  const mine = turn;
  screen("shown");
  busy("Waiting for the camera…");
  $("freeze").hidden = false;
  try {
    await camera.run(async (blob, canvas) => {
      if (mine !== turn) { camera.stop(); return; }
      await look(blob, canvas, "camera");
      busy();
    });
  } finally {
    busy();
    $("freeze").hidden = true;
  }
}

function told(value, x, y) {
  const [figure, what] = value === undefined ? ["–", "Point at the picture to read it."] : now.depth.told(value);
  const cut = figure.lastIndexOf(" ");
  $("reading").replaceChildren(cut > 0 ? figure.slice(0, cut) : figure);
  if (cut > 0) $("reading").append(Object.assign(document.createElement("small"), { textContent: figure.slice(cut) }));
  $("where").textContent = value === undefined ? what : `${what}; pixel ${x}, ${y}`;
}

// Views ----------------------------------------------------------------------------------------------------------

const viewed = () => document.querySelector("[name=view]:checked").value;

function view() {
  const points = viewed() === "points";
  $("picture").hidden = points;
  $("cloud").hidden = !points;
  $("mix").hidden = points;
  $("hint").hidden = !points;
  if (points) { $("tag").hidden = true; attempt(showPoints); return; }
  stage.mode = viewed();
  $("mixname").textContent = stage.mode === "overlay" ? "Share of the image" : "Where the image ends and the depth begins";
  if (stage.depth) stage.draw();
}

async function showPoints() {
  if (!now) return;
  if (now.depth.affine) throw new Error("this model's maps are known up to scale and shift, so they have no point cloud");
  cloud ??= new Cloud($("cloud"));
  const { width, height, camera: known } = now.depth;
  const focal = width / 2 / Math.tan((Number($("fov").value) * Math.PI) / 360);
  const guess = { fx: focal, fy: focal, cx: (width - 1) / 2, cy: (height - 1) / 2 };
  cloud.show(now.depth, stage.pixels(), known?.fx && !chosen().fov ? known : guess);
}

// Videos ---------------------------------------------------------------------------------------------------------

async function openVideo(file) {
  clear();
  const mine = turn;
  screen("clip");
  $("clipname").textContent = file.name || "Video";
  $("progress").hidden = false;
  $("clipfiles").hidden = true;
  $("grab").hidden = false;
  play(file);
  job = new VideoJob(({ state, frames_done: done, frames, progress }) => {
    $("state").textContent = state === "waiting" ? "Waiting for its turn" : `${done}${frames ? ` of ${frames}` : ""} frames`;
    if (progress === null) $("done").removeAttribute("value"); else $("done").value = progress;
  });
  $("state").textContent = "Sending…";
  $("done").removeAttribute("value");
  const made = await job.run(file, $("maps").checked, model?.needs_camera ? { fov: $("fov").value } : chosen());
  if (!made || mine !== turn) return;
  $("progress").hidden = true;
  play(made);
  const name = file.name.replace(/\.[^.]*$/, "") || "video", buttons = [];
  for (const [what, text, suffix] of [["colour", "Download the video", "depth.mp4"], ["depth", "Download the depth maps", "depth.zip"]]) {
    if (!job.results[what]) continue;
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    button.addEventListener("click", () => attempt(() => job.download(what, `${name}.${suffix}`)));
    buttons.push(button);
  }
  $("clipfiles").replaceChildren(...buttons);
  $("clipfiles").hidden = false;
}

function play(blob) {
  URL.revokeObjectURL($("player").src);
  $("player").src = URL.createObjectURL(blob);
  $("player").play().catch(() => {}); // a browser may want to be asked first
}

/** The frame of a video that is shown, as an image. */
async function grab() {
  const player = $("player"), canvas = document.createElement("canvas");
  if (!player.videoWidth) throw new Error("this browser cannot show that video");
  [canvas.width, canvas.height] = [player.videoWidth, player.videoHeight];
  canvas.getContext("2d").drawImage(player, 0, 0);
  const blob = await new Promise((made) => canvas.toBlob(made, "image/png"));
  await openImage(new File([blob], `${$("clipname").textContent}.png`, { type: "image/png" }));
}

// What is given --------------------------------------------------------------------------------------------------

function open(file) {
  if (!file) return;
  camera.stop();
  const video = file.type.startsWith("video/") || /\.(mp4|mov|m4v|mkv|webm|avi|mpe?g)$/i.test(file.name);
  attempt(() => (video ? openVideo(file) : openImage(file))).then((done) => { if (!done) back(); });
}

/** Back to the start, where nothing is shown. */
function back() {
  if (now && !$("shown").hidden) return;
  turn++;
  $("player").removeAttribute("src");
  screen("welcome");
}

function again() {
  camera.stop();
  clear();
  problem(null);
  for (const button of document.querySelectorAll("[data-format]")) button.disabled = true;
  back();
}

$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => { open($("file").files[0]); $("file").value = ""; });
$("live").addEventListener("click", () => attempt(openCamera).then((done) => { if (!done) back(); }));
$("freeze").addEventListener("click", () => camera.stop());
$("again").addEventListener("click", again);
$("clipagain").addEventListener("click", again);
$("cancel").addEventListener("click", again);
$("grab").addEventListener("click", () => attempt(grab));
$("reset").addEventListener("click", () => cloud?.reset());
$("share").addEventListener("input", () => { stage.share = $("share").value / 1000; if (stage.depth) stage.draw(); });
for (const each of document.querySelectorAll("[name=view]")) each.addEventListener("change", view);
$("fov").addEventListener("change", () => {
  $("fov").dataset.chosen = "yes";
  $("fovnote").textContent = "As you said.";
  if (!now) return;
  if (model.needs_camera) attempt(() => look(now.blob, stage.image, now.name)); // depth itself hangs on it
  else if (viewed() === "points") attempt(showPoints);
});
for (const button of document.querySelectorAll("[data-format]")) {
  button.addEventListener("click", () => attempt(async () => {
    const format = button.dataset.format, { blob, name, depth } = now;
    const asked = format === "ply" && !depth.camera ? { fov: $("fov").value } : chosen();
    save(await (await depthOf(blob, format, asked)).blob(), `${name}.${SUFFIX[format]}`);
  }));
}

let over = 0;
for (const [name, by] of [["dragenter", 1], ["dragleave", -1]]) {
  addEventListener(name, () => { over += by; $("veil").hidden = over <= 0; });
}
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  over = 0;
  $("veil").hidden = true;
  open(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => open(event.clipboardData.files[0]));

onLocked(() => new Promise((given) => {
  $("token").value = "";
  $("lock").showModal();
  $("lock").addEventListener("close", () => given($("token").value), { once: true });
}));

const ramp = $("ramp").getContext("2d"), colours = ramp.createImageData(256, 1);
COLOURS.forEach((colour, i) => colours.data.set([...colour, 255], 4 * i));
ramp.putImageData(colours, 0, 0);

attempt(async () => {
  model = await (await call("/v1/model")).json();
  $("model").textContent = `${model.name} · ${model.kind}`;
  const entries = { Name: model.name, Gives: model.kind, Unit: model.unit, Licence: model.licence };
  for (const [name, value] of Object.entries(entries)) {
    $("card").append(Object.assign(document.createElement("dt"), { textContent: name }));
    $("card").append(Object.assign(document.createElement("dd"), { textContent: value }));
  }
  $("note").hidden = !model.note;
  $("note").textContent = model.note && `${model.note[0].toUpperCase()}${model.note.slice(1)}.`;
  document.querySelector("[value=points]").disabled = !model.points;
});
