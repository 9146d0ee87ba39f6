"""Occlusion profiles and logos: each effect is where its window lies."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import PolyCollection

from kipoi_tfbind import encode_sequences
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot import plot_logo, plot_occlusion
from kipoi_tfbind.results.position_scores import scores_of
from kipoi_tfbind.results.view import select

mpl.use("Agg")

LENGTH = 30
EFFECTS = np.random.default_rng(3).normal(size=100)


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def occlusion(starts: list[int], width: int) -> xr.Dataset:
    """A result of the documented shape."""
    letters = np.random.default_rng(1).choice(list("ACGT"), size=LENGTH)
    letters[4] = "N"
    effect = EFFECTS[: len(starts)].reshape(1, -1, 1)
    return (
        encode_sequences(["".join(letters)])
        .assign(
            prediction=(("sequence", "target"), [[1.0]]),
            occlusion_effect=(("sequence", "window", "target"), effect),
        )
        .assign_coords(
            target=["CTCF"],
            window_start=("window", starts),
            window_end=("window", [start + width for start in starts]),
        )
        .assign_attrs(method="occlusion", output="logit")
    )


def test_overlapping_windows_are_points_at_their_centres() -> None:
    result = occlusion(list(range(0, 26)), 5)
    ax = plot_occlusion(result)
    line, _, bar = ax.lines
    x, y = line.get_data()
    np.testing.assert_array_equal(x, np.arange(26) + 2)  # positions 0 to 4 have their middle at 2
    np.testing.assert_array_equal(y, EFFECTS[:26])
    left, right = np.asarray(bar.get_xdata(), dtype=float)
    assert right - left == 5
    assert "window, 5 bp" in [text.get_text() for text in ax.texts]
    assert ax.get_ylabel() == "Effect of occlusion\n(Δ logit)"


def test_windows_side_by_side_are_steps_as_wide_as_they_are() -> None:
    line = plot_occlusion(occlusion([0, 5, 15], 5)).lines[0]
    x, y = (np.asarray(values, dtype=float) for values in line.get_data())
    a, b, c = EFFECTS[:3]
    np.testing.assert_array_equal(x, [-0.5, 4.5, 4.5, 9.5, np.nan, 14.5, 19.5])
    np.testing.assert_array_equal(y, [a, a, b, b, np.nan, c, c])


def test_an_ensemble_has_a_band_of_one_standard_deviation() -> None:
    result = occlusion(list(range(26)), 5)
    spread = xr.full_like(result["occlusion_effect"], 0.3)
    ax = plot_occlusion(result.assign(occlusion_effect_sd=spread))
    *_, band = [artist for artist in ax.collections if isinstance(artist, PolyCollection)]
    y = np.asarray(band.get_paths()[0].vertices)[:, 1]
    assert y.min() == pytest.approx(EFFECTS[:26].min() - 0.3)
    assert y.max() == pytest.approx(EFFECTS[:26].max() + 0.3)


def test_logo_is_minus_the_mean_effect_of_the_windows_that_hide_a_position() -> None:
    starts = [0, 2, 3, 20]
    result = occlusion(starts, 6)
    expected = []
    for position in range(LENGTH):
        hiding = [EFFECTS[i] for i, start in enumerate(starts) if start <= position < start + 6]
        known = hiding and position != 4  # N
        expected.append(-sum(hiding) / len(hiding) if known else np.nan)
    importance = scores_of(select(result))
    np.testing.assert_allclose(importance.values, expected, rtol=1e-12)
    part = scores_of(select(result, start=7, end=22))  # windows reach into it from outside
    np.testing.assert_allclose(part.values, expected[7:22], rtol=1e-12)
    assert plot_logo(result).get_ylabel() == "− mean effect\nof occlusion\n(logit)"


def test_the_result_of_another_method_is_refused() -> None:
    result = occlusion([0, 5], 5).drop_vars("occlusion_effect")
    with pytest.raises(InputError, match="expected the variable occlusion_effect"):
        plot_occlusion(result)
