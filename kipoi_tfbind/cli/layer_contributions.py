"""``kipoi tfbind layer-contributions``."""

from typing import Any

import click

from kipoi_tfbind.cli._interpret import interpret_to_file, interpretation_options


@click.command(short_help="DeepSHAP of the units of a deeper layer.")
@interpretation_options
@click.option(
    "--layer",
    metavar="NAME",
    help="Name of a layer that all passes through.  [default: the last such convolution]",
)
@click.option(
    "--references",
    default="dinucleotide_shuffle",
    show_default=True,
    help="What a sequence is compared with, as of deepshap.",
)
@click.option(
    "--n-references",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Number of references for each sequence.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the references.")
@click.option(
    "--tolerance", default=1e-3, show_default=True, help="Relative error from which on it is warned."
)
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
