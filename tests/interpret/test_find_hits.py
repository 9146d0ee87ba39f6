"""Hits: how well planted instances are found, the rate of false ones, one call set, places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

from kipoi_tfbind.cli import main
from kipoi_tfbind.dna.one_hot import codes_of, decode_codes, encode_bases, reverse_complement_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._motif_scan import Matches, Template, base_frequencies, best_apart, scan
from kipoi_tfbind.interpret.find_hits import find_hits
from kipoi_tfbind.motifs.collect import collect_motifs, motif_table
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.read import parse_motif
from kipoi_tfbind.results.files import save_result
from tests.planted import Planted, labelled, plant, reversed_result

IDS = {"CTCF": "MA0139.2", "NRF1": "MA0506.3", "REST": "MA0138.3", "SPI1": "MA0080.7", "GATA1": "MA0035.5"}


@pytest.fixture(scope="module")
def motifs() -> dict[str, Motif]:
    pytest.importorskip("pyjaspar")
    return {name: parse_motif(matrix_id, name=name) for name, matrix_id in IDS.items()}


@pytest.fixture(scope="module")
def planted(motifs: dict[str, Motif]) -> Planted:
    """Every good match contributes, whatever its origin: contributions add nothing to the bases."""
    return plant(motifs, noise=0.1)


@pytest.fixture(scope="module")
def in_context(planted: Planted, motifs: dict[str, Motif]) -> Planted:
    return planted_in_context(planted, motifs)


def planted_in_context(planted: Planted, motifs: dict[str, Motif], noise: float = 0.1) -> Planted:
    """Only the planted sites contribute: what a model that sees more than the motif knows."""
    rng = np.random.default_rng(1)
    results = []
    for dataset, sites in ((planted.result, planted.sites), (planted.null, [])):
        codes = codes_of(dataset["one_hot"].values)
        scores = rng.laplace(scale=noise, size=codes.shape)
        scores[:, 1:] += 0.5 * scores[:, :-1]
        for row, start, end, name, reverse in sites:
            matrix = motifs[name].matrix[::-1, ::-1] if reverse else motifs[name].matrix
            odds = np.log2((matrix + 0.01) / 1.04 / 0.25)
            scores[row, start:end] += 0.1 * odds[np.arange(end - start), codes[row, start:end]]
        results.append(labelled(codes, scores))
    return Planted(results[0], results[1], planted.sites)


def average_precision(calls: pd.DataFrame, sites: list) -> tuple[float, float]:
    """Of calls (sequence, start, end, motif, score) against sites, and the share that are none."""
    left = {site[:4] for site in sites}
    found, total = 0, 0.0
    ordered = calls.sort_values("score", ascending=False, kind="stable")
    for rank, call in enumerate(rows_of(ordered), start=1):
        near = [
            site
            for site in left
            if site[0] == call.sequence and site[3] == call.motif and abs(site[1] - call.start) <= 3
        ]
        if near:
            left.remove(near[0])
            found += 1
            total += found / rank
    return total / len(sites), 1 - found / max(len(calls), 1)


def rows_of(frame: pd.DataFrame) -> list[Any]:
    return list(frame.itertuples())


def table(hits: xr.Dataset) -> pd.DataFrame:
    names = ("sequence", "start", "end", "motif", "strand", "score", "q_value", "bases")
    return pd.DataFrame({name: hits[f"hit_{name}"].values for name in names})


def fimo_calls(result: xr.Dataset, motifs: dict[str, Motif]) -> pd.DataFrame:
    """FIMO's matches by p-value, those that overlap better ones left out as in ours."""
    from memelite import fimo

    one_hot = result["one_hot"].values.transpose(0, 2, 1)
    found = fimo({name: motif.matrix.T.copy() for name, motif in motifs.items()}, one_hot, threshold=2e-3)
    calls = pd.concat(found).rename(columns={"motif_name": "motif"}).reset_index(drop=True)
    calls["sequence"] = calls["sequence_name"].astype(int)
    calls["score"] = -np.log10(np.maximum(calls["p-value"].astype(float), 1e-300)) + 1e-6 * calls["score"]
    n = len(calls)
    matches = Matches(
        calls["sequence"].to_numpy(),
        calls["start"].to_numpy(),
        calls["end"].to_numpy(),
        pd.factorize(calls["motif"])[0],
        (calls["strand"] == "-").to_numpy(),
        *(np.zeros(n) for _ in range(3)),
    )
    return calls.iloc[best_apart(matches, calls["score"].to_numpy(), 0.25)]


