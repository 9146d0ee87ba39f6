"""The part of a report about variants, in a browser."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from kipoi_tfbind import write_report
from kipoi_tfbind.report import variants
from tests.report.test_report import Page, in_chromium


def explained(n: int, flank: int = 40) -> xr.Dataset:
    """A result of `explain_variants`, with random numbers."""
    rng = np.random.default_rng(0)
    shape = n, 2, 2 * flank + 3
    return xr.Dataset(
        {
            "contribution": (("allele", "side", "column"), rng.normal(size=shape)),
            "letter": (("allele", "side", "column"), rng.choice(list("ACGT-"), shape)),
            "change_size": ("allele", rng.integers(1, 4, n)),
            "motif": ("allele", np.where(np.arange(n) % 2, "CTCF", "")),
            "motif_id": ("allele", np.full(n, "MA0139.1")),
            "motif_change": ("allele", np.where(np.arange(n) % 2, "lost", "")),
            "motif_ref_score": ("allele", np.where(np.arange(n) % 2, 0.9, np.nan)),
            "motif_alt_score": ("allele", np.where(np.arange(n) % 2, 0.8, np.nan)),
        },
        coords={
            "chrom": ("allele", np.full(n, "20")),
            "pos": ("allele", np.arange(n) + 1000),
            "variant_id": ("allele", [f"rs{i}</script>" for i in range(n)]),
            "ref": ("allele", np.full(n, "A")),
            "alt": ("allele", np.full(n, "C")),
            "effect": ("allele", rng.normal(size=n)),
            "explained_target": ("allele", np.full(n, "CTCF")),
            "side": ["ref", "alt"],
        },
        attrs={
            "method": "explain_variants",
            "model": "m",
            "model_source": "",
            "flank": flank,
            "versions": "x",
        },
    )


@pytest.mark.needs_chromium
def test_a_thousand_variants_open_fast_and_can_be_searched_and_opened(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    write_report(explained(1000), page)
    assert page.stat().st_size < 6_000_000
    shown, console = in_chromium(page, tmp_path)
    assert console == []
    assert shown.count('<tr tabindex="0" class="opens"') == 1000
    assert "1000 of 1000 alleles" in shown
    asking = """<script>
      const opened = performance.now();
      const search = document.querySelector("#variants input");
      search.value = "rs7 lost"; search.dispatchEvent(new Event("input"));
      const rows = [...document.querySelectorAll("#variants tbody tr")];
      rows[0].click();
      const canvas = document.querySelector("canvas");
      const seen = new Set(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data);
      search.value = ""; search.dispatchEvent(new Event("input"));
      document.querySelectorAll("#variants thead button")[6].click();
      const effects = [...document.querySelectorAll("#variants tbody tr")].map(
        (row) => row.children[6].textContent);
      document.body.innerHTML = '<pre id="found">' + JSON.stringify({
        found: rows.map((row) => row.children[2].textContent), opened, size: canvas.width, colours: seen.size,
        first: effects[0], last: effects.at(-1),
        loaded: performance.getEntriesByType("resource").map((e) => e.name),
      }).replaceAll("<", "&lt;") + "</pre>";
    </script></body>"""
    html = page.read_text()
    policy = next(line for line in html.splitlines() if "Content-Security-Policy" in line)
    copy = tmp_path / "copy.html"
    copy.write_text(html.replace(policy, "").replace("</body>", asking))
    shown, console = in_chromium(copy, tmp_path)
    assert console == []
    found = json.loads(
        shown.split('<pre id="found">')[1].split("</pre>")[0].replace("&lt;", "<").replace("&gt;", ">")
    )
    # Without the script, too, each is there.
    ids = [row[2] for row in Page(page).rows if len(row) > 2 and row[2].startswith("rs")]
    listed = [int(name.removeprefix("rs").removesuffix("</script>")) for name in ids]
    assert sorted(listed) == list(range(1000))
    # By the size of the effect, to the six digits that the page has.
    assert np.diff(np.abs(explained(1000)["effect"].values)[listed]).max() < 1e-5
    assert len(found["found"]) == 56  # rs7, rs70 to rs79, rs700 to rs799: the odd ones
    assert "rs7</script>" in found["found"]
    assert found["size"] > 800
    assert found["colours"] > 20
    sizes = np.sort(np.abs(explained(1000)["effect"].values))
    assert abs(float(found["first"].replace("−", "-"))) == pytest.approx(sizes[0], rel=0.01)
    assert abs(float(found["last"].replace("−", "-"))) == pytest.approx(sizes[-1], rel=0.01)
    assert found["loaded"] == []


def test_of_many_variants_the_largest_effects_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "_MOST", 30)
    monkeypatch.setattr(variants, "_LARGEST", 20_000)
    result = explained(50)
    section = variants.variant_section([result])
    assert section is not None
    largest = np.sort(np.abs(result["effect"].values))[::-1]
    assert [row[6][1] for row in section.rows] == pytest.approx(largest[:30], rel=1e-5)
    assert section.n_left_out == 20
    drawn = json.loads(section.data)
    assert 0 < len(drawn) == 30 - section.n_without < 30
    assert [abs(one["effect"]) for one in drawn] == pytest.approx(largest[: len(drawn)], rel=1e-5)
    write_report(result, tmp_path / "page.html")
    assert "20 with smaller effects are left out" in Page(tmp_path / "page.html").text
