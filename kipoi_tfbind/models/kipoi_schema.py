"""Reading of a Kipoi entry: the form of its inputs, which one is DNA and how, and its outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kipoi_tfbind.backends.base import InputStructure, Path, leaves
from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.models.description import Hints, InputField, OutputField
from kipoi_tfbind.models.layout import STRINGS, Layout, possible_axes


def read_inputs(schema: Any) -> tuple[InputStructure, list[InputField]]:
    """Read `schema.inputs` of a model.yaml.

    Raises
    ------
    UnsupportedModelError
        Dicts or lists within dicts or lists.
    """
    if isinstance(schema, Mapping):
        names, parts = list(schema), list(schema.values())
    elif isinstance(schema, Sequence):
        parts = list(schema)
        names = [getattr(part, "name", None) or str(number) for number, part in enumerate(parts)]
    else:
        return InputStructure(), [_input_field(getattr(schema, "name", None) or "sequence", schema)]
    if any(not hasattr(part, "shape") for part in parts):
        raise UnsupportedModelError(
            "model: its schema has inputs within inputs; expected one array, or a list or dict of arrays"
        )
    structure = InputStructure("dict" if isinstance(schema, Mapping) else "list", tuple(map(str, names)))
    return structure, [_input_field(str(name), part) for name, part in zip(names, parts, strict=True)]


def _input_field(name: str, schema: Any) -> InputField:
    special = getattr(getattr(schema, "special_type", None), "value", None)
    shape = tuple(schema.shape)
    return InputField(name, shape, special in ("DNASeq", "DNAStringSeq"), special == "DNAStringSeq")


def read_outputs(schema: Any) -> list[OutputField]:
    """Read `schema.targets` of a model.yaml: every array of a nested dict or list, in order."""
    return [
        OutputField(path, tuple(part.shape), tuple(part.column_labels or ()), _output_name(path, part))
        for path, part in leaves(schema)
    ]


def _output_name(path: Path, part: Any) -> str:
    """The keys to it; an array in a list by its own name, where it has one."""
    keys = list(path)
    if keys and isinstance(keys[-1], int):
        keys[-1] = getattr(part, "name", None) or keys[-1]
    return "/".join(map(str, keys))


def read_hints(kipoi_model: Any) -> Hints:
    """Read the layout from the arguments of the model's default dataloader, where it is kipoiseq's.

    Its description is enough: the dataloader itself is not imported.
    """
    source = getattr(kipoi_model, "source", None)
    if source is None:
        return Hints()
    loader = source.get_model_descr(kipoi_model.name).default_dataloader
    defined_as = str(getattr(loader, "defined_as", ""))
    if not defined_as.startswith("kipoiseq.") or not defined_as.endswith(".SeqIntervalDl"):
        return Hints()
    arguments = dict(loader.default_args or {})
    alphabet = "".join(arguments.get("alphabet", BASES))
    return Hints(
        _kipoiseq_axes(int(arguments.get("alphabet_axis", 1)), arguments.get("dummy_axis")),
        alphabet,
        # kipoiseq gives each of the four numbers of an N a quarter.
        0.25,
        f"the arguments of {defined_as}",
    )


def _kipoiseq_axes(alphabet_axis: int, dummy_axis: int | None) -> tuple[str, ...]:
    from kipoiseq.transforms import ReorderedOneHot

    length = 7  # anything but 1 and 4
    shape = ReorderedOneHot(alphabet_axis=alphabet_axis, dummy_axis=dummy_axis).get_output_shape(length)
    names = {length: "L", 4: "4", 1: "1"}
    return tuple(names[size] for size in shape)


def find_sequence_input(fields: Sequence[InputField], wanted: str | None) -> int:
    """Index of the input that is the sequence.

    Raises
    ------
    InputError
        There is no such input, or it is not clear which it is; the message lists what there is.
    """
    names = [field.name for field in fields]
    if wanted is not None:
        if wanted not in names:
            raise InputError(f"sequence_input: no input {wanted!r}; this model has {_described(fields)}")
        return names.index(wanted)
    if len(fields) == 1:
        return 0
    for likely in (
        [i for i, field in enumerate(fields) if field.is_sequence],
        [i for i, field in enumerate(fields) if field.shape is not None and possible_axes(field.shape)],
    ):
        if len(likely) == 1:
            return likely[0]
    raise InputError(
        f"model: which of its inputs is the sequence? It has {_described(fields)}; "
        f"say it, for instance sequence_input={names[0]!r} (--sequence-input {names[0]})"
    )


def settle_layout(
    field: InputField,
    hints: Hints,
    *,
    layout: str | None = None,
    alphabet: str | None = None,
    neutral_value: float | None = None,
) -> Layout:
    """Settle how one input takes DNA: as the user says, else as its schema and its dataloader say.

    Raises
    ------
    InputError
        They leave more than one way, or contradict each other, or the user's layout does not fit.
    UnsupportedModelError
        The input's shape is no layout of DNA.
    """
    alphabet = hints.alphabet if alphabet is None else alphabet
    neutral = hints.neutral_value if neutral_value is None else neutral_value
    if layout is not None:
        return Layout.parse(layout, alphabet=alphabet, neutral_value=neutral)
    if field.is_text:
        return Layout.parse(STRINGS, alphabet=alphabet)
    if field.shape is None:
        return Layout.parse("L,4", alphabet=alphabet, neutral_value=neutral)
    ways = possible_axes(field.shape)
    if hints.axes in ways:
        ways = [hints.axes]
    elif hints.axes is not None and ways:
        raise InputError(
            f"input {field.name!r}: its shape {field.shape} and {hints.said_by}, {','.join(hints.axes)}, "
            f"contradict each other; say which: layout={','.join(ways[0])!r} (--layout {','.join(ways[0])})"
        )
    if len(ways) > 1:
        found = " or ".join(",".join(way) for way in ways)
        raise InputError(
            f"input {field.name!r}: its shape {field.shape} can be read as {found}; "
            f"say which: layout={','.join(ways[0])!r} (--layout {','.join(ways[0])})"
        )
    if not ways:
        raise UnsupportedModelError(
            f"input {field.name!r}: expected an axis of 4 bases and one of positions, found the shape "
            f"{field.shape}; if it is flattened one-hot DNA, tokens or text, say layout='L*4', 'tokens' or "
            "'string'; if it has further channels, say how many, as in layout='L,4+2'"
        )
    return Layout.parse(",".join(ways[0]), alphabet=alphabet, neutral_value=neutral)


def target_names(outputs: Sequence[OutputField]) -> tuple[str, ...]:
    """Name of each column when all outputs are laid out side by side.

    Labels where there are any, else numbers; the key of a dict or the name in a list before them; a
    profile's positions before its channels. Of several columns of one name the second is NAME#2, and so on.

    Examples
    --------
    >>> target_names([OutputField((), (2,), ("CTCF", "MAX"))])
    ('CTCF', 'MAX')
    >>> target_names([OutputField(("counts",), ()), OutputField(("profile",), (2, 2))])
    ('counts', 'profile/0/0', 'profile/0/1', 'profile/1/0', 'profile/1/1')
    """
    names: list[str] = []
    for output in outputs:
        key = output.name or "/".join(map(str, output.path))
        columns = _column_names(tuple(size or 0 for size in output.shape), output.labels)
        if key:
            columns = [key] if len(columns) == 1 else [f"{key}/{column}" for column in columns]
        names += columns
    return _all_different(names)


def _all_different(names: Sequence[str]) -> tuple[str, ...]:
    counts: Counter[str] = Counter()
    different = []
    for name in names:
        counts[name] += 1
        different.append(name if counts[name] == 1 else f"{name}#{counts[name]}")
    return tuple(different)


def _column_names(shape: tuple[int, ...], labels: tuple[str, ...]) -> list[str]:
    if not shape:
        return list(labels) if len(labels) == 1 else ["0"]
    last = list(labels) if len(labels) == shape[-1] else [str(number) for number in range(shape[-1])]
    leading = ["/".join(map(str, index)) for index in np.ndindex(*shape[:-1])]
    return [f"{prefix}/{name}" if prefix else name for prefix in leading for name in last]


def _described(fields: Sequence[InputField]) -> str:
    return ", ".join(
        f"{field.name} {'(shape unknown)' if field.shape is None else field.shape}" for field in fields
    )
