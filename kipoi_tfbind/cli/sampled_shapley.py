"""``kipoi tfbind sampled-shapley``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._interpret import interpret_to_file
from kipoi_tfbind.cli._method_options import TOLERANCE, references_options, seed_option
from kipoi_tfbind.cli._options import INTERPRETATION_OPTIONS, with_options


@new_command(short_help="Shapley values of any model that predicts, by sampling.")
@with_options(INTERPRETATION_OPTIONS)
@references_options(
    10,
    "What a sequence is compared with: dinucleotide_shuffle, mononucleotide_shuffle, klet_shuffle:K, "
    "random, uniform, mean_profile or zeros; a model that takes "
    "text needs one of the first four, or zeros.",
)
@click.option(
    "--n-permutations",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Number of random permutations for each reference, each with its reverse.",
)
@seed_option("Of the references and the permutations.")
@TOLERANCE
def command(
    references: str, n_references: int, n_permutations: int, seed: int, tolerance: float, **options: Any
) -> None:
    """Shapley values: how much each base contributes, for a model without gradients.

    For models that only predict, such as those of scikit-learn; where deepshap works it is faster, and
    needs no sampling. The bases of a shuffled sequence are replaced by those of the sequence in
    random order; the mean change by a position is its contribution, and all of them add up to the prediction
    minus the mean prediction of the shuffled sequences.

    The cost is in predictions: up to 2 x length x references x permutations for each sequence. The result has
    their number and the standard error of each contribution: where that is too large, take more references.

    \b
    Example:
      kipoi tfbind sampled-shapley svm --allow-pickle --sequences peaks.fa --n-references 20 -o shapley.nc
      kipoi tfbind plot shapley.nc -o shapley.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import sampled_shapley

    settings = {
        "references": references,
        "n_references": n_references,
        "n_permutations": n_permutations,
        "seed": seed,
        "tolerance": tolerance,
    }
    interpret_to_file(sampled_shapley, options, settings)
