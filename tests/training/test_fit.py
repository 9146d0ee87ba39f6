"""Loss, batches, a real training on a genome with a planted motif, and one that is interrupted."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from kipoi_tfbind.dna.one_hot import one_hot_codes
from kipoi_tfbind.errors import InputError, MissingProgramError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.training import fit
from kipoi_tfbind.training.batches import TrainingBatches, with_shuffles
from kipoi_tfbind.training.callbacks import KeepBest, predict_codes, tensorboard_log
from kipoi_tfbind.training.config import FitConfig, Region, TrainingConfig, WindowsConfig
from kipoi_tfbind.training.metrics import mean_auprc
from kipoi_tfbind.training.motif_anchor import start_from_motifs
from kipoi_tfbind.training.objective import MaskedCrossEntropy, target_weights
from kipoi_tfbind.training.options import AugmentConfig, RegulariseConfig
from kipoi_tfbind.training.windows import LabelledBins, held_out_bins
from tests.planted_genome import CONTIG_LENGTH, write_planted_genome


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random genome in which a motif lies every 800 bases on either strand, with peaks."""
    folder = tmp_path_factory.mktemp("planted")
    write_planted_genome(folder)
    return folder


CONFIG = TrainingConfig(
    architecture="motif_cnn",
    hyperparameters={"length": 200, "filters": 8, "second_filters": 8, "hidden_units": 8, "dropout": 0.1},
    targets={"factor": ("peaks.bed",)},
    validation=(Region("c", 0, 20_000),),
    test=(Region("c", 20_000, 40_000),),
    windows=WindowsConfig(bin_length=100, stride=25),
    fit=FitConfig(epochs=3, batch_size=32, learning_rate=0.01, jitter=10),
)
AIDED = replace(
    CONFIG,
    motif_filters=("MA0139.1",),
    auxiliary={"helper": ("peaks.bed",)},
    windows=replace(CONFIG.windows, shuffled=0.5),
    fit=replace(CONFIG.fit, epochs=1),
    regularise=RegulariseConfig(adversarial_weight=0.3, adversarial_steps=1, prior_weight=0.1),
)
# Everything that is drawn: dropout too.
ALL_DRAWS = replace(
    CONFIG,
    augment=AugmentConfig(5, 5, 5, 5, mutation=0.05, reverse_complement=0.5, noise=0.05, mixup=0.3),
    regularise=RegulariseConfig(label_smoothing=0.02),
)


def run(config: TrainingConfig, folder: Path, run_dir: Path) -> keras.Model:
    return fit.train(config, folder / "genome.fa", folder, run_dir, verbose=0)


def test_loss_is_the_mean_cross_entropy_of_the_unambiguous_labels() -> None:
    rng = np.random.default_rng(0)
    logits = (rng.normal(size=(40, 3)) * 5).astype(np.float32)
    labels = rng.choice(np.array([-1, 0, 1], dtype=np.int8), size=(40, 3))
    probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
    known = labels >= 0
    losses = -np.log(np.where(labels == 1, probability, 1 - probability))
    found = keras.ops.convert_to_numpy(
        MaskedCrossEntropy([1.0] * 3)(labels, keras.ops.convert_to_tensor(logits))
    )
    assert found == pytest.approx(losses[known].mean(), rel=1e-6)


def test_smoothed_labels_lie_between_the_classes() -> None:
    logits, labels = np.array([[1.5], [-0.5], [2.0]], np.float32), np.array([[1], [0], [-1]], np.int8)
    found = float(MaskedCrossEntropy([1.0], smoothing=0.2)(labels, keras.ops.convert_to_tensor(logits)))
    p = 1 / (1 + np.exp(-logits[:2, 0].astype(np.float64)))
    y = np.array([0.9, 0.1])
    assert found == pytest.approx(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(), rel=1e-6)


def test_auxiliary_targets_count_by_their_weight() -> None:
    logits, labels = np.array([[1.0, -2.0]], np.float32), np.array([[1, 1]], np.int8)
    losses = np.logaddexp(0, -logits[0])
    found = float(MaskedCrossEntropy([1.0, 0.25])(labels, keras.ops.convert_to_tensor(logits)))
    assert found == pytest.approx((losses[0] + losses[1] / 4) / 1.25, rel=1e-6)


