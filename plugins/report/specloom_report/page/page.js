"use strict";

const VALUES = JSON.parse(document.getElementById("values").textContent);
const DASHES = [[], [8, 4], [2, 3], [10, 4, 2, 4], [5, 5], [1, 3]];
const FONT = "12px system-ui, sans-serif";
const MAX_CHOSEN = 4;
const MAX_ZOOM = 64;
const LABELS = 12;
const KINDS = { missed: "missed", false: "false alarm", correct: "found", decided: "decided" };
// By the class of a pixel: predicted + 2 * anomalous, 4 where it is excluded.
const CLASSES = ["", "false positive", "false negative", "true positive", "excluded"];
const CLASS_COLOURS = ["", "--fp", "--fn", "--tp"];

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function shortNumber(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return value.toExponential(2).replace(/\.?0+e/, "e");
  return String(Number(value.toPrecision(4)));
}

// ---------------------------------------------------------------------------------- arrays

const TYPES = { u1: Uint8Array, f4: Float32Array, i4: Int32Array };
let buffer = new ArrayBuffer(0);

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), sign => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

function arrayOf(place) {
  const count = place.shape.reduce((product, length) => product * length, 1);
  return new TYPES[place.type](buffer, place.at, count);
}

// ---------------------------------------------------------------------------------- tables

// A click on a column's title sorts its table; a second click reverses the order.
function makeSortable(table) {
  table.querySelectorAll("thead th").forEach((title, column) => {
    title.querySelector("button").addEventListener("click", () => {
      const rising = title.getAttribute("aria-sort") !== "ascending";
      for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
      title.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const key = row => row.cells[column].dataset.key;
      const compare = (a, b) => {
        const x = key(a), y = key(b);
        if (x === "" || y === "") return (x === "") - (y === "");  // missing values come last
        const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
        return rising ? order : -order;
      };
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
    });
  });
}

// ---------------------------------------------------------------------------------- charts

function colourOf(style) {
  return css("--c" + (style % 6));
}

// The pixels of a plot between neighbouring places that are far apart: bands that are left out.
function missingBands(plot, axis) {
  const steps = axis.slice(1).map((x, i) => x - axis[i]).sort((a, b) => a - b);
  const most = 5 * steps[Math.floor(steps.length / 2)];
  const gaps = [];
  for (let i = 1; i < axis.length; i += 1) {
    if (axis[i] - axis[i - 1] > most) {
      gaps.push([plot.valToPos(axis[i - 1], "x", true), plot.valToPos(axis[i], "x", true)]);
    }
  }
  return gaps;
}

function seriesOptions(one, count, isSpectrum) {
  const options = {
    label: one.name,
    scale: one.right ? "right" : "y",
    stroke: () => colourOf(one.style),
    width: one.width,
    spanGaps: one.kind !== "bars",
    points: { show: false },
  };
  if (one.kind === "line") {
    options.dash = DASHES[one.style % DASHES.length];
    options.points.show = count < 3;
    if (isSpectrum) {
      options.spanGaps = false;
      options.gaps = (plot, k, first, last, gaps) => [...gaps, ...missingBands(plot, plot.data[0])]
        .sort((a, b) => a[0] - b[0]);
    }
  } else if (one.kind === "dots") {
    options.paths = () => null;
    options.points = { show: true, size: 10, width: 2, stroke: () => css("--bg"),
      fill: () => colourOf(one.style) };
  } else if (one.kind === "steps") {
    options.dash = DASHES[one.style % DASHES.length];
    options.paths = uPlot.paths.stepped({ align: 1 });
    options.fill = () => colourOf(one.style) + "26";
  } else {
    options.paths = uPlot.paths.bars({ size: [0.8, 30, 1] });
    options.fill = () => colourOf(one.style) + "55";
    options.width = 0;
  }
  if (one.faint) options.alpha = 0.45;
  return options;
}

function axisOptions(label, more) {
  return {
    label,
    stroke: () => css("--fg"),
    font: FONT,
    labelFont: FONT,
    labelSize: label ? 20 : 0,
    grid: { stroke: () => css("--line"), width: 1 },
    ticks: { stroke: () => css("--edge"), width: 1, size: 4 },
    values: (plot, splits) => splits.map(value => value === null ? "" : shortNumber(value)),
    ...more,
  };
}

