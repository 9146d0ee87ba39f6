"""Distillation: where a student begins, what it learns from, and a run that is interrupted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from kipoi_tfbind.dna.one_hot import decode_codes, one_hot_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.kipoi_model import TFBindModel, mixture_of, spread
from kipoi_tfbind.training import distill as module
from kipoi_tfbind.training import fit_student
from kipoi_tfbind.training.distill import distill
from kipoi_tfbind.training.distillation_windows import Distillation, distillation_windows, hard_bins
from kipoi_tfbind.training.ensemble import ensemble_runs, mix_models
from kipoi_tfbind.training.fidelity import fidelity, fidelity_section
from kipoi_tfbind.training.fit import build_model
from kipoi_tfbind.training.kept_members import closest_members, shares_of_kept
from kipoi_tfbind.training.student import DistillationLoss, importance, load_ensemble, student_of
from kipoi_tfbind.training.windows import held_out_bins
from tests.planted_genome import MOTIF, write_planted_genome
from tests.training.test_fit import CONFIG

OPTIONS = Distillation(
    keep=(2,),
    windows=640,
    recombined=0.0,
    hard=0.1,
    random=0.05,
    epochs=6,
    batch_size=32,
    learning_rate=1e-2,
)
# (member, kept + 1, target): of two members, where the second or the first is kept and the other is the same.
ALIKE = np.array([[[1.0], [0.0]], [[1.0], [0.0]]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A planted genome, its peaks, and the ensemble of two networks with random weights."""
    folder = tmp_path_factory.mktemp("planted")
    write_planted_genome(folder)
    for seed in (1, 2):
        config = replace(CONFIG, fit=replace(CONFIG.fit, seed=seed))
        keras.utils.set_random_seed(1)  # whatever ran before
        model = build_model(config)
        # Members have much in common, as those that learned from the same peaks do.
        common, own = np.random.default_rng(0), np.random.default_rng(seed)
        for weight in model.trainable_weights:
            noise = common.normal(0, 0.1, weight.shape) + own.normal(0, 0.05, weight.shape)
            weight.assign(weight.numpy() + noise)
        (folder / f"run-{seed}").mkdir()
        model.save(folder / f"run-{seed}" / "model.keras")
        (folder / f"run-{seed}" / "config.yaml").write_text(config.to_yaml())
    runs = [folder / "run-1", folder / "run-2"]
    ensemble_runs(runs, folder / "genome.fa", folder, folder / "ensemble")
    # Of random networks one could have all the weight.
    mixture = mix_models(
        [keras.models.load_model(run / "model.keras") for run in runs], np.array([[0.6], [0.4]]), np.zeros(1)
    )
    mixture.save(folder / "ensemble" / "model.keras")
    return folder


def run(folder: Path, name: str, options: Distillation = OPTIONS) -> keras.Model:
    return distill(folder / "ensemble", folder / "genome.fa", folder, folder / name, options, verbose=0)


@pytest.fixture(scope="module")
def student(folder: Path) -> keras.Model:
    return run(folder, "student")


def one_hot(n: int, seed: int = 0) -> np.ndarray:
    return one_hot_codes(np.random.default_rng(seed).integers(4, size=(n, 200)).astype(np.uint8))


