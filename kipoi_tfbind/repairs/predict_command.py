"""``kipoi predict`` and ``kipoi preproc``: what is given is checked before anything is loaded."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.repairs.dataloader_arguments import parse_dataloader_arguments
from kipoi_tfbind.repairs.outputs import files_among, is_same_file, refuse_inputs, unwritable
from kipoi_tfbind.repairs.whole_files import overwriting

INTERRUPTED = 130
_OVERWRITE = "--overwrite"
_ENDINGS = ("tsv", "bed", "h5", "hdf5", "parquet", "pq", "pqt")


def check_commands(main: ModuleType) -> None:
    """Let ``kipoi predict`` and ``kipoi preproc`` end in one line, and overwrite no input.

    An unknown model, a folder in the place of JSON and Ctrl-C were tracebacks, an unknown file ending
    a line of Python classes, and an output of the name of the VCF replaced the VCF. The option
    ``--overwrite`` lets an output replace a file that Kipoi has not written.
    """
    main.parse_json_file_str_or_arglist = _parse  # type: ignore[attr-defined]
    main.cli_predict = _checked(main, main.cli_predict, _check_predict)  # type: ignore[attr-defined]
    main.cli_preproc = _checked(main, main.cli_preproc, _check_preproc)  # type: ignore[attr-defined]


def _parse(arguments: Sequence[str] | None, parser: Any = None) -> dict[str, Any]:
    return parse_dataloader_arguments(arguments)


def _checked(
    main: ModuleType, command: Callable[[str, list[str]], Any], check: Callable[..., None]
) -> Callable[[str, list[str]], Any]:
    @functools.wraps(command)
    def checked(name: str, raw_args: Sequence[str]) -> Any:
        overwrite = _OVERWRITE in raw_args
        raw = [argument for argument in raw_args if argument != _OVERWRITE]
        arguments = _arguments(main, name, raw)
        if arguments is not None:
            check(main, arguments)
        try:
            with overwriting(overwrite):
                return command(name, raw)
        except KeyboardInterrupt:
            print(f"kipoi {name}: interrupted; no output was written", file=sys.stderr)
            sys.exit(INTERRUPTED)

    return checked


class _SilentParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def _arguments(main: ModuleType, command: str, raw: Sequence[str]) -> argparse.Namespace | None:
    """Arguments of the command; None where its own parser has something to say, such as its help."""
    parser = _SilentParser(add_help=False)
    if command == "predict":
        main.add_model(parser)
        main.add_dataloader(parser, with_args=True)
        parser.add_argument("-k", "--keep_inputs", action="store_true")
        parser.add_argument("-l", "--layer")
        parser.add_argument("--singularity", action="store_true")
        parser.add_argument("-o", "--output", required=True, nargs="+")
    else:
        main.add_dataloader_main(parser, with_args=True)
        parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--batch_size", type=int)
    parser.add_argument("-n", "--num_workers", type=int)
    parser.add_argument("-m", "--keep_metadata", action="store_true")
    try:
        return parser.parse_args(list(raw))
    except ValueError:
        return None


def _check_predict(main: ModuleType, arguments: argparse.Namespace) -> None:
    for output in arguments.output:
        if output.rpartition(".")[2] not in _ENDINGS:
            raise InputError(
                f"{output}: Kipoi cannot write this format; "
                "give a name that ends in .tsv, .h5, .parquet or .bed"
            )
    for i, output in enumerate(arguments.output):
        if any(is_same_file(output, other) for other in arguments.output[:i]):
            raise InputError(f"{output}: is given twice as an output; give each a name of its own")
    _check_outputs(arguments, arguments.output)
    if not arguments.singularity:
        _check_model(main, arguments.model, arguments.source)


def _check_preproc(main: ModuleType, arguments: argparse.Namespace) -> None:
    _check_outputs(arguments, [arguments.output])


def _check_outputs(arguments: argparse.Namespace, outputs: Sequence[str]) -> None:
    inputs = files_among(parse_dataloader_arguments(arguments.dataloader_args))
    if len(arguments.dataloader_args or ()) == 1 and os.path.isfile(arguments.dataloader_args[0]):
        inputs["--dataloader_args"] = arguments.dataloader_args[0]
    for output in outputs:
        refuse_inputs(output, inputs)
        folder = Path(output).resolve().parent
        if not os.path.isdir(folder):
            raise InputError(f"{output}: there is no folder {folder}; make it, or give another one")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise unwritable(output, PermissionError(13, "no permission to write to its folder"))


def _check_model(main: ModuleType, name: str, source: str) -> None:
    """Check that there is a model of this name, as the loading does, whose error is a traceback."""
    try:
        main.kipoi.get_source(source).get_model_dir(name)
    except ValueError as error:
        problem = " ".join(str(error).split())
        is_folder = source != "dir" and Path(name).is_dir()
        advice = "it is a folder: say --source=dir" if is_folder else "is it spelled as `kipoi ls` has it?"
        raise InputError(f"model {name!r}, source {source!r}: {problem}; {advice}") from None
