"""``kipoi tfbind merge``."""

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._options import output_option
from kipoi_tfbind.cli._output import say


@new_command(short_help="Join the files of all shards of a run.")
@click.argument("parts", nargs=-1, required=True, type=click.Path(), metavar="PARTS...")
@output_option("File to write, of the parts' kind.")
def command(parts: tuple[str, ...], output: str) -> None:
    """Join the files that a command wrote with --shard 1/N to --shard N/N, in any order.

    The bytes are those that one run without --shard writes. A shard that is missing, is given twice, or is of
    another model, of other options or of another input is refused by name.

    \b
    Example:
      kipoi tfbind ism model_zoo/TFBind/CTCF --source dir --fasta genome.fa \\
          --intervals peaks.narrowPeak --shard 1/2 -o part1.nc     # and 2/2, elsewhere
      kipoi tfbind merge part1.nc part2.nc -o ism.nc
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.interpret.merge_shards import merge_shards

    n = merge_shards(parts, output)
    say(f"{output}: {len(parts)} shards of {n} records")
