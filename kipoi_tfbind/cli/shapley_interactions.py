"""``kipoi tfbind shapley-interactions``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._interpret import interpret_to_file
from kipoi_tfbind.cli._method_options import path_option, references_options, seed_option
from kipoi_tfbind.cli._options import INTERPRETATION_OPTIONS, with_options
from kipoi_tfbind.errors import InputError


@new_command(short_help="Shapley values and interactions of segments of a sequence.")
@with_options(INTERPRETATION_OPTIONS)
@click.option(
    "--segments",
    metavar="LIST",
    help="Segments, 0-based, half-open, such as 180-199,230-245.  [default: ten of the same length]",
)
@references_options(5, "Whose bases a segment has that is out, as of deepshap.")
@click.option(
    "--n-samples",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Sets drawn for each pair, of more than 12 segments; of fewer all are predicted.",
)
@seed_option("Of all draws.")
@path_option("Compute only what segments change (exact), or predict every sequence as a whole.")
def command(segments: str | None, **options: Any) -> None:
    """Shapley interactions: what every two segments do together, over all sets of the others.

    \b
    Example:
      kipoi tfbind shapley-interactions model_zoo/TFBind/HepG2 --source dir --segments 180-192,205-220 \\
          --sequences sites.fa -o shapley.nc
      kipoi tfbind interactions shapley.nc -o table.tsv
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import shapley_interactions

    names = ("references", "n_references", "n_samples", "seed", "path")
    settings = {name: options.pop(name) for name in names}
    interpret_to_file(shapley_interactions, options, settings | {"segments": _parsed(segments)})


def _parsed(text: str | None) -> list[tuple[int, int]] | None:
    if text is None:
        return None
    try:
        pairs = [tuple(map(int, part.split("-"))) for part in text.split(",")]
        return [(start, end) for start, end in pairs]
    except ValueError:
        raise InputError(f"--segments: expected segments such as 180-199,230-245, got {text!r}") from None
