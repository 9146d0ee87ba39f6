"""``kipoi tfbind gia orientation``."""

from typing import Any

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._gia import CONSENSUS, MOTIFS, OFFSET, importance_options, read_motifs, run_experiment


@new_command(short_help="Effect of the orientation of motifs.")
@MOTIFS
@CONSENSUS
@OFFSET
@importance_options
def command(motifs: tuple[str, ...], consensus: bool, offset: int | None, **options: Any) -> None:
    """Importance of each motif on either strand, and the difference between them.

    \b
    Example:
      kipoi tfbind gia orientation model_zoo/TFBind/CTCF --source dir --motif MA0139.2 \\
          --fasta genome.fa --intervals peaks.bed -o orientation.nc
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import orientation_importance

    found = read_motifs(motifs, consensus=consensus)
    run_experiment(orientation_importance, options, found, offset=offset)
