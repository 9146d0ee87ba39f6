"""Variables of motifs: what they match, seqlets, and hits."""

from __future__ import annotations

from kipoi_tfbind.schema.variable import Variable


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


def _pairs() -> dict[str, Variable]:
    """The variables of pairs of motifs that have hits in the same sequences, and of their interaction."""
    texts = {
        "pair_motif_a": ("one motif of the pair", None),
        "pair_motif_b": ("the other motif of the pair", None),
        "n_with_both": ("number of sequences with hits of both", None),
        "expected_with_both": ("number of such sequences if hits of the two were independent", None),
        "odds_ratio": ("odds of a hit of the one with and without the other, 1/2 added to each number", None),
        "pair_distance": ("median distance of the centres of the closest two hits in a sequence", "bp"),
        "pair_p_value": ("probability of as many sequences with both, or more, by chance (Fisher)", None),
        "pair_q_value": ("that, corrected for the number of pairs (Benjamini-Hochberg)", None),
    }
    found = {name: Variable(("pair",), text, unit) for name, (text, unit) in texts.items()}
    texts = {
        "interaction": (
            "interaction with the smallest q-value of all that were tested of the pair",
            "output",
        ),
        "interaction_low": ("lower end of its interval", "output"),
        "interaction_high": ("upper end of its interval", "output"),
        "interaction_q_value": ("its q-value, corrected for all patterns of all pairs", None),
        "interaction_pattern": ("the pattern that has it", None),
        "n_interacting": ("number of the pair's patterns with a q-value below 0.05", None),
        "n_arrangements": ("number of the pair's patterns", None),
    }
    dims = ("pair", "target")
    return found | {f"pair_{name}": Variable(dims, text, unit) for name, (text, unit) in texts.items()}


MOTIFS = {
    **_pairs(),
    **_matches(),
    "motif_matrix": Variable(
        ("motif", "column", "base"), "probability of the base in this column of the motif"
    ),
    **_places("seqlet", "seqlet"),
    **_places("hit", "hit"),
    "hit_motif": Variable(("hit",), "name of the motif"),
    "hit_log_odds": Variable(("hit",), "log odds of the bases: motif against the bases of the null", "nats"),
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
    "silencing_change": Variable(
        ("sequence", "motif", "target"),
        "change of a sequence's prediction with the filter silenced",
        "output",
    ),
    "contribution_matrix": Variable(
        ("motif", "column", "base"), "mean contribution of the base in this column of the motif", "output"
    ),
}