// A fixed range, until a part of the axis is chosen by dragging.
function rangeOf(fixed, axis) {
  return (plot, low, high) => {
    const whole = low <= axis[0] && high >= axis[axis.length - 1];
    if (whole || low === null) return fixed;
    return [low, high];
  };
}

function isPowerOfTen(value) {
  return value > 0 && Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-6;
}

function drawRules(plot, rules) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  for (const rule of rules) {
    const x = plot.valToPos(rule.x, "x", true);
    if (!(x >= bbox.left - 1 && x <= bbox.left + bbox.width + 1)) continue;
    ctx.strokeStyle = css("--fg");
    ctx.lineWidth = 1.5 * ratio;
    ctx.setLineDash([4 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    if (!rule.name) continue;
    const left = x > bbox.left + bbox.width * 0.6;
    ctx.textAlign = left ? "right" : "left";
    ctx.fillStyle = css("--fg");
    ctx.fillText(rule.name, x + (left ? -5 : 5) * ratio, bbox.top + 12 * ratio);
  }
  ctx.restore();
}

const CHARTS = new Set();

class Chart {
  constructor(figure, spec) {
    this.host = figure.querySelector(".plot");
    this.legend = figure.querySelector(".legend");
    this.spec = spec;
    this.plot = null;
    this.printWidth = 0;
    CHARTS.add(this);
    new ResizeObserver(() => this.fit()).observe(this.host);
    this.host.addEventListener("keydown", event => this.moveCursor(event));
    this.fit();
  }

  // A chart in a closed part of the page has no width: it is drawn when the part is opened.
  fit() {
    const width = this.printWidth || this.host.clientWidth;
    if (!width || !this.spec) return;
    if (this.plot) this.plot.setSize({ width, height: this.spec.height });
    else this.create(width);
  }

  update(spec) {
    this.spec = spec;
    if (this.plot) this.plot.destroy();
    this.plot = null;
    this.fit();
  }

  create(width) {
    const { spec } = this;
    const isSpectrum = spec.x.startsWith("wavelength");
    const x = { time: false, distr: spec.xLog ? 3 : 1 };
    if (spec.xRange) x.range = rangeOf(spec.xRange, spec.data[0]);
    const y = spec.yRange ? { range: () => spec.yRange } : {};
    const axes = [axisOptions(spec.x, { size: 32 }), axisOptions(spec.y, { size: 52 })];
    if (spec.xLog) {
      const filter = (plot, splits) => splits.map(v => isPowerOfTen(v) ? v : null);
      Object.assign(axes[0], { filter });
      axes[0].grid.filter = filter;
      axes[0].ticks.filter = filter;
    }
    if (spec.x === "epoch" || spec.x === "band") axes[0].incrs = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
    if (spec.right) {
      axes.push(axisOptions(spec.right, { side: 1, scale: "right", size: 52, grid: { show: false } }));
    }
    const bands = spec.bands.map(([high, low]) => (
      { series: [high + 1, low + 1], fill: () => css("--percentiles") }));
    this.plot = new uPlot({
      width,
      height: spec.height,
      padding: [10, spec.right ? 4 : 14, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: true, y: false } },
      scales: { x, y, right: { range: (plot, low, high) => [Math.min(0, low), high * 1.05 || 1] } },
      axes,
      bands,
      series: [{}, ...spec.series.map((one, k) => (
        seriesOptions(one, spec.data[k + 1].filter(v => v !== null).length, isSpectrum)))],
      hooks: {
        draw: [plot => drawRules(plot, spec.rules)],
        setCursor: [plot => this.showValues(plot)],
      },
    }, spec.data, this.host);
    this.makeLegend();
  }

  makeLegend() {
    this.outputs = [];
    this.place = make("span", { class: "value" });
    const items = [];
    this.spec.series.forEach((one, k) => {
      if (!one.name) return;
      const value = make("span", { class: "value" });
      const button = make("button", { type: "button", "aria-pressed": "true" });
      const line = one.kind === "dots" ? "●" : one.kind === "bars" ? "▮" : "";
      button.append(make("i", { class: `line s${one.style % 6}` }, line), one.name, value);
      button.addEventListener("click", () => {
        const shown = button.getAttribute("aria-pressed") === "true";
        button.setAttribute("aria-pressed", String(!shown));
        for (const number of this.seriesOf(k)) this.plot.setSeries(number, { show: !shown });
      });
      if (!one.group) this.outputs.push([k + 1, value]);
      items.push(make("li", {}, button));
    });
    this.legend.replaceChildren(...items, make("li", {}, this.place));
  }

  // The numbers of the series that one entry of the legend stands for, itself or its group.
  seriesOf(k) {
    const { group } = this.spec.series[k];
    if (!group) return [k + 1];
    return this.spec.series.flatMap((one, at) => one.group === group ? [at + 1] : []);
  }

  showValues(plot) {
    const { idx } = plot.cursor;
    const known = idx !== null && idx !== undefined && this.outputs;
    for (const [k, output] of this.outputs || []) {
      const value = known ? plot.data[k][idx] : null;
      output.textContent = value === null || value === undefined ? "" : " " + shortNumber(value);
    }
    if (this.place) {
      this.place.textContent = known ? `${this.spec.x} ${shortNumber(plot.data[0][idx])}` : "";
    }
  }

  moveCursor(event) {
    const axis = this.plot ? this.plot.data[0] : [];
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -axis.length, End: axis.length };
    if (!(event.key in steps) || !axis.length) return;
    event.preventDefault();
    const now = this.plot.cursor.idx ?? (steps[event.key] > 0 ? -1 : axis.length);
    const next = Math.min(Math.max(now + steps[event.key], 0), axis.length - 1);
    this.plot.setCursor({ left: this.plot.valToPos(axis[next], "x"), top: 10 });
  }
}

