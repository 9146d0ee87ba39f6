"""``kipoi tfbind gia kmers``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._gia import (
    OFFSET,
    analysis_options,
    check_output,
    importance_options,
    model_and_backgrounds,
)
from kipoi_tfbind.cli._gia_summary import report


@new_command(short_help="Effect of every k-mer, ranked.")
@click.option("-k", default=6, show_default=True, type=click.IntRange(1, 10), help="Length of the words.")
@OFFSET
@importance_options
def command(k: int, offset: int | None, **options: Any) -> None:
    """Importance of all 4**k k-mers, ranked, each with its interval and corrected for their number.

    They are done some at a time: memory does not grow with their number, and a run that was interrupted
    goes on when the same command is given again.

    \b
    Example:
      kipoi tfbind gia kmers model_zoo/TFBind/CTCF --source dir -k 6 --backgrounds uniform -o kmers.nc
      kipoi tfbind plot kmers.nc -o kmers.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret import stream_kmer_importance
    from kipoi_tfbind.results.files import open_result

    check_output(options)
    model, backgrounds = model_and_backgrounds(options)
    stream_kmer_importance(
        model,
        backgrounds,
        options["output"],
        k,
        offset=offset,
        shard=options["shard"],
        restart=options["restart"],
        **analysis_options(options),
    )
    if options["shard"] is None:
        with open_result(options["output"], lazy=True) as result:
            report(result, options)
