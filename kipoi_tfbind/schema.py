"""The variables of a sequence Dataset and of the results: dimensions, unit and meaning of each.

One table feeds the attributes in the files, the checks of what a function is given, and the axis
labels of the plots.
"""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

from kipoi_tfbind.errors import InputError


@dataclass(frozen=True)
class Variable:
    """Description of a variable of a Dataset.

    Attributes
    ----------
    dims
        Names of its dimensions.
    meaning
        One sentence, written into the files as ``long_name``.
    unit
        Its unit; "output" stands for that of the model's output.
    """

    dims: tuple[str, ...]
    meaning: str
    unit: str | None = None


def _statistics(name: str, meaning: str) -> dict[str, Variable]:
    """The variables that say what is known of a mean over the backgrounds."""
    prefix = "" if name == "importance" else f"{name}_"
    texts = {
        name: (meaning, "output"),
        f"{prefix}standard_error": (f"standard error of the {name}", "output"),
        f"{name}_low": (f"lower end of the confidence interval of the {name}, by Student's t", "output"),
        f"{name}_high": (f"upper end of the confidence interval of the {name}, by Student's t", "output"),
        f"{name}_bootstrap_low": (
            f"lower end of the confidence interval of the {name}, by the BCa bootstrap",
            "output",
        ),
        f"{name}_bootstrap_high": (
            f"upper end of the confidence interval of the {name}, by the BCa bootstrap",
            "output",
        ),
        f"{prefix}p_value": (f"two-sided p-value of the paired t-test of the {name} against 0", None),
        f"{prefix}permutation_p_value": (
            f"two-sided p-value of the sign-flip test of the {name} against 0",
            None,
        ),
        f"{prefix}q_value": (
            f"p-value of the {name}, corrected for the number of patterns (Benjamini-Hochberg)",
            None,
        ),
    }
    return {label: Variable(("pattern", "target"), text, unit) for label, (text, unit) in texts.items()}


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


def _of_alleles() -> dict[str, Variable]:
    """The variables of variant effects."""
    by_target = {
        "ref_prediction": "output for the reference allele",
        "alt_prediction": "output for the alternative allele",
        "logit_difference": "difference of logits, alternative minus reference allele",
        "signal_difference": "difference of probabilities or signals, alternative minus reference allele",
        "log2_fold_change": "log2 of the ratio of probabilities or signals, alternative to reference allele",
        "window_spread": "largest difference of one window's effect from the mean over shifts and fills",
        "member_sd": "standard deviation of the difference of outputs over the models of the ensemble",
        "agreeing": "number of models of the ensemble whose difference has the sign of the mean",
        "effect_p_value": "two-sided p-value of the effect among null variants of the same class",
        "effect_q_value": "p-value, corrected for the number of alleles (Benjamini-Hochberg)",
        "effect_quantile": "share of the null variants' effects that are below the effect",
        "n_nulls": "number of null variants that the p-value is from",
    }
    of_allele = {
        "jensen_shannon": "Jensen-Shannon distance of the targets' shares for the two alleles, base 2",
        "largest": "difference of the target where its magnitude is largest",
        "largest_target": "target of the largest difference",
        "pos": "position of the first base of REF, 1-based",
        "ref": "reference allele, as in the VCF",
        "alt": "alternative allele, as in the VCF",
        "status": "ok, or what is to be known of the windows, or why the allele has no score",
        "window_start": "start of the reference window, 0-based; -1 where there is none",
        "variant_id": "ID in the VCF",
    }
    return {name: Variable(("allele", "target"), text) for name, text in by_target.items()} | {
        name: Variable(("allele",), text) for name, text in of_allele.items()
    }