// ---------------------------------------------------------------------------------- images

function scoreOfLevel(level, scale) {
  if (!level || !scale) return null;
  const share = (level - 1) / 254;
  if (!scale.log) return scale.low + share * (scale.high - scale.low);
  return scale.low * (scale.high / scale.low) ** share;
}

// The image of scores in colours, and what covers excluded pixels, as canvases.
function paint(place, colour) {
  const [height, width] = place.shape;
  const levels = arrayOf(place);
  const canvas = make("canvas", { width, height });
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  for (let i = 0; i < levels.length; i += 1) picture.data.set(colour(levels[i]), 4 * i);
  context.putImageData(picture, 0, 0);
  return canvas;
}

function hexColour(text) {
  return [1, 3, 5].map(at => parseInt(text.slice(at, at + 2), 16));
}

// The borders of each class of pixels, in cells.
function outlinesOf(place) {
  const [height, width] = place.shape;
  const kinds = arrayOf(place);
  const paths = [null, new Path2D(), new Path2D(), new Path2D()];
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const kind = kinds[row * width + column];
      if (!kind || kind > 3) continue;
      const path = paths[kind];
      const edge = (a, b, c, d) => { path.moveTo(a, b); path.lineTo(c, d); };
      const other = (r, c) => (
        r < 0 || c < 0 || r >= height || c >= width || kinds[r * width + c] !== kind);
      if (other(row - 1, column)) edge(column, row, column + 1, row);
      if (other(row + 1, column)) edge(column, row + 1, column + 1, row + 1);
      if (other(row, column - 1)) edge(column, row, column, row + 1);
      if (other(row, column + 1)) edge(column + 1, row, column + 1, row + 1);
    }
  }
  return paths;
}

// The middle of some points, and the distance of the first two; 0 for one point.
function between(points) {
  const [first, second] = points;
  if (!second) return { x: first[0], y: first[1], distance: 0 };
  return {
    x: (first[0] + second[0]) / 2,
    y: (first[1] + second[1]) / 2,
    distance: Math.hypot(first[0] - second[0], first[1] - second[1]),
  };
}

class Picture {
  constructor(values, thumbnail, masked) {
    this.values = values;
    this.thumbnail = thumbnail;
    this.masked = masked;
    const size = values.size || [1, 1];
    this.height = size[0];
    this.width = size[1];
  }

