"""Outputs of commands: never one of the inputs, and no file of somebody else's unless the user insists."""

from __future__ import annotations

import functools
import gzip
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from kipoi_tfbind.errors import InputError

_OVERWRITE = f"{__name__}.overwrite"
_STANDARD_OUTPUT = "-"
_MARK = b"kipoi_tfbind"
_LOOKED_AT = 1 << 16  # bytes at either end of a file
_RESULT_SUFFIXES = (".nc", ".nc4", ".h5", ".hdf5")


def _result_name(_context: click.Context, _parameter: click.Parameter, path: str) -> str:
    suffix = Path(path).suffix
    if suffix.lower() not in _RESULT_SUFFIXES:
        raise InputError(
            f"{path}: expected a name that ends in .nc or .h5, a result's; got {suffix or 'no suffix'!r}"
        )
    return path


RESULT_OUTPUT = click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    callback=_result_name,
    help="Result to write, netCDF-4 (.nc, .h5).",
)


def guarded(command: click.Command) -> click.Command:
    """Give a command that writes files the option --overwrite; its outputs are checked before it runs."""
    names = {parameter.name for parameter in command.params}
    run = command.callback
    if isinstance(command, click.Group) or run is None or "output" not in names or "overwrite" in names:
        return command
    command.params.append(
        click.Option(
            ["--overwrite"],
            is_flag=True,
            expose_value=False,
            callback=lambda context, _, value: context.meta.__setitem__(_OVERWRITE, value),
            help="Replace an output that exists and is not kipoi_tfbind's.",
        )
    )

    labels = {
        str(p.name): max(p.opts, key=len) if isinstance(p, click.Option) else p.human_readable_name
        for p in command.params
    }

    @functools.wraps(run)
    def checked(**arguments: Any) -> Any:
        overwrite = click.get_current_context().meta[_OVERWRITE]
        check_outputs(arguments, overwrite=overwrite, labels=labels)
        return run(**arguments)

    command.callback = checked
    return command


def check_outputs(
    arguments: Mapping[str, Any], *, overwrite: bool, labels: Mapping[str, str] | None = None
) -> None:
    """Check that no output of a command is one of its inputs, or a file that is not ours.

    Parameters
    ----------
    arguments
        Arguments of the command; ``output`` is a name or several.
    overwrite
        Files that are not ours may be replaced.
    labels
        Names of arguments in messages.

    Raises
    ------
    InputError
        An output is an input, or exists and is not ours.
    """
    from kipoi_tfbind.repairs.outputs import refuse_inputs

    inputs = _inputs(arguments)
    for output in _outputs(arguments):
        for name, path in inputs:
            refuse_inputs(output, {(labels or {}).get(name, name): path})
        if os.path.isfile(output) and not overwrite and not is_ours(output):
            raise InputError(
                f"{output}: exists and was not written by kipoi_tfbind; give another name, or --overwrite"
            )


def is_ours(path: str | os.PathLike[str]) -> bool:
    """Whether a result, picture, page or annotated VCF says that this package has written it.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, occlusion, save_result
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> result, notes = (getfixture("tmp_path") / name for name in ("occlusion.nc", "notes.txt"))
    >>> save_result(occlusion(model, encode_sequences(["AAGGGA"]), width=2), result)
    >>> _ = notes.write_text("mine")
    >>> is_ours(result), is_ours(notes)
    (True, False)
    """
    import h5py

    if h5py.is_hdf5(path):
        try:
            with h5py.File(path) as file:
                return str(file.attrs.get("versions", "")).startswith(_MARK.decode())
        except OSError:
            return False
    try:
        if os.fspath(path).endswith(".gz"):
            with gzip.open(path) as file:
                return _MARK in file.read(_LOOKED_AT)
        with open(path, "rb") as file:
            head = file.read(_LOOKED_AT)
            file.seek(max(0, os.path.getsize(path) - _LOOKED_AT))
            return _MARK in head or _MARK in file.read()
    except (OSError, EOFError):
        return False


def _outputs(arguments: Mapping[str, Any]) -> list[str]:
    """Files that a command is to write."""
    given = arguments["output"]
    outputs = [given] if isinstance(given, str) else list(given or ())
    if arguments.get("form") == "modisco" or ("form" in arguments and outputs[0].endswith(".npz")):
        prefix = outputs[0].removesuffix(".npz")
        outputs = [f"{prefix}.one_hot.npz", f"{prefix}.scores.npz"]
    return [output for output in outputs if output != _STANDARD_OUTPUT]


def _inputs(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Arguments and the files that they name; also those in JSON, and in a motif such as NAME=FILE:ID."""
    from kipoi_tfbind.repairs.outputs import files_among

    given = {name: value for name, value in arguments.items() if name != "output"}
    if given.get("dataloader_args"):
        from kipoi_tfbind.repairs.dataloader_arguments import parse_dataloader_arguments

        given["dataloader_args"] = parse_dataloader_arguments(given["dataloader_args"])
    if given.get("motifs"):
        files = [motif.rpartition("=")[2] for motif in given["motifs"]]
        given["motifs"] = [*files, *(file.rpartition(":")[0] for file in files)]
    found = files_among(given)
    return [(name.partition("/")[0], path) for name, path in found.items() if not os.path.isdir(path)]
