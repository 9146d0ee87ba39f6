"""Description of a model before it is wrapped: its inputs, its outputs, and the options of the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Literal, NamedTuple

from numpy.typing import NDArray

from kipoi_tfbind.backends.base import Backend, InputStructure, OutputKind, Path, Transform
from kipoi_tfbind.dna.one_hot import BASES

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class InputField:
    """One input: its name, its shape without the batch axis (None: not known), and what it is said to be.

    Attributes
    ----------
    name
        Key in a dict, name or index in a list.
    shape
        Without the batch axis; None where it is not known.
    is_sequence, is_text
        Whether the entry says that it is DNA, and DNA as text.
    """

    name: str
    shape: Shape | None
    is_sequence: bool = False
    is_text: bool = False


@dataclass(frozen=True)
class OutputField:
    """One output array: where it is in the model's output, its shape, the labels of its columns, its name."""

    path: Path
    shape: Shape
    labels: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Hints:
    """Hints of a dataloader at the layout that a model was trained on."""

    axes: tuple[str, ...] | None = None
    alphabet: str = BASES
    neutral_value: float = 0.0
    said_by: str = "the dataloader"


class Options(NamedTuple):
    """The options of `as_sequence_model`, which explains them; and the length at which to ask for outputs."""

    sequence_input: str | None
    layout: str | None
    alphabet: str | None
    neutral_value: float | None
    length: int | None
    auxiliary: Mapping[str, Any]
    targets: Sequence[str] | None
    transform: Transform | None
    output: OutputKind | None
    double_precision: bool = False
    head: str | None = None
    output_position: int | Literal["centre"] | None = None
    probe_length: int | None = None


@dataclass(frozen=True)
class Description:
    """Description of a model before it is wrapped.

    Attributes
    ----------
    model
        The model in its framework, or its function.
    name
        Its name in results.
    structure, inputs
        The form of its inputs, and each of them.
    outputs
        Its outputs as an entry describes them; None where nothing does.
    make
        Makes the backend, from the inputs with their shapes settled and from example arrays.
    hints
        Its dataloader's hints at the layout.
    source
        Kipoi's model source.
    files
        Text that tells it from another model that has no weights to be looked at.
    default_layout
        Layout of an input whose shape is not known.
    names
        Names of its targets, where they are not those of `outputs`.
    probe
        Whether to ask it for the shape of its output.
    single_precision
        Whether it takes float32 only, as Kipoi's dataloaders give it.
    """

    model: Any = field(repr=False)
    name: str
    structure: InputStructure
    inputs: list[InputField]
    outputs: list[OutputField] | None
    make: Callable[[Description, Options, list[NDArray]], Backend]
    hints: Hints = field(default_factory=Hints)
    source: str = ""
    files: tuple[FilePath, ...] = ()
    default_layout: str = "L,4"
    names: tuple[str, ...] | None = None
    probe: bool = True
    single_precision: bool = False
