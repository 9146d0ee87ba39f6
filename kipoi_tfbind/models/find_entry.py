"""Where a model is: in a folder of its own or of a group, or under a name of one of Kipoi's sources."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.models.model_file import SUFFIXES, is_model_file

ZOO = "kipoi"
FOLDER = "dir"
# What a name in a zoo does not begin with.
_PATH_BEGINNINGS = (".", "/", "~")


def find_source(name: str, source: str | None = None) -> str:
    """Name of Kipoi's source that has a model, after a check that it does.

    Parameters
    ----------
    name
        A folder with a model.yaml, or one of a group; or the name of a model in a source.
    source
        The source; by default "dir" where there is such a folder, else "kipoi".

    Raises
    ------
    InputError
        There is no such source or model. A path is never looked for over the network.
    """
    import kipoi

    if source is None:
        if is_entry(name):
            return FOLDER
        _refuse_path(name)
        source = ZOO
    try:
        found = kipoi.get_source(source)
        found.get_model_dir(name)
    except (ValueError, OSError, AssertionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"model {name!r}, source {source!r}: {reason}; {_advice(name, source)}") from None
    return source


def is_entry(name: str) -> bool:
    r"""Whether a path is a folder with a model.yaml, or names a model of the group in a folder above it.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "model-template.yaml").write_text("")
    >>> _ = (folder / "models.tsv").write_text("model\tweights\nCTCF\tctcf.keras\n")
    >>> is_entry(f"{folder}/CTCF"), is_entry(f"{folder}/MAX")
    (True, False)
    """
    import kipoi

    path = os.path.abspath(name)
    if any((Path(path) / f"model.{suffix}").is_file() for suffix in ("yaml", "yml")):
        return True
    try:
        return bool(kipoi.get_source(FOLDER)._is_component(path))
    except (ValueError, OSError):  # a group whose table cannot be read; Kipoi says so when it is asked for it
        return False


def _refuse_path(name: str) -> None:
    """Refuse what can only be a path, and is no entry."""
    group = _group_above(name)
    if group is not None:
        folder, models = group
        wanted = os.path.relpath(os.path.abspath(name), folder)
        have = ", ".join(models[:10]) + (", ..." if len(models) > 10 else "")
        if wanted == ".":
            raise InputError(f"model {name!r}: a group of models; give one of them, {name}/NAME: {have}")
        near = difflib.get_close_matches(wanted, models, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise InputError(f"model {name!r}: the group in {folder} has no {wanted}; {hint}it has {have}")
    path = Path(name)
    if path.exists():
        what = "a folder without a model.yaml" if path.is_dir() else "a file of no known kind"
        raise InputError(
            f"model {name!r}: {what}; expected the folder of a model.yaml or a SavedModel, a file "
            f"({', '.join(SUFFIXES)}), or a name in Kipoi's zoo"
        )
    if path.suffix in SUFFIXES:
        raise InputError(f"model {name!r}: no such file; check the path")
    if name.startswith(_PATH_BEGINNINGS):
        raise InputError(f"model {name!r}: no such folder; expected the folder of a model.yaml")


def _group_above(name: str) -> tuple[str, list[str]] | None:
    """Folder of the group that a path lies in, and the names of its models."""
    from kipoi.sources import LocalComponentGroup

    folder = LocalComponentGroup.group_path(os.path.abspath(name))
    if folder is None:
        return None
    return folder, [str(model) for model in LocalComponentGroup.load(folder).df["model"]]


def _advice(name: str, source: str) -> str:
    import kipoi

    if source != FOLDER and is_entry(name):
        return "it is a folder: leave out --source"
    if is_model_file(name):
        return "it is a model itself: leave out --source"
    sources: dict[str, Any] = dict(kipoi.config.model_sources())
    local = getattr(sources.get(source), "local_path", None)
    if local is not None and source != FOLDER and not (os.path.isdir(local) and os.listdir(local)):
        return f"it could not be fetched to {local}, and no folder here has that name; is it right?"
    if source == FOLDER:
        return "expected the folder of a model.yaml"
    return "is it spelled as `kipoi ls` has it?"