  scorePicture() {
    if (!this.scores && this.values.scores) {
      const palette = VALUES.viewer.palette;
      const excluded = hexColour(css("--excluded"));
      const hasScale = Boolean(this.values.scale);
      this.scores = paint(this.values.scores, level => {
        if (!level && hasScale) return [...excluded, 255];
        return [...palette.slice(3 * level, 3 * level + 3), 255];
      });
    }
    return this.scores;
  }

  outlines() {
    if (!this.paths && this.values.kinds) {
      this.paths = outlinesOf(this.values.kinds);
      const excluded = hexColour(css("--excluded"));
      this.cover = paint(this.values.kinds, kind => kind === 4 ? [...excluded, 190] : [0, 0, 0, 0]);
    }
    return this.paths;
  }

  // The value of a map of the whole image at one of its pixels.
  valueAt(place, row, column) {
    const [height, width] = place.shape;
    const r = Math.min(Math.floor(row * height / this.height), height - 1);
    const c = Math.min(Math.floor(column * width / this.width), width - 1);
    return arrayOf(place)[r * width + c];
  }

  describe(row, column) {
    const texts = [`row ${row}, column ${column}`];
    if (this.values.scores) {
      const score = scoreOfLevel(this.valueAt(this.values.scores, row, column), this.values.scale);
      if (score !== null) texts.push(`score about ${shortNumber(score)}`);
    }
    if (this.values.kinds) {
      const kind = this.valueAt(this.values.kinds, row, column);
      const name = kind === 1 && !this.masked ? "decided" : CLASSES[kind];
      if (name) texts.push(name);
    }
    return texts.join(", ");
  }

  // The stored pixel that is nearest to a place; null where no spectra are stored.
  nearest(row, column) {
    if (!this.values.gridPlaces) return null;
    const places = arrayOf(this.values.gridPlaces);
    let best = 0, least = Infinity;
    for (let i = 0; i < places.length / 2; i += 1) {
      const distance = (places[2 * i] - row) ** 2 + (places[2 * i + 1] - column) ** 2;
      if (distance < least) { least = distance; best = i; }
    }
    return { number: best, row: places[2 * best], column: places[2 * best + 1] };
  }

  spectrum(number) {
    const bands = this.values.grid.shape[1];
    const levels = arrayOf(this.values.grid);
    const ends = arrayOf(this.values.gridEnds);
    const spectrum = [];
    for (let band = 0; band < bands; band += 1) {
      const level = levels[number * bands + band];
      const low = ends[band], high = ends[bands + band];
      spectrum.push(level === 255 ? null : low + level / 254 * (high - low));
    }
    return spectrum;
  }

  objectSpectrum(number) {
    const place = this.values.objectSpectra;
    if (!place || number >= place.shape[0]) return null;
    const bands = place.shape[1];
    const row = [...arrayOf(place).slice(number * bands, (number + 1) * bands)];
    return row.every(Number.isNaN) ? null : row.map(v => Number.isFinite(v) ? v : null);
  }

  draw(context, part, view) {
    const { scale, left, top } = view;
    const wide = this.width * scale, high = this.height * scale;
    context.imageSmoothingEnabled = false;
    const source = part === "scores" ? this.scorePicture() : this.thumbnail;
    if (source) context.drawImage(source, left, top, wide, high);
    if (!view.outline || !this.outlines()) return;
    const [rows, columns] = this.values.kinds.shape;
    if (part !== "scores") context.drawImage(this.cover, left, top, wide, high);
    context.save();
    context.translate(left, top);
    context.scale(wide / columns, high / rows);
    const unit = columns / wide;
    for (const [width, colour] of [[3.4, () => "#000"], [1.7, css]]) {
      context.lineWidth = width * unit;
      context.lineCap = "round";
      this.paths.forEach((path, kind) => {
        if (!path) return;
        context.strokeStyle = colour(this.masked ? CLASS_COLOURS[kind] : "--decided");
        context.stroke(path);
      });
    }
    context.restore();
  }
}

