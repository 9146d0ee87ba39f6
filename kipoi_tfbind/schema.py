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


def _places(kind: str, label: str) -> dict[str, Variable]:
    """The variables that say where each of many seqlets or hits is, and how strong."""
    texts = {
        "sequence": ("index of its sequence in the result that it is from, 0-based", None),
        "sequence_id": ("name of its sequence", None),
        "start": ("its first position in the sequence, 0-based", None),
        "end": ("its end in the sequence, 0-based, not included", None),
        "bases": (f"bases of the {label}, on its strand", None),
        "contribution": ("sum of the contributions of its bases", "output"),
        "score": (f"score of the {label}, by which it is tested against the null", None),
        "p_value": (f"share of the null's places with such a {label} or a stronger one", None),
        "q_value": (f"p-value of the {label}, corrected for the number of tests (Benjamini-Hochberg)", None),
        "chrom": ("contig", None),
        "chrom_start": ("start on the contig, 0-based", None),
        "chrom_end": ("end on the contig, 0-based, not included", None),
        "strand": (f"strand of the contig that the {label} reads", None),
    }
    return {f"{kind}_{name}": Variable((kind,), text, unit) for name, (text, unit) in texts.items()}


def _matches() -> dict[str, Variable]:
    """The variables of the known motifs that a motif is like."""
    texts = {
        "id": "id of the known motif",
        "name": "name of the known motif",
        "p_value": "Tomtom's p-value",
        "q_value": "p-value, corrected for the number of known motifs (Benjamini-Hochberg)",
        "offset": "column of the known motif, read in this orientation, at which the motif begins",
        "overlap": "number of columns compared",
        "orientation": "+ where the known motif is alike as it is, - as its reverse complement",
    }
    return {f"match_{name}": Variable(("motif", "rank"), text) for name, text in texts.items()}


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
    **_matches(),
    "motif_matrix": Variable(
        ("motif", "column", "base"), "probability of the base in this column of the motif"
    ),
    **_places("seqlet", "seqlet"),
    **_places("hit", "hit"),
    "hit_motif": Variable(("hit",), "name of the motif"),
    "hit_log_odds": Variable(("hit",), "log odds of the bases: motif against uniform bases", "nats"),
    "hit_similarity": Variable(("hit",), "cosine of the contributions and those that the motif should have"),
    "motif_count": Variable(("motif", "column", "base"), "number of sites with the base in this column"),
    "motif_information": Variable(("motif", "column"), "information of the column", "bits"),
    "n_motif_sites": Variable(("motif",), "number of sites that the motif is made of"),
    "largest_activation": Variable(("motif",), "largest activation of the filter"),
    "is_dead": Variable(("motif",), "1 where the filter is never above 0, or always the same"),
    "rc_partner": Variable(
        ("motif",), "filter that is tied to this one as its reverse complement; -1 where there is none"
    ),
    "kernel_matrix": Variable(
        ("motif", "column", "base"),
        "probabilities whose log-likelihood ratio against uniform bases is the convolution plus a constant",
    ),
    "kernel_constant": Variable(("motif",), "that constant", "nats"),
    **{
        f"silencing_effect{end}": Variable(
            ("motif", "target"), f"mean change of the prediction with the filter silenced{text}", "output"
        )
        for end, text in (("", ""), ("_low", ", lower end of its interval"), ("_high", ", upper end"))
    },
    "contribution_matrix": Variable(
        ("motif", "column", "base"), "mean contribution of the base in this column of the motif", "output"
    ),
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
