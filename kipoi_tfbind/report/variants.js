// Each variant's row opens as a picture of both alleles.

const drawAlleles = (canvas, one) => {
  const n = one.ref.length,
    cell = 11,
    height = 70,
    margin = 40;
  const values = one.refScores.concat(one.altScores);
  const high = Math.max(0, ...values),
    low = Math.min(0, ...values),
    scale = height / (high - low || 1);
  const [context, width] = prepare(canvas, 2 * height + 30, n * cell + margin + 4);
  context.fillStyle = colours.shade;
  context.fillRect(margin + one.flank * cell, 0, one.size * cell, 2 * height + 30);
  [
    [one.ref, one.refScores, 0, "REF"],
    [one.alt, one.altScores, height + 20, "ALT"],
  ].forEach(([letters, scores, top, name]) => {
    const zero = top + high * scale + 4;
    context.fillStyle = colours.ink;
    context.fillText(name, 4, zero + 4);
    line(context, margin, zero, width, zero, colours.ink, 0.6);
    [...letters].forEach((base, i) =>
      letter(context, base, margin + i * cell + 0.5, cell - 1, zero, scores[i] * scale)
    );
  });
};

const makeVariants = () => {
  const source = document.getElementById("variant-data");
  if (!source) return;
  const variants = JSON.parse(source.textContent);
  [...document.querySelector("#variants tbody").rows].forEach((row, i) => {
    const one = variants[i];
    if (!one) return;
    row.tabIndex = 0;
    row.classList.add("opens");
    const open = () => {
      const next = row.nextElementSibling;
      if (next && next.className === "drawing") return next.remove();
      const canvas = element("canvas");
      const cell = element("td", { colSpan: row.cells.length }, canvas);
      row.after(element("tr", { className: "drawing" }, cell));
      canvas.setAttribute("role", "img");
      const words = [...row.cells].slice(0, 5).map((part) => part.textContent.trim());
      canvas.setAttribute("aria-label", `Contributions for both alleles of ${words.join(" ")}`);
      drawAlleles(canvas, one);
      redrawn.push(() => canvas.isConnected && drawAlleles(canvas, one));
    };
    row.addEventListener("click", open);
    row.addEventListener("keydown", (event) => event.key === "Enter" && open());
  });
};