def test_targets_with_few_bound_windows_weigh_more() -> None:
    labels = np.zeros((1000, 4), np.int8)
    for column, n_bound in enumerate((400, 100, 1, 25)):
        labels[:n_bound, column] = 1
    labels[500:, :] = -1
    config = replace(CONFIG, targets=dict.fromkeys("ABC", ("a.bed",)), auxiliary={"D": ("a.bed",)})
    np.testing.assert_array_equal(target_weights(config, labels), [1, 1, 1, 0.2])
    balanced = replace(config, fit=replace(CONFIG.fit, balance=0.5))
    # The square roots of 1, 4 and 400, of which the last is cut off at 10.
    np.testing.assert_allclose(target_weights(balanced, labels), [*np.array([1, 2, 10]) * 3 / 13, 0.2])
    given = replace(balanced, target_weights={"B": 3.0})
    np.testing.assert_allclose(target_weights(given, labels), [*np.array([1, 6, 10]) * 3 / 17, 0.2])


def test_the_kept_model_is_the_trained_one_without_its_auxiliary_targets() -> None:
    trained, kept = (fit.build_model(CONFIG, n_targets=n) for n in (3, 1))
    for weight in trained.weights:
        weight.assign(np.random.default_rng(0).uniform(0.1, 1, weight.shape))
    fit.copy_without_auxiliary(trained, kept)
    x = np.eye(4, dtype=np.float32)[np.random.default_rng(1).integers(4, size=(5, 200))]
    np.testing.assert_allclose(kept.predict_on_batch(x), trained.predict_on_batch(x)[:, :1], atol=1e-6)


def test_shuffled_negatives_keep_the_dinucleotides_of_bound_windows_and_depend_on_the_seed() -> None:
    rng = np.random.default_rng(3)
    codes = rng.integers(4, size=(40, 60)).astype(np.uint8)
    labels = np.where(rng.random((40, 2)) < 0.3, 1, 0).astype(np.int8)
    bound = codes[(labels == 1).any(axis=1)]

    def dinucleotides(rows: NDArray[np.uint8]) -> list[tuple[int, ...]]:
        pairs = 4 * rows[:, :-1] + rows[:, 1:]
        return sorted(tuple(np.bincount(row, minlength=16).tolist()) for row in pairs)

    more, their_labels = with_shuffles(codes, labels, 1.0, seed=1)
    assert np.array_equal(more[:40], codes)
    assert dinucleotides(more[40:]) == dinucleotides(bound)
    assert not np.array_equal(np.sort(more[40:], axis=0), np.sort(bound, axis=0))
    assert not their_labels[40:].any()
    np.testing.assert_array_equal(with_shuffles(codes, labels, 1.0, seed=1)[0], more)
    assert not np.array_equal(with_shuffles(codes, labels, 1.0, seed=2)[0], more)
    assert len(with_shuffles(codes, labels, 0.5, seed=1)[0]) == 40 + round(len(bound) / 2)
    assert len(with_shuffles(codes, labels, 2.0, seed=1)[0]) == 40 + 2 * len(bound)
    assert len(with_shuffles(codes, labels, 0.0, seed=1)[0]) == 40


def test_loss_of_extreme_logits_is_finite_and_of_unknown_labels_zero() -> None:
    def loss(labels: list[list[int]], logits: list[list[float]]) -> float:
        return float(
            MaskedCrossEntropy([1.0])(np.array(labels, np.int8), keras.ops.convert_to_tensor(logits))
        )

    assert loss([[1], [0]], [[500.0], [-500.0]]) == 0
    assert loss([[1], [0]], [[-500.0], [-500.0]]) == pytest.approx(250)
    assert loss([[-1], [-1]], [[5.0], [-5.0]]) == 0


@pytest.fixture
def bins() -> LabelledBins:
    rng = np.random.default_rng(5)
    labels = rng.choice(np.array([-1, 0, 1], dtype=np.int8), size=(70, 2))
    return LabelledBins(np.full(70, "c"), np.arange(70) * 150 + 1_000, 100, labels, ("A", "B"))


def origins(batches: TrainingBatches, genome: Genome, length: int) -> list[tuple[int, tuple[int, ...]]]:
    """Where each window of an epoch comes from, found by looking its sequence up in the genome."""
    text = genome.windows("c", [0], CONTIG_LENGTH)[0].tobytes()
    found = []
    for batch in range(len(batches)):
        x, y = batches[batch]
        assert x.shape == (batches.fit.batch_size, length, 4)
        assert x.dtype == np.float32
        assert (x.sum(axis=-1) == 1).all()
        for window, labels in zip(x.argmax(axis=-1).astype(np.uint8), y, strict=True):
            place = text.index(window.tobytes())
            found.append((place, tuple(labels.tolist())))
    return found


