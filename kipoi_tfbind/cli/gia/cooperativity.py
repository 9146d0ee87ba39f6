"""``kipoi tfbind gia cooperativity``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._gia import (
    CONSENSUS,
    MOTIFS,
    importance_options,
    parse_numbers,
    read_motifs,
    run_experiment,
)


@new_command(short_help="What two motifs do together beyond each alone.")
@MOTIFS
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
    motifs: tuple[str, ...], consensus: bool, gaps: str, orientations: tuple[str, ...], **options: Any
) -> None:
    """Interaction of every two motifs: importance(p, q) - importance(p) - importance(q).

    \b
    Example:
      kipoi tfbind gia cooperativity model_zoo/TFBind/HepG2 --source dir --motif MA0148.5 --motif MA0114.5 \\
          --fasta genome.fa --intervals peaks.bed -o cooperativity.nc
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import cooperativity

    found = read_motifs(motifs, consensus=consensus)
    run_experiment(
        cooperativity, options, found, gaps=parse_numbers("--gaps", gaps), orientations=orientations
    )
