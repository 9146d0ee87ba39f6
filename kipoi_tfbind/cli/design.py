"""``kipoi tfbind design``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._interpret import interpret_to_file, names_among, parse_positions
from kipoi_tfbind.cli._method_options import path_option, range_options
from kipoi_tfbind.cli._options import INTERPRETATION_OPTIONS, with_options


@new_command(short_help="Substitutions that raise or lower predictions, one after the other.")
@with_options(INTERPRETATION_OPTIONS)
@click.option("--raise", "raised", multiple=True, metavar="NAME,...", help="Targets to raise; repeatable.")
@click.option("--lower", "lowered", multiple=True, metavar="NAME,...", help="Targets to lower; repeatable.")
@click.option(
    "--n-edits", type=click.IntRange(min=1), default=10, show_default=True, help="Most substitutions."
)
@click.option(
    "--beam-width",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Sequences that are gone on with at each step; 1 is the greedy search.",
)
@click.option(
    "--fixed", metavar="POSITIONS", help="Positions to leave as they are, such as 185,190, 0-based."
)
@click.option(
    "--gc-range",
    nargs=2,
    type=float,
    default=(0.0, 1.0),
    show_default=True,
    help="Least and largest share of G and C.",
)
@range_options("substitute")
@path_option("Compute only what a substitution changes (exact), or predict every mutant as a whole.")
def command(raised: tuple[str, ...], lowered: tuple[str, ...], fixed: str | None, **options: Any) -> None:
    """Design: substitute bases, the best first, to raise or lower the predictions of each sequence.

    Without --raise and --lower the sum of all targets is raised. Every step is logged with its effect.

    \b
    Example:
      kipoi tfbind design model_zoo/TFBind/HepG2 --source dir --raise FOXA1 --lower CTCF --n-edits 6 \\
          --gc-range 0.4 0.6 --fasta genome.fa --intervals peaks.narrowPeak -o design.nc
      kipoi tfbind plot design.nc --targets FOXA1 -o design.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import design

    objective = dict.fromkeys(names_among(raised, ()), 1.0) | dict.fromkeys(names_among(lowered, ()), -1.0)
    settings = {
        name: options.pop(name) for name in ("n_edits", "beam_width", "gc_range", "start", "end", "path")
    }
    settings |= {"objective": objective or None, "fixed": parse_positions(fixed, "--fixed") or ()}
    interpret_to_file(design, options, settings)
