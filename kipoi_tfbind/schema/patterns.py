"""Variables of global importance analysis: patterns in backgrounds, with statistics."""

from __future__ import annotations

from kipoi_tfbind.schema.variable import Variable


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


PATTERNS = {
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
}
