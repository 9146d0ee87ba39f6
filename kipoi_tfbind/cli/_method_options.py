"""Options that several methods share, each written once."""

from __future__ import annotations

import click

from kipoi_tfbind.cli._command import RUNNING, option
from kipoi_tfbind.cli._options import Decorator, with_options

_PATH = "Compute only what a mutation changes (exact), or predict every mutant as a whole."


def path_option(about: str = _PATH) -> Decorator:
    """Option --path."""
    return option(
        "--path",
        type=click.Choice(["auto", "incremental", "full"]),
        default="auto",
        show_default=True,
        section=RUNNING,
        help=about,
    )


PATH = path_option()
VERIFY = option(
    "--verify",
    is_flag=True,
    section=RUNNING,
    help="Hold a random part against full predictions; fail if they differ.",
)


def seed_option(about: str = "Of the draws.") -> Decorator:
    """Option --seed."""
    return option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help=about)


def range_options(verb: str) -> Decorator:
    """Options --start and --end."""
    return with_options(
        option("--start", type=int, default=0, show_default=True, help=f"First position to {verb}, 0-based."),
        option("--end", type=int, help="Position to stop before.  [default: the sequence's end]"),
    )


POSITIONS = option(
    "--positions",
    metavar="N,N,...",
    help="Only these positions, 0-based, instead of --start and --end.",
)
CONFIDENCE = option("--confidence", default=0.95, show_default=True, help="Of the intervals.")
TOLERANCE = option(
    "--tolerance",
    default=1e-3,
    show_default=True,
    help="Warn where what is added up misses the difference by more than this, relative to it.",
)


_REFERENCES = "What a sequence is compared with, as of deepshap."


def references_options(n: int, about: str = _REFERENCES) -> Decorator:
    """Options --references and --n-references."""
    return with_options(
        option(
            "--references",
            default="dinucleotide_shuffle",
            show_default=True,
            aliases=("--reference", "--backgrounds"),
            help=about,
        ),
        option(
            "--n-references",
            type=click.IntRange(min=1),
            default=n,
            show_default=True,
            aliases=("--n-backgrounds",),
            help="Number of references for each sequence.",
        ),
    )
