"""``kipoi tfbind gia effect``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._gia import (
    CONSENSUS,
    OFFSET,
    importance_options,
    motif_option,
    read_motifs,
    run_experiment,
)
from kipoi_tfbind.errors import InputError


@new_command(short_help="Effect of motifs.")
@motif_option(required=False)
@click.option(
    "--pattern",
    "patterns",
    multiple=True,
    metavar="NAME=MOTIF@OFFSET+...",
    help="Motifs at these 0-based positions, embedded together.",
)
@click.option(
    "--compare",
    "comparisons",
    multiple=True,
    metavar="NAME=NAME,...",
    help="A pattern, and those whose effects are subtracted from its.",
)
@CONSENSUS
@OFFSET
@importance_options
def command(
    motifs: tuple[str, ...],
    patterns: tuple[str, ...],
    comparisons: tuple[str, ...],
    consensus: bool,
    offset: int | None,
    **options: Any,
) -> None:
    """Importance of each motif by itself: its mean effect on the prediction, over the backgrounds.

    A --pattern is several motifs at places of their own; with --compare, against other patterns.

    \b
    Example:
      kipoi tfbind gia effect model_zoo/TFBind/CTCF --source dir --motif MA0139.2 --motif TGASTCA \\
          --fasta genome.fa --intervals peaks.bed -o effect.nc
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import global_importance_analysis, motif_importance

    if bool(motifs) == bool(patterns):
        raise InputError("--motif, --pattern: expected one of the two kinds")
    if motifs and comparisons:
        raise InputError(
            "--compare: compares patterns; give the motifs as --pattern NAME=MOTIF@OFFSET, without --motif"
        )
    if motifs:
        run_experiment(motif_importance, options, read_motifs(motifs, consensus=consensus), offset=offset)
        return
    placed = dict(_pattern(text, consensus) for text in patterns)
    compared = {}
    for text in comparisons:
        name, _, others = text.partition("=")
        compared[name] = others.split(",")
    run_experiment(global_importance_analysis, options, placed, comparisons=compared)


def _pattern(text: str, consensus: bool) -> tuple[str, list[tuple[Any, int]]]:
    """Read a pattern such as "both=GATA@40+MA0139.2@60"."""
    name, _, parts = text.partition("=")
    placed: list[tuple[Any, int]] = []
    for part in parts.split("+"):
        motif, _, offset = part.rpartition("@")
        if not name or not motif or not offset.isdecimal():
            raise InputError(f"--pattern: expected NAME=MOTIF@OFFSET+MOTIF@OFFSET, got {text!r}")
        placed.append((next(iter(read_motifs((motif,), consensus=consensus).values())), int(offset)))
    return name, placed
