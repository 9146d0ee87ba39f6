// What all drawings of the page share: colours, letters, numbers, axes, and a range that is zoomed and panned.

const outlines = Object.fromEntries(
  [...document.querySelectorAll("symbol[id^=letter-]")].map((symbol) => [
    symbol.id.at(-1),
    new Path2D(symbol.firstElementChild.getAttribute("d")),
  ])
);

const colours = {};
const NAMES = ["ink", "faint", "line", "paper", "shade", "accent", "raises", "lowers", "A", "C", "G", "T"];
const readColours = () => {
  const probe = document.createElement("span");
  document.body.append(probe);
  for (const name of NAMES) {
    probe.style.color = `var(--${name})`;
    colours[name] = getComputedStyle(probe).color;
  }
  probe.remove();
};

// A colour between that of the paper, for 0, and those of raising (1) and lowering (-1) the prediction.
const channels = (colour) =>
  colour
    .match(/[\d.]+/g)
    .slice(0, 3)
    .map(Number);
const shadeOf = (value) => {
  const end = channels(value > 0 ? colours.raises : colours.lowers);
  const share = Math.min(1, Math.abs(value));
  return `rgb(${channels(colours.paper).map((from, i) => Math.round(from + share * (end[i] - from)))})`;
};

const write = (value, sign = true) => {
  if (value === null || Number.isNaN(value)) return "none";
  const text = Math.abs(value) < 1e-9 ? "0" : String(Number(value.toPrecision(3)));
  return (sign && value > 0 ? "+" : "") + text.replace("-", "−");
};
const grouped = (value) => Math.round(value).toLocaleString("en-US");

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

// Fit a canvas to its parent and to the screen's pixels; returns what draws, and the width.
const prepare = (canvas, height, width = canvas.parentElement.clientWidth) => {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = colours.paper;
  context.fillRect(0, 0, width, height);
  context.font = "11px system-ui, sans-serif";
  return [context, width];
};

// A letter that stands on (or hangs from) y, `height` high; a negative height is upside down.
const letter = (context, base, x, width, y, height) => {
  if (!(base in outlines) || Math.abs(height) < 0.4) return;
  context.save();
  context.translate(x, y - height);
  context.scale(width, height);
  context.fillStyle = colours[base];
  context.fill(outlines[base]);
  context.restore();
};

const line = (context, x1, y1, x2, y2, colour = colours.ink, width = 1) => {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
};

// Round numbers between two, about `n` of them.
const ticks = (low, high, n, least = 0) => {
  const rough = (high - low) / Math.max(n, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(
    least,
    [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough)
  );
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) found.push(value);
  return found;
};

const yAxis = (context, left, top, height, low, high, title) => {
  const y = (value) => top + height * (1 - (value - low) / (high - low || 1));
  line(context, left, top, left, top + height, colours.faint);
  context.fillStyle = colours.faint;
  context.textAlign = "right";
  for (const value of ticks(low, high, Math.max(2.5, height / 28))) {
    line(context, left - 3, y(value), left, y(value), colours.faint);
    context.fillText(write(value, false), left - 6, y(value) + 4);
  }
  context.textAlign = "left";
  context.fillStyle = colours.ink;
  context.fillText(title, left + 4, top - 4);
  return y;
};

// The part of an axis that a canvas shows. Drag and Shift with arrows pan; the wheel (with Ctrl, or on the
// canvas that has the focus), double clicks, + and - zoom; 0 shows all.
class Range {
  constructor(canvas, { left = 64, right = 28, least = 12, redraw, key = () => false }) {
    Object.assign(this, {
      canvas,
      left,
      right,
      least,
      redraw,
      min: 0,
      max: 1,
      low: 0,
      high: 1,
      dragged: false,
    });
    this.listen(key);
  }

  get width() {
    return this.canvas.clientWidth - this.left - this.right;
  }