def test_every_bin_comes_once_an_epoch_jittered_and_with_its_labels(
    planted: Path, bins: LabelledBins
) -> None:
    genome = Genome(planted / "genome.fa")
    batches = TrainingBatches(bins, genome, replace(CONFIG, fit=replace(CONFIG.fit, batch_size=10)))
    assert len(batches) == 7
    shifts: set[int] = set()
    for _ in range(4):
        found = {}
        for place, labels in origins(batches, genome, 200):
            # The unjittered window of 200 begins 50 before its bin, and the bins lie 150 apart.
            row = round((place + 50 - 1_000) / 150)
            shifts.add(place + 50 - int(bins.start[row]))
            found[row] = labels
        assert found == {row: tuple(labels) for row, labels in enumerate(bins.labels.tolist())}
        batches.on_epoch_end()
    assert shifts <= set(range(-10, 11))
    assert {-10, 10} <= shifts


def test_batches_follow_from_seed_and_epoch_alone(planted: Path, bins: LabelledBins) -> None:
    genome = Genome(planted / "genome.fa")

    def epoch(seed: int, first_epoch: int, ended: int = 0) -> list[tuple[int, tuple[int, ...]]]:
        settings = replace(CONFIG, fit=replace(CONFIG.fit, seed=seed))
        batches = TrainingBatches(bins, genome, settings, first_epoch=first_epoch)
        for _ in range(ended):
            batches.on_epoch_end()
        return origins(batches, genome, 200)

    assert epoch(1, 0) == epoch(1, 0)
    assert epoch(1, 2) == epoch(1, 0, ended=2)
    assert epoch(1, 0) != epoch(1, 1)
    assert epoch(1, 0) != epoch(2, 0)


def test_options_apply_until_the_plain_epochs(planted: Path, bins: LabelledBins) -> None:
    genome = Genome(planted / "genome.fa")
    settings = AugmentConfig(noise=0.1, mixup=0.5, plain_epochs=1)
    batches = TrainingBatches(bins, genome, replace(CONFIG, augment=settings), first_epoch=1)
    x, y = batches[0]
    assert y.dtype == np.float32
    assert ((y > 0) & (y < 1)).any()
    again = TrainingBatches(bins, genome, replace(CONFIG, augment=settings))
    again.on_epoch_end()
    np.testing.assert_array_equal(again[0][0], x)
    np.testing.assert_array_equal(again[0][1], y)
    batches.on_epoch_end()
    plain = TrainingBatches(bins, genome, CONFIG, first_epoch=2)
    for one, other in zip(batches[0], plain[0], strict=True):
        np.testing.assert_array_equal(one, other)


def test_windows_come_from_either_strand_where_the_architecture_leaves_that_to_training(
    planted: Path, bins: LabelledBins
) -> None:
    config = replace(CONFIG, hyperparameters={**CONFIG.hyperparameters, "strands": "augmentation"})
    assert config.augmentation.reverse_complement == 0.5
    assert (
        replace(config, augment=AugmentConfig(reverse_complement=0.2)).augmentation.reverse_complement == 0.2
    )
    genome = Genome(planted / "genome.fa")
    found, forward = TrainingBatches(bins, genome, config)[0][0], TrainingBatches(bins, genome, CONFIG)[0][0]
    turned = (found != forward).any(axis=(1, 2))
    assert 4 < turned.sum() < 28
    np.testing.assert_array_equal(found[turned], forward[turned, ::-1, ::-1])


def test_rows_that_fill_no_batch_are_left_for_another_epoch(planted: Path, bins: LabelledBins) -> None:
    genome = Genome(planted / "genome.fa")
    batches = TrainingBatches(bins, genome, CONFIG)
    assert len(batches) == 2
    assert len(origins(batches, genome, 200)) == 64
    with pytest.raises(InputError, match="31 training bins do not make a batch of 32"):
        TrainingBatches(bins.select(slice(31)), genome, CONFIG)


