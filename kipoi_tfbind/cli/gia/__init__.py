"""``kipoi tfbind gia``: the experiments of global importance analysis, one in each module of this folder."""

import click

from kipoi_tfbind.cli import CommandFolder


class Experiments(CommandFolder):
    """The experiments."""

    package = __name__

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; errors are shown by the outer group."""
        return click.Group.invoke(self, ctx)


@click.group(
    cls=Experiments, short_help="Global importance analysis: what patterns do, over many backgrounds."
)
def command() -> None:
    """Global importance analysis: patterns embedded in many backgrounds, with intervals and tests.

    \b
    Example:
      kipoi tfbind gia orientation model_zoo/TFBind/CTCF --source dir --motif MA0139.2 \\
          --fasta genome.fa --intervals peaks.narrowPeak -o orientation.nc
      kipoi tfbind plot orientation.nc -o orientation.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
