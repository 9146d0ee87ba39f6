"""``kipoi tfbind layer-contributions``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._interpret import interpret_to_file
from kipoi_tfbind.cli._method_options import TOLERANCE, references_options, seed_option
from kipoi_tfbind.cli._options import INTERPRETATION_OPTIONS, with_options


@new_command(short_help="DeepSHAP of the units of a deeper layer.")
@with_options(INTERPRETATION_OPTIONS)
@click.option(
    "--layer",
    metavar="NAME",
    help="A layer that all passes through; ? lists layers.  [default: the last such convolution]",
)
@references_options(20)
@seed_option("Of the references.")
@TOLERANCE
def command(**options: Any) -> None:
    """Contributions of a layer's units: DeepSHAP from that layer on, which add up as those of bases do.

    \b
    Example:
      kipoi tfbind layer-contributions model_zoo/TFBind/CTCF --source dir --sequences sites.fa -o units.nc
      kipoi tfbind plot units.nc -o units.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import layer_contributions

    names = ("layer", "references", "n_references", "seed", "tolerance")
    settings = {name: options.pop(name) for name in names}
    interpret_to_file(layer_contributions, options, settings, rows=lambda length: 64 * length)