VARIABLES = {
    "one_hot": Variable(("sequence", "position", "base"), "DNA sequence; a row of zeros is N"),
    "prediction": Variable(("sequence", "target"), "prediction for the sequence as it is", "output"),
    "reverse_complement_difference": Variable(
        ("sequence", "target"),
        "prediction for the reverse complement minus that for the sequence as it is; "
        "0 where the model treats both strands alike",
        "output",
    ),
    "mutation_effect": Variable(
        ("sequence", "position", "base", "target"),
        "prediction with this base at this position minus that for the sequence as it is; "
        "0 for the observed base, missing where the sequence has N",
        "output",
    ),
    "epistasis": Variable(
        ("sequence", "pair", "base_a", "base_b", "target"),
        "effect of both substitutions of a pair minus the sum of their single effects; "
        "0 where one of them is the observed base, missing where the sequence has N",
        "output",
    ),
    "surrogate_effect": Variable(
        ("sequence", "position", "base", "target"),
        "effect of this base at this position in an additive model fitted to random mutants; "
        "0 for the observed base, missing where the sequence has N",
        "output",
    ),
    **{
        f"{name}_{end}": Variable(dims, f"{text} end of the 95% confidence interval of the {what}", "output")
        for name, dims, what in (
            ("surrogate_effect", ("sequence", "position", "base", "target"), "effect in the additive model"),
            ("interaction", ("sequence", "pair", "target"), "interaction"),
        )
        for end, text in (("low", "lower"), ("high", "upper"))
    },
    "interaction": Variable(
        ("sequence", "pair", "target"),
        "what the two members of a pair do together beyond the sum of what each does alone",
        "output",
    ),
    "r_squared": Variable(
        ("sequence", "target"),
        "share of the variance of the predictions of mutants, which were not fitted, that the additive "
        "model explains",
    ),
    "step_prediction": Variable(
        ("sequence", "step", "target"),
        "prediction after this step of the design, of which the first is the sequence as it is; "
        "missing after the last",
        "output",
    ),
    "step_effect": Variable(
        ("sequence", "step", "target"), "prediction after this step minus that before", "output"
    ),
    "step_objective": Variable(
        ("sequence", "step"), "sum of the predictions after this step, times their weights", "output"
    ),
    "step_position": Variable(
        ("sequence", "step"), "position in the sequence that is substituted, 0-based; -1 for none"
    ),
    "step_base": Variable(("sequence", "step"), "base that goes there, as its index in ACGT; -1 for none"),
    "designed_one_hot": Variable(("sequence", "position", "base"), "the sequence that was designed"),
    "sampled_base": Variable(
        ("sequence", "sample", "position", "target"), "base of the sample, as its index in ACGT; 4 is N"
    ),
    "sampled_prediction": Variable(("sequence", "sample", "target"), "prediction for the sample", "output"),
    "base_probability": Variable(
        ("sequence", "position", "base", "target"), "share of the samples with this base at this position"
    ),
    "position_weight": Variable(
        ("sequence", "position", "target"),
        "information in the bases of the samples at this position, above that of uniform bases; "
        "missing where the sequence has N",
        "bit",
    ),
    "acceptance": Variable(("sequence", "target"), "share of the proposed substitutions that are made"),
    "autocorrelation_time": Variable(
        ("sequence", "target"), "proposals from one sample to one as good as independent of it"
    ),
    "effective_sample_size": Variable(
        ("sequence", "target"), "number of independent samples that the samples are worth"
    ),
    "chain": Variable(("sample",), "number of the chain that the sample is from"),
    **_with_means("cosine", _COMPARED, "cosine of the angle between two maps"),
    **_with_means("rank_correlation", _COMPARED, "rank correlation of two maps"),
    **_with_means("top_overlap", _COMPARED, "share of the top positions of a map that the other has, too"),
    "map_a": Variable(("comparison",), "name of the first map"),
    "map_b": Variable(("comparison",), "name of the second map"),
    **_with_means(
        "randomised_correlation",
        ("sequence", "layer", "target"),
        "rank correlation of the magnitudes of a map with those after the layers down to this one were "
        "randomised",
    ),
    **_with_means(
        "shuffled_correlation",
        ("sequence", "target"),
        "rank correlation of the magnitudes of a map with those of a shuffle of the sequence",
    ),
    "layer": Variable(("layer",), "last layer, from the output down, that was randomised"),
    "verdict": Variable(("target",), "what the checks say, in words"),
    "occlusion_effect": Variable(
        ("sequence", "window", "target"),
        "prediction with this window occluded minus that for the sequence as it is",
        "output",
    ),
    "hypothetical_contribution": Variable(
        ("sequence", "position", "base", "target"),
        "contribution that this base would have at this position",
        "output",
    ),
    "contribution": Variable(
        ("sequence", "position", "base", "target"),
        "contribution of the observed base to the prediction; 0 for the other bases",
        "output",
    ),
    "mean_reference_prediction": Variable(
        ("sequence", "target"), "mean prediction for the references", "output"
    ),
    "completeness_error": Variable(
        ("sequence", "target"),
        "sum of the contributions minus the difference between the prediction and the mean prediction "
        "for the references",
        "output",
    ),
    "precision": Variable(
        ("sequence",),
        "bits of the numbers that the contributions were computed in; mean over the models of an ensemble",
    ),
    "contribution_standard_error": Variable(
        ("sequence", "position", "target"),
        "standard error of the contribution as a mean over the references and the permutations of "
        "the positions",
        "output",
    ),
    "permutation_standard_error": Variable(
        ("sequence", "position", "target"),
        "standard error of the contribution as a mean over the permutations of the positions, against these "
        "references; missing where there is one permutation for each",
        "output",
    ),
    "n_evaluations": Variable(("sequence",), "number of predictions that the contributions are made from"),
    "pattern_effect": Variable(
        ("pattern", "background", "target"),
        "prediction for the background with the pattern minus that without; "
        "missing where the pattern is not to be had in it",
        "output",
    ),
    "unedited_prediction": Variable(
        ("background", "target"), "prediction for the background as it is", "output"
    ),
    **_statistics("importance", "mean effect of the pattern over the backgrounds"),
    **_statistics(
        "difference",
        "effect of the pattern minus those of the patterns that it is compared with, "
        "mean over the backgrounds",
    ),
    "rank": Variable(("pattern", "target"), "rank of the pattern by its importance; 1 is the largest"),
    "n_backgrounds": Variable(("pattern", "target"), "number of backgrounds that the statistics are of"),
    "n_sites": Variable(("pattern", "background"), "number of occurrences of the motif in the sequence"),
    "background_sample": Variable(("background", "target"), "prediction for the background", "output"),
    "real_sample": Variable(("sequence", "target"), "prediction for the real sequence", "output"),
    "share_outside": Variable(
        ("target",), "share of the backgrounds outside the central 95% of the real sequences' predictions"
    ),
    "ks_statistic": Variable(("target",), "largest difference of the two cumulative distributions"),
    "ks_p_value": Variable(("target",), "p-value of the two-sample Kolmogorov-Smirnov test"),
    **_of_alleles(),
    "pattern": Variable(("pattern",), "name of the pattern"),
    "background": Variable(("background",), "name of the background sequence"),
    "insertions": Variable(
        ("pattern",), "motifs of the pattern and the 0-based positions of their first bases"
    ),
    "compared_with": Variable(("pattern",), "patterns whose effects are subtracted in the difference"),
    "note": Variable(("pattern",), "what of the pattern was clipped, and why"),
    "offset": Variable(("pattern",), "position of the motif's first base in the background, 0-based"),
    "distance": Variable(
        ("pattern",),
        "first base of the second motif minus that of the first; negative where it is upstream",
        "bp",
    ),
    "gap": Variable(("pattern",), "bases between the motifs; -1 for a single motif", "bp"),
    "orientation": Variable(("pattern",), "strand of each motif: + as given, - reverse complement"),
    "copies": Variable(("pattern",), "number of copies of the motif"),
    "role": Variable(("pattern",), "what the pattern is in the experiment"),
    "position": Variable(("position",), "position in the sequence, 0-based"),
    "position_a": Variable(("pair",), "first position of the pair in the sequence, 0-based"),
    "position_b": Variable(("pair",), "second position of the pair in the sequence, 0-based"),
    "base_a": Variable(("base_a",), "base at the first position of the pair"),
    "base_b": Variable(("base_b",), "base at the second position of the pair"),
    "window_start": Variable(("window",), "start of the window in the sequence, 0-based"),
    "window_end": Variable(("window",), "end of the window in the sequence, 0-based, not included"),
    "base": Variable(("base",), "base"),
    "target": Variable(("target",), "output of the model"),
    "id": Variable(("sequence",), "name of the sequence"),
    "chrom": Variable(("sequence",), "contig"),
    "start": Variable(("sequence",), "start of the sequence on the contig, 0-based"),
    "end": Variable(("sequence",), "end of the sequence on the contig, 0-based, not included"),
    "strand": Variable(
        ("sequence",), "strand that the sequence reads: + or -; on - it is the reverse complement"
    ),
}