def members_of(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return keras.Model(model.input, model.get_layer("member_logits").output).predict_on_batch(x)


def held_out(folder: Path) -> np.ndarray:
    """Base codes of the validation bins."""
    genome = Genome(folder / "genome.fa")
    return held_out_bins(CONFIG, genome, folder, "validation").codes(genome, CONFIG.length)


def importance_of(ensemble: keras.Model, members: np.ndarray) -> np.ndarray:
    """How much differences count, (window, target), of log-odds (window, member)."""
    weights, bias = mixture_of(ensemble)
    return np.asarray(importance(members @ weights + bias))


def test_a_student_with_all_members_begins_as_the_ensemble(folder: Path) -> None:
    ensemble, x = load_ensemble(folder / "ensemble"), one_hot(8)
    shares = np.array([[0, 1, 0], [1, 0, 0]])[:, :, None]
    found = student_of(ensemble, (2, 1), shares)
    # Products of float32 in another order.
    np.testing.assert_allclose(members_of(found, x), members_of(ensemble, x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.predict_on_batch(x), ensemble.predict_on_batch(x), atol=1e-5)


def test_what_is_not_kept_begins_as_a_combination_of_the_kept(folder: Path) -> None:
    ensemble, x = load_ensemble(folder / "ensemble"), one_hot(8)
    both = members_of(ensemble, x)
    shares = np.array([[0.3, -2.0], [1, 0]])[:, :, None]
    found = members_of(student_of(ensemble, (2,), shares), x)
    expected = np.stack([0.3 * both[:, 1] - 2, both[:, 1]], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_training_drops_nothing_and_normalises_as_prediction_does(folder: Path) -> None:
    found, x = student_of(load_ensemble(folder / "ensemble"), (1,), ALIKE), one_hot(8)
    np.testing.assert_allclose(found(x, training=True), found(x, training=False), rtol=0, atol=1e-7)


def test_the_loss_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    weights, bias = rng.uniform(0.1, 1, (3, 2)).astype(np.float32), np.array([-1, 2], np.float32)
    teacher, found = (rng.normal(size=(5, 6)).astype(np.float32) * 4 for _ in range(2))
    members, away = teacher.reshape(5, 3, 2), (found - teacher).reshape(5, 3, 2)
    z = (members * weights).sum(axis=1) + bias
    counts = 0.02 + 0.98 / (1 + np.exp(-(z + 5)))
    expected = (counts * ((away * weights).sum(axis=1) ** 2 + 0.2 * (away**2).mean(axis=1))).mean()
    loss = DistillationLoss(weights, bias)
    assert float(loss(teacher, keras.ops.convert_to_tensor(found))) == pytest.approx(expected, rel=1e-5)
    assert float(loss(teacher, keras.ops.convert_to_tensor(teacher))) == 0


def test_a_student_comes_closer_to_all_members(folder: Path, student: keras.Model) -> None:
    ensemble, x = load_ensemble(folder / "ensemble"), one_hot(64, seed=5)
    truth = members_of(ensemble, x)
    loss = DistillationLoss(*mixture_of(ensemble))
    # Its heads begin as least squares have them, on bins of the validation regions.
    known = np.concatenate([np.load(path) for path in (folder / "student" / "validation").glob("*.npy")])
    fitted = shares_of_kept(known[:, :, None], importance_of(ensemble, known), OPTIONS.keep)
    copied, start = (
        float(loss(truth, members_of(student_of(ensemble, OPTIONS.keep, shares), x)))
        for shares in (ALIKE, fitted)
    )
    found = float(loss(truth, members_of(student, x)))
    assert found < start < copied
    assert found < 0.5 * copied
    np.testing.assert_array_equal(mixture_of(student)[0], mixture_of(ensemble)[0])
    history = pd.read_csv(folder / "student" / "history.csv")
    assert history["loss"].iloc[-1] < 0.5 * history["loss"].iloc[0]
    # What is saved is what was closest in validation.
    best = float(loss(known, members_of(student, one_hot_codes(held_out(folder)))))
    assert best == pytest.approx(history["validation_loss"].min(), rel=1e-4)
    # The spread of the student is that of its heads, by the class of the zoo's entries.
    found = TFBindModel(str(folder / "student" / "model.keras"), ["factor"], 200, spread=True)
    apart = found.predict_on_batch(x)["spread"]["factor"]
    weights = mixture_of(student)[0][:, 0]
    share = weights / weights.sum()
    heads = members_of(student, x)
    expected = weights.sum() * np.sqrt(share @ ((heads - (heads @ share)[:, None]) ** 2).T)
    np.testing.assert_allclose(apart, expected, rtol=1e-3, atol=1e-5)


def test_members_are_chosen_and_a_training_that_leads_away_is_not_kept(folder: Path) -> None:
    options = replace(OPTIONS, keep=(), members=1, windows=64, epochs=1, learning_rate=10.0)
    found = run(folder, "away", options)
    ensemble, x = load_ensemble(folder / "ensemble"), one_hot(8)
    known = np.concatenate([np.load(path) for path in (folder / "away" / "validation").glob("*.npy")])
    logits, counts = known[:, :, None], importance_of(ensemble, known)
    keep = closest_members(logits, counts, mixture_of(ensemble)[0], 1)
    assert json.loads((folder / "away" / "distillation.json").read_text())["kept"] == list(keep)
    history = pd.read_csv(folder / "away" / "history.csv")
    assert history["validation_loss"].iloc[0] > 1
    start = student_of(ensemble, keep, shares_of_kept(logits, counts, keep))
    np.testing.assert_allclose(members_of(found, x), members_of(start, x), rtol=1e-6)


def test_what_it_keeps_of_the_ensemble_is_measured(folder: Path, student: keras.Model) -> None:
    found = json.loads((folder / "student" / "fidelity.json").read_text())
    of_target = found["targets"]["factor"]
    assert 0.8 < of_target["coverage"] < 1
    assert f"covers {of_target['coverage']:.3f}" in fidelity_section(found)
    assert fidelity_section(None) == ""


def test_intervals_cover_what_they_promise_where_errors_grow_with_the_spread() -> None:
    rng = np.random.default_rng(0)

    def logits(n: int) -> tuple[np.ndarray, np.ndarray]:
        heads = rng.normal(size=(2, n, 1)) * rng.gamma(2, size=(n, 1))
        apart = spread(heads, np.full((2, 1), 0.5))
        return heads + apart * rng.normal(size=(n, 1)), heads

    found = fidelity(logits(20_000), logits(20_000), (np.full((2, 1), 0.5), np.zeros(1)), ["A"], level=0.8)
    # Of 20,000 bins in either part, five standard errors of a share of 0.8.
    assert found["targets"]["A"]["coverage"] == pytest.approx(0.8, abs=5 * np.sqrt(2 * 0.16 / 20_000))
    # Both members moved alike: the spread is the student's.
    assert found["targets"]["A"]["spread"] == pytest.approx(1, abs=1e-9)


def test_a_run_that_was_interrupted_goes_on_to_the_same_weights(
    folder: Path, student: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Any] = []

    class Interrupted(fit_student._Batches):
        def on_epoch_end(self) -> None:
            begun.append(self.epoch)
            if len(begun) == 2:
                raise KeyboardInterrupt
            super().on_epoch_end()

    with monkeypatch.context() as patch:
        patch.setattr(fit_student, "_Batches", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(folder, "again")
    assert begun == [0, 1]
    asked: list[int] = []
    with monkeypatch.context() as patch:
        predict = module.predict_codes

        def count(model: keras.Model, codes: np.ndarray) -> np.ndarray:
            asked.append(len(codes))
            return predict(model, codes)

        patch.setattr(module, "predict_codes", count)
        patch.delattr(module, "hard_bins")
        again = run(folder, "again")
    # The ensemble was not asked again about the windows, nor bins ranked anew.
    assert OPTIONS.windows not in asked
    for one, other in zip(again.get_weights(), student.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_windows_are_of_all_kinds_and_drawn_from_the_seed() -> None:
    rng = np.random.default_rng(0)
    codes = rng.choice(np.array([0, 1], np.uint8), size=(50, 220))
    labels = np.ones((50, 1), np.int8)
    options = replace(OPTIONS, windows=100, mutated=0.3, mutation_rate=1.0, hard=0.0, random=0.1)
    found = distillation_windows(codes, labels, CONFIG, options)
    assert found.shape == (100, 200)
    assert found.dtype == np.uint8
    # Only redrawn bases can be others than those of the bins: in 30 windows, and 10 of random bases.
    assert 30 <= (found > 1).any(axis=1).sum() <= 40
    whole = {
        row.tobytes() for row in np.lib.stride_tricks.sliding_window_view(codes, 200, axis=1).reshape(-1, 200)
    }
    real = sum(row.tobytes() in whole for row in found)
    assert 60 <= real <= 65
    np.testing.assert_array_equal(found, distillation_windows(codes, labels, CONFIG, options))
    assert (found != distillation_windows(codes, labels, CONFIG, replace(options, seed=1))).any()


def test_recombined_windows_are_of_two_windows_joined_in_the_middle_half() -> None:
    codes = np.repeat(np.arange(4, dtype=np.uint8), 10)[:, None].repeat(240, axis=1)
    options = Distillation(windows=100, mutated=0.0, recombined=0.5, hard=0.0, random=0.0)
    config = replace(CONFIG, windows=replace(CONFIG.windows, shuffled=0.0))
    found = distillation_windows(codes, np.ones((40, 1), np.int8), config, options)
    changes = np.diff(found.astype(int), axis=1) != 0
    assert changes.sum(axis=1).max() == 1
    assert 20 <= changes.any(axis=1).sum() <= 50  # a quarter is joined with a window of the same base
    where = np.nonzero(changes)[1] + 1
    assert where.min() >= 50
    assert where.max() < 150


def test_hard_windows_are_the_unbound_ones_that_the_student_ranks_first(folder: Path) -> None:
    student = student_of(load_ensemble(folder / "ensemble"), (1,), ALIKE)
    genome = Genome(folder / "genome.fa")

    def logits(options: Distillation) -> tuple[np.ndarray, np.ndarray]:
        bins = hard_bins(student, 1, CONFIG, genome, folder, options)  # looks at all bins
        codes = bins.codes(genome, CONFIG.length)
        return codes, student.predict_on_batch(one_hot_codes(codes))[:, 0]

    few, of_few = logits(replace(OPTIONS, windows=320, hard=0.2))
    many, of_many = logits(replace(OPTIONS, windows=320, mutated=0.0, hard=1.0, random=0.0))
    assert few.shape == (64, 200)
    assert len(many) > 200
    np.testing.assert_array_equal(of_few, of_many[:64])
    assert (np.diff(of_many) <= 0).all()
    middle = (200 - CONFIG.windows.bin_length) // 2
    for bases in decode_codes(many[:, middle:-middle]):
        assert MOTIF not in bases
        assert MOTIF[::-1].translate(str.maketrans("ACGT", "TGCA")) not in bases


@pytest.mark.parametrize("keep", [(3,), (0,), (1, 1)])
def test_members_that_are_not_there_are_refused(folder: Path, keep: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected different numbers of members, from 1 to 2"):
        run(folder, "refused", replace(OPTIONS, keep=keep))
    with pytest.raises(InputError, match="members: the ensemble has 2, got 3"):
        run(folder, "refused", replace(OPTIONS, keep=(), members=3))
    assert not (folder / "refused").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"windows": 0}, "windows"),
        ({"members": 0}, "members"),
        ({"epochs": 0}, "epochs"),
        ({"mutated": 1.5}, "mutated: expected a share from 0 to 1, got 1.5"),
        ({"random": -0.1}, "random: expected a share"),
        ({"mutated": 0.6, "recombined": 0.5}, "expected shares that sum to 1 at most"),
        ({"learning_rate": 0.0}, "learning_rate: expected a number above 0"),
        ({"windows": 10, "batch_size": 20}, "batch_size: 20 is more than there are windows, 10"),
    ],
)
def test_options_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(OPTIONS, **changes)


def test_a_run_that_cannot_begin_does_not_claim_its_folder(folder: Path) -> None:
    with pytest.raises(InputError, match="no such peak file"):
        distill(folder / "ensemble", folder / "genome.fa", folder / "missing", folder / "unclaimed", OPTIONS)
    assert not (folder / "unclaimed").exists()


def test_what_is_no_ensemble_and_another_run_are_refused(folder: Path, student: keras.Model) -> None:
    with pytest.raises(InputError, match="no ensemble here; make one with `kipoi tfbind ensemble`"):
        distill(folder / "run-1", folder / "genome.fa", folder, folder / "refused", OPTIONS)
    with pytest.raises(InputError, match="holds a run with other options"):
        run(folder, "student", replace(OPTIONS, epochs=9))
