// Colours, tables, and then what is drawn.

const themes = ["auto", "light", "dark"];
const theme = element("button", { type: "button", className: "theme" });
const setTheme = (name) => {
  theme.dataset.theme = name;
  theme.textContent = `Theme: ${name}`;
  document.documentElement.style.colorScheme = name === "auto" ? "" : name;
  redrawAll();
};
theme.addEventListener("click", () =>
  setTheme(themes[(themes.indexOf(theme.dataset.theme) + 1) % themes.length])
);
document.querySelector("header").prepend(theme);
setTheme("auto");
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
let resized = 0;
addEventListener("resize", () => {
  cancelAnimationFrame(resized);
  resized = requestAnimationFrame(redrawAll);
});

document.querySelectorAll("table.sortable").forEach(makeSortable);
makeVariants();

const drawn = () => (document.body.dataset.ready = Math.round(performance.now()));
const packed = document.getElementById("track-data");
if (!packed) drawn();
else
  unpack(packed.textContent).then((data) => {
    const source = document.getElementById("variant-data");
    const variants = source ? JSON.parse(source.textContent) : [];
    for (const box of document.querySelectorAll(".interactive")) box.hidden = false;
    document.getElementById("locus").hidden = true;
    const tracks = makeTracks(data);
    tracks.show(0);
    makeLocus(data, variants, tracks);
    // Rows of the tables of sequences and of hits open the tracks of their sequence.
    const rowOf = new Map(data.sequences.map((one, i) => [one.name, i]));
    document.querySelectorAll("tr[data-sequence]").forEach((row) => {
      const i =
        row.dataset.sequence === ""
          ? rowOf.get(row.cells[0].textContent.trim())
          : Number(row.dataset.sequence);
      if (i === undefined || i >= data.sequences.length) return;
      row.classList.add("opens");
      row.tabIndex = 0;
      const open = () => {
        tracks.show(i, true);
        if (row.dataset.at) tracks.range.show(Number(row.dataset.at) - 30, Number(row.dataset.at) + 30);
      };
      row.addEventListener("click", (event) => event.target.closest("a") || open());
      row.addEventListener("keydown", (event) => event.key === "Enter" && event.target === row && open());
    });
    drawn();
  });
