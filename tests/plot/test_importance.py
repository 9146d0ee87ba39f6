"""Pictures of global importance analysis: what is drawn is what the result says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba

import kipoi_tfbind as tfb
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot import plot_result, save_plot
from kipoi_tfbind.plot._colours import LOWERS, RAISES
from kipoi_tfbind.plot.result import KINDS, kind_of
from kipoi_tfbind.testing import motif_counter

mpl.use("Agg")

COUNT = motif_counter("GATAAG", both_strands=True)


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def counts(x: np.ndarray) -> np.ndarray:
    noise = 0.2 * x[:, ::3, 2].sum(axis=1, keepdims=True)
    return np.concatenate([noise, COUNT(x) ** 2 + noise], axis=1)


def model() -> Any:
    return tfb.as_sequence_model(counts, length=70, targets=["none", "GATA1"])


EXPERIMENTS: dict[str, tuple[Callable[..., xr.Dataset], tuple[Any, ...], dict[str, Any]]] = {
    "effect": (tfb.motif_importance, ({"A": "GATAAG", "B": "CTTATC", "C$": "TTTTTT", "D": "ANNNNA"},), {}),
    "position": (tfb.position_importance, ("GATAAG",), {"step": 8}),
    "number": (tfb.number_importance, ("GATAAG",), {"max_copies": 3}),
    "spacing": (tfb.spacing_importance, ("GATAAG", "GATAAG"), {"max_distance": 9}),
    "orientation": (tfb.orientation_importance, (["GATAAG"],), {}),
    "context": (tfb.context_importance, ("GATAAG",), {"gc": (0.2, 0.5, 0.8)}),
    "cooperativity": (
        tfb.cooperativity,
        (["GATAAG", "CACGTG"],),
        {"gaps": (2, 5), "orientations": ("++", "+-")},
    ),
    "kmers": (tfb.kmer_importance, (3,), {}),
}
KIND = {
    **dict.fromkeys(("effect", "orientation", "kmers", "necessity", "swap"), "importance"),
    **dict.fromkeys(("position", "number", "spacing", "context"), "curve"),
    "cooperativity": "cooperativity",
}


@cache
def result(experiment: str) -> xr.Dataset:
    function, arguments, options = EXPERIMENTS[experiment]
    return function(model(), tfb.make_backgrounds("uniform", 60, length=70, seed=2), *arguments, **options)


@cache
def shift() -> xr.Dataset:
    one, other = (tfb.make_backgrounds("uniform", 100, length=70, seed=seed) for seed in (1, 2))
    return tfb.distribution_shift(model(), one, other)


def points(ax: Axes) -> PathCollection:
    [found] = [each for each in ax.collections if isinstance(each, PathCollection)]
    return found


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_each_experiment_has_its_picture(experiment: str, tmp_path: Path) -> None:
    found = result(experiment)
    assert kind_of(found) == KIND[experiment]
    ax = plot_result(found, target="GATA1")
    assert ax.get_title(loc="left").startswith("GATA1   ")
    save_plot(ax, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_points_and_intervals_of_patterns() -> None:
    found = result("effect").sel(target="GATA1")
    ax = tfb.plot_importance(result("effect"), target="GATA1")
    x, y = np.asarray(points(ax).get_offsets()).T
    np.testing.assert_allclose(x, found["importance"])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["A", "B", "C$", "D"]
    np.testing.assert_array_equal(y, [3, 2, 1, 0])
    thick, thin = ax.collections[0], ax.collections[1]
    for lines, ends in ((thin, ("_low", "_high")), (thick, ("_bootstrap_low", "_bootstrap_high"))):
        drawn = np.array([segment[:, 0] for segment in lines.get_segments()])
        expected = np.stack([found["importance" + end].values for end in ends], axis=1)
        np.testing.assert_allclose(drawn, expected)
    faces, edges = (np.asarray(c) for c in (points(ax).get_facecolor(), points(ax).get_edgecolor()))
    for row, (value, q) in enumerate(zip(found["importance"].values, found["q_value"].values, strict=True)):
        colour = to_rgba(RAISES if value > 0 else LOWERS)
        np.testing.assert_allclose(edges[row], np.array(colour))
        np.testing.assert_allclose(faces[row], np.array(colour if q <= 0.05 else to_rgba("white")))
    assert (found["q_value"] <= 0.05).any()
    assert (found["q_value"] > 0.05).any()


def test_only_the_strongest_of_many_patterns_are_shown() -> None:
    found = result("kmers").sel(target="none")
    ax = tfb.plot_importance(result("kmers"), top=10)
    shown = [label.get_text() for label in ax.get_yticklabels()]
    strongest = found["pattern"].values[np.argsort(-np.abs(found["importance"].values))[:10]]
    # Words that have the same effect but for rounding are of either order.
    least = np.abs(found["importance"].sel(pattern=strongest)).min().item()
    assert (np.abs(found["importance"].sel(pattern=shown).values) >= least - 1e-6).all()
    values = found["importance"].sel(pattern=shown).values
    assert (np.diff(values) <= 0).all()
    assert "the strongest 10 of 64" in ax.get_title(loc="left")


def line(ax: Axes, label: str) -> tuple[np.ndarray, np.ndarray]:
    [found] = [each for each in ax.get_lines() if each.get_label() == label]
    return np.asarray(found.get_xdata(), dtype=float), np.asarray(found.get_ydata(), dtype=float)


def test_position_curves_and_bands() -> None:
    found = result("position").sel(target="GATA1")
    ax = tfb.plot_importance_curve(result("position"), target="GATA1")
    for number, (orientation, label) in enumerate((("+", "+ strand"), ("-", "− strand"))):
        own = found.isel(pattern=(found["orientation"] == orientation).values)
        x, y = line(ax, label)
        np.testing.assert_array_equal(x, own["offset"])
        np.testing.assert_allclose(y, own["importance"])
        band = ax.collections[number].get_paths()[0].vertices
        for end in ("importance_low", "importance_high"):
            for place in zip(own["offset"].values, own[end].values, strict=True):
                assert np.isclose(band, place).all(axis=1).any()


def test_spacing_curves_have_all_orientations_and_a_gap_where_motifs_overlap() -> None:
    found = result("spacing").sel(target="GATA1")
    ax = tfb.plot_importance_curve(result("spacing"), target="GATA1")
    for orientation, label in (("++", "→ →"), ("+-", "→ ←"), ("-+", "← →"), ("--", "← ←")):
        own = found.isel(pattern=((found["orientation"] == orientation) & (found["role"] == "pair")).values)
        first, second = label.split()
        x, y = line(ax, f"GATAAG{first} GATAAG{second}")
        is_gap = np.isnan(x)
        assert is_gap.sum() == 1
        np.testing.assert_array_equal(x[~is_gap], own["distance"])
        np.testing.assert_allclose(y[~is_gap], own["difference"])
        assert x[np.flatnonzero(is_gap)[0] - 1] == -6
    assert ax.patches[0].get_extents().width > 0  # the overlap is shaded


def test_copies_against_the_sum_of_single_ones() -> None:
    found = result("number").sel(target="GATA1")
    copies = found.isel(pattern=(found["role"] == "copies").values)
    singles = found.isel(pattern=(found["role"] == "single").values)
    ax = tfb.plot_importance_curve(result("number"), target="GATA1")
    x, y = line(ax, "sum of single copies")
    np.testing.assert_array_equal(x, [1, 2, 3])
    np.testing.assert_allclose(y, np.cumsum(singles["importance"].values), rtol=1e-9)
    np.testing.assert_allclose(ax.containers[0].lines[0].get_ydata(), copies["importance"])


def test_context_curve_and_refusal_of_bases() -> None:
    found = result("context").sel(target="GATA1")
    inside = found.isel(pattern=(found["role"] == "in context").values)
    x, y = line(tfb.plot_importance_curve(result("context"), target="GATA1"), "between flanks")
    np.testing.assert_array_equal(x, [0.2, 0.5, 0.8])
    np.testing.assert_allclose(y, inside["difference"])
    bases = tfb.context_importance(
        model(), tfb.make_backgrounds("uniform", 20, length=70), "GATAAG", flank_bases=1
    )
    assert kind_of(bases) == "importance"
    with pytest.raises(InputError, match="draw them with plot_importance"):
        tfb.plot_importance_curve(bases)
    assert len(tfb.plot_importance(bases, value="difference").get_yticklabels()) == 16


def test_heat_map_has_each_pair_in_its_place() -> None:
    found = result("cooperativity").sel(target="GATA1")
    ax = tfb.plot_cooperativity(result("cooperativity"), target="GATA1", gap=5, orientation="+-")
    names = [label.get_text() for label in ax.get_yticklabels()]
    drawn = np.asarray(ax.images[0].get_array())
    for row, a in enumerate(names):
        for column, b in enumerate(names):
            one = found.sel(pattern=f"{a} {b} +- gap 5")
            assert drawn[row, column] == pytest.approx(one["difference"].item())
            text = next(t for t in ax.texts if t.get_position() == (column, row))
            assert text.get_text().startswith("(") == (one["difference_q_value"].item() > 0.05)
    low, high = ax.images[0].get_clim()
    assert low == -high  # white is 0
    with pytest.raises(InputError, match="this result has none with 7"):
        tfb.plot_cooperativity(result("cooperativity"), gap=7)


def test_distributions_beside_each_other() -> None:
    ax = plot_result(shift(), target="none")
    assert ax.get_title(loc="left").startswith("none   ")
    low, high = np.quantile(shift()["real_sample"].sel(target="none"), [0.025, 0.975])
    shaded = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    np.testing.assert_allclose([shaded.x0, shaded.x1], [low, high])


def test_pictures_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="expected the result of the experiment position or spacing"):
        tfb.plot_importance_curve(result("effect"))
    with pytest.raises(InputError, match="expected the result of the experiment cooperativity"):
        plot_result(result("effect"), kind="cooperativity")
    with pytest.raises(InputError, match="has no difference"):
        tfb.plot_importance(result("effect"), value="difference")
    with pytest.raises(InputError, match="has none to choose"):
        plot_result(result("effect"), start=3)
    with pytest.raises(InputError, match="expected one of the variables"):
        plot_result(result("effect"), kind="logo")
    with pytest.raises(InputError, match="none of the name 'what'"):
        plot_result(result("effect"), target="what")
    assert {"importance", "curve", "cooperativity", "shift"} <= set(KINDS)


def test_report_has_pictures_and_tables_of_patterns(tmp_path: Path) -> None:
    everything = [*(result(name) for name in EXPERIMENTS), shift()]
    path = tmp_path / "report.html"
    tfb.write_report(everything, path, targets=["GATA1"])
    text = path.read_text()
    for title in ("spacing", "number of copies", "k-mers", "cooperativity", "context", "position"):
        assert f"Global importance analysis: {title}</h3>" in text
    assert text.count("data:image/png;base64,") == len(everything)
    assert "synergistic" in text
    assert "Backgrounds and real sequences" in text
    assert 'id="sequences"' not in text
    importance = result("effect")["importance"].sel(pattern="A", target="GATA1").item()
    assert f'<td>A</td><td class="number">+{importance:.3f}</td>' in text
    sequences = tfb.encode_sequences(["ACGTGATAAG" * 7], ids=["one"])
    effects = tfb.in_silico_mutagenesis(model(), sequences, start=0, end=12)
    tfb.write_report([effects, result("effect")], path)
    both = path.read_text()
    assert 'id="sequences"' in both
    assert 'id="patterns"' in both
    with pytest.raises(InputError, match="none of the results has the target 'what'"):
        tfb.write_report(everything, path, targets=["what"])
