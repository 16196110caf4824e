// The atlas: draws one mark per neuron from the bytes of /SUBJECT/atlas.bin. A layer is a band of rows; an index goes to
// the right, and down within the band where a layer has more neurons than the picture has columns.
"use strict";

const MOST_COLUMNS = 1280;
const HEIGHT = 720; // of the whole picture, in CSS pixels, at most
const MOST_CELL = 22;
const HEADER_BYTES = 16;
const DRAGGED = 4; // pixels that a pointer moves before a click becomes a region

const atlas = document.getElementById("atlas");
const canvas = atlas.querySelector("canvas");
const brush = atlas.querySelector(".brush");
const marker = atlas.querySelector(".cursor");
const said = atlas.querySelector(".said");
const chosen = atlas.querySelector(".chosen");
const choices = [...atlas.querySelectorAll("input[name=plane]")];

let grid = null; // layers, width, and the bytes of each plane by its name
let shape = null; // columns, rows of a band with its gap, rows of all
let from = null; // where a region begins, while the pointer is down or Shift is held
let cursor = null; // the neuron that the keyboard is at

function parse(buffer) {
  const numbers = new DataView(buffer);
  const [layers, width] = [numbers.getUint32(8, true), numbers.getUint32(12, true)];
  const planes = {};
  choices.forEach((choice, at) => {
    planes[choice.value] = new Uint8Array(buffer, HEADER_BYTES + at * layers * width, layers * width);
  });
  return { layers, width, planes };
}

function planned() {
  const deep = Math.ceil(grid.width / Math.min(MOST_COLUMNS, Math.max(200, canvas.parentElement.clientWidth)));
  const band = deep + 1;
  return { deep, band, columns: Math.ceil(grid.width / deep), rows: grid.layers * band - 1 };
}

// Colours by byte, as the legend that is shown has them.
function palette(plane) {
  const colours = new Uint32Array(256);
  const swatches = [...atlas.querySelectorAll(`[data-plane="${plane}"] i`)];
  swatches.forEach((swatch, at) => {
    const next = Number(swatches[at + 1]?.dataset.first ?? 256);
    colours.fill(packed(getComputedStyle(swatch).backgroundColor), Number(swatch.dataset.first), next);
  });
  return colours;
}

function packed(colour) {
  const [red, green, blue] = colour.match(/[\d.]+/g).map(Number);
  return (255 << 24) | (blue << 16) | (green << 8) | red; // as the bytes of a little-endian pixel
}

function chosenPlane() {
  return choices.find((choice) => choice.checked);
}

function draw() {
  if (grid === null) return;
  shape = planned();
  const { deep, band, columns, rows } = shape;
  const plane = chosenPlane().value;
  for (const list of atlas.querySelectorAll("[data-plane]")) list.hidden = list.dataset.plane !== plane;
  const [values, states, colours] = [grid.planes[plane], grid.planes.state, palette(plane)];
  canvas.width = columns;
  canvas.height = rows;
  canvas.style.height = `${rows * Math.max(1, Math.min(MOST_CELL, Math.floor(HEIGHT / rows)))}px`;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  for (let layer = 0, at = 0; layer < grid.layers; layer += 1) {
    const top = layer * band;
    for (let index = 0; index < grid.width; index += 1, at += 1) {
      if (states[at] === 0) continue; // no such neuron
      pixels[(top + (index % deep)) * columns + Math.floor(index / deep)] = colours[values[at]];
    }
  }
  context.putImageData(image, 0, 0);
  labelLayers();
}

function labelLayers() {
  const every = Math.ceil(grid.layers / 16);
  const labels = [];
  for (let layer = 0; layer < grid.layers; layer += every) {
    const label = document.createElement("span");
    label.textContent = layer;
    label.style.top = `${((layer * shape.band + shape.deep / 2) / shape.rows) * canvas.clientHeight}px`;
    labels.push(label);
  }
  atlas.querySelector(".layers").replaceChildren(...labels);
  atlas.querySelector(".ends span:last-child").textContent = `index ${grid.width - 1}`;
}

// The place under a pointer, whether or not there is a neuron.
function placeAt(event) {
  const box = canvas.getBoundingClientRect();
  const within = (value, most) => Math.max(0, Math.min(most, Math.floor(value)));
  const column = within(((event.clientX - box.left) / box.width) * shape.columns, shape.columns - 1);
  const row = within(((event.clientY - box.top) / box.height) * shape.rows, shape.rows - 1);
  const inBand = Math.min(row % shape.band, shape.deep - 1);
  const index = Math.min(column * shape.deep + inBand, grid.width - 1);
  return { layer: Math.floor(row / shape.band), index };
}

function bytesOf({ layer, index }, plane) {
  return grid.planes[plane][layer * grid.width + index];
}

function addressOf({ layer, index }) {
  return `${atlas.dataset.address}/${layer}/${index}`;
}

function valueOf(place, choice) {
  const byte = bytesOf(place, choice.value);
  const swatches = [...atlas.querySelectorAll(`[data-plane="${choice.value}"] i`)];
  const own = swatches.findLast((swatch) => Number(swatch.dataset.first) <= byte);
  if (byte === 0 || choice.value === "state" || choice.value === "doubts") return own?.parentElement.textContent.trim();
  const value = Number(choice.dataset.low) + (byte - 1) * Number(choice.dataset.step);
  if ("log" in choice.dataset) return `fires on ${(100 * 10 ** value).toPrecision(2)}%`;
  return `${choice.nextElementSibling.textContent.toLowerCase()} ${value.toFixed(2)}`;
}

