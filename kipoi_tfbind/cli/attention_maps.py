"""``kipoi tfbind attention-maps``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._interpret import interpret_to_file
from kipoi_tfbind.cli._options import INTERPRETATION_OPTIONS, with_options


@new_command(short_help="Attention of each head, and whether mutations bear it out.")
@with_options(INTERPRETATION_OPTIONS)
@click.option("--layer", metavar="NAME", help="One attention layer; ? lists them.  [default: all]")
@click.option(
    "--n-paired",
    type=click.IntRange(min=0),
    default=12,
    show_default=True,
    help="Positions of the largest effects whose pairs are mutated, too; 0 for none.",
)
def command(layer: str | None, n_paired: int, **options: Any) -> None:
    """Attention maps: weights of every head, with their rank correlation with ISM and second-order ISM.

    \b
    Example:
      kipoi tfbind attention-maps transformer/ --source dir --sequences sites.fa -o attention.nc
      kipoi tfbind plot attention.nc -o attention.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import attention_maps

    settings = {"layer": layer, "n_paired": n_paired}
    interpret_to_file(attention_maps, options, settings, rows=lambda length: length * length // 16)
