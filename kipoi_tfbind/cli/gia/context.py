"""``kipoi tfbind gia context``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._gia import (
    CONSENSUS,
    MOTIFS,
    OFFSET,
    importance_options,
    one_motif,
    parse_numbers,
    run_experiment,
)


@new_command(short_help="Effect of what is around a motif.")
@MOTIFS
@CONSENSUS
@click.option(
    "--gc", default="0.2,0.3,0.4,0.5,0.6,0.7,0.8", show_default=True, help="GC contents of the flanks."
)
@click.option("--flank", default=20, show_default=True, help="Width of either flank, bp.")
@click.option("--flank-bases", default=0, help="Instead: all combinations of 1, 2 or 3 bases on either side.")
@OFFSET
@importance_options
def command(
    motifs: tuple[str, ...],
    consensus: bool,
    gc: str,
    flank: int,
    flank_bases: int,
    offset: int | None,
    **options: Any,
) -> None:
    """Importance of a motif between flanks of each GC content, or of each few bases.

    \b
    Example:
      kipoi tfbind gia context model_zoo/TFBind/CTCF --source dir --motif MA0139.2 --gc 0.3,0.5,0.7 \\
          --fasta genome.fa --intervals peaks.bed -o context.nc
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import context_importance

    motif = one_motif(motifs, consensus=consensus)
    contents = parse_numbers("--gc", gc, float)
    run_experiment(
        context_importance, options, motif, gc=contents, flank=flank, flank_bases=flank_bases, offset=offset
    )
