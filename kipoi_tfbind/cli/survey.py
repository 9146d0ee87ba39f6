"""The command ``kipoi tfbind survey``."""

import click

from kipoi_tfbind.cli._command import METHOD, MODEL, OUTPUT, RUNNING, option
from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._output import say


@new_command()
@click.argument("source")
@option(
    "-o",
    "--output",
    "folder",
    required=True,
    type=click.Path(file_okay=False),
    section=OUTPUT,
    help="Folder of the survey: index.html, survey.tsv, and a record and a log of each model.",
)
@option("--model", "models", multiple=True, section=MODEL, help="Only this model; may be repeated.")
@option(
    "--method",
    "methods",
    multiple=True,
    section=METHOD,
    metavar="NAME",
    help="Only this method; may be repeated.  [default: predict, ism, second-order-ism, gradients, deepshap, "
    "occlusion, sampled-shapley, gia, filters, layer-contributions]",
)
@option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=600,
    show_default=True,
    section=RUNNING,
    help="Seconds after which a model is given up.",
)
@option(
    "--allow-pickle",
    is_flag=True,
    section=MODEL,
    help="Load files that run code: pickles (scikit-learn, whole PyTorch modules), Keras' Lambda layers.",
)
@option("--restart", is_flag=True, section=RUNNING, help="Try models anew that have a record.")
def command(
    source: str,
    folder: str,
    models: tuple[str, ...],
    methods: tuple[str, ...],
    timeout: float,
    allow_pickle: bool,
    restart: bool,
) -> None:
    """Try every method on every model of SOURCE, a folder of models or the name of a source of Kipoi.

    Each model runs in a process of its own; what fails is written down with its reason. A survey that was
    interrupted goes on when the command is given again.
    """
    from kipoi_tfbind.survey import survey_source
    from kipoi_tfbind.survey.survey_source import METHODS

    chosen = methods or METHODS
    table = survey_source(
        source,
        folder,
        models=models,
        methods=chosen,
        timeout=timeout,
        allow_pickle=allow_pickle,
        restart=restart,
    )
    say(f"{folder}/index.html: {len(table)} models, {int(table['problem'].isna().sum())} load")
    for method in chosen:
        runs = int(table[method].notna().sum()) if method in table else 0
        say(f"  {method}: runs on {runs}")
