"""Shared by the commands that interpret a model: the model, its sequences, and the result file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kipoi_tfbind.cli._output import say
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.notices import detail
from kipoi_tfbind.repairs.dataloader_arguments import make_dataloader, parse_dataloader_arguments
from kipoi_tfbind.results.shards import BLOCK

if TYPE_CHECKING:
    import xarray as xr

    from kipoi_tfbind.models.sequence_model import SequenceModel

SEQUENCE_WAYS = ("intervals", "regions", "sequences", "dataloader_args")
_OPTION = {"regions": "--region"}
# Attributes of a result that are told with --verbose.
_TOLD = ("path", "batch_size", "seed", "versions")
# Of a worker of a cluster: a run, whose shards all have the same options, and its model and dataloader.
_kept: tuple[str, dict[bool, tuple[SequenceModel, Any]]] | None = None
_TYPICAL_LENGTH = 1024  # of sequences whose length is not known before they are read


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
        Those of `INTERPRETATION_OPTIONS`.
    settings
        The method's own arguments.
    rows
        Length of a sequence -> number of positions, pairs or the like that its result has.
    block
        Sequences that are computed together.
    """
    from kipoi_tfbind.results.files import check_writable, open_result
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
    with open_result(output, lazy=True) as result:
        settings = {name: result.attrs[name] for name in _TOLD if name in result.attrs}
    detail(f"{output}: " + ", ".join(f"{name} {value}" for name, value in settings.items()))
    say(f"{output}: {method.__name__}; sequences: {n}, targets: {n_targets}")


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


def named_results(paths: Sequence[str], names: Sequence[str], *, lazy: bool = False) -> dict[str, xr.Dataset]:
    """Open results, by the names that they are given, or those of their files; `lazy` as of `open_result`.

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
    return {name: open_result(path, lazy=lazy) for name, path in zip(called, paths, strict=True)}


def source_of_sequences(options: dict[str, Any]) -> str:
    """Which of the ways to give sequences was taken."""
    ways = [way for way in SEQUENCE_WAYS if options[way]]
    if len(ways) != 1 or (ways[0] in ("intervals", "regions")) != bool(options["fasta"]):
        given = [way for way in ("fasta", *SEQUENCE_WAYS) if options[way]]
        raise InputError(
            "sequences: expected --fasta with --intervals or --region, or --sequences, or --dataloader_args, "
            f"one of these; got {', '.join(_OPTION.get(way, '--' + way) for way in given) or 'none'}"
        )
    return ways[0]


def keep_models(run: str) -> None:
    """Keep what is loaded in this process from now on for further shards of a run, and for no other run."""
    global _kept
    if _kept is None or _kept[0] != run:
        _kept = run, {}


def load_models(options: dict[str, Any], *, with_dataloader: bool) -> tuple[SequenceModel, Any]:
    """The model, or the ensemble of several, and the dataloader of the first."""
    if _kept is None:
        return _loaded(options, with_dataloader=with_dataloader)
    if with_dataloader not in _kept[1]:
        _kept[1][with_dataloader] = _loaded(options, with_dataloader=with_dataloader)
    return _kept[1][with_dataloader]


def _loaded(options: dict[str, Any], *, with_dataloader: bool) -> tuple[SequenceModel, Any]:
    from kipoi_tfbind.models.load import as_sequence_model

    models = load_bare_models(options, with_dataloader=with_dataloader)
    model = as_sequence_model(models, **wrapping_of(options, with_dataloader=with_dataloader))
    if options["targets"]:
        model = model.select_targets(names_among(options["targets"], model.target_names))
    for each in model.members or (model,):
        detail(_described(each))
    return model, models[0].default_dataloader


def _described(model: SequenceModel) -> str:
    """What a model is taken as."""
    length = "any length" if model.length is None else f"{model.length} bp"
    can = ", ".join(sorted(model.capabilities))
    n = len(model.target_names)
    return f"model {model.name}: takes {model.layout} of {length}; targets: {n} ({model.output}); has {can}"


def names_among(texts: Sequence[str], known: Sequence[str]) -> list[str]:
    """Names, or indices, of targets: each text is one, or several with commas between them.

    Examples
    --------
    >>> names_among(["CTCF,MAX", "0"], ["FOXA1", "MAX", "CTCF"])
    ['CTCF', 'MAX', 'FOXA1']
    """
    parts = [part for text in texts for part in ([text] if text in known else text.split(","))]
    found = [
        known[int(part)] if part not in known and part.isdecimal() and int(part) < len(known) else part
        for part in parts
    ]
    return list(dict.fromkeys(found))


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
    from kipoi_tfbind.genome.regions import parse_regions
    from kipoi_tfbind.sequences.from_dataloader import sequences_from_dataloader
    from kipoi_tfbind.sequences.read import iterate_fasta, iterate_intervals

    length = options["length"] or model.length
    if source == "sequences":
        return iterate_fasta(options["sequences"], length=length, chunk=piece)
    if source != "dataloader_args":
        intervals = options["intervals"] or parse_regions(options["regions"])
        center = options["center"]
        return iterate_intervals(options["fasta"], intervals, length=length, center=center, chunk=piece)
    first = model.members[0] if model.members else model
    return sequences_from_dataloader(
        make_dataloader(dataloader, parse_dataloader_arguments(options["dataloader_args"])),
        layout=first.layout or "L,4",
        sequence_input=first.sequence_input,
        auxiliary=first.auxiliary,
        batch_size=min(piece, options["batch_size"]),
    )
