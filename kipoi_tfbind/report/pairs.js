// The epistasis map of a sequence over its logo; what is pointed at is marked in both, and in the tracks.

const makePairs = (box, { mark }) => {
  const canvas = box.querySelector("canvas"),
    status = box.querySelector("[role=status]");
  const left = 24,
    logoHeight = 70;
  const map = element("canvas"); // without marks, which change with every move
  let one,
    track,
    baseAt,
    size,
    chosen = null,
    pointed = null,
    table;

  const cell = () => size / track.positions.length;
  const nameOf = (i) => {
    const base = baseAt(track.positions[i]);
    return `${base}${grouped(coordinateOf(one, track.positions[i]))}`;
  };
  const linesAt = ([i, j]) => {
    const k = table.get(i * track.positions.length + j);
    if (k === undefined || track.epistasis[k] === null) return [`${nameOf(i)} and ${nameOf(j)}: none`];
    const [a, b] = [Math.floor(track.which[k] / 4), track.which[k] % 4];
    const alone = [track.bases[4 * i + a], track.bases[4 * j + b]];
    return [
      `${nameOf(i)}${BASES[a]} × ${nameOf(j)}${BASES[b]}`,
      `strongest epistasis of the two positions: ${write(track.epistasis[k])}`,
      `alone ${write(alone[0])} and ${write(alone[1])}, together ${write(alone[0] + alone[1] + track.epistasis[k])}`,
    ];
  };

  const drawMap = () => {
    const n = track.positions.length;
    size = Math.min(box.clientWidth - left - 12, 560);
    const [context] = prepare(map, size + logoHeight + 50, size + left + 12);
    const largest = Math.max(...track.epistasis.map((value) => Math.abs(value ?? 0))) || 1;
    track.epistasis.forEach((value, k) => {
      const [i, j] = [track.pairs[0][k], track.pairs[1][k]];
      context.fillStyle = value === null ? colours.line : shadeOf(value / largest);
      context.fillRect(left + i * cell(), 4 + j * cell(), cell() + 0.3, cell() + 0.3);
    });
    track.positions.forEach((at, i) => {
      if (cell() >= 6)
        letter(
          context,
          baseAt(at),
          left + (i + 0.08) * cell(),
          0.84 * cell(),
          4 + (i + 0.92) * cell(),
          0.84 * cell()
        );
    });
    line(context, left, 4, left, 4 + size, colours.faint);
    line(context, left, 4 + size, left + size, 4 + size, colours.faint);
    const known = track.scores.filter((value) => value !== null);
    const low = Math.min(0, ...known),
      high = Math.max(0, ...known) || 1,
      top = size + 14;
    const y = (value) => top + logoHeight * (1 - (value - low) / (high - low));
    track.positions.forEach((at, i) =>
      letter(
        context,
        baseAt(at),
        left + (i + 0.04) * cell(),
        0.92 * cell(),
        y(0),
        y(0) - y(track.scores[i] ?? 0)
      )
    );
    line(context, left, y(0), left + size, y(0), colours.ink, 0.6);
    context.fillStyle = colours.faint;
    context.textAlign = "center";
    const apart = Math.ceil(90 / cell());
    for (let i = Math.floor(apart / 2); i < n; i += apart) {
      const x = left + (i + 0.5) * cell();
      line(context, x, 4 + size, x, 8 + size, colours.faint);
      line(context, x, top + logoHeight, x, top + logoHeight + 4, colours.faint);
      context.fillText(grouped(coordinateOf(one, track.positions[i])), x, top + logoHeight + 17);
    }
    context.textAlign = "left";
    context.fillStyle = colours.ink;
    const words = [
      "Epistasis (ΔΔ " + track.unit + ")",
      track.target,
      `±${write(largest, false)} at full colour`,
    ];
    words.forEach((text, i) => context.fillText(text, left + size * 0.62, 18 + 15 * i));
  };

  const drawAll = () => {
    if (!track) return;
    drawMap();
    draw();
  };
  const draw = () => {
    const [context, width] = prepare(canvas, size + logoHeight + 50, size + left + 12);
    const top = size + 14;
    context.drawImage(map, 0, 0, width, size + logoHeight + 50);
    context.strokeStyle = colours.accent;
    context.lineWidth = 1.5;
    for (const i of chosen ?? (pointed === null ? [] : [pointed])) {
      context.strokeRect(left + i * cell(), top, cell(), logoHeight);
      context.strokeRect(left + i * cell(), 4 + i * cell(), cell(), size - i * cell());
      context.strokeRect(left, 4 + i * cell(), (i + 1) * cell(), cell());
    }
  };

  const choose = (pair) => {
    chosen = pair;
    mark(pair ? pair.map((i) => track.positions[i]) : []);
    draw();
  };
  canvas.addEventListener("pointermove", (event) => {
    const i = Math.floor((event.offsetX - left) / cell()),
      j = Math.floor((event.offsetY - 4) / cell());
    const n = track.positions.length,
      isPair = i >= 0 && i < j && j < n;
    choose(isPair ? [i, j] : null);
    const at = !isPair && i >= 0 && i < n && event.offsetY > size ? i : null;
    if (at !== null) mark([track.positions[at]]);
    showTip(
      event,
      isPair
        ? linesAt([i, j])
        : at === null
          ? []
          : [`${nameOf(at)}: ${track.score} ${write(track.scores[at])}`]
    );
  });
  canvas.addEventListener("pointerleave", () => {
    tip.hidden = true;
    choose(null);
  });
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const n = track.positions.length,
      [i, j] = chosen ?? strongest(),
      [right, down] = steps[event.key];
    const next = chosen ? [Math.max(0, i + right), Math.min(n - 1, j + down)] : [i, j];
    if (next[0] < next[1]) choose(next);
    status.textContent = linesAt(chosen).join("; ");
  });
  const strongest = () => {
    const best = track.epistasis.reduce(
      (found, value, k, all) => (Math.abs(value ?? 0) > Math.abs(all[found] ?? 0) ? k : found),
      0
    );
    return [track.pairs[0][best], track.pairs[1][best]];
  };

  redrawn.push(drawAll);
  return {
    show: (shown, withPairs, letters) => {
      [one, track, baseAt, chosen, pointed] = [shown, withPairs, letters, null, null];
      box.hidden = !track;
      if (!track) return;
      const n = track.positions.length;
      table = new Map(track.epistasis.map((_, k) => [track.pairs[0][k] * n + track.pairs[1][k], k]));
      drawAll();
    },
    point: (position) => {
      if (!track) return;
      pointed = track.index.get(position) ?? null;
      draw();
    },
  };
};
