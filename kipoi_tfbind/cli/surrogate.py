"""``kipoi tfbind surrogate``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._interpret import interpret_to_file
from kipoi_tfbind.cli._method_options import path_option, range_options, seed_option
from kipoi_tfbind.cli._options import INTERPRETATION_OPTIONS, with_options


@new_command(short_help="An additive model fitted to random mutants, and how well it fits.")
@with_options(INTERPRETATION_OPTIONS)
@click.option(
    "--n-mutants",
    type=click.IntRange(min=10),
    default=4000,
    show_default=True,
    help="Random mutants of each sequence.",
)
@click.option(
    "--mutation-rate", default=0.1, show_default=True, help="Probability that a base is replaced in a mutant."
)
@click.option("--pairwise", is_flag=True, help="Fit, too, what every two positions add if both are mutated.")
@click.option("--sparse", is_flag=True, help="Choose the parameters by the lasso first.")
@range_options("mutate")
@seed_option("Of the mutants.")
@path_option("Compute only what mutations change (exact), or predict every mutant as a whole.")
def command(**options: Any) -> None:
    """Surrogate: how far a model is a sum of single bases around each sequence, and of which.

    Random mutants are predicted, and an additive model is fitted to the predictions; the result has its
    parameters with 95% intervals beside the effects of ISM, and R² of mutants that were not fitted.

    \b
    Example:
      kipoi tfbind surrogate model_zoo/TFBind/CTCF-single --source dir --start 150 --end 250 \\
          --fasta genome.fa --intervals peaks.narrowPeak -o surrogate.nc
      kipoi tfbind plot surrogate.nc -o surrogate.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import surrogate

    names = ("n_mutants", "mutation_rate", "pairwise", "sparse", "start", "end", "seed", "path")
    settings = {name: options.pop(name) for name in names}
    pairwise = settings["pairwise"]
    interpret_to_file(surrogate, options, settings, rows=lambda n: 16 * n + (n * n if pairwise else 0))
