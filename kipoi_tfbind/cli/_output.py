"""Outputs of commands: never one of the inputs, and no file of somebody else's unless the user insists."""

from __future__ import annotations

import gzip
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.notices import is_quiet

STANDARD_OUTPUT = "-"
_MARK = b"kipoi_tfbind"
_LOOKED_AT = 1 << 16  # bytes at either end of a file


def say(text: str, *, err: bool = False) -> None:
    """Print what a command has to say at its end: to stderr where its output is on standard output."""
    context = click.get_current_context(silent=True)
    output = context.params.get("output") if context else None
    if not is_quiet():
        click.echo(text, err=err or output == STANDARD_OUTPUT)


@contextmanager
def file_or_standard_output(output: str, suffix: str) -> Iterator[str]:
    """Give the name of a file to write text to; with "-" what was written goes to standard output.

    Parameters
    ----------
    output
        The output that was asked for.
    suffix
        Of the file that stands for standard output.
    """
    if output != STANDARD_OUTPUT:
        yield output
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, f"standard_output{suffix}")
        yield path
        with open(path, "rb") as file:
            try:
                shutil.copyfileobj(file, sys.stdout.buffer)
                sys.stdout.buffer.flush()
            except BrokenPipeError:
                # Who reads has enough, as `head` has. Nothing is left to be said when Python closes it.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            except OSError as error:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise InputError(f"standard output: cannot be written ({error.strerror})") from None


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
                f"{output}: exists and does not say that kipoi_tfbind wrote it; give another name, "
                "or --overwrite"
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
    return [output for output in outputs if output != STANDARD_OUTPUT]


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
