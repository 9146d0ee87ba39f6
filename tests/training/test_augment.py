"""Augmentations: on a labelled sequence by hand, and by what they may and may not change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import decode_codes, encode_bases, one_hot_codes
from kipoi_tfbind.training.augment import (
    STRUCTURAL,
    augment_window,
    augmented_windows,
    delete,
    insert,
    invert,
    mixed,
    mutate,
    translocate,
)
from kipoi_tfbind.training.options import AugmentConfig

ALL = AugmentConfig(insertion=9, deletion=9, inversion=9, translocation=9, mutation=0.2, at_most=5, noise=0.1)


def codes(text: str) -> NDArray[np.uint8]:
    return encode_bases([text])[0]


def text(changed: NDArray[np.uint8]) -> str:
    return decode_codes(changed[None])[0]


def test_each_augmentation_by_hand() -> None:
    window = codes("AACCGGTTNA")
    assert text(insert(window, 4, codes("TGT"))) == "ACCTGTGGTT"
    assert text(insert(window, 0, codes("TG"))) == "GAACCGGTTN"
    assert text(delete(window, 2, codes("GCA"))) == "GAAGTTNACA"
    assert text(invert(window, 3, 3)) == "AACCCGTTNA"
    assert text(invert(window, 6, 4)) == "AACCGGTNAA"
    assert text(translocate(window, 3)) == "TNAAACCGGT"
    assert text(translocate(window, -3)) == "CGGTTNAAAC"
    assert text(mutate(window, np.array([0, 8, 9]), np.array([2, 1, 3]))) == "GACCGGTTNT"
    assert text(window) == "AACCGGTTNA"


@pytest.mark.parametrize("name", STRUCTURAL)
def test_one_augmentation_changes_as_much_as_it_may(name: str) -> None:
    """Of a window whose bases all differ from place to place: what was there is found again."""
    rng = np.random.default_rng(0)
    window = rng.integers(4, size=300).astype(np.uint8)
    changes: dict[str, Any] = {name: 0.1 if name == "mutation" else 20}
    settings = replace(AugmentConfig(), **changes)
    for seed in range(50):
        changed = augment_window(window, settings, np.random.default_rng(seed))
        assert changed.shape == window.shape
        assert changed.dtype == np.uint8
        assert changed.max() < 4
        assert (changed != window).any() or name == "inversion"
        if name == "translocation":
            assert any(np.array_equal(np.roll(window, shift), changed) for shift in range(-20, 21))
        elif name in ("insertion", "deletion"):
            # All but what an edit of 20 can touch is there, in its order.
            assert any(text(changed)[i : i + 140] in text(window) for i in range(0, 161, 5))
        elif name == "inversion":
            found = np.flatnonzero(changed != window)
            assert not len(found) or np.ptp(found) < 20
    if name == "mutation":
        shares = [
            (augment_window(window, settings, np.random.default_rng(s)) != window).mean() for s in range(200)
        ]
        # 60,000 positions: a standard error of 0.0012.
        assert np.mean(shares) == pytest.approx(0.1, abs=0.006)


def test_at_most_so_many_augmentations_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    def note(name: str, window: NDArray[np.uint8], *_: Any) -> NDArray[np.uint8]:
        drawn.append(name)
        return window

    monkeypatch.setattr("kipoi_tfbind.training.augment._draw_and_apply", note)
    numbers = []
    for seed in range(100):
        drawn.clear()
        augment_window(codes("ACGT"), replace(ALL, at_most=3), np.random.default_rng(seed))
        assert len(set(drawn)) == len(drawn)
        assert drawn == sorted(drawn, key=STRUCTURAL.index)
        numbers.append(len(drawn))
    assert set(numbers) == {1, 2, 3}


def test_windows_follow_from_seed_epoch_and_index_not_from_the_batch() -> None:
    windows = np.random.default_rng(1).integers(4, size=(12, 60)).astype(np.uint8)
    rows = np.arange(100, 112)

    def made(which: slice | NDArray, seed: int = 1, epoch: int = 0) -> NDArray[np.float32]:
        return augmented_windows(windows[which], rows[which], ALL, seed=seed, epoch=epoch, plain=False)

    whole = made(slice(None))
    assert whole.dtype == np.float32
    order = np.random.default_rng(2).permutation(12)
    np.testing.assert_array_equal(made(order), whole[order])
    np.testing.assert_array_equal(np.concatenate([made(slice(5)), made(slice(5, 12))]), whole)
    assert (made(slice(None), epoch=1) != whole).any()
    assert (made(slice(None), seed=2) != whole).any()
    # Gaussian noise of the deviation asked for lies on a one-hot array.
    noise = whole - (whole > 0.5)
    assert noise.std() == pytest.approx(0.1, rel=0.05)


def test_strands_stay_in_plain_epochs_and_nothing_else() -> None:
    windows = np.random.default_rng(1).integers(4, size=(400, 31)).astype(np.uint8)
    settings = replace(ALL, reverse_complement=0.3)
    made = augmented_windows(windows, np.arange(400), settings, seed=1, epoch=0, plain=True)
    forward = one_hot_codes(windows)
    turned = (made != forward).any(axis=(1, 2))
    np.testing.assert_array_equal(made[turned], forward[turned, ::-1, ::-1])
    # A standard error of 0.023.
    assert turned.mean() == pytest.approx(0.3, abs=0.08)
    off = augmented_windows(windows, np.arange(400), AugmentConfig(), seed=1, epoch=0, plain=False)
    np.testing.assert_array_equal(off, forward)


def test_mixup_mixes_windows_and_labels_by_the_same_share() -> None:
    windows = np.random.default_rng(0).normal(size=(500, 3, 4)).astype(np.float32)
    labels = np.random.default_rng(1).choice(np.array([-1, 0, 1], np.int8), size=(500, 2))
    x, y = mixed(windows, labels, 0.4, np.random.default_rng(2))
    before = np.roll(windows, 1, axis=0)
    share = ((x - before) * (windows - before)).sum(axis=(1, 2)) / ((windows - before) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(x, share[:, None, None] * (windows - before) + before, atol=1e-5)
    partner = np.roll(labels, 1, axis=0)
    unknown = (labels < 0) | (partner < 0)
    assert (y[unknown] == -1).all()
    expected = share[:, None] * labels + (1 - share[:, None]) * partner
    np.testing.assert_allclose(y[~unknown], expected[~unknown], atol=1e-4)
    # Of a Beta distribution with both parameters a, the variance is 1 / (4 (2 a + 1)).
    assert share.mean() == pytest.approx(0.5, abs=0.06)
    assert share.var() == pytest.approx(1 / (4 * 1.8), rel=0.15)
