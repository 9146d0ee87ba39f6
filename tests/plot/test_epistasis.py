"""Epistasis maps: the cells are the strongest pairs of substitutions, marked where and as what they are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from kipoi_tfbind import encode_sequences
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot import plot_epistasis, plot_logo
from kipoi_tfbind.plot.epistasis import label_offsets

mpl.use("Agg")

SEQUENCE = "TACGTNGATTAC"
START, END = 61_999_990, 62_000_002


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def second_order(sequence: str, positions: list[int], seed: int = 0) -> xr.Dataset:
    """A result of the documented shape: random epistasis, 0 and NaN where they belong."""
    rng = np.random.default_rng(seed)
    chosen = encode_sequences([sequence]).isel(position=positions).assign_coords(target=["CTCF", "MAX"])
    pairs = list(itertools.combinations(range(len(positions)), 2))
    there = {i: "ACGTN".index(sequence[position]) for i, position in enumerate(positions)}
    single = rng.normal(size=(1, len(positions), 4, 2))
    epistasis = rng.normal(size=(1, len(pairs), 4, 4, 2))
    for i, base in there.items():
        if base < 4:
            single[0, i, base] = 0
        else:
            single[0, i] = np.nan
    for p, (i, j) in enumerate(pairs):
        if 4 in (there[i], there[j]):
            epistasis[0, p] = np.nan
        else:
            epistasis[0, p, there[i]] = 0
            epistasis[0, p, :, there[j]] = 0
    return (
        chosen.assign(
            prediction=(("sequence", "target"), [[1.0, 2.0]]),
            mutation_effect=(("sequence", "position", "base", "target"), single),
            epistasis=(("sequence", "pair", "base_a", "base_b", "target"), epistasis),
        )
        .assign_coords(
            position_a=("pair", [positions[i] for i, _ in pairs]),
            position_b=("pair", [positions[j] for _, j in pairs]),
            base_a=list("ACGT"),
            base_b=list("ACGT"),
        )
        .assign_attrs(method="second_order_mutagenesis", model="random", output="logit")
    )


def placed(result: xr.Dataset, strand: str) -> xr.Dataset:
    coordinates = {"chrom": ["chr20"], "start": [START], "end": [END], "strand": [strand]}
    return result.assign_coords({name: ("sequence", value) for name, value in coordinates.items()})


@pytest.fixture(scope="module")
def result() -> xr.Dataset:
    return second_order(SEQUENCE, list(range(len(SEQUENCE))))


def quiet(result: xr.Dataset) -> xr.Dataset:
    """The same result without any epistasis."""
    return result.assign(epistasis=result["epistasis"] * 0)


def plant(result: xr.Dataset, a: int, base_a: str, b: int, base_b: str, value: float) -> None:
    pair = np.flatnonzero((result["position_a"] == a) & (result["position_b"] == b))[0]
    result["epistasis"][0, pair, "ACGT".index(base_a), "ACGT".index(base_b), 0] = value


def cells(ax: Axes) -> dict[tuple[int, int], float]:
    """(column, row) -> value of the cells of the map that are drawn; the first mesh, not that of the grey."""
    grid = values_of(next(artist for artist in ax.collections if isinstance(artist, QuadMesh)))
    return {(int(x), int(y)): float(grid[y, x]) for y, x in np.argwhere(~np.isnan(grid))}


def values_of(mesh: QuadMesh) -> NDArray:
    """Values of a square mesh; NaN where nothing is drawn."""
    array = mesh.get_array()
    assert array is not None
    side = int(np.sqrt(array.size))
    return np.ma.filled(array, np.nan).reshape(side, side)


def listed(ax: Axes) -> list[str]:
    (text,) = [text.get_text() for text in ax.texts if "×" in text.get_text()] or [""]
    return [" ".join(line.split()) for line in text.splitlines()]


def marked(ax: Axes) -> list[list[float]]:
    return [np.asarray(patch.get_center()).tolist() for patch in ax.patches if isinstance(patch, Rectangle)]


def test_cells_are_the_epistasis_of_largest_magnitude_with_its_sign(result: xr.Dataset) -> None:
    ax = plot_epistasis(result, target="MAX")
    drawn = cells(ax)
    values = result["epistasis"].values[0, ..., 1]
    expected = {}
    for pair, (i, j) in enumerate(itertools.combinations(range(len(SEQUENCE)), 2)):
        if "N" not in (SEQUENCE[i], SEQUENCE[j]):
            expected[i, j] = max((values[pair, a, b] for a in range(4) for b in range(4)), key=abs)
    assert drawn == expected
    assert min(drawn.values()) < 0 < max(drawn.values())
    low, high = next(artist for artist in ax.collections if isinstance(artist, QuadMesh)).get_clim()
    assert -low == high == max(map(abs, expected.values()))


def test_pairs_with_n_are_grey(result: xr.Dataset) -> None:
    _, grey = [artist for artist in plot_epistasis(result).collections if isinstance(artist, QuadMesh)]
    assert {(int(x), int(y)) for y, x in np.argwhere(~np.isnan(values_of(grey)))} == (
        {(5, y) for y in range(6, 12)} | {(x, 5) for x in range(5)}
    )


@pytest.mark.parametrize(
    ("strand", "expected"),
    [
        # Positions 3 (G) and 9 (T): START + 1 + position forwards, END - position in reverse.
        ("+", ["1 G61999994A × T62000000C −2.5", "2 T61999991A × C62000002G +1.2"]),
        ("-", ["1 G61999999A × T61999993C −2.5", "2 T62000002A × C61999991G +1.2"]),
    ],
)
def test_strongest_pairs_are_marked_and_named(result: xr.Dataset, strand: str, expected: list[str]) -> None:
    planted = placed(quiet(result), strand)
    plant(planted, 3, "A", 9, "C", -2.51)
    plant(planted, 3, "C", 9, "C", 1.5)  # weaker, at the same positions: not a pair of its own
    plant(planted, 0, "A", 11, "G", 1.23)
    plant(planted, 1, "C", 2, "A", 0.1)
    ax = plot_epistasis(planted, target=0, n_strongest=2)
    assert listed(ax) == expected
    assert marked(ax) == [[3, 9], [0, 11]]


def test_without_coordinates_pairs_are_named_by_position(result: xr.Dataset) -> None:
    planted = quiet(result)
    plant(planted, 3, "A", 9, "C", 12.34)
    assert listed(plot_epistasis(planted, target=0)) == ["1 G3A × T9C +12"]


def test_numbers_of_neighbouring_cells_do_not_touch_and_cover_no_marked_cell() -> None:
    places = np.array([[10, 12], [11, 12], [10, 13], [11, 13], [12, 12]])
    for cell in (2.5, 4.0, 6.0):
        centres = places * cell * [1, -1]
        numbers = centres + np.array(label_offsets(places, cell))
        apart = np.abs(numbers[:, np.newaxis] - numbers).max(axis=-1) + 99 * np.eye(len(places))
        assert apart.min() >= 8
        assert np.abs(numbers[:, np.newaxis] - centres).max(axis=-1).min() >= cell / 2 + 2


def test_the_map_has_the_ticks_of_its_logo(result: xr.Dataset) -> None:
    ax = plot_epistasis(result)
    logo = next(other for other in ax.figure.axes if other.get_xlabel())
    assert len(ax.get_xticks())
    assert list(ax.get_xticks()) == list(logo.get_xticks())


def test_without_epistasis_nothing_is_marked(result: xr.Dataset) -> None:
    ax = plot_epistasis(quiet(result))
    ax.figure.canvas.draw()
    assert listed(ax) == []
    assert marked(ax) == []


def test_ensembles_show_the_standard_deviation_of_the_pair(result: xr.Dataset) -> None:
    planted = quiet(result)
    plant(planted, 3, "A", 9, "C", -2.51)
    planted["epistasis_sd"] = xr.full_like(planted["epistasis"], 9.0)
    pair = np.flatnonzero((planted["position_a"] == 3) & (planted["position_b"] == 9))[0]
    planted["epistasis_sd"][0, pair, 0, 1, 0] = 0.42
    assert listed(plot_epistasis(planted, target=0)) == ["1 G3A × T9C −2.5 ± 0.4"]


def test_chosen_positions_stand_side_by_side_with_their_coordinates() -> None:
    chosen = second_order("ACGT" * 30, [2, 3, 4, 60, 61, 100])
    coordinates = {"chrom": ["chr20"], "start": [1000], "end": [1120], "strand": ["+"]}
    ax = plot_epistasis(chosen.assign_coords({k: ("sequence", v) for k, v in coordinates.items()}))
    assert cells(ax).keys() == set(itertools.combinations(range(6), 2))
    logo = ax.figure.axes[1]
    labels = {
        int(x): text.get_text() for x, text in zip(logo.get_xticks(), logo.get_xticklabels(), strict=True)
    }
    assert labels == {0: "1,003", 3: "1,061", 5: "1,101"}


def test_logo_under_the_map_is_in_line_with_it(result: xr.Dataset) -> None:
    ax = plot_epistasis(result)
    logo = ax.figure.axes[1]
    ax.figure.canvas.draw()
    above, below = ax.get_window_extent(), logo.get_window_extent()
    assert (above.x0, above.x1) == pytest.approx((below.x0, below.x1))
    assert below.y1 < above.y0
    assert logo.get_xlim() == ax.get_xlim()
    assert logo.get_ylim() == pytest.approx(plot_logo(result).get_ylim())


def test_a_range_has_the_pairs_within_it(result: xr.Dataset) -> None:
    ax = plot_epistasis(result, start=6, end=10)
    assert cells(ax).keys() == set(itertools.combinations(range(4), 2))
    with pytest.raises(InputError, match="expected a range with a pair of this result's positions"):
        plot_epistasis(result, start=6, end=7)
    with pytest.raises(InputError, match="expected the variable epistasis"):
        plot_epistasis(result.drop_vars("epistasis"))
    sparse = second_order(SEQUENCE, [1, 2, 10])
    with pytest.raises(InputError, match="this result has no position from 4 to 8"):
        plot_epistasis(sparse, start=4, end=8)
