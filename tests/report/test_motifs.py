"""Motifs and hits in a report: what the tables say, and hits beneath the logo of their sequence."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.path import Path as Outline

from kipoi_tfbind import open_result, save_result, write_report
from kipoi_tfbind.motifs.collect import motif_table
from kipoi_tfbind.motifs.read import parse_motif
from kipoi_tfbind.report.letters import motif_logo, outlines
from kipoi_tfbind.report.motifs import motif_section
from kipoi_tfbind.report.places import place_section, places_of
from tests.report.test_report import LENGTH, START, Page, mutagenesis


@pytest.fixture(scope="module")
def motifs() -> xr.Dataset:
    table = motif_table({name: parse_motif(name) for name in ("GATAAG", "TGACTCA", "CACGTG")})
    table["n_motif_sites"] = "motif", [5, 0, 9]
    table["is_dead"] = "motif", [0, 1, 0]
    for end, shift in (("", 0.0), ("_low", -0.1), ("_high", 0.1)):
        effects = np.array([[-2.0, 0.0], [1.0, 0.0], [0.5, 0.25]]) + shift
        table[f"silencing_effect{end}"] = ("motif", "target"), effects
    values = {"id": ["K1", "K2", "K1"], "name": ["<GATA>", "AP1", "MAX"], "orientation": ["-", "+", "+"]}
    numbers = {"q_value": [0.0, 0.5, 0.2], "offset": [2.0, 0.0, 0.0]}
    for name, column in {**values, **numbers}.items():
        table[f"match_{name}"] = ("motif", "rank"), np.array(column, dtype=object)[:, None]
    return table.assign_coords(target=["strong", "weak"]).assign_attrs(
        method="filter_motifs", model="m", model_source="", versions="x", false_match_rate=0.031
    )


def hits_of(result: xr.Dataset) -> xr.Dataset:
    """Hits of known places in the first and second sequence; the second is of the reverse strand."""
    start = np.array([60, 62, 58])
    ids = result["id"].values[[1, 2, 1]]
    columns = {
        "sequence": [1, 2, 1],
        "sequence_id": ids,
        "start": start,
        "end": start + 6,
        "chrom": ["chr20"] * 3,
        "chrom_start": [START + 1000 + LENGTH - 66, START + 2000 + 62, START + 1000 + LENGTH - 64],
        "chrom_end": [START + 1000 + LENGTH - 60, START + 2000 + 68, START + 1000 + LENGTH - 58],
        "strand": ["-", "-", "+"],
        "motif": ["GATA</b>"] * 3,
        "contribution": [1.25, -2.5, 1.0],
        "q_value": [0.0, 0.02, 0.03],
        "score": [3.0, 2.0, 1.0],
        "similarity": [0.9, 0.8, 0.7],
    }
    return xr.Dataset({f"hit_{name}": ("hit", values) for name, values in columns.items()}).assign_attrs(
        method="find_hits", target="<CTCF>", fdr=0.1, model="m", model_source="", versions="x"
    )


def test_outlines_fill_the_unit_square() -> None:
    for path in outlines().values():
        numbers = np.array(re.findall(r"-?[\d.]+", path), dtype=float).reshape(-1, 2)
        # Curves stay within their control points, and these may reach a little further.
        assert numbers.min() >= -0.06
        assert numbers.max() <= 1.06
        assert Outline(numbers).get_extents().width > 0.9


def test_a_logo_is_as_high_as_its_information() -> None:
    logo = str(motif_logo(parse_motif("GAR").matrix, name="a <b>"))
    assert 'aria-label="a &lt;b&gt;"' in logo
    letters = re.findall(r'letter-(.)" class="." x="[\d.]+" y="[\d.]+" width="11" height="([\d.]+)"', logo)
    # 2 bits at 20 pixels; R is A or G with a bit, each half of it.
    assert [(letter, float(height)) for letter, height in letters] == [
        ("G", 40.0),
        ("A", 40.0),
        ("A", 10.0),
        ("G", 10.0),
    ]


def test_motifs_are_listed_by_importance(motifs: xr.Dataset) -> None:
    section = motif_section("Filters", motifs)
    assert section.target == "strong"
    assert (section.n_dead, section.false_matches) == (1, "3.1%")
    assert [(row.name, row.sites, row.effect, row.interval) for row in section.rows] == [
        ("GATAAG", 5, "−2.000", "−2.10 to −1.90"),
        ("CACGTG", 9, "+0.500", "+0.40 to +0.60"),
    ]
    assert [(row.q_value, row.is_sure) for row in section.rows] == [("< 1e-300", True), ("0.2", False)]
    assert [row.name for row in motif_section("Filters", motifs, "weak").rows] == ["CACGTG", "GATAAG"]
    patterns = motifs.drop_vars([name for name in motifs if str(name).startswith("silencing")])
    assert [row.name for row in motif_section("Patterns", patterns).rows] == ["CACGTG", "GATAAG"]


def test_strands_of_hits_are_those_of_their_sequences() -> None:
    ism = mutagenesis(3)
    hits = hits_of(ism)
    found = places_of([hits], [ism])
    # peak_1 is of the reverse strand: - on the genome reads forwards in it.
    assert [(place[0], place[2]) for place in found["peak_1"]] == [(58, "-"), (60, "+")]
    assert [(place[0], place[2]) for place in found["peak_2"]] == [(62, "-")]
    rows = place_section("Hits", hits).rows
    place = f"chr20:{START + 1000 + LENGTH - 65:,}-{START + 1000 + LENGTH - 60:,}"
    assert rows[0] == ["peak_1", "GATA</b>", place, "−", "+1.250", "3", "< 1e-300", "0.90"]


def test_motifs_and_hits_have_their_parts_of_the_page(motifs: xr.Dataset, tmp_path: Path) -> None:
    ism = mutagenesis(3)
    with_hits, without = tmp_path / "report.html", tmp_path / "without.html"
    save_result(hits_of(ism), tmp_path / "hits.nc")
    with open_result(tmp_path / "hits.nc", lazy=True) as hits:
        write_report([ism, motifs, hits], with_hits, max_sequences=3)
    write_report(ism, without, max_sequences=3)
    page = Page(with_hits)
    assert "Hits of motifs, hits.nc" in page.text
    assert "<GATA>" in page.text
    assert "GATA</b>" in page.text
    assert not page.attributes("b")
    assert "3.1% of filters with permuted weights" in page.text
    assert sum(attributes.get("class") == "logo" for attributes in page.attributes("svg")) == 2
    # The hits are beneath the logos of their sequences, so that these are higher.
    heights = [
        [int(image["height"] or 0) for image in Page(path).attributes("img")] for path in (with_hits, without)
    ]
    higher = {a - b > 20 for a, b in zip(*heights, strict=True)}
    assert higher == {True, False}
    alone = tmp_path / "motifs.html"
    write_report(motifs, alone)
    assert "CACGTG" in Page(alone).text
