"""``kipoi tfbind ism``."""

from typing import Any

import click

from kipoi_tfbind.cli._interpret import (
    interpret_to_file,
    interpretation_options,
    parse_positions,
    path_options,
)


@click.command(short_help="In-silico mutagenesis: the effect of every substitution.")
@interpretation_options
@click.option("--start", default=0, show_default=True, help="First position to mutate, 0-based.")
@click.option("--end", type=int, help="Position to stop before.  [default: the sequence's end]")
@click.option(
    "--positions", metavar="N,N,...", help="Only these positions, 0-based, instead of --start and --end."
)
@path_options
def command(
    start: int, end: int | None, positions: str | None, path: str, verify: bool, **options: Any
) -> None:
    """In-silico mutagenesis: the effect of every substitution on the prediction.

    Each base is replaced by each of the other three, one at a time. Where the model's graph can be followed,
    only what a substitution changes is computed, which is exact, and often ten times faster.
    Several MODELs are an ensemble: the mean of their effects, and its standard deviation.

    \b
    Example:
      kipoi tfbind ism model_zoo/TFBind/CTCF --source dir \\
          --fasta genome.fa --intervals peaks.narrowPeak -o ism.nc
      kipoi tfbind plot ism.nc -o ism.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import in_silico_mutagenesis

    chosen = parse_positions(positions)
    settings = {"start": start, "end": end, "positions": chosen, "path": path, "verify": verify}
    interpret_to_file(in_silico_mutagenesis, options, settings)
