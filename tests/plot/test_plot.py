"""Plots: what is drawn is the result, where it is drawn is where it lies."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.patches import PathPatch

from kipoi_tfbind import (
    as_sequence_model,
    encode_sequences,
    in_silico_mutagenesis,
    plot_logo,
    plot_mutation_map,
)
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot import save_plot

mpl.use("Agg")

LENGTH = 40
WEIGHTS = np.random.default_rng(0).normal(size=(2, LENGTH, 4))
START = 61_999_980


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="module")
def unplaced() -> xr.Dataset:
    letters = np.random.default_rng(1).choice(list("ACGT"), size=(2, LENGTH))
    letters[0, 5:8] = "N"
    model = as_sequence_model(lambda x: np.einsum("nlb,tlb->nt", x, WEIGHTS), targets=["CTCF", "MAX"])
    sequences = encode_sequences(["".join(row) for row in letters], ids=["forward", "reverse"])
    return in_silico_mutagenesis(model, sequences)


@pytest.fixture(scope="module")
def result(unplaced: xr.Dataset) -> xr.Dataset:
    return unplaced.assign_coords(
        chrom=("sequence", ["chr20"] * 2),
        start=("sequence", [START] * 2),
        end=("sequence", [START + LENGTH] * 2),
        strand=("sequence", ["+", "-"]),
    )


def contribution_result(result: xr.Dataset) -> xr.Dataset:
    """What the methods that give contributions would say of the same additive model."""
    weights = xr.DataArray(WEIGHTS, dims=("target", "position", "base"))
    one_hot = result["one_hot"].astype(float)
    hypothetical = (xr.ones_like(one_hot) * weights).transpose("sequence", "position", "base", "target")
    background = xr.full_like(result["prediction"], -1.5)
    return (
        result.drop_vars("mutation_effect")
        .assign_attrs(method="deep_shap")
        .assign(
            hypothetical_contribution=hypothetical,
            contribution=(hypothetical * one_hot).transpose("sequence", "position", "base", "target"),
            mean_reference_prediction=background,
        )
    )


def heights(ax: Axes) -> dict[int, float]:
    """Position -> signed height of the letter that is drawn there."""
    drawn = {}
    for patch in ax.patches:
        assert isinstance(patch, PathPatch)
        box = patch.get_extents().transformed(ax.transData.inverted())
        drawn[round((box.x0 + box.x1) / 2)] = box.y1 if abs(box.y1) > abs(box.y0) else box.y0
    return drawn


def tick_labels(ax: Axes) -> dict[int, int]:
    ax.figure.canvas.draw()
    return {
        round(position): int(label.get_text().replace(",", ""))
        for position, label in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
    }


def test_letters_are_as_high_as_minus_the_mean_effect_of_substitution(result: xr.Dataset) -> None:
    ax = plot_logo(result, target="MAX", start=2, end=30)
    bases = result["one_hot"].values[0].argmax(axis=-1)
    known = [i for i in range(2, 30) if i not in (5, 6, 7)]
    others = {i: [b for b in range(4) if b != bases[i]] for i in known}
    expected = {i: WEIGHTS[1, i, bases[i]] - WEIGHTS[1, i, others[i]].mean() for i in known}
    drawn = heights(ax)
    assert drawn.keys() == {i for i in known if abs(expected[i]) > max(map(abs, expected.values())) / 500}
    for position, height in drawn.items():
        assert height == pytest.approx(expected[position], rel=0.02)


def test_map_holds_the_effects_with_n_left_out(result: xr.Dataset) -> None:
    ax = plot_mutation_map(result, sequence="forward", target="CTCF")
    (mesh,) = [artist for artist in ax.collections if isinstance(artist, QuadMesh)]
    array = mesh.get_array()
    assert array is not None
    shown = np.ma.filled(array, np.nan).reshape(4, LENGTH)
    np.testing.assert_array_equal(shown, result["mutation_effect"].values[0, :, :, 0].T)
    assert np.isnan(shown[:, 5:8]).all()
    low, high = mesh.get_clim()
    assert -low == high == np.nanmax(np.abs(shown))
    (dots,) = [line for line in ax.lines if line.get_marker() == "o"]
    position, base = dots.get_data()
    assert result["one_hot"].values[0, position, base].all()
    assert len(position) == LENGTH - 3
    assert [label.get_text() for label in ax.get_yticklabels()] == list("ACGT")
    assert ax.get_ylim() == (3.5, -0.5)


def test_logo_and_map_share_their_x_axis(result: xr.Dataset) -> None:
    ax = plot_mutation_map(result, start=10, end=20)
    logo = ax.figure.axes[1]
    assert logo.get_xlim() == ax.get_xlim() == (9.5, 19.5)
    ax.figure.canvas.draw()
    map_box, logo_box = ax.get_window_extent(), logo.get_window_extent()
    assert (map_box.x0, map_box.x1) == pytest.approx((logo_box.x0, logo_box.x1))
    assert logo_box.y0 > map_box.y1


def test_coordinates_of_the_forward_strand(result: xr.Dataset) -> None:
    ax = plot_mutation_map(result, sequence=0, start=4, end=30)
    ticks = tick_labels(ax)
    assert len(ticks) >= 2
    assert all(label == START + 1 + position for position, label in ticks.items())
    assert ax.get_xlabel() == "Position on chr20 (bp, 1-based)"
    logo = ax.figure.axes[1]
    assert logo.get_title(loc="left") == "CTCF   chr20:61,999,985-62,000,010"


def test_coordinates_of_the_reverse_strand(result: xr.Dataset) -> None:
    ax = plot_logo(result, sequence="reverse", target="CTCF", start=4, end=30)
    ticks = tick_labels(ax)
    assert len(ticks) >= 2
    # The first base of the sequence is the last of the interval.
    assert all(label == START + LENGTH - position for position, label in ticks.items())
    assert ax.get_xlabel() == "Position on chr20 (bp, 1-based, reverse strand)"
    assert ax.get_title(loc="left") == "CTCF   chr20:61,999,991-62,000,016 (-)"


def test_sequences_without_coordinates_go_by_position(unplaced: xr.Dataset) -> None:
    ax = plot_logo(unplaced, sequence="reverse", target="CTCF", start=4, end=30)
    assert all(position == label for position, label in tick_labels(ax).items())
    assert ax.get_xlabel() == "Position in the sequence (0-based)"
    assert ax.get_title(loc="left") == "CTCF   reverse, positions 4-29 (0-based)"


def test_logo_of_contributions(result: xr.Dataset) -> None:
    contributions = contribution_result(result)
    ax = plot_logo(contributions, sequence="forward", target="MAX")
    drawn = heights(ax)
    for position, height in drawn.items():
        base = result["one_hot"].values[0, position].argmax()
        assert height == pytest.approx(WEIGHTS[1, position, base], rel=0.02)
    assert not drawn.keys() & {5, 6, 7}  # N
    assert len(drawn) > 30
    assert ax.get_ylabel() == "Contribution\n(DeepSHAP,\noutput)"
    (detail,) = [text.get_text() for text in ax.texts]
    assert detail.endswith("for the references \N{MINUS SIGN}1.5")


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ("saliency", "gradient"),
        ("gradient_x_input", "gradient × input"),
        ("integrated_gradients", "integrated gradients"),
    ],
)
def test_logo_says_which_gradients(result: xr.Dataset, kind: str, label: str) -> None:
    contributions = contribution_result(result).assign_attrs(method="gradients", gradient_method=kind)
    assert plot_logo(contributions, end=5).get_ylabel() == f"Contribution\n({label},\noutput)"


def test_logo_of_an_ensemble_has_a_line_of_one_standard_deviation(result: xr.Dataset) -> None:
    contributions = contribution_result(result)
    spread = xr.full_like(contributions["contribution"], 0.25)
    background = contributions["mean_reference_prediction"]
    ax = plot_logo(contributions.assign(contribution_sd=spread, prediction_sd=xr.ones_like(background)))
    (lines,) = [artist for artist in ax.collections if isinstance(artist, LineCollection)]
    segments = np.array(lines.get_segments())
    known = [i for i in range(LENGTH) if i not in (5, 6, 7)]
    expected = contributions["contribution"].values[0, known, :, 0].sum(axis=-1)
    np.testing.assert_array_equal(segments[:, 0, 0], known)
    np.testing.assert_allclose(segments[:, 0, 1], expected - 0.25, atol=1e-12)
    np.testing.assert_allclose(segments[:, 1, 1], expected + 0.25, atol=1e-12)
    assert ax.get_ylim()[0] < segments[..., 1].min() < segments[..., 1].max() < ax.get_ylim()[1]
    (detail,) = [text.get_text() for text in ax.texts]
    assert "± 1, for the references" in detail


def test_map_of_contributions_holds_the_hypothetical_ones(result: xr.Dataset) -> None:
    contributions = contribution_result(result)
    ax = plot_mutation_map(contributions, sequence="forward", target="CTCF")
    (mesh,) = [artist for artist in ax.collections if isinstance(artist, QuadMesh)]
    array = mesh.get_array()
    assert array is not None
    shown = np.ma.filled(array, np.nan).reshape(4, LENGTH)
    assert np.isnan(shown[:, 5:8]).all()  # N has no contribution to compare with
    known = [i for i in range(LENGTH) if i not in (5, 6, 7)]
    np.testing.assert_array_equal(shown[:, known], WEIGHTS[0, known].T)
    assert ax.get_ylabel() == "Base"
    assert ax.figure.axes[2].get_ylabel() == "Hypothetical\ncontribution (output)"


def test_positions_that_were_left_out_are_a_gap(result: xr.Dataset) -> None:
    chosen = [10, 11, 12, 20, 21]
    ax = plot_mutation_map(result.isel(position=chosen))
    (mesh,) = [artist for artist in ax.collections if isinstance(artist, QuadMesh)]
    array = mesh.get_array()
    assert array is not None
    shown = np.ma.filled(array, np.nan).reshape(4, 12)
    assert np.flatnonzero(~np.isnan(shown[0])).tolist() == [0, 1, 2, 10, 11]
    assert ax.get_xlim() == (9.5, 21.5)
    assert heights(ax.figure.axes[1]).keys() <= set(chosen)


def test_names_are_no_formulas(unplaced: xr.Dataset) -> None:
    named = unplaced.assign_coords(id=("sequence", ["$x_{$", "b"]), target=["a$b$c", "d"])
    ax = plot_logo(named.assign_attrs(model="$m^{$"))
    ax.figure.canvas.draw()
    assert ax.get_title(loc="left").startswith("a$b$c   $x_{$, positions")


def test_given_axes_are_drawn_on(result: xr.Dataset) -> None:
    import matplotlib.pyplot as plt

    figure, (first, second) = plt.subplots(2)
    assert plot_logo(result, ax=first) is first
    assert plot_mutation_map(result, ax=second) is second
    assert len(plt.get_fignums()) == 1
    assert first.figure is figure


def test_a_result_without_any_effect_is_drawn(result: xr.Dataset) -> None:
    for value in (0.0, np.nan):
        flat = result.assign(mutation_effect=xr.full_like(result["mutation_effect"], value))
        ax = plot_mutation_map(flat)
        ax.figure.canvas.draw()
        assert heights(ax.figure.axes[1]) == {}


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".PNG"])
def test_pictures_are_written(result: xr.Dataset, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"map{suffix}"
    save_plot(plot_mutation_map(result), path)
    content = path.read_bytes()
    assert content.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix.lower()])
    if suffix == ".svg":
        assert "Position on chr20 (bp, 1-based)" in content.decode()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_what_cannot_be_drawn_is_refused(result: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sequence: expected an index from 0 to 1, got 2"):
        plot_logo(result, sequence=2)
    with pytest.raises(InputError, match=r"target: this result has none of the name 'U'; it has CTCF, MAX"):
        plot_mutation_map(result, target="U")
    with pytest.raises(InputError, match=r"expected 0 <= start < end <= 40, .* got 30 and 41"):
        plot_logo(result, start=30, end=41)
    with pytest.raises(InputError, match=r"hypothetical_contribution or mutation_effect, found one_hot"):
        plot_mutation_map(result[["one_hot"]])
    with pytest.raises(InputError, match=r"expected one of the variables contribution, .* found one_hot"):
        plot_logo(result[["one_hot"]])
    with pytest.raises(InputError, match=r"expected the variable prediction .* found one_hot"):
        plot_logo(result[["one_hot", "mutation_effect"]])
    with pytest.raises(
        InputError, match=r"map.gif: expected a name that ends in .png, .svg, .pdf; got '.gif'"
    ):
        save_plot(plot_logo(result), tmp_path / "map.gif")
