"""``kipoi tfbind gia position``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._gia import CONSENSUS, MOTIFS, importance_options, one_motif, run_experiment


@new_command(short_help="Effect of a motif along the background.")
@MOTIFS
@CONSENSUS
@click.option("--start", default=0, show_default=True, help="First position of the range, 0-based.")
@click.option("--end", type=int, help="Position to stop before.  [default: the end]")
@click.option(
    "--step", default=1, show_default=True, type=click.IntRange(min=1), help="Between positions, bp."
)
@click.option("--forward-only", is_flag=True, help="Leave out the reverse complement.")
@importance_options
def command(
    motifs: tuple[str, ...],
    consensus: bool,
    start: int,
    end: int | None,
    step: int,
    forward_only: bool,
    **options: Any,
) -> None:
    """Importance of a motif at each position, in both orientations.

    \b
    Example:
      kipoi tfbind gia position model_zoo/TFBind/CTCF --source dir --motif MA0139.2 --step 5 \\
          --fasta genome.fa --intervals peaks.bed -o position.nc
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import position_importance

    motif = one_motif(motifs, consensus=consensus)
    run_experiment(
        position_importance,
        options,
        motif,
        start=start,
        end=end,
        step=step,
        both_orientations=not forward_only,
    )