# What an ensemble of models adds to a variable: the standard deviation over its members.
SPREAD = "_sd"
# Inputs of a model beside the sequence are variables of this name and the input's, (sequence, ...).
AUXILIARY = "auxiliary_"


def annotate(dataset: xr.Dataset) -> xr.Dataset:
    """Write the meaning and unit of every known variable into its attributes; return a new Dataset.

    Examples
    --------
    >>> dataset = annotate(xr.Dataset({"prediction": (("sequence", "target"), [[0.5]])}))
    >>> dataset["prediction"].attrs["long_name"]
    'prediction for the sequence as it is'
    """
    dataset = dataset.copy()
    output = dataset.attrs.get("output")
    for name in map(str, dataset.variables):
        variable = VARIABLES.get(name.removesuffix(SPREAD))
        if variable is None:
            continue
        spread = "standard deviation over the models of the ensemble: " if name not in VARIABLES else ""
        unit = output if variable.unit == "output" else variable.unit
        attributes = {"long_name": spread + variable.meaning} | ({"units": unit} if unit else {})
        dataset[name] = dataset[name].assign_attrs(attributes)
    return dataset


def require(dataset: xr.Dataset, *names: str) -> None:
    """Check that a Dataset has these variables, with the dimensions that they should have.

    Raises
    ------
    InputError
        A variable is missing or has other dimensions.

    Examples
    --------
    >>> require(xr.Dataset(), "one_hot")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    kipoi_tfbind.errors.InputError: dataset: expected the variable one_hot ...
    """
    if not isinstance(dataset, xr.Dataset):
        raise InputError(
            f"dataset: expected a Dataset, got {type(dataset).__name__}; make one of sequences with "
            "encode_sequences or read_sequences"
        )
    for name in names:
        expected = ", ".join(VARIABLES[name].dims)
        if name not in dataset.variables:
            found = ", ".join(map(str, dataset.data_vars)) or "no variable"
            raise InputError(
                f"dataset: expected the variable {name} ({expected}), found {found}; "
                "is it the result of another method?"
            )
        if dataset[name].dims != VARIABLES[name].dims:
            found = ", ".join(map(str, dataset[name].dims))
            raise InputError(f"dataset: expected the dimensions ({expected}) of {name}, found ({found})")