def test_planted_instances_are_found_at_least_as_well_as_by_fimo(
    planted: Planted, in_context: Planted, motifs: dict[str, Motif]
) -> None:
    pytest.importorskip("memelite")
    theirs, _ = average_precision(fimo_calls(planted.result, motifs), planted.sites)
    assert theirs > 0.8
    without, _ = average_precision(
        table(find_hits(planted.result, planted.null, motifs, fdr=1)), planted.sites
    )
    assert without >= theirs
    within, _ = average_precision(
        table(find_hits(in_context.result, in_context.null, motifs, fdr=1)), in_context.sites
    )
    assert within >= theirs + 0.02


@pytest.mark.parametrize("level", [0.05, 0.1, 0.2])
def test_rate_of_false_hits(
    level: float, planted: Planted, in_context: Planted, motifs: dict[str, Motif]
) -> None:
    rates = []
    for data in (planted, in_context):
        hits = find_hits(data.result, data.null, motifs, fdr=level)
        assert hits.sizes["hit"] > 200
        rates.append(average_precision(table(hits), data.sites)[1])
    assert np.mean(rates) <= level


def test_motifs_that_are_not_there_have_no_hits(planted: Planted) -> None:
    others = {
        name: parse_motif(text, name=name) for name, text in {"a": "TTGACGTAACC", "b": "GATTACAGATTA"}.items()
    }
    assert find_hits(planted.result, planted.null, others, fdr=0.05).sizes["hit"] <= 2


def test_one_call_set(in_context: Planted, motifs: dict[str, Motif]) -> None:
    both = motifs | {"CTCF too": Motif("CTCF too", motifs["CTCF"].matrix)}
    calls = table(find_hits(in_context.result, in_context.null, both)).sort_values(["sequence", "start"])
    same = (calls["sequence"].diff() == 0).to_numpy()[1:]
    shared = (calls["end"].to_numpy()[:-1] - calls["start"].to_numpy()[1:])[same]
    widths = (calls["end"] - calls["start"]).to_numpy()
    shorter = np.minimum(widths[:-1], widths[1:])[same]
    assert (shared <= 0.25 * shorter).all()
    assert len(calls) > 300


def test_bases_and_strands(in_context: Planted, motifs: dict[str, Motif]) -> None:
    hits = find_hits(in_context.result, in_context.null, motifs)
    codes = codes_of(in_context.result["one_hot"].values)
    for call in rows_of(table(hits)):
        own = codes[call.sequence : call.sequence + 1, call.start : call.end]
        assert call.bases == decode_codes(reverse_complement_codes(own) if call.strand == "-" else own)[0]
    reverse = {site[:4]: site[4] for site in in_context.sites}
    agree = [
        reverse[key] == (call.strand == "-")
        for call in rows_of(table(hits))
        if (key := (call.sequence, call.start, call.end, call.motif)) in reverse
    ]
    assert len(agree) > 300
    assert np.mean(agree) > 0.99


def test_reversed_sequences_have_the_reversed_hits(in_context: Planted, motifs: dict[str, Motif]) -> None:
    forward = table(find_hits(in_context.result, in_context.null, motifs))
    backward = table(find_hits(reversed_result(in_context.result), reversed_result(in_context.null), motifs))
    length = in_context.result.sizes["position"]
    backward["start"], backward["end"] = length - backward["end"], length - backward["start"]
    backward["strand"] = backward["strand"].map({"+": "-", "-": "+"})
    columns = ["sequence", "start", "end", "motif", "strand", "bases"]
    order = ["sequence", "start", "motif"]
    mine, other = (each.sort_values(order).reset_index(drop=True) for each in (forward, backward))
    pd.testing.assert_frame_equal(mine[columns], other[columns])
    np.testing.assert_allclose(mine["score"], other["score"], rtol=1e-5)


