"""``kipoi tfbind ism``."""

from typing import Any

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._interpret import (
    interpret_to_file,
    parse_positions,
)
from kipoi_tfbind.cli._method_options import PATH, POSITIONS, VERIFY, range_options
from kipoi_tfbind.cli._options import INTERPRETATION_OPTIONS, with_options


@new_command(short_help="In-silico mutagenesis: the effect of every substitution.")
@with_options(INTERPRETATION_OPTIONS)
@range_options("mutate")
@POSITIONS
@PATH
@VERIFY
def command(
    start: int, end: int | None, positions: str | None, path: str, verify: bool, **options: Any
) -> None:
    """In-silico mutagenesis: the effect of every substitution on the prediction.

    Each base is replaced by each of the other three, one at a time. Where the model's graph can be followed,
    only what a substitution changes is computed, which is exact, and often ten times faster.
    Several MODELs are an ensemble: the mean of their effects, and its standard deviation.

    \b
    Example:
      kipoi tfbind ism model_zoo/TFBind/CTCF --source dir \\
          --fasta genome.fa --intervals peaks.narrowPeak -o ism.nc
      kipoi tfbind plot ism.nc -o ism.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import in_silico_mutagenesis

    chosen = parse_positions(positions)
    settings = {"start": start, "end": end, "positions": chosen, "path": path, "verify": verify}
    interpret_to_file(in_silico_mutagenesis, options, settings)
