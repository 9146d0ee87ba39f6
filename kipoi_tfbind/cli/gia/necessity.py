"""``kipoi tfbind gia necessity``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._gia import motif_option, read_motifs, real_sequence_options, run_on_sequences
from kipoi_tfbind.errors import InputError


@new_command(short_help="What real sequences lose without a motif.")
@motif_option(required=False)
@click.option(
    "--hits",
    type=click.Path(),
    help="Instead of motifs: hits (.nc) in contributions of these sequences, which are the sites.",
)
@click.option(
    "--replacement",
    type=click.Choice(["shuffle", "background"]),
    default="shuffle",
    show_default=True,
    help="Of a site: its own bases in another order, or bases as frequent as in the sequence.",
)
@click.option("--n-replacements", default=10, show_default=True, help="Number of replacements of each site.")
@click.option(
    "--threshold", default=0.85, show_default=True, help="Score of a site of a matrix, 0 (worst) to 1 (best)."
)
@real_sequence_options
def command(
    motifs: tuple[str, ...],
    hits: str | None,
    replacement: str,
    n_replacements: int,
    threshold: float,
    **options: Any,
) -> None:
    """Effect of ablating all occurrences of a motif in real sequences, against ablating as much elsewhere.

    \b
    Example:
      kipoi tfbind gia necessity model_zoo/TFBind/CTCF --source dir --motif MA0139.2 \\
          --fasta genome.fa --intervals peaks.bed -o necessity.nc
      kipoi tfbind gia necessity model_zoo/TFBind/CTCF --source dir --hits hits.nc \\
          --fasta genome.fa --intervals peaks.bed -o necessity.nc
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import motif_necessity

    if bool(motifs) == bool(hits):
        raise InputError("--motif, --hits: expected one of the two")
    run_on_sequences(
        motif_necessity,
        options,
        read_motifs(motifs, consensus=False) if motifs else None,
        hits=hits,
        replacement=replacement,
        n_replacements=n_replacements,
        threshold=threshold,
    )
