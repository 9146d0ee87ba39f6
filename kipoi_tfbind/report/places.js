// Arrows for hits along a range, their names to the right, in rows where they overlap.
const ROW = 15;
const rowsOf = (places) => {
  const ends = [];
  return places.map(([start, end]) => {
    const free = ends.findIndex((before) => before <= start),
      row = free < 0 ? ends.length : free;
    ends[row] = end;
    return row;
  });
};
const drawPlaces = (context, range, places, top, where) => {
  const rows = rowsOf(places),
    unit = where(1) - where(0);
  places.forEach(([start, end, strand, name, contribution], i) => {
    const [a, b] = [range.x(where(start) - unit / 2), range.x(where(end) - unit / 2)].sort((p, q) => p - q);
    if (b < range.left || a > range.left + range.width) return;
    const y = top + 6 + ROW * rows[i],
      forwards = (strand !== "-") === unit > 0;
    context.fillStyle = contribution < 0 ? colours.lowers : colours.raises;
    if (b - a < 4) return context.fillRect(a, y - 4, 2, 8);
    const head = Math.min(7, b - a),
      [from, to] = forwards ? [a, b] : [b, a],
      side = forwards ? -head : head;
    context.beginPath();
    context.moveTo(to, y);
    context.lineTo(to + side, y - 5);
    context.lineTo(to + side, y + 5);
    context.fill();
    context.fillRect(Math.min(from, to + side), y - 1.5, b - a - head, 3);
    if (b - a > 24) {
      context.fillStyle = colours.ink;
      context.fillText(name, b + 5, y + 4);
    }
  });
};
