"""Pictures of surrogates, designs, samples, agreement and sanity checks: each number is where it belongs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import PathCollection

import kipoi_tfbind as tfb
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot.result import kind_of, plot_result
from kipoi_tfbind.testing import linear_model, random_sequences

mpl.use("Agg")

LENGTH = 12


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@cache
def model() -> tfb.SequenceModel:
    function = linear_model(LENGTH, n_targets=2, seed=1)
    return tfb.as_sequence_model(function, targets=["CTCF", "MAX"])


@cache
def sequences() -> xr.Dataset:
    return random_sequences(3, LENGTH, seed=1)


def test_substitutions_of_a_surrogate_lie_where_both_effects_say() -> None:
    result = tfb.surrogate(model(), sequences(), n_mutants=300)
    ax = plot_result(result, sequence=1, target="MAX")
    dots = [artist for artist in ax.collections if isinstance(artist, PathCollection)]
    points = np.concatenate([np.asarray(artist.get_offsets()) for artist in dots])
    assert len(points) == 3 * LENGTH
    np.testing.assert_allclose(points[:, 0], points[:, 1], rtol=0, atol=1e-9)
    assert "R² of mutants that were not fitted: 1.00" in [text.get_text() for text in ax.texts]
    assert ax.get_xlabel() == "Effect of the substitution alone (ISM, Δ output)"


def test_a_design_is_a_line_with_a_name_for_each_step() -> None:
    result = tfb.design(model(), sequences(), objective={"CTCF": 1}, n_edits=3)
    ax = plot_result(result, sequence=2, target="CTCF")
    expected = result["step_prediction"].values[2, :, 0]
    line = next(line for line in ax.lines if line.get_color() == "black")
    np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), expected)
    texts = [text.get_text() for text in ax.texts]
    named = [text for text in texts if {text[0], text[-1]} <= set("ACGT")]
    bases = ["ACGT"[base] for base in result["step_base"].values[2, 1:]]
    assert [name[-1] for name in named] == bases
    assert [int(name[1:-1]) for name in named] == result["step_position"].values[2, 1:].tolist()
    assert "MAX" in texts


def test_letters_of_samples_are_as_high_as_their_information() -> None:
    one = tfb.as_sequence_model(lambda x: 20 * x[:, 3, 2], targets=["CTCF"])
    result = tfb.maximum_entropy_samples(one, random_sequences(1, 6, seed=3), n_samples=100, burn_in=100)
    ax = plot_result(result)
    assert ax.get_ylabel() == "Information in\nthe samples (bit)"
    tallest = max(patch.get_extents().height for patch in ax.patches)
    assert kind_of(result) == "samples"
    per_bit = ax.transData.transform((0, 1))[1] - ax.transData.transform((0, 0))[1]
    expected = (result["base_probability"] * result["position_weight"]).max()
    assert tallest / per_bit == pytest.approx(float(expected), rel=0.01)


def test_agreement_is_a_table_of_means() -> None:
    maps = {
        "ISM": tfb.in_silico_mutagenesis(model(), sequences()),
        "occlusion": tfb.occlusion(model(), sequences(), width=3, stride=1),
    }
    result = tfb.agreement(maps)
    ax = plot_result(result, target="MAX")
    (cell,) = [text.get_text() for text in ax.texts]
    mean = f"{float(result['mean_rank_correlation'][0, 1]):.2f}\n"
    assert cell.startswith(mean.replace("-", "\N{MINUS SIGN}"))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["occlusion"]
    with pytest.raises(InputError, match="measure: expected one of cosine, rank_correlation, top_overlap"):
        tfb.plot_agreement(result, measure="mean")
    with pytest.raises(InputError, match="expected the variable mean_rank_correlation"):
        tfb.plot_agreement(maps["ISM"])


def test_sanity_checks_are_a_curve_under_their_verdict() -> None:
    correlations = np.array([[[1.0], [0.4], [0.1]], [[1.0], [0.6], [0.3]]])
    mean = correlations.mean(axis=0)
    result = xr.Dataset(
        {
            "randomised_correlation": (("sequence", "layer", "target"), correlations),
            "shuffled_correlation": (("sequence", "target"), [[0.1], [0.2]]),
            "verdict": ("target", ["deep_shap depends on what the model has learned"]),
            **{
                f"mean_randomised_correlation{end}": (("layer", "target"), mean + shift)
                for end, shift in (("", 0), ("_low", -0.1), ("_high", 0.1))
            },
            "mean_shuffled_correlation": ("target", [0.15]),
        },
        coords={"layer": ["none", "logit", "motifs"], "target": ["CTCF"]},
        attrs={"method": "sanity_checks", "checked": "deep_shap", "model": "m"},
    )
    ax = plot_result(result)
    black = next(line for line in ax.lines if line.get_color() == "black" and line.get_marker() == "o")
    np.testing.assert_allclose(np.asarray(black.get_ydata(), dtype=float), mean[:, 0])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["none", "logit", "motifs"]
    assert any("depends on what the model has learned" in text.get_text() for text in ax.texts)


def test_attention_and_units_lie_on_the_bases_that_they_see() -> None:
    import torch
    from torch import nn

    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.pooled = nn.Sequential(nn.Conv1d(4, 4, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2))
            self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.pooled(x).transpose(1, 2)
            return self.attention(x, x, x, need_weights=False)[0].mean((1, 2))[:, None]

    one = tfb.as_sequence_model(Attends().eval(), length=LENGTH, targets=["CTCF"])
    result = tfb.attention_maps(one, sequences(), n_paired=3)
    ax = plot_result(result, sequence=1)
    best = int(np.argmax(result["ism_correlation"].values[1, :, 0]))
    assert any(text.get_text().startswith(f"attention/{best}; rank") for text in ax.texts)
    (mesh,) = ax.collections
    drawn = np.asarray(mesh.get_array()).reshape(6, 6)
    np.testing.assert_allclose(drawn, result["attention"].values[1, best], rtol=1e-6)
    # Pools of 2, one behind the other.
    np.testing.assert_allclose(mesh.get_coordinates()[0, :, 0], np.arange(7) * 2 - 0.5)  # type: ignore[attr-defined, arg-type]

    units = tfb.layer_contributions(one, sequences(), layer="pooled.2", n_references=2)
    ax = plot_result(units, sequence=2)
    (mesh,) = ax.collections
    expected = units["unit_contribution"].values[2, :, 0].reshape(6, 4).T
    np.testing.assert_allclose(np.asarray(mesh.get_array()).reshape(4, 6), expected, rtol=1e-6)
    logo = plot_result(tfb.grad_cam(one, sequences()))
    assert logo.get_ylabel() == "Grad-CAM\n(output)"
