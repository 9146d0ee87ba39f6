"""The model classes of the zoo on a small model, and what they say to a weights file that is not right."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from kipoi_tfbind.architectures import motif_cnn
from kipoi_tfbind.errors import InputError, WeightsError
from kipoi_tfbind.kipoi_model import TFBindModel, TFBindVariantModel
from kipoi_tfbind.training.ensemble import mix_models

LENGTH, TARGETS = 40, ["CTCF", "MAX"]
SMALL: dict[str, Any] = {
    "filters": 3,
    "kernel_size": 5,
    "second_filters": 3,
    "second_kernel_size": 3,
    "hidden_units": 4,
}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(1)
    return motif_cnn(length=LENGTH, n_targets=2, **SMALL)


@pytest.fixture(scope="module", params=["model.keras", "0123456789abcdef"])
def weights(
    model: keras.Model, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The model's file, as it is in a group and as Kipoi keeps what it has downloaded."""
    folder = tmp_path_factory.mktemp("weights")
    model.save(folder / "model.keras")
    path = folder / request.param
    if path.name != "model.keras":
        shutil.move(folder / "model.keras", path)
    return path


@pytest.fixture(scope="module")
def one_hot() -> NDArray[np.float32]:
    codes = np.random.default_rng(1).integers(0, 5, size=(9, LENGTH))
    return np.eye(5, 4, dtype=np.float32)[codes]


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def sigmoid(logits: NDArray) -> NDArray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def test_predictions_are_the_saved_models(
    model: keras.Model, weights: Path, one_hot: NDArray[np.float32]
) -> None:
    loaded = TFBindModel(str(weights), TARGETS, LENGTH, md5(weights))
    found = loaded.predict_on_batch(one_hot)
    assert list(found) == TARGETS
    expected = keras.ops.convert_to_numpy(model(one_hot, training=False))
    np.testing.assert_allclose(np.stack([*found.values()], axis=1), expected, atol=1e-6)
    assert found["CTCF"].shape == (9,)
    assert loaded.targets == TARGETS
    assert loaded.length == LENGTH
    assert isinstance(loaded.model, keras.Model)


def test_probability_is_the_sigmoid_of_the_logit(weights: Path, one_hot: NDArray[np.float32]) -> None:
    loaded = TFBindModel(str(weights), TARGETS, LENGTH)
    logits = loaded.predict_logits(one_hot)
    assert logits.shape == (9, 2)
    assert logits.std() > 0
    for column, probability in enumerate(loaded.predict_on_batch(one_hot).values()):
        np.testing.assert_allclose(probability, sigmoid(logits[:, column]), atol=1e-6)


def test_variant_model_gives_both_alleles_and_their_difference(
    weights: Path, one_hot: NDArray[np.float32]
) -> None:
    plain = TFBindModel(str(weights), TARGETS, LENGTH)
    ref, alt = one_hot, one_hot[:, ::-1].copy()
    alt[:, 7] = np.eye(4, dtype=np.float32)[2]
    found = TFBindVariantModel(str(weights), TARGETS, LENGTH, md5(weights)).predict_on_batch(
        {"ref": ref, "alt": alt}
    )
    assert list(found) == ["ref", "alt", "difference"]
    for column, target in enumerate(TARGETS):
        values = {name: by_target[target] for name, by_target in found.items()}
        np.testing.assert_allclose(values["ref"], plain.predict_logits(ref)[:, column], atol=1e-5)
        np.testing.assert_allclose(values["alt"], plain.predict_logits(alt)[:, column], atol=1e-5)
        np.testing.assert_array_equal(values["difference"], values["alt"] - values["ref"])
        assert np.abs(values["difference"]).max() > 0


def test_variant_model_of_an_ensemble_gives_the_spread_of_its_members_differences(
    model: keras.Model, tmp_path: Path, one_hot: NDArray[np.float32]
) -> None:
    keras.utils.set_random_seed(2)
    other = motif_cnn(length=LENGTH, n_targets=2, **SMALL)
    weights = np.array([[0.9, 0.0], [0.3, 1.2]])
    mix_models([model, other], weights, np.array([0.1, -0.2])).save(tmp_path / "model.keras")
    ref, alt = one_hot, one_hot[:, ::-1].copy()
    alt[:, 3] = np.eye(4, dtype=np.float32)[1]
    path = str(tmp_path / "model.keras")
    found = TFBindVariantModel(path, TARGETS, LENGTH, spread=True).predict_on_batch({"ref": ref, "alt": alt})

    def log_odds(member: keras.Model, x: NDArray) -> NDArray[np.float64]:
        p = keras.ops.convert_to_numpy(member(x, training=False)).astype(np.float64)
        return np.log(p / (1 - p))

    # Of two values with the shares p and 1 - p: their distance times sqrt(p (1 - p)).
    one, two = (log_odds(member, alt) - log_odds(member, ref) for member in (model, other))
    expected = 1.2 * np.abs(one - two)[:, 0] * np.sqrt(0.75 * 0.25)
    assert expected.max() > 1e-3
    np.testing.assert_allclose(found["spread"]["CTCF"], expected, rtol=1e-3, atol=1e-6)
    # The other target is one member's alone.
    np.testing.assert_array_equal(found["spread"]["MAX"], 0)
    np.testing.assert_allclose(found["difference"]["MAX"], 1.2 * two[:, 1], rtol=1e-3, atol=1e-5)
    spread = TFBindModel(path, TARGETS, LENGTH, spread=True).predict_on_batch(ref)["spread"]["CTCF"]
    apart = np.abs(log_odds(model, ref) - log_odds(other, ref))[:, 0]
    np.testing.assert_allclose(spread, 1.2 * apart * np.sqrt(0.75 * 0.25), rtol=1e-3, atol=1e-6)


