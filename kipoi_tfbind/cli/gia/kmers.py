"""``kipoi tfbind gia kmers``."""

from typing import Any

import click

from kipoi_tfbind.cli._gia import OFFSET, importance_options
from kipoi_tfbind.cli._gia_kmers import run_kmers
from kipoi_tfbind.cli._interpret import RESTART


@click.command(short_help="Effect of every k-mer, ranked.")
@importance_options
@click.option("-k", default=6, show_default=True, type=click.IntRange(1, 10), help="Length of the words.")
@OFFSET
@RESTART
def command(k: int, offset: int | None, **options: Any) -> None:
    """Importance of all 4**k k-mers, ranked, each with its interval and corrected for their number.

    They are done some at a time: memory does not grow with their number, and a run that was interrupted
    goes on when the same command is given again.

    \b
    Example:
      kipoi tfbind gia kmers model_zoo/TFBind/CTCF --source dir -k 6 --backgrounds uniform -o kmers.nc
      kipoi tfbind plot kmers.nc -o kmers.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    run_kmers(k, offset, options)
