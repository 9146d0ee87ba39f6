"""``kipoi tfbind surrogate``."""

from typing import Any

import click

from kipoi_tfbind.cli._interpret import interpret_to_file, interpretation_options


@click.command(short_help="An additive model fitted to random mutants, and how well it fits.")
@interpretation_options
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
@click.option("--start", default=0, show_default=True, help="First position to mutate, 0-based.")
@click.option("--end", type=int, help="Position to stop before.  [default: the sequence's end]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the mutants.")
@click.option(
    "--path",
    type=click.Choice(["auto", "incremental", "full"]),
    default="auto",
    show_default=True,
    help="Compute only what mutations change (exact), or predict every mutant as a whole.",
)
def command(**options: Any) -> None:
    """Surrogate: how far a model is a sum of single bases around each sequence, and of which.

    Random mutants are predicted, and an additive model is fitted to the predictions; the result has its
    parameters with 95% intervals beside the effects of ISM, and R² of mutants that were not fitted.

    \b
    Example:
      kipoi tfbind surrogate model_zoo/TFBind/CTCF --source dir --start 150 --end 250 \\
          --fasta genome.fa --intervals peaks.narrowPeak -o surrogate.nc
      kipoi tfbind plot surrogate.nc -o surrogate.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import surrogate

    names = ("n_mutants", "mutation_rate", "pairwise", "sparse", "start", "end", "seed", "path")
    settings = {name: options.pop(name) for name in names}
    pairwise = settings["pairwise"]
    interpret_to_file(surrogate, options, settings, rows=lambda n: 16 * n + (n * n if pairwise else 0))
