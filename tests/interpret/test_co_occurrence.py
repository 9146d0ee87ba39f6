"""Motifs that co-occur in hits: by SciPy's exact test, by draws at random; and then their interaction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from scipy import stats

import kipoi_tfbind as tfb
from kipoi_tfbind.cli import main
from kipoi_tfbind.dna.one_hot import decode_codes, one_hot
from kipoi_tfbind.dna.random import random_sequences
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.co_occurrence import co_occurring_motifs
from kipoi_tfbind.motifs.collect import collect_motifs, motif_table
from kipoi_tfbind.results.files import save_result
from kipoi_tfbind.testing import motif_counter

MOTIFS = {"GATA": "GATA", "CACG": "CACG", "TTTC": "TTTC"}


def hits_of(places: list[tuple[int, int, str]], n: int) -> xr.Dataset:
    """Hits (sequence, start, motif) of motifs of four bases."""
    sequence, start, motif = (list(values) for values in zip(*places, strict=True))
    columns = {
        "sequence": sequence,
        "sequence_id": [f"s{row}" for row in sequence],
        "start": start,
        "end": [at + 4 for at in start],
        "motif": motif,
        "bases": motif,
        "score": np.ones(len(places)),
    }
    variables = {f"hit_{name}": (("hit",), values) for name, values in columns.items()}
    attributes = {"method": "find_hits", "n_sequences": n, "target": "y"}
    return xr.Dataset(variables, attrs=attributes).merge(
        motif_table(collect_motifs(MOTIFS)), combine_attrs="override"
    )


def at_random(rng: np.random.Generator, n: int, *, together: bool) -> xr.Dataset:
    has = {name: rng.random(n) < 0.3 for name in MOTIFS}
    if together:
        has["CACG"] = has["GATA"] ^ (rng.random(n) < 0.1)
    places = [
        (int(row), 10 * (1 + i), name) for i, name in enumerate(MOTIFS) for row in np.flatnonzero(has[name])
    ]
    places += [(row, 50, name) for row, _, name in places[::7]]  # a second hit is the same sequence
    return hits_of(places, n)


def test_the_exact_test_is_scipys() -> None:
    found = co_occurring_motifs(at_random(np.random.default_rng(1), 120, together=True))
    assert found["pair"].values[0] == "CACG, GATA"
    assert (np.diff(found["pair_p_value"].values) >= 0).all()
    hits = at_random(np.random.default_rng(1), 120, together=True)
    for row in range(found.sizes["pair"]):
        one = found.isel(pair=row)
        a, b = (
            {
                int(s)
                for s, m in zip(hits["hit_sequence"].values, hits["hit_motif"].values, strict=True)
                if m == name
            }
            for name in (one["pair_motif_a"].item(), one["pair_motif_b"].item())
        )
        table = [[len(a & b), len(a - b)], [len(b - a), 120 - len(a | b)]]
        np.testing.assert_allclose(
            float(one["pair_p_value"]), stats.fisher_exact(table, alternative="greater").pvalue, rtol=1e-9
        )
        assert int(one["n_with_both"]) == len(a & b)
        np.testing.assert_allclose(float(one["expected_with_both"]), len(a) * len(b) / 120)
    np.testing.assert_allclose(found["pair_distance"].sel(pair="CACG, GATA"), 10)
    q = stats.false_discovery_control(found["pair_p_value"].values)
    np.testing.assert_allclose(found["pair_q_value"].values, q)


def test_independent_motifs_are_seldom_proposed() -> None:
    rng = np.random.default_rng(2)
    smallest = [
        float(co_occurring_motifs(at_random(rng, 150, together=False))["pair_q_value"].min())
        for _ in range(200)
    ]
    # Of 200, at most 10 are expected; 17 are exceeded once in a hundred times.
    assert sum(q < 0.05 for q in smallest) <= 17


def test_from_hits_to_interactions_in_one_table() -> None:
    hits = at_random(np.random.default_rng(3), 150, together=True)
    model = tfb.as_sequence_model(motif_counter("GATANNNCACG"), targets=["y"])
    backgrounds = tfb.make_backgrounds("uniform", 60, length=60)
    both = tfb.interaction_of_proposed_pairs(
        model, backgrounds, hits, experiment="spacing", top=3, level=1, max_distance=9, orientations=["++"]
    )
    assert both["pair"].values[0] == "CACG, GATA"
    assert both.sizes["pair"] == 3
    first = both.isel(pair=0, target=0)
    assert first["pair_interaction_pattern"].item() == "CACG GATA ++ -7"
    np.testing.assert_allclose(float(first["pair_interaction"]), 1, atol=0.1)
    assert float(first["pair_interaction_low"]) <= 1 <= float(first["pair_interaction_high"]) + 0.1
    assert int(first["pair_n_interacting"]) == 1
    assert int(first["pair_n_arrangements"]) == 12  # 4 to 9 bp in either direction
    assert (both["pair_n_interacting"].values[1:] == 0).all()

    # Each pair by itself has the same effects; the q-values are for all together.
    alone = tfb.spacing_importance(model, backgrounds, "CACG", "GATA", max_distance=9, orientations=["++"])
    rows = both.sel(pattern=alone["pattern"].values)
    np.testing.assert_array_equal(rows["pattern_effect"].values, alone["pattern_effect"].values)
    tested = both["difference_p_value"].values
    np.testing.assert_allclose(
        both["difference_q_value"].values[np.isfinite(tested)],
        stats.false_discovery_control(tested[np.isfinite(tested)]),
        atol=1e-12,
    )


def test_pairs_that_are_not_there() -> None:
    hits = at_random(np.random.default_rng(4), 150, together=False)
    model = tfb.as_sequence_model(motif_counter("GATA"), targets=["y"])
    backgrounds = tfb.make_backgrounds("uniform", 10, length=60)
    with pytest.raises(InputError, match=r"no two of its motifs co-occur at q <= 0\.0001; the best are"):
        tfb.interaction_of_proposed_pairs(model, backgrounds, hits, level=1e-4)
    with pytest.raises(InputError, match="expected hits of at least two motifs, got GATA"):
        co_occurring_motifs(hits.isel(hit=(hits["hit_motif"] == "GATA").values))
    with pytest.raises(InputError, match="which has no hits"):
        co_occurring_motifs(xr.Dataset(attrs={"method": "deep_shap"}))
    with pytest.raises(InputError, match="pairs: expected pairs of GATA, got 'CACG'"):
        tfb.spacing_of_pairs(model, backgrounds, ["GATA"], [("GATA", "CACG")])


MODEL = """
from kipoi.model import BaseModel
from kipoi_tfbind.testing import motif_counter

