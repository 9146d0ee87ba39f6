"""The command ``kipoi tfbind train``."""

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._options import THREADS, output_option


@new_command()
@click.argument("config", type=click.Path(dir_okay=False))
@click.option("--fasta", required=True, type=click.Path(), help="Genome, FASTA or bgzipped FASTA.")
@click.option("--peaks", required=True, type=click.Path(), help="Folder of the peak files that CONFIG names.")
@output_option("Folder of the run; an interrupted run goes on.")
@THREADS
def command(config: str, fasta: str, peaks: str, output: str) -> None:
    """Train a TF-binding model on peaks, as the YAML file CONFIG says."""
    from kipoi_tfbind.backends.quiet_start import start_tensorflow
    from kipoi_tfbind.training.config import TrainingConfig

    settings = TrainingConfig.from_yaml(config)
    start_tensorflow()
    from kipoi_tfbind.training.fit import train

    train(settings, fasta, peaks, output, verbose=2)
