"""``kipoi tfbind deepshap``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._interpret import interpret_to_file
from kipoi_tfbind.cli._method_options import TOLERANCE, references_options, seed_option
from kipoi_tfbind.cli._options import INTERPRETATION_OPTIONS, with_options

_PAIRS, _MOST = 480, 24


@new_command(short_help="DeepSHAP: contributions of the bases against shuffled references.")
@with_options(INTERPRETATION_OPTIONS)
@references_options(
    20,
    "What a sequence is compared with: dinucleotide_shuffle, mononucleotide_shuffle, klet_shuffle:K, "
    "random, uniform, mean_profile or zeros.",
)
@seed_option("Of the references.")
@TOLERANCE
@click.option(
    "--engine",
    type=click.Choice(["exact", "shap"]),
    default="exact",
    show_default=True,
    help="exact: this package's own rules; shap: those of shap.DeepExplainer, for comparisons: slower, for "
    "fewer models, and with warnings where they do not add up.",
)
def command(
    references: str, n_references: int, seed: int, tolerance: float, engine: str, **options: Any
) -> None:
    """DeepSHAP: how much each base contributes to the difference from shuffled sequences.

    The contributions of a sequence add up to its prediction minus the mean prediction of its references; what
    is missing of that is in the result as completeness_error.

    \b
    Example:
      kipoi tfbind deepshap model_zoo/TFBind/HepG2 --source dir --targets CTCF,FOXA1 \\
          --fasta genome.fa --intervals peaks.narrowPeak -o deepshap.nc
      kipoi tfbind plot deepshap.nc --targets FOXA1 -o deepshap.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import deep_shap

    settings = {
        "references": references,
        "n_references": n_references,
        "seed": seed,
        "tolerance": tolerance,
        "engine": engine,
    }
    # So many pairs of a sequence and a reference fill the model's batches; more sequences would share worse.
    block = max(1, min(_MOST, _PAIRS // n_references))
    interpret_to_file(deep_shap, options, settings, rows=lambda length: 2 * length, block=block)
