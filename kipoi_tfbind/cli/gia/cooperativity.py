"""``kipoi tfbind gia cooperativity``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._gia import (
    CONSENSUS,
    importance_options,
    parse_numbers,
    read_motifs,
    run_experiment,
)
from kipoi_tfbind.cli._gia_pairs import PAIRS, check_source, run_proposed


@new_command(short_help="What two motifs do together beyond each alone.")
@PAIRS
@CONSENSUS
@click.option("--gaps", default="5,10,20", show_default=True, help="Numbers of bases between the motifs.")
@click.option(
    "--orientation",
    "orientations",
    multiple=True,
    type=click.Choice(["++", "+-", "-+", "--"]),
    default=["++"],
    show_default=True,
    help="Of the first and the second motif; may be repeated.",
)
@importance_options
def command(
    motifs: tuple[str, ...],
    hits: str | None,
    top: int,
    table: str | None,
    consensus: bool,
    gaps: str,
    orientations: tuple[str, ...],
    **options: Any,
) -> None:
    """Interaction of every two motifs: importance(p, q) - importance(p) - importance(q).

    With --motifs-from, of the pairs that co-occur in hits, in one table.

    \b
    Example:
      kipoi tfbind gia cooperativity model_zoo/TFBind/HepG2 --source dir --motif MA0148.5 --motif MA0114.5 \\
          --fasta genome.fa --intervals peaks.bed -o cooperativity.nc
      kipoi tfbind gia cooperativity model_zoo/TFBind/HepG2 --source dir --motifs-from hits.nc --top 5 \\
          --fasta genome.fa --intervals peaks.bed -o pairs.nc
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import cooperativity

    check_source(motifs, hits, table)
    settings: dict[str, Any] = {"gaps": parse_numbers("--gaps", gaps), "orientations": orientations}
    if hits:
        run_proposed("cooperativity", options, hits, top, table, consensus=consensus, **settings)
        return
    run_experiment(cooperativity, options, read_motifs(motifs, consensus=consensus), **settings)
