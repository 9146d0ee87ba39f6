"""The command ``kipoi tfbind evaluate``."""

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._options import THREADS
from kipoi_tfbind.cli._output import say


@new_command()
@click.argument("run", type=click.Path(file_okay=False))
@click.option("--fasta", required=True, type=click.Path(), help="Genome, FASTA or bgzipped FASTA.")
@click.option(
    "--peaks", required=True, type=click.Path(), help="Folder of the peak files that the run names."
)
@click.option("--split", type=click.Choice(["test", "validation"]), default="test", show_default=True)
@THREADS
def command(run: str, fasta: str, peaks: str, split: str) -> None:
    """Held-out AUPRC and AUROC of the model in folder RUN, beside a motif and a k-mer baseline."""
    from kipoi_tfbind.backends.quiet_start import start_tensorflow
    from kipoi_tfbind.training.card import metrics_table

    start_tensorflow()
    from kipoi_tfbind.training.evaluate import evaluate

    say(metrics_table(evaluate(run, fasta, peaks, split=split)))
