"""Layouts of DNA: every one there and back, and gradients through each against differences of a function."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import one_hot
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.models.layout import Layout, possible_axes

LENGTH = 6
TEXTS = ["ACGTNA", "TTNNCG"]
X = one_hot(TEXTS)
AXES = ["L,4", "4,L", "1,4,L", "1,L,4", "L,4,1", "4,L,1", "4,1,L", "L,1,4", "1,4,1,L", "L*4", "4*L"]


def by_loop(layout: str, alphabet: str, neutral_value: float) -> NDArray:
    """What a model takes, letter by letter."""
    flattened = "*" in layout
    axes = layout.split("*") if flattened else layout.split(",")
    sizes = {"L": LENGTH, "4": 4, "1": 1}
    array = np.zeros((len(TEXTS), *(sizes[axis] for axis in axes)), dtype=np.float32)
    for index in np.ndindex(array.shape):
        place = dict(zip(axes, index[1:], strict=True))
        letter = TEXTS[index[0]][place["L"]]
        array[index] = neutral_value if letter == "N" else letter == alphabet[place["4"]]
    return array.reshape(len(TEXTS), -1) if flattened else array


@pytest.mark.parametrize("neutral_value", [0.0, 0.25])
@pytest.mark.parametrize("alphabet", ["ACGT", "AGCT", "TGCA"])
@pytest.mark.parametrize("text", AXES)
def test_there_and_back(text: str, alphabet: str, neutral_value: float) -> None:
    layout = Layout.parse(text, alphabet=alphabet, neutral_value=neutral_value)
    assert str(layout) == text
    array = layout.to_model(X)
    np.testing.assert_array_equal(array, by_loop(text, alphabet, neutral_value))
    assert array.dtype == np.float32
    assert array.shape[1:] == layout.shape(LENGTH)
    assert layout.length(array.shape[1:]) == LENGTH
    assert layout.length(layout.shape(None)) is None
    np.testing.assert_array_equal(layout.to_one_hot(array), X)
    # What came from a dataloader is as it was.
    np.testing.assert_array_equal(array, by_loop(text, alphabet, neutral_value))
    # Further axes in front, as references have them.
    references = np.stack([X, X[::-1]], axis=1)
    np.testing.assert_array_equal(layout.to_model(references)[:, 0], array)


@pytest.mark.parametrize("neutral_value", [0.0, 0.25])
@pytest.mark.parametrize("text", AXES)
def test_gradients_are_those_of_the_whole(text: str, neutral_value: float) -> None:
    """Of a linear function of the model's array, by what it changes in each number of the one-hot array."""
    layout = Layout.parse(text, alphabet="GTAC", neutral_value=neutral_value)
    weights = np.random.default_rng(1).normal(size=layout.to_model(X[:1]).shape)
    gradient = layout.gradient_to_one_hot(weights)[0]
    assert gradient.shape == (LENGTH, 4)
    start = X[:1].astype(np.float64)
    for position, base in np.ndindex(LENGTH, 4):
        moved = start.copy()
        moved[0, position, base] += 1
        change = ((layout.to_model(moved) - layout.to_model(start)) * weights).sum()
        # The function is linear: a step of 1 is as exact as any.
        np.testing.assert_allclose(gradient[position, base], change, rtol=0, atol=1e-12)


def test_text() -> None:
    layout = Layout.parse("string")
    assert layout.takes_text
    assert layout.to_model(X).tolist() == TEXTS
    assert layout.to_model(np.stack([X, X], axis=1)).tolist() == [[text, text] for text in TEXTS]
    np.testing.assert_array_equal(layout.to_one_hot(np.array(TEXTS)), X)


@pytest.mark.parametrize("text", ["L", "4,4", "L,L,4", "L,3", "", "4L", "L,4,2", "4*L*1"])
def test_what_is_no_layout_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^layout: expected the axes of one sequence, such as 'L,4'"):
        Layout.parse(text)


@pytest.mark.parametrize("alphabet", ["ACG", "ACGU", "AACGT", "acgt"])
def test_what_is_no_alphabet_is_refused(alphabet: str) -> None:
    with pytest.raises(InputError, match=r"^alphabet: expected each of A, C, G and T once"):
        Layout.parse("L,4", alphabet=alphabet)


@pytest.mark.parametrize(
    ("shape", "ways"),
    [
        ((1000, 4), [("L", "4")]),
        ((None, 4), [("L", "4")]),
        ((4, 1, None), [("4", "1", "L")]),
        ((4, 4), [("4", "L"), ("L", "4")]),
        ((4, 4, 1), [("4", "L", "1"), ("L", "4", "1")]),
        ((1000, 5), []),
        ((4,), []),
        ((10, 10, 4), []),
        ((), []),
    ],
)
def test_every_way_to_read_a_shape(shape: tuple[int | None, ...], ways: list[tuple[str, ...]]) -> None:
    assert possible_axes(shape) == ways
