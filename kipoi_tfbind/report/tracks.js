// Tracks of one sequence: logos, maps of every base, profiles of windows, hits; zoomed, panned, read by pointer and keys.

const makeTracks = (data) => {
  const box = document.getElementById("tracks");
  const canvas = box.querySelector("canvas"),
    status = box.querySelector("[role=status]");
  const chooser = box.querySelector("select"),
    heading = box.querySelector(".about");
  let one = data.sequences[0],
    tracks = [],
    rows = [],
    position = null,
    marked = [];
  const listeners = [];
  data.sequences.forEach((each, i) =>
    chooser.append(element("option", { value: i, textContent: each.name }))
  );

  const baseAt = (at) => one.letters[at - one.first] ?? "";
  const linesAt = (at) => {
    const lines = [`${labelOf(one, at)}  ${baseAt(at)}`];
    for (const track of tracks) {
      const i = track.index.get(at);
      if (i === undefined) continue;
      lines.push(`${track.title}: ${track.target}, ${track.score} ${write(track.scores[i])}`);
      if (track.bases) {
        const parts = [...BASES].map((base, b) => `${base} ${write(track.bases[4 * i + b])}`);
        lines.push(`  ${track.map === "mutation_effect" ? "effect of" : "if it were"}  ${parts.join("   ")}`);
      }
      if (track.windows) {
        const over = track.windows[0].findIndex((start, w) => start <= at && at < track.windows[1][w]);
        if (over >= 0) lines.push(`  first window over it: ${write(track.effects[over])}`);
      }
    }
    for (const [start, end, strand, name, contribution, q] of one.hits)
      if (start <= at && at < end)
        lines.push(`${name} (${strand}), contribution ${write(contribution)}, q ${q}`);
    return lines;
  };

  const range = new Range(canvas, {
    redraw: () => draw(),
    key: ({ key }) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1 };
      const others = { n: 1, p: -1 };
      if (key in steps) read((position ?? Math.round((range.low + range.high) / 2)) + steps[key]);
      else if (key in others)
        show((data.sequences.indexOf(one) + others[key] + data.sequences.length) % data.sequences.length);
      else return false;
      return true;
    },
  });

  const point = (at) => {
    position = at === null ? null : Math.min(Math.max(at, range.min + 0.5), range.max - 0.5);
    listeners.forEach((listener) => listener(position));
    range.later();
  };
  // By keys: move to a base, bring it into view, and say what is there.
  const read = (at) => {
    point(at);
    if (position < range.low || position > range.high)
      range.show(position - (range.high - range.low) / 2, position + (range.high - range.low) / 2);
    status.textContent = linesAt(position).join("; ");
  };

  const drawOverview = (context, width, top) => {
    const scores = tracks[0].scores.map((value) => Math.abs(value ?? 0)),
      largest = Math.max(...scores) || 1;
    const x = (at) => range.left + ((at - range.min) / (range.max - range.min)) * range.width;
    context.fillStyle = colours.shade;
    context.fillRect(x(range.low), top, x(range.high) - x(range.low), 26);
    context.fillStyle = colours.faint;
    const wide = Math.max(1, range.width / (range.max - range.min));
    tracks[0].positions.forEach((at, i) => {
      const height = (24 * scores[i]) / largest;
      if (height > 0.3) context.fillRect(x(at) - wide / 2, top + 26 - height, wide, height);
    });
    line(context, range.left, top + 26, width - range.right, top + 26, colours.line);
  };

  const visible = (track) =>
    track.positions.map((at, i) => [at, i]).filter(([at]) => at > range.low - 1 && at < range.high + 1);

  const drawLogo = (context, track, top, height) => {
    const known = track.scores.filter((value) => value !== null);
    const low = Math.min(0, ...known),
      high = Math.max(0, ...known) || 1;
    const y = yAxis(
      context,
      range.left,
      top,
      height,
      low,
      high,
      `${track.title}: ${track.target}, ${track.score} (${track.unit})`
    );
    const cell = range.x(1) - range.x(0);
    within(context, range, () => {
      for (const [at, i] of visible(track)) {
        const value = track.scores[i];
        if (!value) continue;
        if (cell >= 5) letter(context, baseAt(at), range.x(at - 0.46), 0.92 * cell, y(0), y(0) - y(value));
        else {
          context.fillStyle = colours[baseAt(at)] ?? colours.faint;
          context.fillRect(
            range.x(at - 0.5),
            Math.min(y(0), y(value)),
            Math.max(cell, 0.8),
            Math.abs(y(value) - y(0))
          );
        }
      }
    });
    line(context, range.left, y(0), range.left + range.width, y(0), colours.ink, 0.6);
  };

  const drawMap = (context, track, top, height) => {
    const largest = Math.max(...track.bases.map((value) => Math.abs(value ?? 0))) || 1;
    const cell = range.x(1) - range.x(0),
      row = height / 4;
    context.fillStyle = colours.faint;
    context.textAlign = "right";
    [...BASES].forEach((base, b) => context.fillText(base, range.left - 6, top + (b + 0.5) * row + 4));
    context.textAlign = "left";
    within(context, range, () => {
      for (const [at, i] of visible(track))
        [...BASES].forEach((base, b) => {
          const value = track.bases[4 * i + b],
            x = range.x(at - 0.5);
          context.fillStyle = value === null ? colours.line : shadeOf(value / largest);
          context.fillRect(x, top + b * row, cell + 0.5, row);
          if (cell >= 5 && baseAt(at) === base) {
            context.fillStyle = colours.ink;
            context.fillRect(x + cell / 2 - 1.5, top + (b + 0.5) * row - 1.5, 3, 3);
          }
        });
    });
    context.strokeStyle = colours.faint;
    context.strokeRect(range.left, top, range.width, height);
  };

  const drawWindows = (context, track, top, height) => {
    const low = Math.min(0, ...track.effects),
      high = Math.max(0, ...track.effects) || 1;
    const y = yAxis(
      context,
      range.left,
      top,
      height,
      low,
      high,
      `${track.title}: ${track.target}, effect of occlusion (Δ ${track.unit})`
    );
    context.strokeStyle = colours.accent;
    context.lineWidth = 1.2;
    context.beginPath();
    track.effects.forEach((value, w) => {
      const x = range.x((track.windows[0][w] + track.windows[1][w] - 1) / 2);
      if (w) context.lineTo(x, y(value));
      else context.moveTo(x, y(value));
    });
    within(context, range, () => context.stroke());
    line(context, range.left, y(0), range.left + range.width, y(0), colours.ink, 0.6);
  };

  const drawAxis = (context, top) => {
    context.fillStyle = colours.faint;
    context.textAlign = "center";
    line(context, range.left, top, range.left + range.width, top, colours.faint);
    const ends = [range.low, range.high].map((at) => coordinateOf(one, at)).sort((a, b) => a - b);
    for (const value of ticks(...ends, range.width / 110, 1)) {
      const at =
        one.chrom === undefined ? value : one.strand === "-" ? one.end - value : value - 1 - one.start;
      line(context, range.x(at), top, range.x(at), top + 4, colours.faint);
      context.fillText(grouped(value), range.x(at), top + 16);
    }
    const words =
      one.chrom === undefined
        ? "position in the sequence (0-based)"
        : `${one.chrom}, 1-based${one.strand === "-" ? ", reverse strand" : ""}`;
    context.fillText(words, range.left + range.width / 2, top + 31);
    context.textAlign = "left";
  };

  const layout = () => {
    rows = [[26, drawOverview]];
    for (const track of tracks) {
      if (track.windows) rows.push([80, drawWindows, track]);
      else rows.push([96, drawLogo, track]);
      if (track.bases) rows.push([56, drawMap, track]);
    }
    if (one.hits.length) rows.push([ROW * (1 + Math.max(...rowsOf(one.hits))), drawHits]);
  };
  const drawHits = (context, width, top) =>
    within(context, range, () => drawPlaces(context, range, one.hits, top, (at) => at));

  const draw = () => {
    layout();
    const gap = 20;
    const height = rows.reduce((sum, [size, draws]) => sum + size + (draws === drawMap ? 6 : gap), 0) + 46;
    const [context, width] = prepare(canvas, height);
    let top = 6;
    rows.forEach(([size, draws, track], i) => {
      top += draws === drawMap ? 6 : i ? gap : 0;
      if (track) draws(context, track, top, size);
      else draws(context, width, top);
      top += size;
    });
    for (const at of [position, ...marked]) {
      if (at === null || at < range.low || at > range.high) continue;
      context.strokeStyle = colours.accent;
      context.strokeRect(range.x(at - 0.5), 40, range.x(1) - range.x(0), top - 40);
    }
    drawAxis(context, top + 6);
  };

  const show = (i, focus = false) => {
    one = data.sequences[i];
    tracks = one.tracks.map((track) => expand(data, one, track));
    chooser.value = i;
    position = null;
    marked = [];
    const first = Math.min(...tracks.map((track) => track.positions[0]));
    const last = Math.max(...tracks.map((track) => track.positions.at(-1)));
    range.bound(first - 0.5, last + 0.5);
    const strongest = tracks[0].scores.reduce(
      (best, value, k, all) => (Math.abs(value ?? 0) > Math.abs(all[best] ?? 0) ? k : best),
      0
    );
    const centre = tracks[0].positions[strongest];
    if (last - first > 150) range.show(centre - 50, centre + 50);
    const whole =
      one.chrom === undefined
        ? ""
        : ` ${one.chrom}:${grouped(one.start + 1)}-${grouped(one.end)}${one.strand === "-" ? " (−)" : ""}`;
    const predictions = [...new Set(tracks.map((track) => `${track.target} ${track.prediction}`))];
    heading.textContent = `${whole.trim()}${whole ? "; " : ""}prediction: ${predictions.join(", ")}`;
    canvas.setAttribute("aria-label", `Tracks of ${one.name}; arrow keys read base by base`);
    status.textContent = "";
    listeners.forEach((listener) => listener(null));
    pairs.show(
      one,
      tracks.find((track) => track.pairs),
      baseAt
    );
    draw();
    if (focus) {
      box.scrollIntoView({ block: "start" });
      canvas.focus({ preventScroll: true });
    }
  };

  canvas.addEventListener("pointermove", (event) => {
    const at = Math.round(range.at(event.offsetX));
    const inside = at > range.low - 0.5 && at < range.high + 0.5 && event.offsetX >= range.left;
    point(inside ? at : null);
    showTip(event, inside ? linesAt(at) : []);
  });
  canvas.addEventListener("pointerleave", () => {
    point(null);
    tip.hidden = true;
  });
  chooser.addEventListener("change", () => show(Number(chooser.value)));
  const controls = box.querySelector(".controls");
  const step = (by) =>
    show((data.sequences.indexOf(one) + by + data.sequences.length) % data.sequences.length);
  for (const [text, title, by] of [
    ["Previous", "Previous sequence (p)", -1],
    ["Next", "Next sequence (n)", 1],
  ]) {
    const button = element("button", { type: "button", textContent: text, title });
    button.addEventListener("click", () => step(by));
    controls.append(button);
  }
  controls.append(...rangeButtons(range));
  const pairs = makePairs(box.querySelector(".pairs"), {
    mark: (positions) => {
      marked = positions;
      range.later();
    },
  });
  listeners.push((at) => pairs.point(at));
  redrawn.push(draw);
  return { show, range, read, linesAt };
};
