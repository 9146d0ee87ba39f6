"""``kipoi tfbind shard-script``."""

import click

from kipoi_tfbind.cli._command import RUNNING, option
from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._options import output_option
from kipoi_tfbind.cli._output import say


@new_command(
    short_help="Write a SLURM job array that runs a command in shards.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@option("--shards", required=True, type=click.IntRange(min=1), section=RUNNING, help="Number of shards.")
@option("--cpus", default=1, show_default=True, type=click.IntRange(min=1), help="Cores of each shard.")
@option("--mem", default="4G", show_default=True, help="Memory of each shard, as SLURM takes it.")
@option("--time", "limit", default="24:00:00", show_default=True, help="Time limit of each shard.")
@option(
    "--sbatch", "more", multiple=True, metavar="OPTION", help="Further option of sbatch: --partition=long"
)
@output_option("Script to write.")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def command(
    shards: int, cpus: int, mem: str, limit: str, more: tuple[str, ...], output: str, words: tuple[str, ...]
) -> None:
    """Write a SLURM job array whose jobs each run one shard of a command.

    After -- comes the command as it would be given without shards. A job that was killed or ran out of time
    goes on where it was when it is run again. When all are done, the same script joins their files.

    \b
    Example:
      kipoi tfbind shard-script --shards 100 -o ism.sh -- \\
          ism model_zoo/TFBind/CTCF --source dir --fasta hg19.fa --intervals peaks.bed -o ism.nc
      job=$(sbatch --parsable ism.sh)
      sbatch --dependency=afterok:$job --array=1 ism.sh merge
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.cli._slurm import shard_script
    from kipoi_tfbind.results.files import whole_file

    resources = (f"--cpus-per-task={cpus}", f"--mem={mem}", f"--time={limit}", *more)
    text = shard_script(words, shards, resources)
    with whole_file(output) as partial:
        partial.write_text(text)
        partial.chmod(0o755)
    say(f"{output}: {shards} jobs; sbatch {output}, and when they are done: sbatch --array=1 {output} merge")
