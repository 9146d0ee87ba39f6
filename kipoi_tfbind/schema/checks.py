"""Variables of comparisons between maps, and of sanity checks."""

from __future__ import annotations

from kipoi_tfbind.schema.variable import Variable

_COMPARED = ("comparison", "sequence", "target")


def _with_means(name: str, dims: tuple[str, ...], meaning: str) -> dict[str, Variable]:
    """A variable by sequence, and what is known of its mean over the sequences."""
    over = tuple(dim for dim in dims if dim != "sequence")
    return {
        name: Variable(dims, meaning),
        f"mean_{name}": Variable(over, f"mean over the sequences: {meaning}"),
        f"mean_{name}_low": Variable(over, f"lower end of the confidence interval of the mean: {meaning}"),
        f"mean_{name}_high": Variable(over, f"upper end of the confidence interval of the mean: {meaning}"),
    }


CHECKS = {
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
    **_with_means(
        "relabelled_correlation",
        ("sequence", "target"),
        "rank correlation of the magnitudes of a map with those of a model that was trained on shuffled "
        "labels; missing where there is none",
    ),
    "layer": Variable(("layer",), "last layer, from the output down, that was randomised"),
    "verdict": Variable(("target",), "what the checks say, in words"),
}
