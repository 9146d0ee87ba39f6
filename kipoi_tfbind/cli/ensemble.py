"""The command ``kipoi tfbind ensemble``."""

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._options import THREADS, output_option
from kipoi_tfbind.cli._output import say


@new_command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(file_okay=False))
@click.option("--fasta", required=True, type=click.Path(), help="Genome, FASTA or bgzipped FASTA.")
@click.option(
    "--peaks", required=True, type=click.Path(), help="Folder of the peak files that the runs name."
)
@output_option("Folder of the new run.")
@THREADS
def command(runs: tuple[str, ...], fasta: str, peaks: str, output: str) -> None:
    """One model of the models in folders RUNS: their log-odds, weighed for each target in validation."""
    from kipoi_tfbind.training.ensemble import ensemble_runs

    ensemble_runs(runs, fasta, peaks, output)
    say(f"wrote {output}/model.keras")