def test_logits_start_at_the_prevalence() -> None:
    labels = np.repeat(np.array([[1, 0], [0, -1], [0, 1], [0, 0]], dtype=np.int8), 50, axis=0)
    model = fit.build_model(replace(CONFIG, targets={"A": ("a.bed",), "B": ("b.bed",)}))
    fit.start_at_prevalence(model, labels)
    bias = keras.ops.convert_to_numpy(model.get_layer("logit").bias)
    np.testing.assert_allclose(bias, [np.log(51 / 151), np.log(51 / 101)], rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "transformer"}, "architecture 'transformer' is unknown; known: "),
        ({"hyperparameters": {"length": 200, "depth": 3}}, "hyperparameters of motif_cnn: .*'depth'"),
        ({"hyperparameters": {"length": 210}}, "hyperparameters of motif_cnn: length must be a multiple"),
    ],
)
def test_unknown_architecture_or_hyperparameter(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit.build_model(replace(CONFIG, **changes))


def test_predictions_do_not_depend_on_the_batches() -> None:
    codes = np.random.default_rng(0).integers(0, 5, size=(23, 200)).astype(np.uint8)
    model = fit.build_model(CONFIG)
    expected = keras.ops.convert_to_numpy(model(one_hot_codes(codes), training=False))
    np.testing.assert_allclose(predict_codes(model, codes, batch_size=7), expected, atol=1e-6)


@pytest.mark.needs_bedtools
def test_training_finds_a_planted_motif(planted: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, fit=replace(CONFIG.fit, epochs=5))
    model = run(config, planted, tmp_path / "run")
    genome = Genome(planted / "genome.fa")
    bins = held_out_bins(config, genome, planted, "test")
    known = bins.labels[:, 0] >= 0
    scores = predict_codes(model, bins.codes(genome, config.length))
    prevalence = (bins.labels[known, 0] == 1).mean()
    assert prevalence < 0.3
    assert average_precision_score(bins.labels[known, 0], scores[known, 0]) > 0.85
    assert TrainingConfig.from_yaml(tmp_path / "run" / "config.yaml") == config
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert history["epoch"].tolist() == list(range(5))
    # The model that is kept and returned is that of the best epoch.
    validation = held_out_bins(config, genome, planted, "validation")
    best = mean_auprc(validation.labels, predict_codes(model, validation.codes(genome, 200)))
    assert best == pytest.approx(history["validation_auprc"].max(), abs=1e-6)


def test_a_prediction_that_is_the_same_everywhere_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = fit.build_model(CONFIG)
    codes = np.random.default_rng(0).integers(0, 4, size=(8, 200)).astype(np.uint8)
    labels = np.arange(8, dtype=np.int8)[:, np.newaxis] % 2
    callback = KeepBest(model, codes, labels, tmp_path / "model.keras", [])
    callback.on_epoch_end(0)
    assert capsys.readouterr().err == ""
    dead = model.get_layer("hidden")
    dead.set_weights([np.zeros_like(value) - 1 for value in dead.get_weights()])
    callback.on_epoch_end(1)
    assert "epoch 2: the prediction is the same for every window" in capsys.readouterr().err
    callback.on_epoch_end(2)
    assert capsys.readouterr().err == ""


@pytest.mark.needs_bedtools
def test_training_goes_on_from_filters_that_start_as_the_motif(planted: Path, tmp_path: Path) -> None:
    # Also run on Keras' other backends (tests/architectures/test_other_backends.py).
    config = replace(AIDED, fit=replace(CONFIG.fit, epochs=2))
    if keras.backend.backend() == "tensorflow":  # there another test has them
        config = replace(config, regularise=RegulariseConfig())
    model = run(config, planted, tmp_path / "run")
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert history["loss"].iloc[1] < history["loss"].iloc[0]
    assert history["validation_auprc"].max() > 0.9
    assert model.output_shape == (None, 1)


def weights(model: keras.Model) -> list[NDArray]:
    return [keras.ops.convert_to_numpy(weight) for weight in model.weights]


class Interrupt:
    """A callback's method that raises, once, at one epoch, before what it stands for has happened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: type, method: str, epoch: int) -> None:
        original = getattr(kind, method)

        def interrupted(callback: keras.callbacks.Callback, at: int, logs: dict | None = None) -> None:
            if at == epoch:
                monkeypatch.undo()
                raise KeyboardInterrupt
            original(callback, at, logs)

        monkeypatch.setattr(kind, method, interrupted)


@pytest.fixture(scope="module")
def through(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run that nothing interrupts."""
    run_dir = tmp_path_factory.mktemp("through") / "run"
    run(ALL_DRAWS, planted, run_dir)
    return run_dir


@pytest.mark.needs_bedtools
@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (KeepBest, "on_epoch_begin"),
        # The moment between the line in the history and the checkpoint of the same epoch.
        (keras.callbacks.BackupAndRestore, "on_epoch_end"),
    ],
)
def test_interrupted_run_ends_as_if_it_had_not_been(
    planted: Path, through: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type, method: str
) -> None:
    Interrupt(monkeypatch, kind, method, epoch=1)
    with pytest.raises(KeyboardInterrupt):
        run(ALL_DRAWS, planted, tmp_path / "run")
    again = run(ALL_DRAWS, planted, tmp_path / "run")
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert history["epoch"].tolist() == [0, 1, 2]
    # The optimiser's state, the learning rate's place on its curve and the draws all go on as they were.
    expected_history = pd.read_csv(through / "history.csv").drop(columns="cpu_seconds")
    pd.testing.assert_frame_equal(history.drop(columns="cpu_seconds"), expected_history, rtol=1e-4)
    expected = weights(keras.models.load_model(through / "model.keras"))
    for one, other in zip(weights(again), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.needs_bedtools
def test_run_that_has_ended_hands_out_its_model(planted: Path, through: Path) -> None:
    history, model = (through / "history.csv").read_text(), (through / "model.keras").read_bytes()
    found = weights(run(ALL_DRAWS, planted, through))
    assert (through / "history.csv").read_text() == history
    assert (through / "model.keras").read_bytes() == model
    for one, other in zip(found, weights(keras.models.load_model(through / "model.keras")), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.needs_bedtools
def test_folder_with_a_run_of_another_configuration_is_refused(planted: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    once = replace(CONFIG, fit=replace(CONFIG.fit, epochs=1))
    run(once, planted, run_dir)
    kept = (run_dir / "model.keras").read_bytes()
    with pytest.raises(InputError, match=r"config\.yaml: this folder holds a run of another configuration"):
        run(CONFIG, planted, run_dir)
    assert (run_dir / "model.keras").read_bytes() == kept
    assert TrainingConfig.from_yaml(run_dir / "config.yaml") == once


@pytest.mark.needs_bedtools
def test_run_that_cannot_begin_leaves_no_folder(planted: Path, tmp_path: Path) -> None:
    for mistake in (
        {"targets": {"factor": ("peak.bed",)}},
        {"fit": replace(CONFIG.fit, batch_size=100_000)},
        {"hyperparameters": {"length": 210}},
    ):
        with pytest.raises(InputError):
            run(replace(CONFIG, **mistake), planted, tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_tensorboard_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingProgramError, match=r"pip install 'kipoi_tfbind\[tensorboard\]'"):
        tensorboard_log(tmp_path)


def test_filters_of_an_untied_layer_start_as_motifs_on_both_strands() -> None:
    sequence = keras.Input((50, 4))
    x = keras.layers.Conv1D(5, 19, name="motifs")(sequence)
    model = keras.Model(sequence, x)
    tied = fit.build_model(CONFIG)
    for each in (model, tied):
        start_from_motifs(each, ("MA0139.1",))
    kernel, expected = (weights(each)[0] for each in (model, tied))
    np.testing.assert_array_equal(kernel[..., 0], expected[..., 0])
    np.testing.assert_array_equal(kernel[..., 1], expected[::-1, ::-1, 0])
    with pytest.raises(InputError, match="3 motifs in both orientations for 5 filters"):
        start_from_motifs(model, ("MA0139.1", "MA0138.2", "MA0062.2"))


@pytest.mark.needs_bedtools
def test_training_with_motif_filters_auxiliary_targets_and_shuffles(planted: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    log = tensorboard_log(tmp_path / "run")
    model = fit.train(AIDED, planted / "genome.fa", planted, tmp_path / "run", verbose=0, callbacks=[log])
    events = [path.read_bytes() for path in (tmp_path / "run" / "tensorboard").rglob("events*")]
    assert any(b"epoch_validation_auprc" in each for each in events)
    assert model.output_shape == (None, 1)
    assert TrainingConfig.from_yaml(tmp_path / "run" / "config.yaml") == AIDED
    validation = held_out_bins(AIDED, Genome(planted / "genome.fa"), planted, "validation")
    codes = validation.codes(Genome(planted / "genome.fa"), AIDED.length)
    kept = mean_auprc(validation.labels, predict_codes(model, codes))
    logged = pd.read_csv(tmp_path / "run" / "history.csv")["validation_auprc"]
    assert kept == pytest.approx(logged.max(), abs=1e-6)
