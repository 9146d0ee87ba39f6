"""Layouts of DNA in an input: from one-hot (sequence, position, base) to what a model takes, and back.

Arrays only. A layout is settled once, when a model is wrapped; nothing else in the package transposes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES, decode_one_hot, one_hot
from kipoi_tfbind.errors import InputError

STRINGS = "string"
TOKENS = "tokens"
# The input of a model whose sequence has further channels.
TRACKS = "tracks"
_FLATTENED = {"L*4": ("L", "4"), "4*L": ("4", "L")}


@dataclass(frozen=True)
class Layout:
    """How a model takes DNA; the axes of one sequence are those of the array without its batch axis.

    Attributes
    ----------
    axes
        "L" (position), "4" (base) and any number of "1", in order; empty where the model takes text.
    alphabet
        The four bases in the model's order.
    neutral_value
        Each of the four numbers of an N: 0, or 0.25 in Kipoi's own dataloaders. Between N and a
        base it is in proportion, so that gradients and paths between them are those of the whole.
    flattened
        The axes are flattened into one, the last of them varying fastest.
    tracks
        Number of channels that the input has after the four bases, such as accessibility or conservation.
    tokens
        Number that the model has for each of A, C, G, T and N, where it takes one for each position.

    Examples
    --------
    >>> layout = Layout.parse("4,L,1")
    >>> layout.to_model(one_hot(["ACN"])).shape
    (1, 4, 3, 1)
    >>> layout.to_one_hot(layout.to_model(one_hot(["ACN"])))[0].tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    >>> Layout.parse("string").to_model(one_hot(["ACN"])).tolist()
    ['ACN']
    """

    axes: tuple[str, ...] = ("L", "4")
    alphabet: str = BASES
    neutral_value: float = 0.0
    flattened: bool = False
    tracks: int = 0
    tokens: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str, *, alphabet: str = BASES, neutral_value: float = 0.0) -> Layout:
        """Read a layout such as "L,4", "4,L", "1,4,L", "L,4,1", "L*4" (flattened) or "string".

        "L,4+2" has two further channels after the bases; "tokens" has a number for each base, 0 to 3 and 4
        for N, or as in "tokens:7,8,9,10,11".

        Raises
        ------
        InputError
            The text is no layout, or the alphabet does not have each of A, C, G and T once.
        """
        if sorted(alphabet) != sorted(BASES):
            raise InputError(
                f"alphabet: expected each of A, C, G and T once, such as 'AGCT'; got {alphabet!r}"
            )
        compact = text.replace(" ", "").strip("()")
        if compact == STRINGS:
            return cls((), alphabet)
        if compact in _FLATTENED:
            return cls(_FLATTENED[compact], alphabet, neutral_value, flattened=True)
        if compact.partition(":")[0] == TOKENS:
            return cls(("L",), alphabet, tokens=_tokens(compact, alphabet))
        compact, tracks = _without_tracks(compact)
        axes = tuple(axis for axis in compact.split(",") if axis)
        if sorted(axis for axis in axes if axis != "1") != ["4", "L"]:
            meant = _meant(text)
            raise InputError(
                f"layout: expected the axes of one sequence, such as 'L,4', '4,L', '1,4,L' or 'L,4,1', or "
                f"'L*4' (flattened), 'L,4+2' (with 2 further channels), 'tokens' or 'string'; got {text!r}"
                + (f", which is written {meant!r}" if meant else "")
            )
        return cls(axes, alphabet, neutral_value, tracks=tracks)

    def __str__(self) -> str:
        if self.takes_text:
            return STRINGS
        if self.tokens:
            return f"{TOKENS}:{','.join(map(str, self.tokens))}"
        text = ("*" if self.flattened else ",").join(self.axes)
        return text.replace("4", f"4+{self.tracks}") if self.tracks else text

    @property
    def takes_text(self) -> bool:
        """Whether the model takes strings instead of arrays."""
        return not self.axes

    @property
    def has_bases(self) -> bool:
        """Whether the model has a number for each base, which a gradient can be taken by."""
        return bool(self.axes) and not self.tokens

    def length(self, shape: Sequence[int | None]) -> int | None:
        """Length of the sequences of an input of this shape (without the batch axis); None for any.

        Examples
        --------
        >>> Layout.parse("4,L,1").length((4, 1000, 1)), Layout.parse("L*4").length((240,))
        (1000, 60)
        """
        if self.takes_text or not shape:
            return None
        if self.flattened:
            return None if shape[0] is None else shape[0] // len(BASES)
        return shape[self.axes.index("L")]

    def shape(self, length: int | None) -> tuple[int | None, ...]:
        """Shape of one sequence of this length in the model's input, without its tracks."""
        if self.flattened:
            return (None if length is None else length * len(BASES),)
        sizes: dict[str, int | None] = {"L": length, "4": len(BASES), "1": 1}
        return tuple(sizes[axis] for axis in self.axes)

    def whole_shape(self, length: int | None) -> tuple[int | None, ...]:
        """Shape of one sequence of this length in the model's input, with its tracks."""
        shape = list(self.shape(length))
        if self.tracks:
            shape[self.axes.index("4")] = len(BASES) + self.tracks
        return tuple(shape)

    @property
    def join(self) -> int | None:
        """Axis of the model's array, with the batch, along which tracks follow the bases."""
        return 1 + self.axes.index("4") if self.tracks else None

    def tracks_to_model(self, tracks: NDArray) -> NDArray:
        """Tracks (..., position, channel) -> as they follow the bases in the model's array."""
        return self._arrange(np.asarray(tracks, dtype=np.float32), np.ndim(tracks) - 2)

    def to_model(self, one_hot: NDArray) -> NDArray:
        """One-hot (..., position, base) -> the model's array (..., axes), or text (...)."""
        if self.takes_text:
            leading = one_hot.shape[:-2]
            return np.array(decode_one_hot(one_hot.reshape(-1, *one_hot.shape[-2:]))).reshape(leading)
        if self.tokens:
            codes = np.where(one_hot.any(axis=-1), one_hot.argmax(axis=-1), len(BASES))
            return np.array(self.tokens, dtype=np.int64)[codes]
        array = one_hot if self.alphabet == BASES else one_hot[..., self._order]
        if self.neutral_value:
            array = array + array.dtype.type(self.neutral_value) * (1 - array.sum(axis=-1, keepdims=True))
        return self._arrange(array, one_hot.ndim - 2)

    def gradient_to_one_hot(self, gradient: NDArray) -> NDArray:
        """Gradient by the model's array (..., axes) -> by one-hot (..., position, base).

        Where N is not zeros, what one number of the one-hot array changes is not one number of the model's:
        it moves the other three too. The gradient by the model's own four numbers is `by_base`.
        """
        array = self.by_base(gradient)
        if self.neutral_value:
            array = array - array.dtype.type(self.neutral_value) * array.sum(axis=-1, keepdims=True)
        return array

    def by_base(self, gradient: NDArray) -> NDArray:
        """The model's array (..., axes), or a gradient by it -> (..., position, base), bases as here."""
        n_axes = 1 if self.flattened else len(self.axes)
        leading = gradient.ndim - n_axes
        if self.flattened:
            sizes = [gradient.shape[-1] // len(BASES) if axis == "L" else len(BASES) for axis in self.axes]
            gradient = gradient.reshape(*gradient.shape[:-1], *sizes)
        order = (*range(leading), *(leading + self.axes.index(axis) for axis in ("L", "4")))
        ones = tuple(leading + number for number, axis in enumerate(self.axes) if axis == "1")
        array = gradient.transpose(*order, *ones).reshape(*(gradient.shape[axis] for axis in order))
        return array if self.alphabet == BASES else array[..., np.argsort(self._order)]

    def to_one_hot(self, array: NDArray) -> NDArray:
        """One-hot float32 (sequence, position, base) from what a dataloader hands to the model.

        A position whose four values are equal, whatever they are, is N: a row of zeros.
        """
        if self.takes_text:
            return one_hot([str(text) for text in np.asarray(array).ravel()])
        if self.tokens:
            base_of = np.asarray(array)[..., np.newaxis] == np.array(self.tokens[: len(BASES)])
            return base_of.astype(np.float32)
        if self.tracks:
            array = np.asarray(array).take(np.arange(len(BASES)), axis=1 + self.axes.index("4"))
        # A copy: the dataloader's own array is not written to.
        rows = np.array(self.by_base(np.asarray(array)), dtype=np.float32, order="C")
        rows[(rows == rows[..., :1]).all(axis=-1)] = 0
        return rows

    @property
    def _order(self) -> list[int]:
        return [BASES.index(base) for base in self.alphabet]

    def numbers(self, one_hot: NDArray) -> NDArray:
        """The numbers that the model gets for one-hot (..., position, base), in that arrangement."""
        return one_hot + self.neutral_value * (1 - one_hot.sum(axis=-1, keepdims=True))

    def _arrange(self, array: NDArray, leading: int) -> NDArray:
        """(..., position, base) with the bases in the model's order -> (..., axes)."""
        if self.axes.index("4") < self.axes.index("L"):
            array = array.swapaxes(-1, -2)
        if self.flattened:
            return array.reshape(*array.shape[:leading], -1)
        return np.expand_dims(array, tuple(leading + i for i, axis in enumerate(self.axes) if axis == "1"))


def possible_axes(shape: Sequence[int | None]) -> list[tuple[str, ...]]:
    """Every way to read the shape of one input as DNA: an axis of 4, one of positions, else axes of 1.

    Examples
    --------
    >>> possible_axes((1000, 4)), possible_axes((1, 4, None))
    ([('L', '4')], [('1', '4', 'L')])
    >>> possible_axes((4, 4)), possible_axes((30,))
    ([('4', 'L'), ('L', '4')], [])
    """
    ways = []
    for base in (i for i, size in enumerate(shape) if size == len(BASES)):
        others = [i for i, size in enumerate(shape) if i != base and size != 1]
        if len(others) == 1:
            names = {base: "4", others[0]: "L"}
            ways.append(tuple(names.get(i, "1") for i in range(len(shape))))
    return ways


def _meant(text: str) -> str:
    """Layout that a text of other habits stands for, such as "NCL" and "channels_last"; "" for none."""
    named = {"CHANNELSFIRST": "4,L", "CHANNELSLAST": "L,4"}
    letters = re.sub(r"[^A-Z0-9]", "", text.upper())
    if letters in named:
        return named[letters]
    axes = {"C": "4", "4": "4", "L": "L", "W": "L", "T": "L", "1": "1", "H": "1"}
    # The batch is none of a sequence's axes.
    written = [axes.get(letter, "?") for letter in re.sub("^[NB]", "", letters)]
    is_whole = sorted(axis for axis in written if axis != "1") == ["4", "L"]
    return ",".join(written) if is_whole else ""


def _without_tracks(text: str) -> tuple[str, int]:
    """Split "L,4+2" into "L,4" and 2."""
    found = re.search(r"\b4\+(\d+)", text)
    return (text.replace(found[0], "4"), int(found[1])) if found else (text, 0)


def _tokens(text: str, alphabet: str) -> tuple[int, ...]:
    """Numbers of A, C, G, T and N; without any, those of the alphabet in order, and then N."""
    numbers = text.partition(":")[2]
    if not numbers:
        return (*(alphabet.index(base) for base in BASES), len(BASES))
    tokens = tuple(int(number) for number in numbers.split(",") if number.isdecimal())
    if len(set(tokens)) != len(BASES) + 1 or len(tokens) != len(numbers.split(",")):
        raise InputError(
            f"layout: expected a number for each of A, C, G, T and N, such as 'tokens:7,8,9,10,11', "
            f"got {text!r}"
        )
    return tokens
