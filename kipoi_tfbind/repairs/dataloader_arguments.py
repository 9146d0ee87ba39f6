"""The arguments of a dataloader, as they are given on a command line, checked before anything runs."""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from kipoi_tfbind.errors import InputError, TFBindError


def parse_dataloader_arguments(texts: Sequence[str] | None) -> dict[str, Any]:
    """Read ``--dataloader_args`` as Kipoi does: JSON, a JSON file, or KEY=VALUE.

    Raises
    ------
    InputError
        They are none of the three.

    Examples
    --------
    >>> parse_dataloader_arguments(["length=100", "fasta_file=a.fa"])
    {'length': 100, 'fasta_file': 'a.fa'}
    """
    import yaml
    from kipoi_utils.utils import parse_json_file_str_or_arglist

    texts = list(texts or ())
    problem = ""
    if len(texts) == 1 and os.path.isdir(texts[0]):
        problem = "it is a folder"
    else:
        try:
            found = parse_json_file_str_or_arglist(texts)
            if isinstance(found, Mapping):
                return dict(found)
            problem = f"it holds {type(found).__name__}, not names and values"
        except (OSError, RuntimeError, TypeError, ValueError, yaml.YAMLError) as error:
            problem = " ".join(str(error).split())
    raise InputError(
        f"--dataloader_args: expected JSON, a JSON file, or KEY=VALUE, got {' '.join(texts)!r} ({problem})"
    )


def check_dataloader_arguments(dataloader: Any, arguments: Mapping[str, Any]) -> None:
    """Check the names of a dataloader's arguments against its description.

    Raises
    ------
    InputError
        A required argument is missing, or there is one that the dataloader does not have.
    """
    from kipoi_utils.utils import default_kwargs

    described = dataloader.args
    for name in arguments:
        if name not in described:
            close = difflib.get_close_matches(name, described, n=1)
            advice = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(described) or 'none'}"
            raise InputError(f"dataloader: has no argument {name!r}; {advice}")
    defaults = default_kwargs(getattr(dataloader, "data_fn", None) or dataloader)
    required = [name for name in described if not described[name].optional and name not in defaults]
    missing = [name for name in required if name not in arguments]
    if missing:
        given = ", ".join(arguments) or "none"
        raise InputError(
            f"dataloader: expected the arguments {', '.join(required)}, got {given}; add {', '.join(missing)}"
        )


def make_dataloader(dataloader: Any, arguments: Mapping[str, Any]) -> Any:
    """Make a dataloader of arguments that a user gave.

    Raises
    ------
    InputError
        It does not have these arguments, or it cannot use them; the message is the dataloader's own.
    """
    check_dataloader_arguments(dataloader, arguments)
    try:
        return dataloader(**arguments)
    except TFBindError:
        raise
    except (OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"dataloader: cannot be made with {dict(arguments)} ({type(error).__name__}: {reason}); "
            "check these arguments"
        ) from error


def refuse_wrong_arguments(pipeline: ModuleType) -> None:
    """Let ``kipoi predict`` refuse an argument that is missing or misspelled.

    It warns, leaves a misspelled one out, and goes on: with the default, or into a traceback.
    """
    validate = pipeline.validate_kwargs

    @functools.wraps(validate)
    def validate_kwargs(dataloader: Any, dataloader_kwargs: Any) -> Any:
        if isinstance(dataloader_kwargs, Mapping):
            check_dataloader_arguments(dataloader, dataloader_kwargs)
        return validate(dataloader, dataloader_kwargs)

    pipeline.validate_kwargs = validate_kwargs  # type: ignore[attr-defined]
