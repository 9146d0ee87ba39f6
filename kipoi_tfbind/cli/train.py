"""The command ``kipoi tfbind train``."""

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._options import THREADS, output_option


@new_command()
@click.argument("config", type=click.Path(dir_okay=False))
@click.option("--fasta", required=True, type=click.Path(), help="Genome, FASTA or bgzipped FASTA.")
@click.option("--peaks", required=True, type=click.Path(), help="Folder of the peak files that CONFIG names.")
@output_option("Folder of the run; an interrupted run goes on.")
@click.option("--tensorboard", is_flag=True, help="Write a log for TensorBoard into the folder of the run.")
@THREADS
def command(config: str, fasta: str, peaks: str, output: str, tensorboard: bool) -> None:
    """Train a TF-binding model on peaks, as the YAML file CONFIG says.

    \b
    Example:
      kipoi tfbind train run.yaml --fasta hg19.fa.gz --peaks peaks -o run --tensorboard
      tensorboard --logdir run/tensorboard
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind.backends.quiet_start import start_tensorflow
    from kipoi_tfbind.training.config import TrainingConfig

    settings = TrainingConfig.from_yaml(config)
    start_tensorflow()
    from kipoi_tfbind.training.callbacks import tensorboard_log
    from kipoi_tfbind.training.fit import train

    callbacks = [tensorboard_log(output)] if tensorboard else []
    train(settings, fasta, peaks, output, verbose=2, callbacks=callbacks)
