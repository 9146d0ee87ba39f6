"""``kipoi tfbind gia number``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._gia import CONSENSUS, MOTIFS, OFFSET, importance_options, one_motif, run_experiment


@new_command(short_help="Effect of the number of copies of a motif.")
@MOTIFS
@CONSENSUS
@click.option("--max-copies", default=4, show_default=True, help="Largest number of copies.")
@click.option("--distance", type=int, help="From start to start, bp.  [default: the width and 10]")
@OFFSET
@importance_options
def command(
    motifs: tuple[str, ...],
    consensus: bool,
    max_copies: int,
    distance: int | None,
    offset: int | None,
    **options: Any,
) -> None:
    """Importance of 1, 2, ... copies of a motif, against the sum of single ones.

    \b
    Example:
      kipoi tfbind gia number model_zoo/TFBind/CTCF --source dir --motif MA0139.2 --max-copies 4 \\
          --fasta genome.fa --intervals peaks.bed -o number.nc
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import number_importance

    motif = one_motif(motifs, consensus=consensus)
    run_experiment(number_importance, options, motif, max_copies=max_copies, distance=distance, offset=offset)