function say(place) {
  if (bytesOf(place, "state") === 0) {
    said.textContent = `${place.layer}/${place.index}: no such neuron`;
    return;
  }
  const values = [...new Set(choices.map((choice) => valueOf(place, choice)))];
  said.textContent = `${place.layer}/${place.index}: ${values.filter(Boolean).join(", ")}`;
}

// The region between two places, in whole columns.
function regionOf(first, last) {
  const sorted = (a, b) => (a < b ? [a, b] : [b, a]);
  const [top, bottom] = sorted(first.layer, last.layer);
  const [left, right] = sorted(first.index, last.index).map((index) => Math.floor(index / shape.deep));
  const end = Math.min(grid.width, (right + 1) * shape.deep) - 1;
  return { layerMin: top, layerMax: bottom, indexMin: left * shape.deep, indexMax: end, left, right };
}

function showRegion(region) {
  brush.hidden = false;
  put(brush, region.left, region.right + 1, region.layerMin, region.layerMax);
}

function put(box, left, right, top, bottom) {
  const [x, y] = [100 / shape.columns, canvas.clientHeight / shape.rows];
  box.style.left = `${left * x}%`;
  box.style.width = `${(right - left) * x}%`;
  box.style.top = `${top * shape.band * y}px`;
  box.style.height = `${((bottom - top) * shape.band + shape.deep) * y}px`;
}

function choose(region) {
  showRegion(region);
  let n = 0;
  for (let layer = region.layerMin; layer <= region.layerMax; layer += 1) {
    for (let index = region.indexMin; index <= region.indexMax; index += 1) n += bytesOf({ layer, index }, "state") > 0;
  }
  const link = chosen.querySelector("a");
  const fields = {
    layer_min: region.layerMin,
    layer_max: region.layerMax,
    index_min: region.indexMin,
    index_max: region.indexMax,
  };
  link.href = `${atlas.dataset.address}?${new URLSearchParams(fields)}`;
  const layers = region.layerMin === region.layerMax ? `layer ${region.layerMin}` : `layers ${region.layerMin} to ${region.layerMax}`;
  link.textContent = `List ${n.toLocaleString("en")} neurons: ${layers}, indices ${region.indexMin} to ${region.indexMax}`;
  chosen.hidden = false;
}

function clear() {
  from = null;
  brush.hidden = true;
  chosen.hidden = true;
}

canvas.addEventListener("pointerdown", (event) => {
  if (grid === null || event.button !== 0) return;
  from = { place: placeAt(event), x: event.clientX, y: event.clientY };
  canvas.setPointerCapture(event.pointerId);
});

canvas.addEventListener("pointermove", (event) => {
  if (grid === null) return;
  const place = placeAt(event);
  if (from?.x !== undefined && isDragged(event)) showRegion(regionOf(from.place, place));
  say(place);
});

function isDragged(event) {
  return Math.hypot(event.clientX - from.x, event.clientY - from.y) > DRAGGED;
}

canvas.addEventListener("pointerup", (event) => {
  if (from?.x === undefined) return;
  const place = placeAt(event);
  if (isDragged(event)) choose(regionOf(from.place, place));
  else if (bytesOf(place, "state") > 0) location.assign(addressOf(place));
  from = null;
});

canvas.addEventListener("pointercancel", clear);

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

canvas.addEventListener("keydown", (event) => {
  if (grid === null || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") clear();
  else if (event.key === "Enter" && cursor !== null) location.assign(addressOf(cursor));
  else if (event.key === "Home" || event.key === "End") move(event, [0, event.key === "Home" ? -grid.width : grid.width]);
  else if (event.key === "PageUp" || event.key === "PageDown") {
    move(event, [0, Math.ceil(grid.width / 20) * (event.key === "PageUp" ? -1 : 1)]);
  } else if (event.key in STEPS) move(event, STEPS[event.key]);
  else return;
  event.preventDefault();
});

function move(event, [down, right]) {
  const before = cursor ?? { layer: 0, index: 0 };
  const within = (value, most) => Math.max(0, Math.min(most, value));
  const step = event.shiftKey && down === 0 ? right * shape.deep : right; // a region has whole columns
  cursor = { layer: within(before.layer + down, grid.layers - 1), index: within(before.index + step, grid.width - 1) };
  if (event.shiftKey) {
    from ??= { place: before };
    choose(regionOf(from.place, cursor));
  } else {
    from = null;
  }
  showCursor();
  say(cursor);
}

function showCursor() {
  const column = Math.floor(cursor.index / shape.deep);
  marker.hidden = false;
  put(marker, column, column + 1, cursor.layer, cursor.layer);
}

canvas.addEventListener("focus", () => {
  if (grid === null) return;
  cursor ??= { layer: 0, index: 0 };
  showCursor();
});
canvas.addEventListener("blur", () => {
  marker.hidden = true;
});

chosen.querySelector("button").addEventListener("click", clear);
for (const choice of choices) choice.addEventListener("change", draw);
new ResizeObserver(() => {
  if (grid !== null && planned().columns !== shape?.columns) {
    clear();
    draw();
  } else if (grid !== null) labelLayers();
}).observe(canvas.parentElement);
// The colours are those of the theme, which a person may change.
new MutationObserver(draw).observe(document.documentElement, { attributes: true });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

async function load() {
  const started = performance.now();
  const response = await fetch(atlas.dataset.file);
  if (!response.ok) {
    said.textContent = "The picture could not be loaded. Reload the page to try again.";
    return;
  }
  grid = parse(await response.arrayBuffer());
  draw();
  atlas.dataset.milliseconds = Math.round(performance.now() - started);
  said.textContent = "";
}

load();
