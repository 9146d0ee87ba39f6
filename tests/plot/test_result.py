"""The picture that suits a result, and the part of a long sequence that is shown."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot import plot_result
from kipoi_tfbind.plot.result import strongest_window
from kipoi_tfbind.report.subjects import find_subjects
from kipoi_tfbind.results.view import strongest_target
from tests.plot.test_epistasis import second_order
from tests.plot.test_occlusion import occlusion

mpl.use("Agg")

LENGTH = 400


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def with_site(site: int, length: int = LENGTH) -> xr.Dataset:
    """Mutagenesis of a model for which ten bases from `site` on count, and the others nearly nothing."""
    weights = np.random.default_rng(0).normal(scale=0.01, size=(length, 4))
    weights[site : site + 10] *= 500
    model = as_sequence_model(lambda x: np.einsum("nlb,lb->n", x, weights), targets=["CTCF"])
    letters = np.random.default_rng(1).choice(list("ACGT"), size=length)
    return in_silico_mutagenesis(model, encode_sequences(["".join(letters)]))


@pytest.fixture(scope="module")
def result() -> xr.Dataset:
    return with_site(120)


def test_a_long_sequence_shows_its_strongest_part(result: xr.Dataset) -> None:
    start, end = strongest_window(result)
    assert end - start == 100
    assert abs((start + end) / 2 - 125) <= 5  # the site's middle is the window's, but for the noise
    ax = plot_result(result, kind="logo")
    assert ax.get_xlim() == (start - 0.5, end - 0.5)
    (detail,) = [text.get_text() for text in ax.texts]
    assert detail.endswith("; 100 of 400 positions")


def test_two_methods_show_the_same_positions() -> None:
    rng = np.random.default_rng(5)
    for site in (150, 181, 195, 237):
        one = with_site(site)
        noise = rng.normal(1, 0.15, size=(1, LENGTH, 1, 1))
        other = one.assign(mutation_effect=one["mutation_effect"] * noise)
        assert strongest_window(one) == strongest_window(other)


def test_the_strongest_target_is_drawn_unless_another_is_named(result: xr.Dataset) -> None:
    both = result.isel(target=[0, 0]).assign_coords(target=["weak", "CTCF"])
    both = both.assign(prediction=(("sequence", "target"), [[-1.0, 0.5]])).assign_attrs(output="logit")
    assert plot_result(both, kind="logo").get_title(loc="left").startswith("CTCF")
    assert plot_result(both, kind="logo", target="weak").get_title(loc="left").startswith("weak")
    # Of a raw output, the largest magnitude; what the report shows, too.
    raw = both.assign_attrs(output="raw")
    assert plot_result(raw, kind="logo").get_title(loc="left").startswith("weak")
    for shown in (both, raw):
        (subject,) = find_subjects([shown])
        assert subject.appearances[0].target == strongest_target(shown)


@pytest.mark.parametrize(("site", "expected"), [(0, (0, 100)), (390, (300, 400))])
def test_the_strongest_part_stays_within_the_sequence(site: int, expected: tuple[int, int]) -> None:
    assert strongest_window(with_site(site)) == expected


def test_what_is_shown_can_be_chosen(result: xr.Dataset) -> None:
    assert plot_result(result, kind="logo", whole=True).get_xlim() == (-0.5, 399.5)
    assert plot_result(result, start=10, end=20).get_xlim() == (9.5, 19.5)
    assert plot_result(result, start=370).get_xlim() == (369.5, 399.5)
    short = with_site(5, 150)
    ax = plot_result(short, kind="logo")
    assert ax.get_xlim() == (-0.5, 149.5)
    assert "of 150 positions" not in ax.texts[0].get_text()


def test_positions_of_a_part_of_the_sequence_keep_their_numbers(result: xr.Dataset) -> None:
    start, end = strongest_window(result.isel(position=slice(50, 300)))
    assert (start, end) == strongest_window(result)


def test_each_method_has_its_picture(result: xr.Dataset) -> None:
    assert plot_result(result).get_ylabel() == "Substituted\nbase"
    assert plot_result(occlusion([0, 5], 5)).get_ylabel().startswith("Effect of occlusion")
    assert plot_result(second_order("ACGTAC", [0, 1, 3])).get_ylabel().startswith("Position in the sequence")
    contributions = result.rename(mutation_effect="contribution").assign_attrs(method="deep_shap")
    assert plot_result(contributions).get_ylabel().startswith("Contribution")
    contributions.attrs.update(method="gradients", gradient_method="saliency")
    assert plot_result(contributions).get_ylabel().startswith("Contribution\n(gradient")


def test_what_has_no_picture_is_refused(result: xr.Dataset) -> None:
    with pytest.raises(
        InputError, match=r"kind: expected one of logo, map, epistasis, occlusion, .*, got 'pie'"
    ):
        plot_result(result, kind="pie")
    with pytest.raises(InputError, match="got one of divination; name a kind of plot"):
        plot_result(result.assign_attrs(method="divination"))
    with pytest.raises(InputError, match="got one without the attribute method"):
        plot_result(result.drop_attrs())
    with pytest.raises(InputError, match="expected the variable epistasis"):
        plot_result(result, kind="epistasis")
    with pytest.raises(InputError, match="a mutation map needs the variable"):
        plot_result(occlusion([0, 5], 5), kind="map")


def test_nothing_but_missing_numbers_is_no_picture(result: xr.Dataset) -> None:
    nothing = result.assign(mutation_effect=result["mutation_effect"] * np.nan)
    for kind in ("map", "logo"):
        with pytest.raises(InputError, match=r"mutation_effect: is missing \(NaN\) everywhere"):
            plot_result(nothing, kind=kind)
    all_n = in_silico_mutagenesis(
        as_sequence_model(lambda x: x[:, :, 2].sum(axis=1)), encode_sequences(["NNNN", "ACGT"])
    )
    with pytest.raises(InputError, match="is the sequence all N"):
        plot_result(all_n)
    plot_result(all_n, sequence=1)
