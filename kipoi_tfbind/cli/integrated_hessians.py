"""``kipoi tfbind integrated-hessians``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._interpret import interpret_to_file
from kipoi_tfbind.cli._method_options import TOLERANCE, references_options, seed_option
from kipoi_tfbind.cli._options import INTERPRETATION_OPTIONS, with_options


@new_command(short_help="What every two positions contribute together, complete.")
@with_options(INTERPRETATION_OPTIONS)
@references_options(5)
@click.option(
    "--n-steps",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Points of the integral along each line.",
)
@seed_option("Of the references.")
@TOLERANCE
def command(**options: Any) -> None:
    """Integrated Hessians: what every two positions contribute together, and each of them alone.

    They are computed in double precision, and add up to the prediction minus that of the references. Each
    reference takes thousands of gradients.

    \b
    Example:
      kipoi tfbind integrated-hessians model_zoo/TFBind/CTCF-single --source dir --n-references 1 \\
          --sequences site.fa -o hessians.nc
      kipoi tfbind plot hessians.nc -o hessians.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import integrated_hessians

    names = ("references", "n_references", "n_steps", "seed", "tolerance")
    settings = {name: options.pop(name) for name in names}
    interpret_to_file(
        integrated_hessians, options | {"float64": True}, settings, rows=lambda length: length * length // 2
    )