class Viewer {
  constructor(root, values) {
    this.masked = values.masked;
    this.spectra = values.spectra;
    this.buttons = [...document.querySelectorAll(".strip button")];
    this.pictures = values.images.map((one, k) => (
      new Picture(one, this.buttons[k].querySelector("img"), values.masked)));
    this.canvases = [...root.querySelectorAll("canvas")];
    this.status = document.getElementById("readout");
    this.outline = true;
    this.buttons.forEach((button, k) => button.addEventListener("click", () => this.show(k)));
    for (const button of root.querySelectorAll(".toolbar button")) {
      button.addEventListener("click", () => this.press(button));
    }
    for (const canvas of this.canvases) this.listen(canvas);
    new ResizeObserver(() => this.draw()).observe(root.querySelector(".panels"));
    const figure = root.querySelector("[data-chart=image]");
    if (this.spectra) this.chart = new Chart(figure, null);
    else figure.hidden = true;
    this.show(0);
  }

  show(number) {
    this.picture = this.pictures[number];
    this.zoom = 1;
    this.x = this.picture.width / 2;
    this.y = this.picture.height / 2;
    this.pixel = null;
    this.chosen = [];
    this.object = null;
    this.buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(k === number)));
    const { name, caption, node, scores } = this.picture.values;
    document.getElementById("selected").textContent = caption ? `${name}: ${caption}` : name;
    document.getElementById("score-panel").hidden = !scores;
    for (const bar of document.querySelectorAll(".colourbar")) {
      bar.hidden = bar.dataset.node !== node;
    }
    this.status.textContent = "";
    this.listObjects();
    this.draw();
    this.drawSpectra();
  }

  press(button) {
    const action = button.dataset.view;
    if (action === "in") this.zoomBy(2);
    if (action === "out") this.zoomBy(0.5);
    if (action === "all") this.showAll();
    if (action === "outline") {
      this.outline = !this.outline;
      button.setAttribute("aria-pressed", String(this.outline));
      this.draw();
    }
  }

  showAll() {
    this.zoom = 1;
    this.draw();
  }

  // The size of a pixel of the image on a canvas, and where the image begins.
  view(width, height) {
    const { picture } = this;
    const fit = Math.min(width / picture.width, height / picture.height);
    const scale = fit * this.zoom;
    const along = (length, middle, room) => {
      if (length * scale <= room) return (room - length * scale) / 2;
      return Math.min(0, Math.max(room - length * scale, room / 2 - middle * scale));
    };
    const left = along(picture.width, this.x, width);
    const top = along(picture.height, this.y, height);
    this.x = (width / 2 - left) / scale;
    this.y = (height / 2 - top) / scale;
    return { scale, left, top, outline: this.outline };
  }

  draw() {
    for (const canvas of this.canvases) {
      const width = canvas.clientWidth;
      if (!width) continue;
      const shape = this.picture.height / this.picture.width;
      const height = Math.round(Math.min(Math.max(width * shape, 120), 640));
      const ratio = devicePixelRatio;
      canvas.style.height = `${height}px`;
      canvas.style.touchAction = this.zoom > 1 ? "none" : "pan-y";
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      const context = canvas.getContext("2d");
      context.scale(ratio, ratio);
      const view = this.view(width, height);
      this.picture.draw(context, canvas.id, view);
      this.drawMarks(context, view);
    }
  }

  drawMarks(context, view) {
    const at = (row, column) => [
      view.left + (column + 0.5) * view.scale, view.top + (row + 0.5) * view.scale];
    if (this.outline) {
      context.font = "bold 12px system-ui, sans-serif";
      // The more of the image is seen, the fewer numbers have room.
      this.picture.values.objects.slice(0, LABELS * this.zoom ** 2).forEach((one, k) => {
        const [x, y] = at(one.row, one.column);
        const left = Math.min(x + 6 + view.scale / 2, context.canvas.clientWidth - 18);
        this.label(context, String(k + 1), left, Math.max(y - 4, 13));
      });
    }
    for (const one of this.chosen) this.ring(context, ...at(one.row, one.column), 6);
    if (this.pixel) this.cross(context, ...at(this.pixel.row, this.pixel.column));
    if (this.object !== null) {
      const one = this.picture.values.objects[this.object];
      this.ring(context, ...at(one.row, one.column), 14);
    }
  }

  label(context, text, x, y) {
    context.lineWidth = 3;
    context.lineJoin = "round";
    context.strokeStyle = "#000";
    context.strokeText(text, x, y);
    context.fillStyle = "#fff";
    context.fillText(text, x, y);
  }

  ring(context, x, y, radius) {
    for (const [width, colour] of [[4, "#000"], [2, "#fff"]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  cross(context, x, y) {
    for (const [width, colour] of [[4, "#000"], [2, "#fff"]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.beginPath();
      context.moveTo(x - 9, y);
      context.lineTo(x + 9, y);
      context.moveTo(x, y - 9);
      context.lineTo(x, y + 9);
      context.stroke();
    }
  }

  // One pointer moves the image or chooses a pixel; two pinch it, as on a map.
  listen(canvas) {
    const pointers = new Map();
    let start = null, moved = false;
    const grasp = () => {
      const { x, y, distance } = between([...pointers.values()]);
      const [row, column] = this.placeAt(canvas, x, y);
      start = { x, y, distance, row, column, zoom: this.zoom };
    };
    const release = event => {
      pointers.delete(event.pointerId);
      if (pointers.size) grasp();
      else start = null;
    };
    canvas.addEventListener("pointerdown", event => {
      moved = pointers.size > 0;
      pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
      canvas.setPointerCapture(event.pointerId);
      grasp();
    });
    canvas.addEventListener("pointermove", event => {
      if (!pointers.has(event.pointerId)) return;
      pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
      const { x, y, distance } = between([...pointers.values()]);
      if (Math.hypot(x - start.x, y - start.y) > 4) moved = true;
      if (!moved) return;
      if (start.distance && distance) {
        this.zoom = Math.min(Math.max(start.zoom * distance / start.distance, 1), MAX_ZOOM);
      }
      this.hold(canvas, start.row, start.column, x, y);
    });
    canvas.addEventListener("pointerup", event => {
      if (!moved && pointers.has(event.pointerId)) this.chooseAt(canvas, event.offsetX, event.offsetY);
      release(event);
    });
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("wheel", event => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      const [row, column] = this.placeAt(canvas, event.offsetX, event.offsetY);
      this.zoomBy(event.deltaY < 0 ? 1.3 : 1 / 1.3, row, column);
    }, { passive: false });
    canvas.addEventListener("keydown", event => this.type(event));
  }

  // Move the image so that one place of it is at one place of the canvas.
  hold(canvas, row, column, x, y) {
    const { scale } = this.view(canvas.clientWidth, canvas.clientHeight);
    this.x = column - (x - canvas.clientWidth / 2) / scale;
    this.y = row - (y - canvas.clientHeight / 2) / scale;
    this.draw();
  }

  placeAt(canvas, x, y) {
    const view = this.view(canvas.clientWidth, canvas.clientHeight);
    return [(y - view.top) / view.scale, (x - view.left) / view.scale];
  }

  chooseAt(canvas, x, y) {
    const [row, column] = this.placeAt(canvas, x, y).map(Math.floor);
    const { width, height } = this.picture;
    if (row < 0 || column < 0 || row >= height || column >= width) return;
    this.choose(row, column);
  }

  choose(row, column) {
    this.pixel = { row, column };
    this.object = null;
    let text = this.picture.describe(row, column);
    const stored = this.picture.nearest(row, column);
    if (stored) {
      const same = stored.row === row && stored.column === column;
      text += same ? "; its spectrum is below"
        : `; below is the spectrum of the nearest stored pixel, row ${stored.row}, column ${stored.column}`;
      this.chosen = this.chosen.filter(one => one.number !== stored.number);
      this.chosen.push(stored);
      this.chosen = this.chosen.slice(-MAX_CHOSEN);
    }
    this.status.textContent = text;
    this.draw();
    this.drawSpectra();
  }

  zoomBy(factor, row, column) {
    const target = this.pixel || {};
    const y = row ?? target.row ?? this.y, x = column ?? target.column ?? this.x;
    const zoom = Math.min(Math.max(this.zoom * factor, 1), MAX_ZOOM);
    const real = zoom / this.zoom;
    if (row === undefined && this.pixel) {
      this.x = x;
      this.y = y;
    } else {
      this.x = x + (this.x - x) / real;
      this.y = y + (this.y - y) / real;
    }
    this.zoom = zoom;
    this.draw();
  }

  type(event) {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const { key } = event;
    if (key in moves) this.move(...moves[key]);
    else if (key === "+" || key === "=") this.zoomBy(2);
    else if (key === "-") this.zoomBy(0.5);
    else if (key === "0") this.showAll();
    else return;
    event.preventDefault();
  }

  // To the next pixel of the grid of spectra, or of the image where there is none.
  move(down, right) {
    const { width, height, values } = this.picture;
    const from = this.pixel || { row: Math.floor(height / 2), column: Math.floor(width / 2) };
    const next = { row: from.row + down, column: from.column + right };
    if (values.gridPlaces) {
      const places = arrayOf(values.gridPlaces);
      for (const [name, first, step] of [["row", 0, down], ["column", 1, right]]) {
        const all = new Set();
        for (let i = first; i < places.length; i += 2) all.add(places[i]);
        const sorted = [...all].sort((a, b) => a - b);
        if (step > 0) next[name] = sorted.find(v => v > from[name]) ?? sorted[sorted.length - 1];
        if (step < 0) next[name] = sorted.reverse().find(v => v < from[name]) ?? sorted[sorted.length - 1];
      }
    }
    this.chosen = this.chosen.slice(0, -1);
    const row = Math.min(Math.max(next.row, 0), height - 1);
    const column = Math.min(Math.max(next.column, 0), width - 1);
    if (this.zoom > 1) {
      this.x = column;
      this.y = row;
    }
    this.choose(row, column);
  }

  listObjects() {
    const place = document.getElementById("objects");
    const { objects, objectCount } = this.picture.values;
    if (!objects.length) {
      const text = objectCount === null ? "Objects were not recorded." : "No objects in this image.";
      place.replaceChildren(make("p", { class: "muted" }, text));
      return;
    }
    const head = make("tr");
    for (const title of ["object", "", "row", "column", "pixels", "highest score"]) {
      head.append(make("th", { scope: "col" }, title));
    }
    const body = make("tbody");
    objects.forEach((one, k) => {
      const button = make("button", { type: "button", "aria-pressed": "false" }, String(k + 1));
      button.setAttribute("aria-label", `object ${k + 1}: show it and its spectrum`);
      button.addEventListener("click", () => this.chooseObject(k));
      const row = make("tr", { class: one.kind }, make("td", {}, button));
      const score = one.score === null ? "-" : shortNumber(one.score);
      for (const text of [KINDS[one.kind], one.row, one.column, one.pixels, score]) {
        row.append(make("td", {}, String(text)));
      }
      body.append(row);
    });
    const caption = `${objectCount} object${objectCount === 1 ? "" : "s"}`;
    const region = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "objects" },
      make("table", {}, make("caption", {}, caption), make("thead", {}, head), body));
    place.replaceChildren(region);
  }

  chooseObject(number) {
    const one = this.picture.values.objects[number];
    this.object = this.object === number ? null : number;
    document.querySelectorAll("#objects tbody button").forEach((button, k) => {
      button.setAttribute("aria-pressed", String(k === this.object));
    });
    this.x = one.column;
    this.y = one.row;
    if (this.object !== null && this.zoom === 1) this.zoom = 2;
    this.pixel = null;
    this.status.textContent = `object ${number + 1}: ${this.picture.describe(one.row, one.column)}`;
    this.draw();
    this.drawSpectra();
  }

  drawSpectra() {
    if (!this.chart) return;
    const { spectra, picture } = this;
    const series = [], data = [spectra.x], bands = [];
    const add = (name, style, values, width, group = "") => {
      series.push({ name, style, kind: "line", right: false, width, faint: group !== "", group });
      data.push(values);
    };
    if (spectra.background) {
      add("background, percentile 95", 4, spectra.background.high, 1);
      add("percentile 5", 4, spectra.background.low, 1);
      bands.push([0, 1]);
    }
    const few = picture.values.objects.length <= 4;
    const styles = { missed: 3, false: 1, correct: 2, decided: 1 };
    const groups = new Set();
    picture.values.objects.forEach((one, k) => {
      const values = picture.objectSpectrum(k);
      if (!values) return;
      const style = few ? 1 + k % 4 : styles[one.kind];
      if (few || k === this.object) {
        add(`object ${k + 1}, ${KINDS[one.kind]}`, style, values, k === this.object ? 3.5 : 1);
        return;
      }
      const name = groups.has(one.kind) ? "" : `objects, ${KINDS[one.kind]}`;
      groups.add(one.kind);
      add(name, style, values, 1, one.kind);
    });
    if (spectra.background) add("background, mean", 0, spectra.background.mean, 2);
    this.chosen.forEach((one, k) => {
      const last = k === this.chosen.length - 1;
      const score = picture.values.gridScores ? arrayOf(picture.values.gridScores)[one.number] : NaN;
      const text = Number.isFinite(score) ? `, score ${shortNumber(score)}` : "";
      add(`row ${one.row}, column ${one.column}${text}`, 5, picture.spectrum(one.number), last ? 3 : 1.2);
    });
    this.chart.update({
      title: "", x: spectra.label, y: "value", right: "", xLog: false, xRange: null, yRange: null,
      rules: [], bands, series, data, height: 320,
    });
  }
}

