"""``kipoi tfbind predict``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._interpret import interpret_to_file
from kipoi_tfbind.cli._method_options import seed_option
from kipoi_tfbind.cli._options import INTERPRETATION_OPTIONS, with_options


@new_command(short_help="Predictions of sequences, and their spread over draws of dropout.")
@with_options(INTERPRETATION_OPTIONS)
@click.option(
    "--dropout-samples",
    type=click.IntRange(min=2),
    metavar="N",
    help="Predict N times with units dropped as in training: mean and standard deviation.  [default: none]",
)
@seed_option("Of the units that are dropped.")
def command(dropout_samples: int | None, seed: int, **options: Any) -> None:
    """Predictions of sequences by any model, as log-odds where it ends in a sigmoid or softmax.

    With --dropout-samples also what the model says when units are dropped as in training (Monte Carlo
    dropout): where the standard deviation is large, it knows little. Several MODELs are an ensemble: their
    mean, and their standard deviation.

    \b
    Example:
      kipoi tfbind predict model_zoo/TFBind/CTCF --source dir --dropout-samples 50 \\
          --fasta genome.fa --intervals peaks.narrowPeak -o predictions.nc
      kipoi tfbind export predictions.nc -o predictions.tsv
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import predict_sequences

    settings = {"dropout_samples": dropout_samples or 0, "seed": seed}
    interpret_to_file(predict_sequences, options, settings, block=256)