def test_same_allele_twice_makes_no_difference(weights: Path, one_hot: NDArray[np.float32]) -> None:
    variants = TFBindVariantModel(str(weights), TARGETS, LENGTH)
    found = variants.predict_on_batch({"ref": one_hot, "alt": one_hot})
    for values in found["difference"].values():
        np.testing.assert_allclose(values, 0, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, LENGTH + 1, 4), (3, 4, LENGTH), (LENGTH, 4), (3, LENGTH, 5)])
def test_windows_of_another_shape_are_refused(weights: Path, shape: tuple[int, ...]) -> None:
    windows = np.zeros(shape, dtype=np.float32)
    right = np.zeros((3, LENGTH, 4), dtype=np.float32)
    variants = TFBindVariantModel(str(weights), TARGETS, LENGTH)
    for predict in (
        lambda: TFBindModel(str(weights), TARGETS, LENGTH).predict_on_batch(windows),
        lambda: variants.predict_on_batch({"ref": windows, "alt": right}),
        lambda: variants.predict_on_batch({"ref": right, "alt": windows}),
    ):
        with pytest.raises(InputError) as error:
            predict()
        assert str(error.value) == (
            f"input: expected one-hot windows (sequence, {LENGTH}, 4), got {shape}; "
            f"set the dataloader's length to {LENGTH}"
        )


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scribble(path: Path) -> None:
    """Break the weights inside an archive that is otherwise whole."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2_000] = bytes(2_000)
    path.write_bytes(content)


def make_text(path: Path) -> None:
    path.write_text("<html>404: not found</html>\n")


def make_empty(path: Path) -> None:
    path.write_bytes(b"")


def make_hdf5(path: Path) -> None:
    keras.Sequential([keras.Input((LENGTH, 4)), keras.layers.Flatten()]).save_weights(
        path.with_suffix(".weights.h5")
    )
    shutil.move(path.with_suffix(".weights.h5"), path)


@pytest.mark.parametrize("spoil", [cut_off, make_text, make_hdf5, make_empty])
def test_file_that_is_no_keras_model_is_refused(
    weights: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    path = Path(shutil.copy(weights, tmp_path))
    spoil(path)
    error = refusal(path, TARGETS, LENGTH)
    assert error == f"{path}: truncated, or no Keras 3 model file; fetch it again"


def test_file_with_broken_weights_is_refused(weights: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(weights, tmp_path))
    scribble(path)
    error = refusal(path, TARGETS, LENGTH)
    assert error.startswith(f"{path}: cannot be read as a Keras 3 model (")
    assert error.endswith("; fetch it again")
    # The name under which Keras was shown the file is nobody's business.
    assert os.path.join(tempfile.gettempdir(), "tmp") not in error


@pytest.mark.parametrize("spoil", [cut_off, make_text])
def test_checksum_is_compared_before_the_file_is_read(
    weights: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    path = Path(shutil.copy(weights, tmp_path))
    spoil(path)
    found, expected = md5(path), md5(weights)
    assert refusal(path, TARGETS, LENGTH, expected) == (
        f"{path}: the weights file is corrupted or another one: expected md5 {expected}, got {found}; "
        "delete it and fetch it again"
    )


@pytest.mark.parametrize("checksum", [None, "0" * 32])
def test_missing_file_is_named(tmp_path: Path, checksum: str | None) -> None:
    error = refusal(tmp_path / "no.keras", TARGETS, LENGTH, checksum)
    assert error.startswith(f"{tmp_path / 'no.keras'}: ")
    assert "no such" in error.lower()


@pytest.mark.parametrize(
    ("targets", "length", "expected"),
    [
        (["CTCF"], LENGTH, "expected a model of input (40, 4) and output (1,), got (40, 4) and (2,)"),
        (TARGETS, 60, "expected a model of input (60, 4) and output (2,), got (40, 4) and (2,)"),
    ],
)
def test_weights_of_another_shape_are_refused(
    weights: Path, targets: list[str], length: int, expected: str
) -> None:
    error = refusal(weights, targets, length, md5(weights))
    assert error == f"{weights}: {expected}; the weights belong to another entry"


def test_model_without_logits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    layers = [keras.Input((LENGTH, 4)), keras.layers.Flatten(), keras.layers.Dense(2)]
    keras.Sequential(layers).save(path)
    assert refusal(path, TARGETS, LENGTH).startswith(f"{path}: the model has no layer 'logit'")


def refusal(path: Path, targets: list[str], length: int, checksum: str | None = None) -> str:
    """The one line with which either class refuses a file."""
    messages = []
    for kind in (TFBindModel, TFBindVariantModel):
        with pytest.raises(WeightsError) as error:
            kind(str(path), targets, length, checksum)
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    assert "\n" not in messages[0]
    return messages[0]