// ---------------------------------------------------------------------------------- printing

const PRINT_WIDTH = 330;

// Every image is printed, not only the one that is shown.
function printImages(viewer) {
  const place = document.getElementById("prints");
  for (const picture of viewer.pictures) {
    const { name, caption } = picture.values;
    const row = make("div", { class: "print" }, make("h3", {}, caption ? `${name}: ${caption}` : name));
    for (const part of picture.values.scores ? ["colours", "scores"] : ["colours"]) {
      const scale = Math.min(PRINT_WIDTH / picture.width, 400 / picture.height);
      const canvas = make("canvas", { width: 2 * picture.width * scale, height: 2 * picture.height * scale });
      canvas.style.width = `${picture.width * scale}px`;
      const context = canvas.getContext("2d");
      context.scale(2, 2);
      picture.draw(context, part, { scale, left: 0, top: 0, outline: true });
      row.append(canvas);
    }
    place.append(row);
  }
}

function preparePrint(viewer) {
  document.documentElement.classList.add("printing");
  for (const one of document.querySelectorAll("details:not(.licence)")) one.open = true;
  for (const chart of CHARTS) {
    const whole = chart.host.closest("#spectra, .spectrum, #bands");
    chart.printWidth = whole ? 2 * PRINT_WIDTH : PRINT_WIDTH;
    chart.fit();
    if (chart.plot) chart.plot.redraw();
  }
  if (viewer) printImages(viewer);
}

