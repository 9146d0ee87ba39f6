"""The command ``kipoi tfbind compare``."""

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._options import THREADS, output_option
from kipoi_tfbind.cli._output import say


@new_command()
@click.argument("plan", type=click.Path(dir_okay=False))
@click.option("--fasta", required=True, type=click.Path(), help="Genome, FASTA or bgzipped FASTA.")
@click.option("--peaks", required=True, type=click.Path(), help="Folder of the peak files that PLAN names.")
@output_option("Folder of the comparison; one that was interrupted goes on.")
@click.option(
    "--max-minutes", type=click.FloatRange(min=0), help="Begin no further run after so many minutes."
)
@THREADS
def command(plan: str, fasta: str, peaks: str, output: str, max_minutes: float | None) -> None:
    """Train what the YAML file PLAN lists, and compare it in one table: comparison.tsv and comparison.md.

    Runs that are done are not done again: give the same command as often as you like.
    """
    from kipoi_tfbind.backends.quiet_start import start_tensorflow

    start_tensorflow()
    from kipoi_tfbind.comparison.compare import compare

    table = compare(plan, fasta, peaks, output, max_minutes=max_minutes)
    say(f"wrote {output}/comparison.tsv and {output}/comparison.md: {len(table)} settings")
