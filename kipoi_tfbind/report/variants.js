"use strict";
(() => {
  const colours = { A: "#009E73", C: "#0072B2", G: "#E69F00", T: "#D55E00" };
  const data = JSON.parse(document.getElementById("variant-data").textContent);
  const body = document.querySelector("#variants tbody");
  const status = document.querySelector("#variants [role=status]");
  const text = (value, number) =>
    number ? (value === null ? "" : Number(value).toPrecision(3).replace("-", "−")) : value;

  const draw = (canvas, one) => {
    const n = one.ref.length, cell = 11, height = 70, context = canvas.getContext("2d");
    const values = one.refScores.concat(one.altScores);
    const high = Math.max(0, ...values), low = Math.min(0, ...values), scale = height / (high - low || 1);
    canvas.width = n * cell + 40;
    canvas.height = 2 * height + 30;
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = "#e4e7ea";
    context.fillRect(40 + one.flank * cell, 0, one.size * cell, canvas.height);
    [[one.ref, one.refScores, 0, "REF"], [one.alt, one.altScores, height + 20, "ALT"]].forEach(
      ([letters, scores, top, name]) => {
        const zero = top + high * scale;
        context.fillStyle = "#1d2329";
        context.font = "12px sans-serif";
        context.fillText(name, 4, zero + 4);
        context.fillRect(40, zero, n * cell, 0.6);
        context.font = "bold 14px sans-serif";
        [...letters].forEach((letter, i) => {
          const size = scores[i] * scale;
          if (!(letter in colours) || Math.abs(size) < 0.5) return;
          context.save();
          context.translate(40 + i * cell, zero);
          context.scale(cell / context.measureText(letter).width, -size / 10.2);
          context.scale(1, -1);
          context.fillStyle = colours[letter];
          context.fillText(letter, 0, 0);
          context.restore();
        });
      }
    );
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "Contributions for both alleles of " + one.cells.slice(0, 5).join(" "));
  };

  const rows = data.variants.map((one) => {
    const row = document.createElement("tr");
    row.tabIndex = 0;
    one.cells.forEach((value, i) => {
      const cell = document.createElement("td");
      cell.textContent = text(value, data.numbers[i]);
      if (data.numbers[i]) cell.className = "number";
      row.append(cell);
    });
    const open = () => {
      const next = row.nextElementSibling;
      if (next && next.className === "drawing") return next.remove();
      const drawing = document.createElement("tr"), cell = document.createElement("td");
      drawing.className = "drawing";
      cell.colSpan = one.cells.length;
      const canvas = document.createElement("canvas");
      cell.append(canvas);
      drawing.append(cell);
      row.after(drawing);
      draw(canvas, one);
    };
    row.addEventListener("click", open);
    row.addEventListener("keydown", (event) => event.key === "Enter" && open());
    return { row, one, words: one.cells.join(" ").toLowerCase() };
  });

  const show = () => {
    const wanted = document.querySelector("#variants input").value.toLowerCase().split(/\s+/);
    const found = rows.filter(({ words }) => wanted.every((word) => words.includes(word)));
    body.replaceChildren(...found.map(({ row }) => row));
    status.textContent = found.length + " of " + rows.length + " alleles";
  };

  document.querySelectorAll("#variants thead button").forEach((button, i) => {
    let direction = -1;
    button.addEventListener("click", () => {
      direction = -direction;
      const key = ({ one }) => one.cells[i];
      rows.sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        const order = data.numbers[i]
          ? (x === null ? Infinity : i === data.effect ? Math.abs(x) : x) - (y === null ? Infinity : i === data.effect ? Math.abs(y) : y)
          : x < y ? -1 : x > y ? 1 : 0;
        return direction * order;
      });
      show();
    });
  });
  document.querySelector("#variants input").addEventListener("input", show);
  show();
})();
