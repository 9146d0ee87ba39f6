"""Variables of surrogates, interactions, designs, samples, and comparisons of maps."""

from __future__ import annotations

from kipoi_tfbind.schema.variable import Variable


def _with_means(name: str, dims: tuple[str, ...], meaning: str) -> dict[str, Variable]:
    """A variable by sequence, and what is known of its mean over the sequences."""
    over = tuple(dim for dim in dims if dim != "sequence")
    return {
        name: Variable(dims, meaning),
        f"mean_{name}": Variable(over, f"mean over the sequences: {meaning}"),
        f"mean_{name}_low": Variable(over, f"lower end of the confidence interval of the mean: {meaning}"),
        f"mean_{name}_high": Variable(over, f"upper end of the confidence interval of the mean: {meaning}"),
    }


_COMPARED = ("comparison", "sequence", "target")
_BY_TARGET, _BY_STEP = ("sequence", "target"), ("sequence", "step")
_BY_PAIR, _BY_BASE = ("sequence", "pair", "target"), ("sequence", "position", "base", "target")

EXPLANATIONS = {
    "surrogate_effect": Variable(
        _BY_BASE,
        "effect of this base in an additive model of random mutants; missing where the sequence has N",
        "output",
    ),
    **{
        f"{name}_{end}": Variable(dims, f"{text} end of the 95% confidence interval of the {what}", "output")
        for name, dims, what in (
            ("surrogate_effect", _BY_BASE, "effect in the additive model"),
            ("interaction", _BY_PAIR, "interaction"),
        )
        for end, text in (("low", "lower"), ("high", "upper"))
    },
    "interaction": Variable(
        _BY_PAIR, "what both of a pair do together beyond what each does alone", "output"
    ),
    "self_interaction": Variable(
        ("sequence", "position", "target"), "what the base at this position does by itself", "output"
    ),
    "contribution_change": Variable(
        ("sequence", "pair", "direction", "target"),
        "contribution of a base of the pair minus that when the other is substituted (mean)",
        "output",
    ),
    "interaction_standard_error": Variable(
        _BY_PAIR, "standard error of the interaction; 0 where it is exact", "output"
    ),
    "segment_value": Variable(("sequence", "segment", "target"), "Shapley value of the segment", "output"),
    "r_squared": Variable(
        _BY_TARGET, "share of the variance of mutants that were not fitted that the additive model explains"
    ),
    "step_prediction": Variable(
        ("sequence", "step", "target"),
        "prediction after this step; the first is the sequence as it is",
        "output",
    ),
    "step_effect": Variable(
        ("sequence", "step", "target"), "prediction after this step minus that before", "output"
    ),
    "step_objective": Variable(
        _BY_STEP, "sum of the predictions after this step, times their weights", "output"
    ),
    "step_position": Variable(_BY_STEP, "position in the sequence that is substituted, 0-based; -1 for none"),
    "step_base": Variable(_BY_STEP, "base that goes there, as its index in ACGT; -1 for none"),
    "designed_one_hot": Variable(("sequence", "position", "base"), "the sequence that was designed"),
    "sampled_base": Variable(
        ("sequence", "sample", "position", "target"), "base of the sample, as its index in ACGT; 4 is N"
    ),
    "sampled_prediction": Variable(("sequence", "sample", "target"), "prediction for the sample", "output"),
    "base_probability": Variable(_BY_BASE, "share of the samples with this base at this position"),
    "position_weight": Variable(
        ("sequence", "position", "target"),
        "information in the samples' bases; missing where the sequence has N",
        "bit",
    ),
    "acceptance": Variable(_BY_TARGET, "share of the proposed substitutions that are made"),
    "autocorrelation_time": Variable(
        _BY_TARGET, "proposals from one sample to one as good as independent of it"
    ),
    "effective_sample_size": Variable(_BY_TARGET, "number of independent samples that the samples are worth"),
    "chain": Variable(("sample",), "number of the chain that the sample is from"),
    **_with_means("cosine", _COMPARED, "cosine of the angle between two maps"),
    **_with_means("rank_correlation", _COMPARED, "rank correlation of two maps"),
    **_with_means("top_overlap", _COMPARED, "share of the top positions of a map that the other has, too"),
    "map_a": Variable(("comparison",), "name of the first map"),
    "map_b": Variable(("comparison",), "name of the second map"),
    **_with_means(
        "randomised_correlation",
        ("sequence", "layer", "target"),
        "rank correlation of the magnitudes of a map and of that with the layers down to this one randomised",
    ),
    **_with_means(
        "shuffled_correlation",
        _BY_TARGET,
        "rank correlation of the magnitudes of a map with those of a shuffle of the sequence",
    ),
    "layer": Variable(("layer",), "last layer, from the output down, that was randomised"),
    "verdict": Variable(("target",), "what the checks say, in words"),
    "direction": Variable(("direction",), "which position is substituted, and whose contribution changes"),
    "end_a": Variable(("pair",), "end of the first segment in the sequence, 0-based, not included"),
    "end_b": Variable(("pair",), "end of the second segment in the sequence, 0-based, not included"),
    "segment_start": Variable(("segment",), "start of the segment in the sequence, 0-based"),
    "segment_end": Variable(("segment",), "end of the segment in the sequence, 0-based, not included"),
}
