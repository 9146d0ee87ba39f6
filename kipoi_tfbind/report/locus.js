// A stretch of a contig with what the results say of it: predictions, contributions, hits, variants; no genes.

const plain = (contig) => contig.replace(/^chr/, "");

// Base of the forward strand of the contig, whichever strand the sequence reads.
const COMPLEMENTS = { A: "T", C: "G", G: "C", T: "A" };
const forward = (one, position) => {
  const base = one.letters[position - one.first];
  return one.strand === "-" ? (COMPLEMENTS[base] ?? base) : base;
};

const makeLocus = (data, variants, tracks) => {
  const box = document.getElementById("locus");
  const contigs = [...new Set(data.sequences.map((one) => one.chrom).filter((name) => name !== undefined))];
  if (!contigs.length) return;
  box.hidden = false;
  const canvas = box.querySelector("canvas"),
    status = box.querySelector("[role=status]");
  const chooser = box.querySelector("select"),
    region = box.querySelector("input"),
    lane = 56,
    lanes = 3;
  let contig = contigs[0],
    here = [],
    chosen = 0;
  const scores = new Map();
  const scoresOf = (one) => {
    if (!scores.has(one)) scores.set(one, expand(data, one, one.tracks[0]));
    return scores.get(one);
  };
  contigs.forEach((name) => chooser.append(element("option", { value: name, textContent: name })));

  const range = new Range(canvas, {
    least: 20,
    redraw: () => draw(),
    key: ({ key }) => {
      if (key === "Enter") tracks.show(data.sequences.indexOf(here[chosen].one), true);
      else if (key === "ArrowLeft" || key === "ArrowRight") centre(chosen + (key === "ArrowRight" ? 1 : -1));
      else return false;
      return true;
    },
  });

  const wordsOf = ({ one }) =>
    `${one.name}, ${one.chrom}:${grouped(one.start + 1)}-${grouped(one.end)} (${one.strand}), prediction ` +
    one.tracks.map((track) => `${track.target} ${track.prediction}`)[0];

  const centre = (i) => {
    chosen = Math.min(Math.max(i, 0), here.length - 1);
    const { one } = here[chosen];
    const middle = (one.start + 1 + one.end) / 2,
      half = Math.max((range.high - range.low) / 2, 10);
    range.show(middle - half, middle + half);
    status.textContent = wordsOf(here[chosen]);
  };

  // Windows that overlap stand in lanes, the later ones lower.
  const open = (name) => {
    contig = name;
    const ends = Array(lanes).fill(-Infinity);
    here = data.sequences
      .filter((one) => one.chrom === name)
      .sort((a, b) => a.start - b.start)
      .map((one) => {
        const free = ends.findIndex((end) => end <= one.start),
          row = free < 0 ? lanes - 1 : free;
        ends[row] = one.end;
        return { one, lane: row };
      });
    const low = Math.min(...here.map(({ one }) => one.start)),
      high = Math.max(...here.map(({ one }) => one.end));
    const margin = 0.02 * (high - low);
    range.bound(Math.max(0.5, low - margin), high + margin);
    chosen = Math.max(
      0,
      here.findIndex(({ one }) => one === data.sequences.find((each) => each.chrom === name))
    );
    draw();
  };

  const visible = () => here.filter(({ one }) => one.end > range.low && one.start < range.high);
  const genomic = (one) => (position) => coordinateOf(one, position);

  const drawScores = (context, one, top) => {
    const track = scoresOf(one),
      cell = range.x(1) - range.x(0);
    const known = track.scores.map((value) => value ?? 0);
    const low = Math.min(0, ...known),
      high = Math.max(0, ...known) || 1;
    const y = (value) => top + 4 + (lane - 12) * (1 - (value - low) / (high - low));
    track.positions.forEach((position, i) => {
      const at = coordinateOf(one, position),
        value = known[i];
      if (!value || at < range.low - 1 || at > range.high + 1) return;
      const base = forward(one, position);
      if (cell >= 5) letter(context, base, range.x(at - 0.46), 0.92 * cell, y(0), y(0) - y(value));
      else {
        context.fillStyle = value > 0 ? colours.raises : colours.lowers;
        context.fillRect(
          range.x(at - 0.5),
          Math.min(y(0), y(value)),
          Math.max(cell, 1),
          Math.max(0.5, Math.abs(y(value) - y(0)))
        );
      }
    });
    line(context, range.x(one.start + 0.5), y(0), range.x(one.end + 0.5), y(0), colours.faint, 0.6);
  };

  const draw = () => {
    const used = 1 + Math.max(...here.map((each) => each.lane));
    const onContig = variants.filter((variant) => plain(variant.chrom) === plain(contig));
    const top = [18, 74, 80 + used * lane, 112 + used * lane];
    const height = top[3] + (onContig.length ? 44 : 0) + 34;
    const [context, width] = prepare(canvas, height);
    const values = here.map(({ one }) => Number(one.tracks[0].prediction.replace("−", "-")));
    const y = yAxis(
      context,
      range.left,
      top[0],
      42,
      Math.min(0, ...values),
      Math.max(0, ...values) || 1,
      "Prediction"
    );
    context.fillText("Contributions (first result)", range.left + 4, top[1] - 2);
    context.save();
    context.beginPath();
    context.rect(range.left, 0, range.width, height);
    context.clip();
    const shown = visible();
    for (const each of shown) {
      const { one } = each,
        x = range.x(one.start + 0.5),
        wide = Math.max(1.5, range.x(one.end + 0.5) - x);
      const value = Number(one.tracks[0].prediction.replace("−", "-"));
      context.fillStyle = colours.accent;
      context.fillRect(x, Math.min(y(0), y(value)), wide, Math.abs(y(value) - y(0)));
      const at = top[1] + each.lane * lane;
      context.strokeStyle = each === here[chosen] ? colours.accent : colours.line;
      context.strokeRect(x, at + 1, wide, lane - 4);
      if (wide > 6 && shown.length < 400) drawScores(context, one, at);
      if (one.hits.length) drawPlaces(context, range, one.hits, top[2], genomic(one));
    }
    const largest = Math.max(...onContig.map((each) => Math.abs(each.effect))) || 1;
    for (const { pos, effect } of onContig) {
      if (pos < range.low || pos > range.high) continue;
      const x = range.x(pos);
      const end = top[3] + 22 - (18 * effect) / largest;
      line(context, x, top[3] + 22, x, end, effect > 0 ? colours.raises : colours.lowers, 1.5);
    }
    context.restore();
    if (onContig.length) {
      line(context, range.left, top[3] + 22, width - range.right, top[3] + 22, colours.faint, 0.6);
      context.fillStyle = colours.ink;
      context.fillText("Variants", 4, top[3] + 26);
    }
    context.fillStyle = colours.ink;
    if (here.some(({ one }) => one.hits.length)) context.fillText("Hits", 4, top[2] + 8);
    const bottom = height - 34;
    line(context, range.left, bottom, width - range.right, bottom, colours.faint);
    context.fillStyle = colours.faint;
    context.textAlign = "center";
    for (const value of ticks(range.low, range.high, range.width / 120, 1)) {
      line(context, range.x(value), bottom, range.x(value), bottom + 4, colours.faint);
      context.fillText(grouped(value), range.x(value), bottom + 16);
    }
    context.fillText(`${contig}, 1-based`, range.left + range.width / 2, bottom + 30);
    context.textAlign = "left";
    if (document.activeElement !== region)
      region.value = `${contig}:${grouped(Math.max(1, Math.ceil(range.low)))}-${grouped(Math.floor(range.high))}`;
  };

  const under = (event) => {
    const at = range.at(event.offsetX),
      row = Math.floor((event.offsetY - 74) / lane);
    const found = visible().filter(({ one }) => one.start < at && at <= one.end + 0.5);
    return found.find((each) => each.lane === row) ?? found[0];
  };
  canvas.addEventListener("pointermove", (event) => {
    const each = under(event),
      at = Math.round(range.at(event.offsetX));
    const near = variants.filter(
      (variant) =>
        plain(variant.chrom) === plain(contig) && Math.abs(range.x(variant.pos) - event.offsetX) < 3
    );
    const lines = near.slice(0, 4).map((variant) => `${variant.name}: effect ${write(variant.effect)}`);
    if (each) {
      const track = scoresOf(each.one),
        one = each.one;
      const position = one.strand === "-" ? one.end - at : at - 1 - one.start,
        i = track.index.get(position);
      lines.push(wordsOf(each));
      if (i !== undefined)
        lines.push(
          `${contig}:${grouped(at)} ${forward(one, position)}, ${track.score} ${write(track.scores[i])}`
        );
    }
    showTip(event, lines);
  });
  canvas.addEventListener("pointerleave", () => (tip.hidden = true));
  canvas.addEventListener("click", (event) => {
    const each = under(event);
    if (range.dragged || !each) return;
    chosen = here.indexOf(each);
    tracks.show(data.sequences.indexOf(each.one));
    status.textContent = `${wordsOf(each)}; its tracks are shown above`;
    range.later();
  });
  chooser.addEventListener("change", () => open(chooser.value));
  region.addEventListener("change", () => {
    const found = region.value.replaceAll(",", "").match(/^\s*(\S+?):(\d+)-(\d+)\s*$/);
    const name = found && contigs.find((each) => plain(each) === plain(found[1]));
    if (!name || Number(found[2]) >= Number(found[3])) {
      status.textContent = `${region.value}: expected CONTIG:START-END on ${contigs.join(", ")}`;
      return;
    }
    if (name !== contig) open((chooser.value = name));
    range.show(Number(found[2]) - 0.5, Number(found[3]) + 0.5);
    region.blur();
  });
  box.querySelector(".controls").append(...rangeButtons(range));
  redrawn.push(draw);
  open(contig);
};
