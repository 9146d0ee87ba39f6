"""Patterns of TF-MoDISco; without it, an error that says how to install it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kipoi_tfbind.cli import main
from kipoi_tfbind.interpret.find_patterns import find_patterns
from kipoi_tfbind.interpret.match_patterns import match_patterns
from kipoi_tfbind.motifs.collect import motif_table
from kipoi_tfbind.motifs.match import match_motifs
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.read import parse_motif
from kipoi_tfbind.results.files import save_result
from tests.planted import plant


def test_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "modiscolite.tfmodisco", None)
    planted = plant({"a": parse_motif("TGACTCA")}, n=2)
    save_result(planted.result, tmp_path / "result.nc")
    output = tmp_path / "patterns.nc"
    run = CliRunner().invoke(main, ["modisco", str(tmp_path / "result.nc"), "-o", str(output)])
    assert run.exit_code == 1
    assert "pip install 'kipoi_tfbind[modisco]'" in run.output
    assert not output.exists()


def test_names_of_patterns_and_false_names() -> None:
    """CTCF as it is keeps its name; diffuse patterns, which Tomtom takes for long known motifs, have none."""
    pytest.importorskip("memelite")
    pytest.importorskip("pyjaspar")
    rng = np.random.default_rng(0)
    diffuse = {f"diffuse {i}": Motif("d", rng.dirichlet([1.2] * 4, size=40)) for i in range(5)}
    patterns = motif_table({"own": parse_motif("MA0139.2")} | diffuse)
    patterns = patterns.assign(n_motif_sites=("motif", [100] + [25] * 5))
    plain = match_motifs(patterns, top=1)["match_q_value"].values[:, 0]
    named = match_patterns(patterns, n_permutations=20)
    q = named["match_q_value"].values[:, 0]
    assert named["match_name"].values[0, 0] == "CTCF"
    assert q[0] < 0.1
    assert (plain[1:] < 0.05).any()
    assert (q[1:] > 0.05).all()
    assert named.attrs["false_match_rate"] <= 0.05


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("modiscolite") is None, reason="tfmodisco-lite is not installed")
def test_planted_motifs_are_found_and_named() -> None:
    motifs = {name: parse_motif(name) for name in ("MA0139.2", "MA0138.3")}
    planted = plant(motifs, n=400, noise=0.02)
    result = planted.result.assign(hypothetical_contribution=planted.result["contribution"])
    patterns = find_patterns(result)
    names = match_motifs(patterns, top=1)["match_name"].values[:, 0]
    assert {"CTCF", "REST"} <= set(names)
