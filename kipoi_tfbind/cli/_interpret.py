"""Shared by the commands that interpret a model: its options, its sequences, and the result file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from kipoi_tfbind.cli._output import RESULT_OUTPUT
from kipoi_tfbind.cli._shards import SHARD
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.memory import set_memory_budget
from kipoi_tfbind.repairs.dataloader_arguments import make_dataloader, parse_dataloader_arguments
from kipoi_tfbind.results.shards import BLOCK

if TYPE_CHECKING:
    import xarray as xr

    from kipoi_tfbind.models.sequence_model import SequenceModel

_TYPICAL_LENGTH = 1024  # of sequences whose length is not known before they are read

MODEL_OPTIONS = (
    click.argument("model", nargs=-1, required=True, metavar="MODEL..."),
    click.option(
        "--source",
        help="Kipoi's model source.  [default: the folder MODEL where that has a model, else Kipoi's zoo]",
    ),
)
SEQUENCE_OPTIONS = (
    click.option("--fasta", type=click.Path(), help="Genome, FASTA or bgzipped FASTA; with --intervals."),
    click.option("--intervals", type=click.Path(), help="Intervals to read, BED or narrowPeak."),
    click.option(
        "--center",
        type=click.Choice(["auto", "summit", "midpoint"]),
        default="auto",
        show_default=True,
        help="Centre of the windows of --intervals; auto: the summit where a narrowPeak has one.",
    ),
    click.option("--sequences", type=click.Path(), help="FASTA of the sequences themselves, instead."),
    click.option(
        "--dataloader_args",
        "--dataloader-args",
        multiple=True,
        metavar="JSON",
        help="Sequences from the model's own dataloader, instead: JSON, a JSON file, or KEY=VALUE.",
    ),
    click.option(
        "--length",
        type=click.IntRange(min=1),
        help="Length of the windows, centred on the summit or middle.  [default: the model's]",
    ),
)
OUTPUT_OPTIONS = (
    click.option(
        "--targets", multiple=True, metavar="NAME", help="Only this target; may be repeated.  [default: all]"
    ),
    click.option(
        "--output-kind",
        type=click.Choice(["logit", "probability"]),
        help="Output to explain.  [default: the logit where the model ends in a sigmoid or softmax]",
    ),
    click.option(
        "--transform",
        type=click.Choice(["mean", "sum", "max"]),
        help="Reduce a profile over its positions.  [default: every position is a target]",
    ),
    click.option(
        "--head", metavar="NAME", help="Only this output of a model that has several.  [default: all]"
    ),
    click.option(
        "--output-position",
        metavar="N|centre",
        help="Only this position of a profile, 0-based.  [default: every position is a target]",
    ),
    click.option("--float64", is_flag=True, help="Compute in double precision: slower, with less rounding."),
    click.option("--average-strands", is_flag=True, help="Average over both strands."),
    click.option("--sequence-input", metavar="NAME", help="Which of the model's inputs is the sequence."),
    click.option(
        "--layout",
        metavar="AXES",
        help="How the model takes a sequence: L,4 or 4,L or 1,4,L or L,4,1 or L*4 or string.  "
        "[default: as its schema and its dataloader say]",
    ),
    click.option("--alphabet", metavar="BASES", help="The bases in the model's order.  [default: ACGT]"),
    click.option(
        "--neutral-value",
        type=float,
        help="Each of the four numbers of an N.  [default: 0.25 where the dataloader is kipoiseq's, else 0]",
    ),
    click.option(
        "--auxiliary", metavar="JSON", help="Values of the model's other inputs, the same for all sequences."
    ),
    click.option(
        "--allow-pickle",
        is_flag=True,
        help="Load files that run code: pickles (scikit-learn, whole PyTorch modules), Keras' Lambda layers.",
    ),
    click.option(
        "--memory",
        metavar="BYTES",
        callback=lambda context, parameter, value: set_memory_budget(value),
        expose_value=False,
        help="Memory that the arrays of a step may take, such as 4G.  [default: half of what is free]",
    ),
    click.option(
        "--batch-size",
        default=256,
        show_default=True,
        help="Sequences that the model is given at once.",
    ),
    RESULT_OUTPUT,
)
RESTART = click.option(
    "--restart",
    is_flag=True,
    help="Begin anew instead of going on with an interrupted run of this output.",
)
_OPTIONS = (*MODEL_OPTIONS, *SEQUENCE_OPTIONS, *OUTPUT_OPTIONS, RESTART, SHARD)


def interpretation_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of model, sequences and output; it gets them as keyword arguments."""
    return with_options(command, _OPTIONS)


def with_options(command: Callable[..., None], options: Sequence[Callable[..., Any]]) -> Callable[..., None]:
    """Give a command options, in this order in its help."""
    for option in reversed(options):
        command = option(command)
    return command


_PATH_OPTIONS = (
    click.option(
        "--path",
        type=click.Choice(["auto", "incremental", "full"]),
        default="auto",
        show_default=True,
        help="Compute only what a mutation changes (exact), or predict every mutant as a whole.",
    ),
    click.option(
        "--verify", is_flag=True, help="Hold a random part against full predictions; fail if they differ."
    ),
)


