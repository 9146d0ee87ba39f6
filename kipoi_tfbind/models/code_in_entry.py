"""Code in a model's description: YAML that makes Python objects, and templates that reach into Python."""

from __future__ import annotations

from pathlib import Path

import yaml

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.repairs.weight_files import refuse_code

# Kipoi reads YAML with all of Python's tags.
_PYTHON = "tag:yaml.org,2002:python"
_TEMPLATE = "model-template"


def read_description(name: str, source: str) -> None:
    """Read the description of a model as Kipoi does, once it is known to run no code unless that is allowed.

    A model's own ``model.py`` and ``dataloader.py`` are code by design, and are not looked at.

    Raises
    ------
    InputError
        It runs code, it is no YAML, or not that of a model.
    """
    import kipoi

    found = kipoi.get_source(source)
    folder = Path(found.get_model_dir(name))
    for pattern in ("model*.y*ml", "dataloader*.y*ml"):
        for path in sorted(folder.glob(pattern)):
            for text in _filled_in(path, name) if path.stem == _TEMPLATE else [path.read_text("utf-8")]:
                _refuse_tags(path, text)
    try:
        found.get_model_descr(name)
    except Exception as error:  # whatever the readers of YAML, attrs and Kipoi make of it
        reason = " ".join(str(error).split())
        raise InputError(
            f"model {name!r}: its model.yaml in {folder} cannot be read as one of Kipoi's "
            f"({type(error).__name__}: {reason})"
        ) from error


def _refuse_tags(path: Path, text: str) -> None:
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            tag = getattr(event, "tag", None) or ""
            if tag.startswith(_PYTHON):
                what = f"a tag of YAML that makes Python objects ({tag.removeprefix(_PYTHON).strip('/:')})"
                refuse_code(path, what)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: no YAML ({' '.join(str(error).split())})") from None


def _filled_in(path: Path, name: str) -> list[str]:
    """The template of a group, filled in for a model where it cannot reach Python's own objects."""
    from jinja2.exceptions import SecurityError, TemplateError
    from jinja2.sandbox import SandboxedEnvironment
    from kipoi.sources import LocalComponentGroup

    rows = LocalComponentGroup.load(str(path.parent)).df.to_dict("records")
    try:
        template = SandboxedEnvironment().from_string(path.read_text("utf-8"))
        return [template.render(**row) for row in rows if name.endswith(str(row["model"]))]
    except SecurityError as error:
        refuse_code(path, f"a template that reaches into Python ({error})")
    except TemplateError as error:
        raise InputError(f"{path}: no template that can be filled in ({error})") from None
    return []