def test_log_odds_by_hand() -> None:
    template = Template.of(np.array([[0.5, 0.5, 0, 0], [0, 0, 0, 1.0]]), np.full(4, 0.25))
    codes = encode_bases(["ATNCT"])
    odds = np.log((np.array([0.5, 1.0, 0]) + 0.01) / 1.04 * 4)
    np.testing.assert_allclose(
        scan(codes, template.log_odds)[0],
        [odds[0] + odds[1], -np.inf, -np.inf, odds[0] + odds[1]],
        rtol=1e-6,
    )
    reverse = template.reverse()
    np.testing.assert_allclose(
        scan(encode_bases(["AG"]), reverse.log_odds)[0], [odds[1] + odds[0]], rtol=1e-6
    )


def test_expected_contributions_are_used(in_context: Planted, motifs: dict[str, Motif]) -> None:
    """A motif whose instances lower the prediction, as a pattern of modisco may."""
    minus = [each.assign(contribution=-each["contribution"]) for each in (in_context.result, in_context.null)]
    known = motif_table(motifs)
    background = base_frequencies(codes_of(in_context.null["one_hot"].values))
    matrices = known["motif_matrix"].values
    odds = np.stack([Template.of(matrix, background).log_odds for matrix in matrices])
    known["contribution_matrix"] = ("motif", "column", "base"), -odds
    calls = table(find_hits(minus[0], minus[1], known))
    expected = table(find_hits(in_context.result, in_context.null, motifs))
    columns = ["sequence", "start", "motif"]
    pd.testing.assert_frame_equal(calls[columns], expected[columns])


def test_command_and_bad_input(tmp_path: Path, in_context: Planted, motifs: dict[str, Motif]) -> None:
    n = in_context.result.sizes["sequence"]
    length = in_context.result.sizes["position"]
    places = {
        "chrom": ("sequence", ["chr1"] * n),
        "start": ("sequence", np.arange(n) * 1000),
        "end": ("sequence", np.arange(n) * 1000 + length),
        "strand": ("sequence", ["+", "-"] * (n // 2)),
    }
    save_result(in_context.result.assign_coords(places), tmp_path / "result.nc")
    save_result(in_context.null, tmp_path / "null.nc")
    save_result(motif_table(motifs), tmp_path / "motifs.nc")
    files = ["hits", str(tmp_path / "result.nc"), "--null", str(tmp_path / "null.nc")]
    run = CliRunner().invoke(
        main, [*files, "--motifs", str(tmp_path / "motifs.nc"), "-o", str(tmp_path / "hits.bed")]
    )
    assert run.exit_code == 0, run.output
    rows = [line.split("\t") for line in (tmp_path / "hits.bed").read_text().splitlines()[1:]]
    hits = table(find_hits(in_context.result, in_context.null, motifs))
    assert len(rows) == len(hits)
    by_place = {(row[0], int(row[1]), int(row[2])): row for row in rows}
    for call in rows_of(hits):
        start = 1000 * call.sequence
        low, high = start + call.start, start + call.end
        if call.sequence % 2:
            low, high = start + length - call.end, start + length - call.start
        row = by_place["chr1", low, high]
        assert row[3] == call.motif
        assert row[5] == ("-" if (call.strand == "-") != bool(call.sequence % 2) else "+")

    run = CliRunner().invoke(main, [*files, "--motifs", "MA0139.2", "-o", str(tmp_path / "hits.nc")])
    assert run.exit_code == 0, run.output
    assert list(collect_motifs(tmp_path / "hits.nc")) == ["CTCF"]

    too_long: dict[str, Any] = {"long": parse_motif("ACGTTGCA" * 60)}
    for change, problem in (
        (too_long, "motif long: has 480 columns and the sequences have 400 positions"),
        ({"even": np.full((5, 4), 0.25)}, "motif even: no column has 0.2 bits"),
    ):
        with pytest.raises(InputError, match=problem):
            find_hits(in_context.result, in_context.null, change)
