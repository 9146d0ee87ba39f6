"""The command ``kipoi tfbind package``."""

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._output import say


@new_command()
@click.argument("run", type=click.Path(file_okay=False))
@click.option("--name", required=True, help="Name of the entry within the group.")
@click.option(
    "--group", required=True, type=click.Path(file_okay=False), help="Folder of the Kipoi model group."
)
@click.option(
    "--weights-url", help="Where the weights can be downloaded; without it they are read from the group."
)
def command(run: str, name: str, group: str, weights_url: str | None) -> None:
    """Put the trained and evaluated model in folder RUN into a Kipoi model group."""
    from kipoi_tfbind.backends.quiet_start import start_tensorflow

    start_tensorflow()
    from kipoi_tfbind.training.package import package

    for entry in package(run, name, group, weights_url=weights_url):
        say(f"wrote {group}/{entry}")