def path_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of how mutants are predicted."""
    for option in reversed(_PATH_OPTIONS):
        command = option(command)
    return command


def interpret_to_file(
    method: Callable[..., xr.Dataset],
    options: dict[str, Any],
    settings: Mapping[str, Any],
    *,
    rows: Callable[[int], int] = lambda length: length,
    block: int = BLOCK,
) -> None:
    """Run a method on all sequences, piece by piece, into a result file.

    Parameters
    ----------
    method
        Public function of the method.
    options
        Those of `interpretation_options`.
    settings
        The method's own arguments.
    rows
        Length of a sequence -> number of positions, pairs or the like that its result has.
    block
        Sequences that are computed together.
    """
    from kipoi_tfbind.results.files import check_writable
    from kipoi_tfbind.results.stream import number_at_once, stream

    output = options["output"]
    check_writable(output)
    source = source_of_sequences(options)
    model, dataloader = load_models(options, with_dataloader=source == "dataloader_args")
    n_targets = len(model.target_names)
    at_once = number_at_once(4 * rows(options["length"] or model.length or _TYPICAL_LENGTH) * n_targets)
    n = stream(
        method,
        model,
        sequence_chunks(source, options, model, dataloader, at_once),
        output,
        at_once=at_once,
        block=block,
        shard=options["shard"],
        restart=options["restart"],
        batch_size=options["batch_size"],
        **settings,
    )
    click.echo(f"{output}: {method.__name__}; sequences: {n}, targets: {n_targets}")


def parse_positions(text: str | None, option: str = "--positions") -> list[int] | None:
    """Read positions such as "185,190,204".

    Raises
    ------
    InputError
        They are no whole numbers.
    """
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option}: expected whole numbers such as 185,190,204, got {text!r}") from None


def named_results(paths: Sequence[str], names: Sequence[str]) -> dict[str, xr.Dataset]:
    """Open results, by the names that they are given, or those of their files.

    Raises
    ------
    InputError
        Not one name for each, or two that are the same; or as `open_result`.
    """
    from pathlib import Path

    from kipoi_tfbind.results.files import open_result

    if names and len(names) != len(paths):
        raise InputError(f"--name: expected one for each of {len(paths)} results, got {len(names)}")
    called = list(names) or [Path(path).stem for path in paths]
    if len(set(called)) < len(called):
        raise InputError(f"--name: expected names that differ, got {', '.join(called)}; give each a --name")
    return {name: open_result(path) for name, path in zip(called, paths, strict=True)}


def source_of_sequences(options: dict[str, Any]) -> str:
    """Which of the three ways to give sequences was taken."""
    ways = [way for way in ("intervals", "sequences", "dataloader_args") if options[way]]
    if len(ways) != 1 or (ways[0] == "intervals") != bool(options["fasta"]):
        raise InputError(
            "sequences: expected --fasta with --intervals, or --sequences, or --dataloader_args, one of the "
            f"three; got {', '.join('--' + way for way in ('fasta', *ways) if options[way]) or 'none'}"
        )
    return ways[0]


def load_models(options: dict[str, Any], *, with_dataloader: bool) -> tuple[SequenceModel, Any]:
    """The model, or the ensemble of several, and the dataloader of the first."""
    from kipoi_tfbind.models.load import as_sequence_model

    models = load_bare_models(options, with_dataloader=with_dataloader)
    model = as_sequence_model(models, **wrapping_of(options, with_dataloader=with_dataloader))
    if options["targets"]:
        model = model.select_targets(options["targets"])
    return model, models[0].default_dataloader


def load_bare_models(options: dict[str, Any], *, with_dataloader: bool) -> list[Any]:
    """The models as Kipoi has them; the first one with its dataloader."""
    from kipoi_tfbind.models.load import get_kipoi_model

    return [
        get_kipoi_model(
            name,
            options["source"],
            allow_pickle=options["allow_pickle"],
            with_dataloader=with_dataloader and number == 0,
        )
        for number, name in enumerate(options["model"])
    ]


def wrapping_of(options: dict[str, Any], *, with_dataloader: bool) -> dict[str, Any]:
    """Arguments of `as_sequence_model`."""
    return {
        "sequence_input": options["sequence_input"],
        "layout": options["layout"],
        "alphabet": options["alphabet"],
        "neutral_value": options["neutral_value"],
        "length": None if with_dataloader else options["length"],
        "auxiliary": _json("auxiliary", options["auxiliary"]),
        "transform": options["transform"],
        "output": options["output_kind"],
        "double_precision": options["float64"],
        "head": options["head"],
        "output_position": _output_position(options["output_position"]),
        "average_strands": options["average_strands"],
    }


def _output_position(text: str | None) -> Any:
    if text is None or text in ("centre", "center"):
        return text and "centre"
    if not text.isdecimal():
        raise InputError(f"--output-position: expected a position, 0-based, or centre, got {text!r}")
    return int(text)


def _json(name: str, text: str | None) -> dict[str, Any]:
    import json

    if text is None:
        return {}
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{name}: expected JSON such as '{{\"age\": [0.5]}}', got {text!r} ({error})"
        ) from None
    if not isinstance(values, dict):
        raise InputError(f"{name}: expected a JSON object of names and values, got {text!r}")
    return values


def sequence_chunks(
    source: str, options: dict[str, Any], model: SequenceModel, dataloader: Any, piece: int
) -> Iterator[xr.Dataset]:
    from kipoi_tfbind.sequences.from_dataloader import sequences_from_dataloader
    from kipoi_tfbind.sequences.read import iterate_fasta, iterate_intervals

    length = options["length"] or model.length
    if source == "intervals":
        fasta, intervals, center = options["fasta"], options["intervals"], options["center"]
        yield from iterate_intervals(fasta, intervals, length=length, center=center, chunk=piece)
    elif source == "sequences":
        yield from iterate_fasta(options["sequences"], length=length, chunk=piece)
    else:
        first = model.members[0] if model.members else model
        yield from sequences_from_dataloader(
            make_dataloader(dataloader, parse_dataloader_arguments(options["dataloader_args"])),
            layout=first.layout or "L,4",
            sequence_input=first.sequence_input,
            batch_size=min(piece, options["batch_size"]),
        )
