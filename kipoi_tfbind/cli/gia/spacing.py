"""``kipoi tfbind gia spacing``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._gia import (
    CONSENSUS,
    MOTIFS,
    OFFSET,
    importance_options,
    read_motifs_of_number,
    run_experiment,
)


@new_command(short_help="Effect of the spacing of two motifs.")
@MOTIFS
@CONSENSUS
@click.option(
    "--max-distance", default=50, show_default=True, help="Largest distance from start to start, bp."
)
@click.option("--step", default=1, show_default=True, help="Step between distances, bp.")
@click.option(
    "--orientation",
    "orientations",
    multiple=True,
    type=click.Choice(["++", "+-", "-+", "--"]),
    help="Of the first and the second motif; may be repeated.  [default: all four]",
)
@OFFSET
@importance_options
def command(
    motifs: tuple[str, ...],
    consensus: bool,
    max_distance: int,
    step: int,
    orientations: tuple[str, ...],
    offset: int | None,
    **options: Any,
) -> None:
    """Importance of two motifs at each distance, in four orientations, and what they do beyond each alone.

    Give --motif twice: the first stays, the second is moved from -d to +d.

    \b
    Example:
      kipoi tfbind gia spacing model_zoo/TFBind/HepG2 --source dir --motif MA0148.5 --motif MA0114.5 \\
          --fasta genome.fa --intervals peaks.bed -o spacing.nc
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import spacing_importance

    pair = read_motifs_of_number(2, motifs, consensus=consensus)
    chosen = {"orientations": orientations} if orientations else {}
    run_experiment(
        spacing_importance, options, *pair, max_distance=max_distance, step=step, offset=offset, **chosen
    )
