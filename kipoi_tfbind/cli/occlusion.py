"""``kipoi tfbind occlusion``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._interpret import interpret_to_file
from kipoi_tfbind.cli._method_options import PATH, VERIFY, range_options, seed_option
from kipoi_tfbind.cli._options import INTERPRETATION_OPTIONS, with_options


@new_command(short_help="Occlusion: the effect of occluding each window of a sequence.")
@with_options(INTERPRETATION_OPTIONS)
@click.option(
    "--width", type=click.IntRange(min=1), default=10, show_default=True, help="Width of a window, bp."
)
@click.option(
    "--stride", type=click.IntRange(min=1), default=5, show_default=True, help="From one window to the next."
)
@click.option(
    "--fill",
    type=click.Choice(["N", "shuffle"]),
    default="N",
    show_default=True,
    help="Bases of an occluded window: N, or those of dinucleotide shuffles of the sequence.",
)
@click.option(
    "--n-shuffles", type=click.IntRange(min=1), default=10, show_default=True, help="Number of shuffles."
)
@range_options("occlude")
@seed_option("Of the shuffles.")
@PATH
@VERIFY
def command(
    width: int,
    stride: int,
    fill: str,
    n_shuffles: int,
    start: int,
    end: int | None,
    seed: int,
    path: str,
    verify: bool,
    **options: Any,
) -> None:
    """Occlusion: the effect of occluding each window of a sequence.

    Where ISM asks for single bases, this asks for whole sites, and takes far fewer predictions.

    \b
    Example:
      kipoi tfbind occlusion model_zoo/TFBind/CTCF --source dir --fill shuffle \\
          --fasta genome.fa --intervals peaks.narrowPeak -o occlusion.nc
      kipoi tfbind plot occlusion.nc -o occlusion.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import occlusion

    settings = {
        "width": width,
        "stride": stride,
        "fill": fill,
        "n_shuffles": n_shuffles,
        "start": start,
        "end": end,
        "seed": seed,
        "path": path,
        "verify": verify,
    }
    interpret_to_file(occlusion, options, settings, rows=lambda length: length // stride + 1)
