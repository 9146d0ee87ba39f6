"""``kipoi tfbind grad-cam``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._interpret import interpret_to_file
from kipoi_tfbind.cli._options import INTERPRETATION_OPTIONS, with_options


@new_command(short_help="Where a convolution layer sees what raises the prediction.")
@with_options(INTERPRETATION_OPTIONS)
@click.option("--layer", metavar="NAME", help="A convolution layer; ? lists them.  [default: the last]")
def command(layer: str | None, **options: Any) -> None:
    """Grad-CAM: the channels of a convolution layer, weighted by their mean gradients, on the bases it sees.

    \b
    Example:
      kipoi tfbind grad-cam model_zoo/TFBind/CTCF --source dir --sequences sites.fa -o cam.nc
      kipoi tfbind plot cam.nc -o cam.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import grad_cam

    interpret_to_file(grad_cam, options, {"layer": layer})
