"""``kipoi tfbind sanity-checks``."""

from typing import Any

import click

from kipoi_tfbind.cli._command import command as new_command
from kipoi_tfbind.cli._interpret import (
    load_bare_models,
    names_among,
    sequence_chunks,
    source_of_sequences,
    wrapping_of,
)
from kipoi_tfbind.cli._method_options import CONFIDENCE, seed_option
from kipoi_tfbind.cli._options import (
    MODEL_OPTIONS,
    RESTART,
    RESULT_OUTPUT,
    RUNNING_OPTIONS,
    SEQUENCE_OPTIONS,
    with_options,
)
from kipoi_tfbind.cli._output import say
from kipoi_tfbind.cli._shards import SHARD

_METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "deepshap": ("deep_shap", {}),
    "ism": ("in_silico_mutagenesis", {}),
    "saliency": ("gradients", {"method": "saliency"}),
    "gradient-x-input": ("gradients", {"method": "gradient_x_input"}),
    "integrated-gradients": ("gradients", {"method": "integrated_gradients"}),
    "occlusion": ("occlusion", {}),
    "surrogate": ("surrogate", {}),
}


@new_command(short_help="Whether a map depends on what the model has learned, and on the sequence.")
@with_options(MODEL_OPTIONS, SEQUENCE_OPTIONS, RESULT_OUTPUT, RUNNING_OPTIONS, RESTART, SHARD)
@click.option(
    "--method",
    type=click.Choice(list(_METHODS)),
    default="deepshap",
    show_default=True,
    help="Method whose maps are checked.",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="NAME",
    help="Randomise these only; ? lists them.  [default: all]",
)
@CONFIDENCE
@seed_option("Of what is randomised and shuffled.")
@click.option(
    "--shuffled-labels",
    type=click.Path(),
    metavar="MODEL",
    help="Model of the same kind and --source that was trained on shuffled labels.",
)
def command(
    method: str,
    layers: tuple[str, ...],
    confidence: float,
    seed: int,
    shuffled_labels: str | None,
    **options: Any,
) -> None:
    """Sanity checks: randomise the model's layers from the output down, and see what is left of its maps.

    With --shuffled-labels also whether the maps depend on the labels: train the model a second time on labels
    that are shuffled among the sequences. Some tens of sequences are enough.

    \b
    Example:
      kipoi tfbind sanity-checks model_zoo/TFBind/CTCF --source dir --sequences sites.fa -o sanity.nc
      kipoi tfbind plot sanity.nc -o sanity.png
    """  # noqa: D301 (click marks a paragraph to be left as it is with a backspace)
    from kipoi_tfbind import interpret
    from kipoi_tfbind.errors import InputError
    from kipoi_tfbind.models.load import as_sequence_model
    from kipoi_tfbind.results.files import check_writable, open_result

    check_writable(options["output"])
    source = source_of_sequences(options)
    (bare, *others) = load_bare_models(options, with_dataloader=source == "dataloader_args")
    if others:
        raise InputError("model: expected one, whose weights are randomised, got an ensemble")
    wrapping = wrapping_of(options, with_dataloader=source == "dataloader_args")
    model = as_sequence_model(bare, **wrapping)
    chosen = names_among(options["targets"], model.target_names)
    chunks = sequence_chunks(source, options, model, bare.default_dataloader, 256)
    other = None
    if shuffled_labels is not None:
        (other,) = load_bare_models(options | {"model": [shuffled_labels]}, with_dataloader=False)
    name, settings = _METHODS[method]
    output = options["output"]
    n = interpret.stream_sanity_checks(
        bare,
        chunks,
        output,
        relabelled=other,
        method=getattr(interpret, name),
        options=settings,
        wrapping=wrapping,
        layers=layers or None,
        targets=chosen or None,
        confidence=confidence,
        seed=seed,
        batch_size=options["batch_size"],
        shard=options["shard"],
        restart=options["restart"],
    )
    say(f"{output}: sanity_checks; sequences: {n}")
    if options["shard"] is not None:
        return
    result = open_result(output)
    for target, verdict in zip(result["target"].values, result["verdict"].values, strict=True):
        say(f"  {target}: {verdict}")
