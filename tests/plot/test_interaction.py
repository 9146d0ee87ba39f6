"""Triangles of interactions: each number is at its pair."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh

from kipoi_tfbind import encode_sequences
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot.result import plot_result

mpl.use("Agg")


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def interactions(**ends: list[int]) -> xr.Dataset:
    """A result of the documented shape, of three pairs."""
    return (
        encode_sequences(["ACGTACGTAC"])
        .assign(
            prediction=(("sequence", "target"), [[1.0]]),
            interaction=(("sequence", "pair", "target"), [[[0.5], [-2.0], [0.1]]]),
        )
        .assign_coords(
            target=["CTCF"],
            position_a=("pair", [0, 0, 4]),
            position_b=("pair", [4, 8, 8]),
            **{name: ("pair", values) for name, values in ends.items()},
        )
        .assign_attrs(method="integrated_hessians", output="logit")
    )


def table_of(ax: mpl.axes.Axes) -> np.ndarray:
    (mesh,) = [artist for artist in ax.collections if isinstance(artist, QuadMesh)]
    return np.ma.filled(np.ma.asarray(mesh.get_array()), np.nan)


def test_pairs_of_positions_are_cells_and_the_strongest_are_listed() -> None:
    ax = plot_result(interactions())
    table = table_of(ax)
    assert (table[4, 0], table[8, 0], table[8, 4]) == (0.5, -2.0, 0.1)
    assert np.isfinite(table).sum() == 3
    (text,) = [artist.get_text() for artist in ax.texts if "×" in artist.get_text()]
    assert [line.split() for line in text.splitlines()] == [
        ["A0", "×", "A8", "\N{MINUS SIGN}2"],
        ["A0", "×", "A4", "+0.5"],
        ["A4", "×", "A8", "+0.1"],
    ]
    (bar,) = ax.child_axes
    assert bar.get_xlabel() == "Integrated Hessian (logit)"


def test_pairs_of_segments_are_rectangles() -> None:
    ax = plot_result(interactions(end_a=[4, 4, 8], end_b=[8, 10, 10]))
    table = table_of(ax)
    assert (table[4:8, 0:4] == 0.5).all()
    assert (table[8:10, 4:8] == 0.1).all()
    assert any("0-3" in artist.get_text() for artist in ax.texts)


def test_the_result_of_another_method_is_refused() -> None:
    with pytest.raises(InputError, match="expected the variable interaction"):
        plot_result(interactions().drop_vars("interaction"))
