"""The command ``kipoi tfbind package``."""

from pathlib import Path
from typing import Any

import click

from kipoi_tfbind.cli._command import INPUT, MODEL, OUTPUT, option
from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._output import say
from kipoi_tfbind.errors import InputError


@new_command()
@click.argument("model", type=click.Path())
@option("--name", help="Name of the entry; of a file, by default that of the folder.")
@option("--group", type=click.Path(file_okay=False), help="Folder of the Kipoi model group (of a run).")
@option("--weights-url", help="Where a run's weights can be downloaded; without it they are in the group.")
@option(
    "-o", "--output", "entry", type=click.Path(), section=OUTPUT, help="New folder of the entry (of a file)."
)
@option("--author", "authors", multiple=True, help="Who made the model (of a file); may be repeated.")
@option("--doc", default="", help="What the model predicts, in a sentence or two.")
@option("--license", default="not stated", show_default=True, help="Licence of the model.")
@option("--cite-as", default="", metavar="DOI", help="Publication to cite.")
@option("--trained-on", default="not stated", show_default=True, help="Training data, and what was held out.")
@option(
    "--length",
    section=MODEL,
    type=click.IntRange(1),
    help="Length of the sequences, where the model takes any.",
)
@option("--layout", section=MODEL, help="Axes of one sequence.  [default: L,4 of Keras, 4,L of PyTorch]")
@option(
    "--targets", section=MODEL, multiple=True, metavar="NAME", help="Names of the outputs: A,B or repeated."
)
@option(
    "--fasta", section=INPUT, type=click.Path(dir_okay=False), help="Genome that the example is taken from."
)
@option(
    "--intervals", section=INPUT, type=click.Path(dir_okay=False), help="BED or narrowPeak of the example."
)
@option(
    "--code",
    section=MODEL,
    type=click.Path(dir_okay=False),
    help="Python file with the class of PyTorch weights, or with OBJECTS, a dict of Keras layers.",
)
@option("--class", "module_class", section=MODEL, metavar="NAME", help="Name of the PyTorch class in --code.")
@option(
    "--class-argument",
    "class_arguments",
    section=MODEL,
    multiple=True,
    metavar="NAME=VALUE",
    help="Argument of that class, the value as YAML; may be repeated.",
)
def command(model: str, **options: Any) -> None:
    """Make a Kipoi entry of MODEL and check it.

    MODEL is a file of a saved model, of Keras (.keras, .h5) or PyTorch (.pt of a scripted module, or of
    weights with --code and --class): its entry is a new folder, written once `kipoi test` passes. Or it is
    the folder of a run of `kipoi tfbind train`, evaluated, whose entries go into a model group.
    """
    is_run = Path(model).is_dir()
    needed = ("name", "group") if is_run else ("entry", "authors")
    for name in needed:
        if not options[name]:
            flag = {"authors": "author", "entry": "output"}.get(name, name)
            raise click.UsageError(f"--{flag} is needed for {'a run' if is_run else 'a file of a model'}")
    from kipoi_tfbind.backends.quiet_start import start_tensorflow

    if is_run:
        start_tensorflow()
        from kipoi_tfbind.training.package import package

        for entry in package(model, options["name"], options["group"], weights_url=options["weights_url"]):
            say(f"wrote {options['group']}/{entry}")
        return
    _package_file(model, options)


def _package_file(path: str, options: dict[str, Any]) -> None:
    from kipoi_tfbind.backends.quiet_start import start_tensorflow
    from kipoi_tfbind.packaging import EntryText, SavedModel, check_request, package_model

    texts = {key: options[key] for key in ("authors", "doc", "license", "cite_as", "trained_on")}
    text = EntryText(options["name"] or Path(options["entry"]).name, **texts)
    code = None if options["code"] is None else Path(options["code"])
    arguments = dict(map(_name_and_value, options["class_arguments"]))
    saved = SavedModel(Path(path), code, options["module_class"], arguments)
    check_request(saved, options["entry"], text, options["fasta"], options["intervals"])
    start_tensorflow()
    entry = package_model(
        saved,
        options["entry"],
        text,
        length=options["length"],
        layout=options["layout"],
        targets=[name for part in options["targets"] for name in part.split(",")],
        fasta=options["fasta"],
        intervals=options["intervals"],
    )
    say(f"wrote {entry}, which passes kipoi test; its card is {entry}/README.md")


def _name_and_value(text: str) -> tuple[str, Any]:
    import yaml

    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise InputError(f"--class-argument: expected NAME=VALUE, got {text!r}")
    return name, yaml.safe_load(value)
