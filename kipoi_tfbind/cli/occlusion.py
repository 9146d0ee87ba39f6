"""``kipoi tfbind occlusion``."""

from typing import Any

import click

from kipoi_tfbind.cli._interpret import interpret_to_file, interpretation_options, path_options


@click.command(short_help="Occlusion: the effect of occluding each window of a sequence.")
@interpretation_options
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
@click.option("--start", default=0, show_default=True, help="First position to occlude, 0-based.")
@click.option("--end", type=int, help="Position to stop before.  [default: the sequence's end]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the shuffles.")
@path_options
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
