"""Global importance analysis, against strings that are written and predicted one at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import kipoi_tfbind as tfb
from kipoi_tfbind import as_sequence_model, global_importance_analysis, make_backgrounds
from kipoi_tfbind.dna.one_hot import codes_of, decode_codes, decode_one_hot, one_hot
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.global_importance._insertions import place
from kipoi_tfbind.motifs.motif import draw_instances
from kipoi_tfbind.motifs.read import parse_motif
from kipoi_tfbind.testing import motif_counter
from tests import same_weights

LENGTH = same_weights.LENGTH
PATTERNS: dict[str, Any] = {
    "p": [("GATTACA", 10)],
    "q": [("CANNTG", 30)],
    "pq": [("GATTACA", 10), ("CANNTG", 30)],
    "drawn": [("RYSWKM", 40)],
    "q again": [("CANNTG", 30)],
}


@pytest.fixture(scope="module")
def backgrounds() -> xr.Dataset:
    return make_backgrounds("uniform", 12, length=LENGTH, seed=3)


def embedded(backgrounds: xr.Dataset, pattern: list[tuple[str, int]]) -> list[str]:
    """Strings with a pattern written into them; N leaves what is there."""
    codes = codes_of(backgrounds["one_hot"].values)
    texts = []
    for row, text in enumerate(decode_one_hot(backgrounds["one_hot"].values)):
        letters = list(text)
        for motif, offset in pattern:
            parsed = parse_motif(motif)
            [drawn] = decode_codes(draw_instances(parsed, codes[row : row + 1]))
            for column, letter in zip(parsed.columns, drawn, strict=True):
                letters[offset + column] = letter
        texts.append("".join(letters))
    return texts


@pytest.mark.parametrize("kind", same_weights.MAKERS)
def test_effects_are_those_of_strings_written_one_at_a_time(kind: str, backgrounds: xr.Dataset) -> None:
    model = same_weights.wrapped(kind)
    result = global_importance_analysis(
        model, backgrounds, PATTERNS, comparisons={"pq": ["p", "q"], "p": {"drawn": 0.5}}, batch_size=7
    )
    plain = same_weights.logits(backgrounds["one_hot"].values)
    size = np.abs(plain).max()
    np.testing.assert_allclose(result["unedited_prediction"], plain, rtol=0, atol=1e-5 * size)
    effect = {}
    for name, pattern in PATTERNS.items():
        texts = embedded(backgrounds, pattern)
        effect[name] = same_weights.logits(one_hot(texts, np.float64)) - plain
        found = result.sel(pattern=name)
        # float32 against float64: differences of predictions of this size.
        np.testing.assert_allclose(found["pattern_effect"], effect[name], rtol=0, atol=2e-5 * size)
        np.testing.assert_allclose(found["importance"], effect[name].mean(axis=0), rtol=0, atol=2e-5 * size)
    assert np.abs(effect["p"]).max() > 0.01 * size
    for name, difference in (
        ("pq", effect["pq"] - effect["p"] - effect["q"]),
        ("p", effect["p"] - 0.5 * effect["drawn"]),
    ):
        found = result.sel(pattern=name)
        np.testing.assert_allclose(found["difference"], difference.mean(axis=0), rtol=0, atol=6e-5 * size)
    assert result["compared_with"].sel(pattern="p").item() == "0.5 drawn"
    assert np.isnan(result["difference"].sel(pattern=["q", "drawn"])).all()
    assert np.isnan(result["difference_q_value"].sel(pattern=["q", "drawn"])).all()


@pytest.mark.parametrize("kind", same_weights.DIFFERENTIABLE)
def test_what_patterns_change_is_what_whole_predictions_say(kind: str, backgrounds: xr.Dataset) -> None:
    model = same_weights.wrapped(kind)
    paths = {}
    for path in ("full", "incremental"):
        scan = tfb.spacing_importance(
            model,
            backgrounds,
            "GATA",
            "CRCGTG",
            max_distance=20,
            step=4,
            path=path,
            verify=True,
            n_resamples=1,
        )
        word = tfb.kmer_importance(model, backgrounds, 2, path=path, verify=True, n_resamples=1)
        paths[path] = [scan, word]
        assert scan.attrs["path"] == path
    for full, incremental in zip(paths["full"], paths["incremental"], strict=True):
        size = np.abs(full["unedited_prediction"].values).max()
        # Rounding of float32 in another order of sums.
        np.testing.assert_allclose(
            incremental["pattern_effect"], full["pattern_effect"], rtol=0, atol=1e-5 * size
        )


def test_statistics_are_those_of_the_effects(backgrounds: xr.Dataset) -> None:
    result = global_importance_analysis(
        same_weights.wrapped("predict_only"), backgrounds, PATTERNS, comparisons={"pq": ["q"]}, confidence=0.9
    )
    effect = result["pattern_effect"].values
    expected = stats.ttest_1samp(effect, 0, axis=1)
    interval = expected.confidence_interval(0.9)
    np.testing.assert_allclose(result["p_value"], expected.pvalue, rtol=1e-9)
    np.testing.assert_allclose(result["importance_low"], interval.low, rtol=1e-9)
    np.testing.assert_allclose(result["importance_high"], interval.high, rtol=1e-9)
    np.testing.assert_allclose(
        result["q_value"], stats.false_discovery_control(result["p_value"].values, axis=0), rtol=1e-9
    )
    interaction = effect[2] - effect[1]
    pair = result.sel(pattern="pq")
    np.testing.assert_allclose(
        pair["difference_p_value"], stats.ttest_1samp(interaction, 0).pvalue, rtol=1e-6
    )
    order = np.argsort(-result["importance"].values, axis=0, kind="stable")
    for target in range(2):
        assert result["rank"].values[order[:, target], target].tolist() == [1, 2, 3, 4, 5]
    for name in result.variables:  # every variable is described
        assert "long_name" in result[name].attrs, name
    assert result["importance"].attrs["units"] == result.attrs["output"]
    assert result.attrs["background"] == "uniform"
    assert result.attrs["n_resamples"] == 2000


def test_results_depend_neither_on_batches_nor_on_other_backgrounds(backgrounds: xr.Dataset) -> None:
    model = same_weights.wrapped("predict_only")
    whole = global_importance_analysis(model, backgrounds, PATTERNS)
    for batch_size in (1, 5):
        other = global_importance_analysis(model, backgrounds, PATTERNS, batch_size=batch_size)
        for name in whole.data_vars:
            np.testing.assert_allclose(whole[name], other[name], rtol=1e-9, err_msg=str(name))
    some = global_importance_analysis(model, backgrounds.isel(sequence=[5, 2]), PATTERNS)
    np.testing.assert_allclose(some["pattern_effect"], whole["pattern_effect"][:, [5, 2]], rtol=1e-12)


def test_given_backgrounds_stay_as_they_are(backgrounds: xr.Dataset) -> None:
    before = backgrounds.copy(deep=True)
    global_importance_analysis(same_weights.wrapped("predict_only"), backgrounds, PATTERNS)
    assert before.identical(backgrounds)


def test_ensemble_is_the_mean_of_its_members(backgrounds: xr.Dataset) -> None:
    functions = [lambda x: 2 * same_weights.logits(x), lambda x: same_weights.logits(x) ** 2]
    members = [as_sequence_model(f, length=LENGTH, targets=list("ab")) for f in functions]
    comparisons = {"pq": ["p", "q"]}
    both = global_importance_analysis(members, backgrounds, PATTERNS, comparisons=comparisons)
    single = [global_importance_analysis(m, backgrounds, PATTERNS, comparisons=comparisons) for m in members]
    for name in ("pattern_effect", "importance", "difference", "unedited_prediction"):
        values = np.stack([each[name].values for each in single])
        np.testing.assert_allclose(both[name], values.mean(axis=0), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(both[name + "_sd"], values.std(axis=0), rtol=1e-9, atol=1e-12)
    # The interval is that of the mean model's effects, not the mean of intervals.
    expected = stats.ttest_1samp(both["pattern_effect"].values, 0, axis=1).confidence_interval(0.95)
    np.testing.assert_allclose(both["importance_low"], expected.low, rtol=1e-9)


def test_what_the_model_does_not_see_has_no_effect(backgrounds: xr.Dataset) -> None:
    """The logits of float32 models are rounded; what that makes is not significant."""
    start = np.float32(1000.0)
    model = as_sequence_model(
        lambda x: (start + x[:, :5, 0].sum(axis=1, keepdims=True)).astype(np.float32), length=LENGTH
    )
    result = global_importance_analysis(
        model, backgrounds, {"outside": [("GATA", 30)], "inside": [("AAAA", 0)]}
    )
    assert result["p_value"].values.ravel()[0] == 1
    assert result["p_value"].values.ravel()[1] < 1e-3


def test_a_pattern_that_does_not_fit_is_refused_or_clipped(
    backgrounds: xr.Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    model = same_weights.wrapped("predict_only")
    for pattern, problem in (
        ([("GATTACA", 55)], "GATTACA@55: position 60 to 61 is outside the 60 bp"),
        ([("GATTACA", -2)], "position -2 to -1 is outside"),
        ([("GATTACA", 10), ("CCC", 15)], "CCC@15: position 15 to 16 is where GATTACA@10 lies"),
    ):
        with pytest.raises(InputError, match=problem):
            global_importance_analysis(model, backgrounds, {"bad": pattern})
    clipped = global_importance_analysis(
        model,
        backgrounds,
        {"edge": [("GATTACA", 55)], "same": [("GATTA", 55)], "overlap": [("GATTACA", 10), ("CCC", 15)]},
        on_conflict="clip",
    )
    np.testing.assert_array_equal(clipped["pattern_effect"][0], clipped["pattern_effect"][1])
    expected = same_weights.logits(one_hot(embedded(backgrounds, [("GATTACA", 10), ("C", 17)]), np.float64))
    plain = same_weights.logits(backgrounds["one_hot"].values)
    np.testing.assert_allclose(clipped["pattern_effect"][2], expected - plain, atol=1e-9)
    assert "clipped" in clipped["note"].values[0]
    assert clipped["note"].values[1] == ""
    assert "GATTACA@55: position 60 to 61" in capsys.readouterr().err
    with pytest.raises(InputError, match="nothing is left of GATTACA@70"):
        place("far", [("GATTACA", 70)], 60, "clip")
    # What N leaves free is free for another motif.
    assert place("in a gap", [("GANNNNCA", 3), ("TTTT", 5)], 60).positions.tolist() == [
        3,
        4,
        9,
        10,
        5,
        6,
        7,
        8,
    ]


@pytest.mark.parametrize(
    ("patterns", "options", "problem"),
    [
        ({}, {}, "expected at least one"),
        ({"p": []}, {}, "pattern 'p': expected at least one"),
        ({"p": ["GATA"]}, {}, r"expected \(motif, offset\)"),
        ({"p": [("GATA", 1.5)]}, {}, "whole number as an offset"),
        ({"p": [("GATA", 3)]}, {"comparisons": {"p": ["q"]}}, "no pattern has the name 'q'"),
        ({"p": [("GATA", 3)]}, {"on_conflict": "ignore"}, "'refuse' or 'clip'"),
        ({"p": [("GATA", 3)]}, {"confidence": 95}, "between 0 and 1"),
        ({"p": [("GATA", 3)]}, {"seed": -1}, "seed|whole number"),
    ],
)
def test_what_cannot_be_analysed(patterns: Any, options: dict, problem: str, backgrounds: xr.Dataset) -> None:
    with pytest.raises(InputError, match=problem):
        global_importance_analysis(same_weights.wrapped("predict_only"), backgrounds, patterns, **options)
    with pytest.raises(InputError, match="at least 2"):
        global_importance_analysis(
            same_weights.wrapped("predict_only"), backgrounds.isel(sequence=[0]), {"p": [("GATA", 3)]}
        )


# Experiments, on models that count motifs: what each should find is known.


def counting(function: Callable[[np.ndarray], np.ndarray], name: str = "count") -> Any:
    return as_sequence_model(function, targets=[name])


def pairs(result: xr.Dataset) -> xr.Dataset:
    return result.isel(pattern=(result["role"] == "pair").values, target=0)


PLANTED = {"spacing": 14, "bonus": 3.0}


def planted(x: np.ndarray) -> np.ndarray:
    """GATAAG and CACGTT count 1 each; 3 more for each pair at a distance of 14, CACGTT reversed."""
    both = motif_counter("GATAAG" + "N" * 8 + "AACGTG")
    singles = [motif_counter(motif, both_strands=True) for motif in ("GATAAG", "CACGTT")]
    noise = 0.3 * x[:, ::7, 2].sum(axis=1, keepdims=True)
    return sum(each(x) for each in singles) + PLANTED["bonus"] * both(x) + noise


@pytest.fixture(scope="module")
def long_backgrounds() -> xr.Dataset:
    return make_backgrounds("uniform", 200, length=120, seed=9)


def test_planted_spacing_and_orientation_are_recovered(long_backgrounds: xr.Dataset) -> None:
    result = tfb.spacing_importance(counting(planted), long_backgrounds, "GATAAG", "CACGTT", max_distance=25)
    found = pairs(result)
    best = int(found["difference"].argmax("pattern"))
    assert found["distance"].values[best] == PLANTED["spacing"]
    assert found["orientation"].values[best] == "+-"
    assert found["difference_low"].values[best] > 0
    assert found["difference"].values[best] == pytest.approx(PLANTED["bonus"], abs=0.2)
    assert found["difference_q_value"].values[best] < 1e-10
    # The mirror image is the same pair: seen on the other strand it is another one, and that model reads one.
    others = np.delete(np.arange(found.sizes["pattern"]), best)
    assert (found["difference_q_value"].values[others] > 0.05).all()
    assert set(found["orientation"].values) == {"++", "+-", "-+", "--"}
    overlapping = (found["distance"] > -6) & (found["distance"] < 6)
    assert not overlapping.any()
    assert (
        tfb.interaction_verdicts(result).isel(target=0).sel(pattern=found["pattern"][best]).item()
        == "synergistic"
    )


def test_planted_cooperativity_is_recovered(long_backgrounds: xr.Dataset) -> None:
    result = tfb.cooperativity(
        counting(planted), long_backgrounds, ["GATAAG", "CACGTT"], gaps=[3, 8], orientations=["++", "+-"]
    )
    found = pairs(result)
    assert found.sizes["pattern"] == 2 * 2 * 2 * 2
    is_planted = (
        (found["motif_a"] == "GATAAG")
        & (found["motif_b"] == "CACGTT")
        & (found["gap"] == 8)
        & (found["orientation"] == "+-")
    ).values
    assert is_planted.sum() == 1
    assert (found["difference_low"].values[is_planted] > 2.5).all()
    for end in ("difference_q_value", "difference_permutation_p_value"):
        assert (found[end].values[is_planted] < 0.01).all()
    assert (found["difference_q_value"].values[~is_planted] > 0.05).all()


def test_number_of_copies_adds_up_saturates_or_synergises(long_backgrounds: xr.Dataset) -> None:
    count = motif_counter("GATAAG")
    for function, verdict, differences in (
        (count, "additive", [0, 0, 0]),
        (lambda x: np.minimum(count(x), 2), "saturating", [0, 0, -1]),
        (lambda x: count(x) ** 2, "synergistic", [0, 2, 6]),
        (lambda x: count(x) * (2 - count(x)), "opposing", [0, -2, -6]),
    ):
        result = tfb.number_importance(
            counting(function), long_backgrounds, "GATAAG", max_copies=3, distance=9
        )
        copies = result.isel(pattern=(result["role"] == "copies").values, target=0)
        # Backgrounds hold a GATAAG by chance, one in 35: the counts are known to that.
        np.testing.assert_allclose(copies["difference"], differences, atol=0.35)
        assert tfb.interaction_verdicts(copies).values[2] == verdict
        assert copies["copies"].values.tolist() == [1, 2, 3]
        assert copies["difference_p_value"].values[0] == 1  # one copy is itself


def test_position_scan_is_the_models_own_profile(long_backgrounds: xr.Dataset) -> None:
    weight = np.linspace(-1, 1, 120)
    result = tfb.position_importance(
        counting(lambda x: (x[:, :, 2] * weight).sum(axis=1)),
        long_backgrounds,
        "GG",
        start=10,
        end=50,
        step=3,
    )
    assert result["offset"].values.tolist() == 2 * list(range(10, 49, 3))
    for orientation, sign in (("+", 1), ("-", 0)):  # CC has no G
        view = result.isel(pattern=(result["orientation"] == orientation).values)
        expected = [
            0.75 * w if sign else -0.25 * w for w in (weight[o : o + 2].sum() for o in view["offset"].values)
        ]
        error = np.abs(view["importance"].values[:, 0] - expected)
        assert (error < 4.5 * view["standard_error"].values[:, 0] + 1e-12).all()
    with pytest.raises(InputError, match="start, end, step"):
        tfb.position_importance(counting(planted), long_backgrounds, "GATAAG", start=10, end=12)


def test_orientation_is_paired_also_where_motifs_are_drawn(long_backgrounds: xr.Dataset) -> None:
    symmetric = counting(lambda x: x[:, 55:65, 1:3].sum(axis=(1, 2)))  # GC content: blind to the strand
    result = tfb.orientation_importance(symmetric, long_backgrounds, {"drawn": "SWSSRYSS"})
    np.testing.assert_array_equal(result["difference"].values[1], 0)
    one_sided = tfb.orientation_importance(counting(motif_counter("GATAAG")), long_backgrounds, ["GATAAG"])
    assert one_sided["importance"].values[:, 0] == pytest.approx([1, 0], abs=0.1)
    assert one_sided["difference_high"].values[1, 0] < -0.9


def test_context_of_flanks_and_of_gc(long_backgrounds: xr.Dataset) -> None:
    model = counting(motif_counter("CGATAAG"))
    result = tfb.context_importance(model, long_backgrounds, "GATAAG", flank_bases=1)
    inside = result.isel(pattern=(result["role"] == "in context").values, target=0)
    assert inside.sizes["pattern"] == 16
    for flanks, difference in zip(inside["flanks"].values, inside["difference"].values, strict=True):
        assert difference == pytest.approx(float(flanks.startswith("C_")), abs=0.05)
    # The motif alone has its C by chance, in one of four.
    change = result.isel(pattern=(result["role"] == "change").values, target=0)
    assert change["difference"].sel(pattern="C_A, change").item() == pytest.approx(0.75, abs=0.15)

    # The more GC around, the less the motif does: f = count * (1 - GC content of 20 bp beside it).
    count = motif_counter("GATAAG")
    at = (120 - 6) // 2

    def damped(x: np.ndarray) -> np.ndarray:
        beside = x[:, [*range(at - 10, at), *range(at + 6, at + 16)]]
        return count(x) * (1 - beside[:, :, 1:3].sum(axis=(1, 2), keepdims=False)[:, None] / 20)

    gc = tfb.context_importance(counting(damped), long_backgrounds, "GATAAG", gc=[0, 0.5, 1], flank=10)
    inside = gc.isel(pattern=(gc["role"] == "in context").values, target=0)
    np.testing.assert_allclose(inside["difference"], [1, 0.5, 0], atol=0.1)
    assert inside["gc"].values.tolist() == [0, 0.5, 1]


def test_kmers_are_ranked_and_pieces_make_the_whole(long_backgrounds: xr.Dataset) -> None:
    model, some = counting(motif_counter("GAT", both_strands=True)), long_backgrounds.isel(sequence=slice(60))
    result = tfb.kmer_importance(model, some, 3)
    assert result["pattern"].values.tolist()[:5] == ["AAA", "AAC", "AAG", "AAT", "ACA"]
    ranked = result["pattern"].values[np.argsort(result["rank"].values[:, 0])]
    assert set(ranked[:2]) == {"GAT", "ATC"}
    pieces = [tfb.kmer_importance(model, some, 3, start=s, end=s + 16) for s in range(0, 64, 16)]
    for name in ("pattern_effect", "importance_low", "p_value", "permutation_p_value"):
        np.testing.assert_allclose(np.concatenate([p[name].values for p in pieces]), result[name], rtol=1e-9)
    np.testing.assert_allclose(
        result["q_value"].values[:, 0],
        stats.false_discovery_control(result["p_value"].values[:, 0]),
        rtol=1e-9,
    )


def test_necessity_is_the_loss_without_the_sites_and_not_elsewhere() -> None:
    rng = np.random.default_rng(6)
    texts = []
    for row in range(30):
        letters = list("".join(rng.choice(list("ACT"), size=80)))  # GATAAG and its complement need a G or
        text = "".join(letters).replace("CTTATC", "CTTTTC")
        for site in range(row % 3):
            text = text[: 10 + 30 * site] + ("GATAAG", "CTTATC")[row % 2] + text[16 + 30 * site :]
        texts.append(text)
    counts = np.array([text.count("GATAAG") + text.count("CTTATC") for text in texts])
    result = tfb.motif_necessity(
        counting(motif_counter("GATAAG", both_strands=True)),
        tfb.encode_sequences(texts),
        {"site": "GATAAG", "none": "GCGCGC"},
        n_replacements=20,
    )
    assert result["n_sites"].sel(pattern="site").values.tolist() == counts.tolist()
    effect = result["pattern_effect"].sel(pattern="site").values[:, 0]
    assert np.isnan(effect[counts == 0]).all()
    # Shuffling six letters restores the site in 2 * 1/60 of cases (two Gs apart, three As), or so.
    assert (np.abs(effect[counts > 0] + counts[counts > 0]) < 0.35).all()
    assert effect[counts > 0] == pytest.approx(-counts[counts > 0], abs=0.35)
    control = result["pattern_effect"].sel(pattern="site, control").values[:, 0]
    assert np.nanmax(np.abs(control)) == 0 or np.nanmean(np.abs(control)) < 0.2
    assert result["difference_high"].sel(pattern="site").item() < -0.8
    assert result["n_backgrounds"].sel(pattern="site").item() == (counts > 0).sum()
    assert np.isnan(result["importance"].sel(pattern="none")).all()
    assert result["n_backgrounds"].sel(pattern="none").item() == 0


@pytest.mark.parametrize("replacement", ["shuffle", "background"])
def test_ablations_touch_the_sites_alone(replacement: Any) -> None:
    text = "TTTTTTTTTTGATAAGTTTTTTTTTT"
    seen = []

    def model(x: np.ndarray) -> np.ndarray:
        seen.extend(decode_one_hot(x))
        return x[:, :, 2].sum(axis=1)

    wrapped = as_sequence_model(model, length=len(text))
    seen.clear()
    tfb.motif_necessity(
        wrapped,
        tfb.encode_sequences([text, text[::-1]]),
        ["GATAAG"],
        replacement=replacement,
        n_replacements=4,
    )
    changed = {each for each in seen if each[:10] == each[16:] == "T" * 10 and each != text}
    assert len(changed) >= 3
    if replacement == "shuffle":
        assert all(sorted(each) == sorted(text) for each in changed)
    assert all(set(each) <= set("GAT") for each in seen)


def test_swapped_sites_by_strings() -> None:
    rng = np.random.default_rng(2)
    texts = ["".join(rng.choice(list("ACGT"), size=LENGTH)) for _ in range(5)]
    result = tfb.context_swap(
        same_weights.wrapped("predict_only"),
        tfb.encode_sequences(texts, ids=list("abcde")),
        start=20,
        end=35,
        donors=3,
    )
    assert result["pattern"].values.tolist() == ["site of a", "site of b", "site of c"]
    for donor in range(3):
        for taker in range(5):
            swapped = texts[taker][:20] + texts[donor][20:35] + texts[taker][35:]
            both = same_weights.logits(one_hot([swapped, texts[taker]], np.float64))
            expected = [both[0] - both[1]]
            found = result["pattern_effect"].values[donor, taker]
            if donor == taker:
                assert np.isnan(found).all()
            else:
                np.testing.assert_allclose(found, expected[0], atol=1e-9)
    assert result["n_backgrounds"].values.tolist() == [[4, 4]] * 3


def test_backgrounds_that_are_needed(long_backgrounds: xr.Dataset) -> None:
    model = counting(lambda x: x[:, :, 2].sum(axis=1))
    result = tfb.motif_importance(model, long_backgrounds, ["GATAAG"])
    n = tfb.needed_backgrounds(result, 0.05)
    more = make_backgrounds("uniform", int(n.max()), length=120, seed=10)
    width = tfb.motif_importance(model, more, ["GATAAG"], n_resamples=1)
    half = (width["importance_high"] - width["importance_low"]).values.max() / 2
    assert half == pytest.approx(0.05, rel=0.25)  # the spread itself is an estimate, from 200 backgrounds


def test_results_survive_a_file(tmp_path: Path, long_backgrounds: xr.Dataset) -> None:
    result = tfb.spacing_importance(counting(planted), long_backgrounds, "GATAAG", "CACGTT", max_distance=8)
    tfb.save_result(result, tmp_path / "spacing.nc")
    opened = tfb.open_result(tmp_path / "spacing.nc")
    assert opened.attrs == result.attrs
    for name in result.variables:
        np.testing.assert_array_equal(
            opened[name].values.astype(result[name].values.dtype), result[name].values
        )
