"""Pages of motifs, and hits under contributions: what is drawn, at which place."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from kipoi_tfbind import plot_hits, plot_motifs
from kipoi_tfbind.cli import main
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.motifs.collect import motif_table
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.read import parse_motif
from kipoi_tfbind.results.files import save_result
from tests.planted import labelled


@pytest.fixture
def motifs() -> xr.Dataset:
    table = motif_table({name: parse_motif(name) for name in ("GATAAG", "TGACTCA", "CACGTG")})
    table["n_motif_sites"] = "motif", [5, 0, 9]
    for end, shift in (("", 0.0), ("_low", -0.1), ("_high", 0.1)):
        table[f"silencing_effect{end}"] = ("motif", "target"), np.array([[-2.0], [1.0], [0.5]]) + shift
    values = {"id": ["K1", "K2", "K1"], "name": ["GATA", "AP1", "MAX"], "orientation": ["-", "+", "+"]}
    numbers = {"q_value": [0.01, 0.5, 0.2], "offset": [2.0, 0.0, 0.0]}
    for name, column in {**values, **numbers}.items():
        table[f"match_{name}"] = ("motif", "rank"), np.array(column, dtype=object)[:, None]
    return table.assign_coords(target=["y"])


def test_a_page_of_motifs(motifs: xr.Dataset) -> None:
    known = {"K1": Motif("GATA", parse_motif("CTTATCNN").matrix + 0.0)}
    figure = plot_motifs(motifs, known=known)
    labels = [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()]
    # The dead one is left out; the strongest effect comes first.
    assert labels == ["GATAAG\n5 sites", "CACGTG\n9 sites"]
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.get_title(loc="left")]
    assert titles == ["GATA  K1  q = 0.01", "MAX  K1  q = 0.2"]
    left, middle = figure.axes[:2]
    assert left.get_xlim() == middle.get_xlim() == (-2.6, 5.6)
    with pytest.raises(InputError, match="target: this result has none of the name 'z'; it has y"):
        plot_motifs(motifs, target="z")
    with pytest.raises(InputError, match="none of its motifs has a site"):
        plot_motifs(motifs.assign(n_motif_sites=("motif", [0, 0, 0])))


def test_hits_under_contributions(tmp_path: Path, motifs: xr.Dataset) -> None:
    codes = np.tile(np.arange(4, dtype=np.uint8), (2, 10))
    result = labelled(codes, np.ones(codes.shape)).assign(
        prediction=(("sequence", "target"), np.ones((2, 1)))
    )
    columns = {
        "sequence": [0, 1, 1],
        "start": [3, 5, 20],
        "end": [9, 11, 26],
        "strand": ["+", "-", "+"],
        "motif": ["GATAAG"] * 3,
        "contribution": [1.0, 1.0, -1.0],
        "q_value": [0.01, 0.0, 0.03],
        "score": [1.0, 1.0, 1.0],
    }
    hits = xr.Dataset({f"hit_{name}": ("hit", values) for name, values in columns.items()}).assign_attrs(
        target="y"
    )
    top = plot_hits(result, hits, sequence=1)
    bottom = top.figure.axes[1]
    arrows = [text for text in bottom.texts if text.get_text() == ""]
    # From tail to head: the first reads the other strand.
    assert [(arrow.xyann[0], arrow.xy[0]) for arrow in arrows] == [(10.5, 4.5), (19.5, 25.5)]
    written = [text.get_text() for text in bottom.texts if text.get_text()]
    assert written == ["GATAAG (q < 1e-300)", "GATAAG (q = 0.03)"]
    plt.close("all")
    with pytest.raises(InputError, match="expected an index below 2, got 2"):
        plot_hits(result, hits, sequence=2)

    save_result(result, tmp_path / "result.nc")
    save_result(hits, tmp_path / "hits.nc")
    save_result(motifs.drop_vars(["match_id", "match_name", "match_orientation"]), tmp_path / "motifs.nc")
    for arguments in (
        ["result.nc", "--hits", str(tmp_path / "hits.nc"), "-o", "hits.png"],
        ["motifs.nc", "-o", "page.png"],
    ):
        run = CliRunner().invoke(
            main, ["plot", str(tmp_path / arguments[0]), *arguments[1:-1], str(tmp_path / arguments[-1])]
        )
        assert run.exit_code == 0, run.output
        assert (tmp_path / arguments[-1]).stat().st_size > 1000
