"""``kipoi tfbind second-order-ism``."""

from typing import Any

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._interpret import (
    interpret_to_file,
    parse_positions,
)
from kipoi_tfbind.cli._method_options import PATH, POSITIONS, VERIFY, range_options
from kipoi_tfbind.cli._options import INTERPRETATION_OPTIONS, with_options
from kipoi_tfbind.notices import notice


@new_command(short_help="Second-order mutagenesis: epistasis of every pair of substitutions.")
@with_options(INTERPRETATION_OPTIONS)
@range_options("mutate")
@POSITIONS
@PATH
@VERIFY
def command(
    start: int, end: int | None, positions: str | None, path: str, verify: bool, **options: Any
) -> None:
    """Second-order mutagenesis: what two substitutions do beyond the sum of what each does alone.

    n positions have 9 n (n - 1) / 2 double mutants: 3,915 for 30 positions, 179,100 for 200. Where the
    model's graph can be followed, each substitution is followed by itself, and of a pair only what the two
    do together. A model whose every output sees the whole sequence gains little by that: choose a window
    around a site then, with --start and --end.

    \b
    Example:
      kipoi tfbind second-order-ism model_zoo/TFBind/CTCF-single --source dir \\
          --fasta genome.fa --intervals site.bed --start 185 --end 215 -o epistasis.nc
      kipoi tfbind plot epistasis.nc -o epistasis.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import second_order_mutagenesis

    def pairs(length: int) -> int:
        n = len(chosen) if chosen else (end or length) - start
        notice(f"{9 * n * (n - 1) // 2:,} double mutants of each sequence ({n} positions)")
        return 4 * max(1, n * (n - 1) // 2)

    chosen = parse_positions(positions)
    settings = {"start": start, "end": end, "positions": chosen, "path": path, "verify": verify}
    interpret_to_file(second_order_mutagenesis, options, settings, rows=pairs)
