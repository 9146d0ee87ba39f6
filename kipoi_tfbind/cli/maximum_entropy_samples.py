"""``kipoi tfbind maximum-entropy-samples``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._interpret import interpret_to_file
from kipoi_tfbind.cli._method_options import path_option, range_options, seed_option
from kipoi_tfbind.cli._options import INTERPRETATION_OPTIONS, with_options


@new_command(short_help="Random sequences with the same prediction: what it needs, and what not.")
@with_options(INTERPRETATION_OPTIONS)
@click.option(
    "--tolerance",
    default=0.5,
    show_default=True,
    help="By how much predictions may differ, about, in the unit of the output.",
)
@click.option(
    "--n-samples",
    type=click.IntRange(min=4),
    default=500,
    show_default=True,
    help="Samples to keep of each sequence and target, an even number.",
)
@click.option(
    "--thin",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Proposed substitutions from one sample to the next.",
)
@click.option(
    "--burn-in",
    type=click.IntRange(min=0),
    default=2000,
    show_default=True,
    help="Proposed substitutions before the first sample.",
)
@range_options("substitute")
@seed_option("Of the chains.")
@path_option("Compute only what a substitution changes (exact), or predict every sequence as a whole.")
def command(**options: Any) -> None:
    """Maximum-entropy samples: sequences as random as possible with the prediction of each sequence.

    What the samples keep of the sequence is what its prediction needs; the picture is their logo. The result
    says how many independent samples they are worth.

    \b
    Example:
      kipoi tfbind maximum-entropy-samples model_zoo/TFBind/CTCF-single --source dir \\
          --sequences sites.fa -o samples.nc
      kipoi tfbind plot samples.nc --start 170 --end 230 -o samples.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import maximum_entropy_samples

    names = ("tolerance", "n_samples", "thin", "burn_in", "start", "end", "seed", "path")
    settings = {name: options.pop(name) for name in names}
    # A chain keeps its proposals until it is done.
    proposals = settings["burn_in"] + settings["n_samples"] * settings["thin"]
    interpret_to_file(
        maximum_entropy_samples,
        options,
        settings,
        rows=lambda length: settings["n_samples"] * length // 16 + 3 * proposals,
    )
