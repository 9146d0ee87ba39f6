"""What the page's script draws and says: the numbers of the results, read by keys and by the pointer."""

from __future__ import annotations

import base64
import json
import re
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from kipoi_tfbind import write_report
from kipoi_tfbind.plot.epistasis import strongest_pairs
from kipoi_tfbind.report.subjects import find_subjects
from kipoi_tfbind.report.tracks import describe_result, pack, track_sequences
from kipoi_tfbind.results.position_scores import base_scores
from kipoi_tfbind.results.view import select
from tests.plot.test_epistasis import second_order
from tests.plot.test_occlusion import occlusion
from tests.report.test_report import LENGTH, NASTY, START, Page, in_chromium, mutagenesis


class Holder(BaseHTTPRequestHandler):
    """Holds a picture of a page, and so its load, back until the page says that it is done."""

    done = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/done":
            self.done.set()
        else:
            self.done.wait(60)
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Write nothing."""


@contextmanager
def holding() -> Iterator[str]:
    """Address of a server that holds /hold back until /done was asked for."""
    Holder.done.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Holder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    Holder.done.set()
    server.shutdown()
    server.server_close()


def ask(page: Path, folder: Path, script: str) -> dict[str, Any]:
    """What a script finds in a page when all is drawn; the page's policy would not let it run."""
    html = page.read_text()
    policy = next(line for line in html.splitlines() if "Content-Security-Policy" in line)
    asking = """<script>
      const press = (target, ...keys) => keys.forEach((key) =>
        target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true })));
      const point = (target, x, y, name = "pointermove") => {
        const box = target.getBoundingClientRect();
        const place = { clientX: box.left + x, clientY: box.top + y, pointerId: 1, bubbles: true };
        target.dispatchEvent(new PointerEvent(name, place));
      };
      const later = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      window.held = new Image();
      held.src = "ADDRESS/hold";
      const wait = async () => {
        if (!document.body.dataset.ready) return setTimeout(wait, 20);
        const found = await (async () => { SCRIPT })().catch((error) => ({ error: String(error) }));
        const loaded = performance.getEntriesByType("resource").map((one) => one.name);
        found.loaded = loaded.filter((name) => !name.startsWith("ADDRESS"));
        const text = JSON.stringify(found).replaceAll("&", "&amp;").replaceAll("<", "&lt;");
        document.body.innerHTML = `<pre id="found">${text}</pre>`;
        fetch("ADDRESS/done");
      };
      wait();
    </script></body>"""
    with holding() as address:
        copy = folder / "asked.html"
        copy.write_text(
            html.replace(policy, "").replace(
                "</body>", asking.replace("SCRIPT", script).replace("ADDRESS", address)
            )
        )
        shown, console = in_chromium(copy, folder, "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    assert console == []
    text = shown.split('<pre id="found">')[1].split("</pre>")[0]
    found: dict[str, Any] = json.loads(
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    )
    assert "error" not in found, found
    assert found["loaded"] == []
    return found


def unpacked(packed: str) -> tuple[dict[str, Any], np.ndarray]:
    """The other side of `pack`."""
    raw = zlib.decompress(base64.b64decode(packed))
    n_text, n = np.frombuffer(raw[:8], "<u4").tolist()
    low, high = (np.frombuffer(raw, np.uint8, n, 8 + n_text + part * n) for part in (0, 1))
    numbers = (low.astype(np.int32) | high.astype(np.int32) << 8).astype(np.uint16).view(np.int16)
    return json.loads(raw[8 : 8 + n_text]), numbers


def numbers_in(text: str) -> list[float]:
    return [float(found.replace("−", "-")) for found in re.findall(r"[+−]?\d+\.?\d*(?:e[+−]\d+)?", text)]


def deep_shap(ism: xr.Dataset) -> xr.Dataset:
    hypothetical = -ism["mutation_effect"].fillna(0)
    hypothetical = hypothetical - hypothetical.mean("base")
    return (
        ism.drop_vars("mutation_effect")
        .assign(hypothetical_contribution=hypothetical, contribution=hypothetical * ism["one_hot"])
        .transpose("sequence", "position", "base", "target", ...)
        .assign_attrs(method="deep_shap")
    )


@pytest.fixture(scope="module")
def ism() -> xr.Dataset:
    return mutagenesis(6)


@pytest.fixture(scope="module")
def pairs() -> xr.Dataset:
    return second_order("ACGTTGCA", [0, 1, 2, 5]).assign_coords(id=("sequence", ["site"]))


@pytest.fixture(scope="module")
def page(ism: xr.Dataset, pairs: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("interactive") / "report.html"
    write_report([ism, deep_shap(ism), pairs, occlusion([0, 5, 10], 5)], path, max_sequences=1)
    return path


def test_packed_numbers_are_those_of_the_results(ism: xr.Dataset, pairs: xr.Dataset) -> None:
    results = [ism, pairs, occlusion([0, 5, 10], 5)]
    subjects = find_subjects(results)
    tracked = track_sequences(subjects, results)
    described = [describe_result("", result) for result in results]
    packed, n = pack(tracked, described, [[] for _ in tracked], 10**6)
    assert n == len(subjects) == 8
    data, numbers = unpacked(packed)
    for subject, one in zip(subjects, data["sequences"], strict=True):
        (appearance,) = subject.appearances
        (track,) = one["tracks"]
        result = results[appearance.result]
        view = result.isel(sequence=appearance.sequence, target=appearance.target)
        name = {0: "mutation_effect", 1: "mutation_effect", 2: "occlusion_effect"}[appearance.result]
        expected = view[name].values.ravel()
        if appearance.result == 2:  # before the windows, the scores
            expected = np.concatenate([base_scores(view), expected])
        got = numbers[track["at"] :][: len(expected)].astype(float)
        parts = [len(expected) - 3, 3] if appearance.result == 2 else [len(expected)]
        step = np.repeat(track["steps"][: len(parts)], parts)
        missing = np.isnan(expected)
        assert (got[missing] == -32768).all()
        error = np.abs(got * step - expected) / step
        assert error[~missing].max() <= 0.51  # half a step, and the six digits of the step
        codes = [row.argmax() if row.any() else 4 for row in view["one_hot"].values]
        observed = "".join("ACGTN"[code] for code in codes)
        assert one["letters"].replace(" ", "") == observed


def test_as_many_sequences_as_there_is_room_for_are_packed(ism: xr.Dataset) -> None:
    tracked = track_sequences(find_subjects([ism]), [ism])
    described = [describe_result("ISM", ism)]
    hits: list[list[Any]] = [[] for _ in tracked]
    whole, n = pack(tracked, described, hits, 10**6)
    assert n == 6
    part, fewer = pack(tracked, described, hits, len(whole) - 1)
    assert 0 < fewer < 6
    assert len(part) < len(whole)
    assert [one["name"] for one in unpacked(part)[0]["sequences"]] == [
        one["name"] for one in unpacked(whole)[0]["sequences"]
    ][:fewer]
    assert pack(tracked, described, hits, 10)[1] == 0


def test_without_the_script_all_sequences_are_in_a_table(page: Path, ism: xr.Dataset) -> None:
    shown = Page(page)
    rows = [row for row in shown.rows if row and row[0].startswith("peak_")]
    assert len(rows) == 5
    row = next(row for row in rows if row[0] == "peak_1")
    target = int(ism["prediction"].values[1].argmax())
    scores = np.abs(base_scores(ism.isel(sequence=1, target=target)))
    position = int(np.nanargmax(scores))
    # On the reverse strand the first position is the end.
    base = "ACGT"[ism["one_hot"].values[1, position].argmax()]
    assert row[1] == "chr20:6,001-6,200 (−)"
    assert row[2] == str(ism["target"].values[target])
    assert row[4] == f"{base}{START + 1000 + LENGTH - position:,}"
    hidden = [attributes for tag, attributes in shown.tags if attributes.get("class") == "interactive"]
    assert len(hidden) == 2
    assert all("hidden" in attributes for attributes in hidden)


@pytest.mark.needs_chromium
def test_keys_read_base_by_base(page: Path, ism: xr.Dataset, tmp_path: Path) -> None:
    found = ask(
        page,
        tmp_path,
        """
        const box = document.getElementById("tracks"), canvas = box.querySelector("canvas");
        const chooser = box.querySelector("select"), status = box.querySelector("[role=status]");
        const read = {};
        for (const name of ["peak_1", "peak_2"]) {
          chooser.value = [...chooser.options].findIndex((option) => option.textContent === name);
          chooser.dispatchEvent(new Event("change"));
          press(canvas, "0");
          await later();
          read[name] = [];
          for (let i = 0; i < 3; i++) { press(canvas, "ArrowRight"); read[name].push(status.textContent); }
        }
        press(canvas, "n");
        await later();
        return { read, next: box.querySelector("select").selectedOptions[0].textContent };
        """,
    )
    for name, sequence in (("peak_1", 1), ("peak_2", 2)):
        target = int(ism["prediction"].values[sequence].argmax())
        view = select(ism, sequence=sequence, target=target)
        scores, effects = base_scores(view), view["mutation_effect"].transpose("position", "base").values
        largest = np.nanmax(np.abs(effects))
        positions: list[int] = []
        for text in found["read"][name]:
            parts = text.split("; ")
            label, base = parts[0].split()
            coordinate = int(label.removeprefix("chr20:").replace(",", ""))
            start = START + 1000 * sequence
            position = start + LENGTH - coordinate if sequence == 1 else coordinate - start - 1
            positions.append(position)
            assert base == "ACGT"[view["one_hot"].values[position].argmax()]
            score = numbers_in(parts[1].rsplit("effect", 1)[1])[0]
            assert score == pytest.approx(scores[position], abs=2e-3 * largest)
            assert numbers_in(parts[2]) == pytest.approx(effects[position].tolist(), abs=2e-3 * largest)
            assert "DeepSHAP" in parts[3]
        first = positions[0]
        assert positions == [first, first + 1, first + 2]
        assert abs(first - LENGTH / 2) <= 2  # from the middle of what is shown
    assert found["next"] != "peak_2"


@pytest.mark.needs_chromium
def test_the_pointer_reads_too_and_the_range_is_zoomed_and_panned(page: Path, tmp_path: Path) -> None:
    found = ask(
        page,
        tmp_path,
        """
        const canvas = document.querySelector("#tracks canvas"), tip = document.querySelector(".tip");
        const at = (x) => { point(canvas, x, 90); return tip.textContent; };
        press(canvas, "0");
        await later();
        const seen = { whole: [at(100), at(800)] };
        press(canvas, "+", "+");
        await later();
        seen.zoomed = [at(100), at(800)];
        point(canvas, 500, 90, "pointerdown"); point(canvas, 300, 90); point(canvas, 300, 90, "pointerup");
        await later();
        seen.panned = [at(100), at(800)];
        const box = document.getElementById("locus");
        const region = box.querySelector("input"), locus = box.querySelector("canvas");
        seen.locus = [region.value];
        press(locus, "+");
        await later();
        seen.locus.push(region.value);
        region.value = "20:6,001-6,200";
        region.dispatchEvent(new Event("change"));
        await later();
        seen.locus.push(region.value);
        region.value = "nowhere";
        region.dispatchEvent(new Event("change"));
        seen.problem = document.querySelector("#locus [role=status]").textContent;
        point(locus, 600, 100);
        seen.under = tip.textContent;
        point(locus, 600, 100, "click");
        locus.click();
        return seen;
        """,
    )

    def span(texts: list[str]) -> tuple[int, int]:
        first, last = (int(text.split(":")[1].split()[0].replace(",", "")) for text in texts)
        return first, abs(last - first)

    whole, zoomed, panned = (span(found[name]) for name in ("whole", "zoomed", "panned"))
    assert zoomed[1] == pytest.approx(whole[1] / 4, abs=2)
    assert panned[1] == pytest.approx(zoomed[1], abs=1)
    assert abs(panned[0] - zoomed[0]) > 3
    assert "effect of  A " in found["whole"][0]
    widths = [
        int(b) - int(a)
        for a, b in (re.findall(r"\d+", v.split(":")[1].replace(",", "")) for v in found["locus"])
    ]
    assert widths[1] == pytest.approx(widths[0] / 2, rel=0.02)
    assert found["locus"][2] == "chr20:6,001-6,200"
    assert found["problem"] == "nowhere: expected CONTIG:START-END on chr20"
    assert "peak_1, chr20:6,001-6,200 (-)" in found["under"]


@pytest.mark.needs_chromium
def test_the_map_of_pairs_is_read_and_linked(page: Path, pairs: xr.Dataset, tmp_path: Path) -> None:
    found = ask(
        page,
        tmp_path,
        """
        const chooser = document.querySelector("#tracks select"), box = document.querySelector(".pairs");
        const hidden = box.hidden;
        chooser.value = [...chooser.options].findIndex((option) => option.textContent === "site");
        chooser.dispatchEvent(new Event("change"));
        await later();
        const tracks = document.querySelector("#tracks canvas");
        const before = tracks.toDataURL();
        press(box.querySelector("canvas"), "ArrowDown");
        await later();
        const text = box.querySelector("[role=status]").textContent;
        return { hidden, shown: !box.hidden, text, linked: tracks.toDataURL() !== before };
        """,
    )
    target = int(pairs["prediction"].values[0].argmax())
    strongest = strongest_pairs(select(pairs, target=target), 1)[0]
    assert (found["hidden"], found["shown"], found["linked"]) == (True, True, True)
    assert found["text"].startswith(f"{strongest.substitution_a} × {strongest.substitution_b}; ")
    value = numbers_in(found["text"].split("two positions: ")[1])[0]
    assert value == pytest.approx(strongest.epistasis, abs=2e-3 * abs(strongest.epistasis) + 0.005)


@pytest.mark.needs_chromium
def test_tables_are_sorted_and_searched_and_colours_chosen(page: Path, tmp_path: Path) -> None:
    found = ask(
        page,
        tmp_path,
        """
        const table = document.querySelector("#sequences table.sortable");
        const column = (i) => [...table.tBodies[0].rows].map((row) => row.cells[i].textContent.trim());
        const named = (one) => one.textContent === "prediction";
        const button = [...table.querySelectorAll("thead button")].find(named);
        const at = button.closest("th").cellIndex;
        button.click();
        const up = column(at), sorted = button.closest("th").getAttribute("aria-sort");
        button.click();
        const down = column(at);
        const search = document.querySelector("#sequences input[type=search]");
        search.value = "peak max";
        search.dispatchEvent(new Event("input"));
        const bar = search.closest(".controls"), some = column(0);
        const status = bar.querySelector("[role=status]").textContent;
        const row = table.tBodies[0].rows[0];
        press(row, "Enter");
        const colours = [], theme = document.querySelector(".theme");
        for (let i = 0; i < 3; i++) {
          colours.push([theme.textContent, getComputedStyle(document.body).backgroundColor]);
          theme.click();
        }
        return { up, down, sorted, some, status, colours, first: row.cells[0].textContent.trim(),
          opened: document.querySelector("#tracks select").selectedOptions[0].textContent };
        """,
    )
    values = [float(text.replace("−", "-")) for text in found["up"]]
    assert values == sorted(values)
    assert found["down"] == found["up"][::-1]
    assert found["sorted"] == "ascending"
    assert 0 < len(found["some"]) < 8
    assert found["status"] == f"{len(found['some'])} of 8 sequences"
    assert found["opened"] == found["first"]
    assert found["colours"] == [
        ["Theme: auto", "rgb(255, 255, 255)"],
        ["Theme: light", "rgb(255, 255, 255)"],
        ["Theme: dark", "rgb(20, 24, 28)"],
    ]
    assert NASTY in Page(page).text