function endPrint() {
  document.documentElement.classList.remove("printing");
  const place = document.getElementById("prints");
  if (place) place.replaceChildren();
  for (const chart of CHARTS) {
    chart.printWidth = 0;
    chart.fit();
    if (chart.plot) chart.plot.redraw();
  }
}

async function start() {
  document.querySelectorAll("table.sortable").forEach(makeSortable);
  buffer = await unpack(VALUES.block);
  for (const figure of document.querySelectorAll("[data-chart]")) {
    const spec = VALUES.charts[figure.dataset.chart];
    if (spec) new Chart(figure, spec);
  }
  const root = document.getElementById("viewer");
  const viewer = root ? new Viewer(root, VALUES.viewer) : null;
  const thumbnails = [...document.querySelectorAll(".strip img")];
  await Promise.all(thumbnails.map(image => image.decode().catch(() => {})));
  if (viewer) viewer.draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const chart of CHARTS) if (chart.plot) chart.plot.redraw();
  });
  addEventListener("beforeprint", () => preparePrint(viewer));
  addEventListener("afterprint", endPrint);
  document.documentElement.dataset.ready = "yes";
}

// A browser without DecompressionStream (before 2023) shows what needs no script.
start().catch(error => {
  const text = `Charts, maps of scores and spectra cannot be shown by this browser: ${error.message}`;
  document.querySelector("header").append(make("p", { class: "warnings", role: "alert" }, text));
});
