"""``kipoi tfbind gia swap``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._gia import real_sequence_options, run_on_sequences


@new_command(short_help="What the site of one sequence does in the context of another.")
@click.option("--start", required=True, type=int, help="First position of the site, 0-based.")
@click.option("--end", required=True, type=int, help="Position to stop before.")
@click.option("--donors", type=int, help="Only the first so many give their sites.  [default: all]")
@real_sequence_options
def command(start: int, end: int, donors: int | None, **options: Any) -> None:
    """Effect of giving each sequence the site of each other one, at the same positions.

    \b
    Example:
      kipoi tfbind gia swap model_zoo/TFBind/CTCF-single --source dir --start 180 --end 220 \\
          --fasta genome.fa --intervals peaks.bed -o swap.nc
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import context_swap

    run_on_sequences(context_swap, options, start=start, end=end, donors=donors)