class Counter(BaseModel):
    predict_on_batch = staticmethod(motif_counter("GATANNNCACG"))
"""
DESCRIPTION = """
defined_as: model.Counter
args: {}
default_dataloader: .
info: {authors: [{name: somebody}], doc: counts}
schema:
  inputs:
    shape: (60, 4)
    doc: one-hot
  targets:
    shape: (1, )
    doc: counts
    column_labels: [y]
"""


def test_commands(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "model.yaml").write_text(DESCRIPTION)
    hits = tmp_path / "hits.nc"
    save_result(at_random(np.random.default_rng(3), 150, together=True), hits)
    model = [str(tmp_path), "--source", "dir", "--backgrounds", "uniform", "--n-backgrounds", "30"]
    for experiment, options in (("spacing", ["--max-distance", "8"]), ("cooperativity", ["--gaps", "3"])):
        output, table = tmp_path / f"{experiment}.nc", tmp_path / f"{experiment}.tsv"
        run = CliRunner().invoke(
            main,
            [
                *("gia", experiment, *model, "--motifs-from", str(hits), "--top", "2", *options),
                *("-o", str(output), "--table", str(table)),
            ],
        )
        assert run.exit_code == 0, run.output
        line = next(line for line in run.output.splitlines() if line.startswith("CACG, GATA\t"))
        assert float(line.split("\t")[4]) > 0.9
        rows = [row.split("\t") for row in table.read_text().splitlines()[1:]]
        assert dict(zip(rows[0], rows[1], strict=True))["pair_motif_a"] == "CACG"
        run = CliRunner().invoke(main, ["plot", str(output), "-o", str(tmp_path / "pairs.png")])
        assert run.exit_code == 0, run.output
        run = CliRunner().invoke(main, ["gia", experiment, *model, "-o", str(tmp_path / "none.nc")])
        assert run.exit_code == 1
        assert "--motif, --motifs-from: expected one of the two" in run.output
        assert not (tmp_path / "none.nc").exists()


def test_hits_are_the_sites_that_are_ablated(tmp_path: Path) -> None:
    """Sites that a scan would not take: one of two occurrences, and on the other strand."""
    texts = [list("".join(row)) for row in decode_codes(random_sequences(6, 40, seed=4).argmax(axis=-1))]
    for row, text in enumerate(texts):
        text[5:9] = "GATA"
        text[20:24] = "GATA" if row % 2 else "TATC"
    sequences = tfb.encode_sequences(["".join(text) for text in texts], ids=[f"s{i}" for i in range(6)])
    places = [(row, 20, "GATA") for row in range(5)]
    hits = hits_of(places, 6)
    site = one_hot(["GATA"]) + one_hot(["TATC"])

    def bases_at_20(x: np.ndarray) -> np.ndarray:
        return (x[:, 20:24] * site).sum(axis=(1, 2))[:, np.newaxis]

    found = tfb.motif_necessity(bases_at_20, sequences, hits=hits)
    assert found["n_sites"].sel(pattern="GATA").values.tolist() == [1] * 5 + [0]
    effect = found["pattern_effect"].sel(pattern="GATA").isel(target=0).values
    assert np.isnan(effect[5])
    assert (effect[:5] < 0).all()
    assert found.attrs["sites"] == "hits"
    names = [f"s{i}" for i in range(6)]
    other = tfb.encode_sequences(["".join(reversed(text)) for text in texts], ids=names)
    unnamed = sequences.assign_coords(id=("sequence", [f"x{i}" for i in range(6)]))
    for wrong, problem in (
        (other, "give the sequences that the hits were found in"),
        (unnamed, "none of 5 is in the 6 sequences"),
    ):
        with pytest.raises(InputError, match=problem):
            tfb.motif_necessity(lambda x: x[:, :1, 0], wrong, hits=hits)
    with pytest.raises(InputError, match="expected one of the two"):
        tfb.motif_necessity(lambda x: x[:, :1, 0], sequences)
