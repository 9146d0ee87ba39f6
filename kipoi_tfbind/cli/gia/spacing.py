"""``kipoi tfbind gia spacing``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._gia import (
    CONSENSUS,
    OFFSET,
    importance_options,
    read_motifs_of_number,
    run_experiment,
)
from kipoi_tfbind.cli._gia_pairs import PAIRS, check_source, run_proposed
from kipoi_tfbind.errors import InputError


@new_command(short_help="Effect of the spacing of two motifs.")
@PAIRS
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
    hits: str | None,
    top: int,
    table: str | None,
    consensus: bool,
    max_distance: int,
    step: int,
    orientations: tuple[str, ...],
    offset: int | None,
    **options: Any,
) -> None:
    """Importance of two motifs at each distance, in four orientations, and what they do beyond each alone.

    Give --motif twice: the first stays, the second is moved from -d to +d. Or --motifs-from: the pairs that
    co-occur in hits are tested, in one table.

    \b
    Example:
      kipoi tfbind gia spacing model_zoo/TFBind/HepG2 --source dir --motif MA0148.5 --motif MA0114.5 \\
          --fasta genome.fa --intervals peaks.bed -o spacing.nc
      kipoi tfbind gia spacing model_zoo/TFBind/HepG2 --source dir --motifs-from hits.nc --top 5 \\
          --fasta genome.fa --intervals peaks.bed -o pairs.nc
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import spacing_importance

    check_source(motifs, hits, table)
    settings: dict[str, Any] = {"max_distance": max_distance, "step": step}
    settings |= {"orientations": orientations} if orientations else {}
    if hits:
        if offset is not None:
            raise InputError("--offset: the first motif of each pair is in the middle; leave it out")
        run_proposed("spacing", options, hits, top, table, consensus=consensus, **settings)
        return
    pair = read_motifs_of_number(2, motifs, consensus=consensus)
    run_experiment(spacing_importance, options, *pair, offset=offset, **settings)