  bound(min, max) {
    Object.assign(this, { min, max, low: min, high: max });
  }

  x(value) {
    return this.left + ((value - this.low) / (this.high - this.low)) * this.width;
  }

  at(x) {
    return this.low + ((x - this.left) / this.width) * (this.high - this.low);
  }

  show(low, high) {
    const size = Math.min(Math.max(high - low, this.least), this.max - this.min);
    const middle = (low + high) / 2;
    this.low = Math.min(Math.max(middle - size / 2, this.min), this.max - size);
    this.high = this.low + size;
    this.later();
  }

  zoom(factor, at = (this.low + this.high) / 2) {
    this.show(at - (at - this.low) * factor, at + (this.high - at) * factor);
  }

  pan(share) {
    const by = share * (this.high - this.low);
    this.show(this.low + by, this.high + by);
  }

  later() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.redraw();
    });
  }

  listen(key) {
    const { canvas } = this;
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      from = { x: event.offsetX, low: this.low, high: this.high };
      this.dragged = false;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from || Math.abs(event.offsetX - from.x) < 3) return;
      this.dragged = true;
      const by = ((from.x - event.offsetX) / this.width) * (from.high - from.low);
      this.show(from.low + by, from.high + by);
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (from = null));
    canvas.addEventListener("dblclick", (event) =>
      this.zoom(event.shiftKey ? 2 : 0.5, this.at(event.offsetX))
    );
    canvas.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
        event.preventDefault();
        if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.pan(event.deltaX / this.width);
        else this.zoom(1.0015 ** event.deltaY, this.at(event.offsetX));
      },
      { passive: false }
    );
    canvas.addEventListener("keydown", (event) => {
      const actions = {
        "+": () => this.zoom(0.5),
        "=": () => this.zoom(0.5),
        "-": () => this.zoom(2),
        0: () => this.show(this.min, this.max),
        Home: () => this.show(this.min, this.min + this.high - this.low),
        End: () => this.show(this.max - this.high + this.low, this.max),
        PageUp: () => this.pan(-0.9),
        PageDown: () => this.pan(0.9),
      };
      if (event.shiftKey)
        Object.assign(actions, { ArrowLeft: () => this.pan(-0.25), ArrowRight: () => this.pan(0.25) });
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      if (event.key in actions) actions[event.key]();
      else if (!key(event)) return;
      event.preventDefault();
    });
  }
}

// Draw nothing outside of a range.
const within = (context, range, draws) => {
  context.save();
  context.beginPath();
  context.rect(range.left, 0, range.width, 1e5);
  context.clip();
  draws();
  context.restore();
};

// Buttons that do what the keys do.
const rangeButtons = (range) =>
  [
    ["−", "Zoom out", () => range.zoom(2)],
    ["+", "Zoom in", () => range.zoom(0.5)],
    ["◂", "Pan to the left", () => range.pan(-0.25)],
    ["▸", "Pan to the right", () => range.pan(0.25)],
    ["All", "Show all of it", () => range.show(range.min, range.max)],
  ].map(([text, title, action]) => {
    const button = element("button", { type: "button", textContent: text, title });
    button.setAttribute("aria-label", title);
    button.addEventListener("click", action);
    return button;
  });

// Words beside the pointer.
const tip = element("div", { className: "tip", hidden: true });
tip.setAttribute("aria-hidden", "true");
document.body.append(tip);
const showTip = (event, lines) => {
  tip.hidden = !lines.length;
  tip.replaceChildren(...lines.map((text) => element("div", { textContent: text })));
  const beyond = event.clientX + tip.offsetWidth + 24 > innerWidth;
  tip.style.left = `${event.pageX + (beyond ? -tip.offsetWidth - 12 : 14)}px`;
  tip.style.top = `${event.pageY + 14}px`;
};

const redrawn = []; // what draws anew when colours or sizes change
const redrawAll = () => {
  readColours();
  redrawn.forEach((draw) => draw());
};
