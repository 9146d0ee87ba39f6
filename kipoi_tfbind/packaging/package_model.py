"""Any Keras or PyTorch model as a Kipoi entry that passes `kipoi test`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kipoi_tfbind.backends.quiet_start import quiet_start
from kipoi_tfbind.dataloaders.intervals import with_axes
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.models.load import as_sequence_model
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.packaging.description import EXPECTED, EntryText, describe_entry, model_card
from kipoi_tfbind.packaging.example import check_origin, write_example
from kipoi_tfbind.packaging.saved_model import SavedModel, kipoi_model
from kipoi_tfbind.repairs.weight_files import refusing_code


def package_model(
    saved: SavedModel | str | os.PathLike[str],
    output: str | os.PathLike[str],
    text: EntryText,
    *,
    length: int | None = None,
    layout: str | None = None,
    targets: Sequence[str] | None = None,
    fasta: str | os.PathLike[str] | None = None,
    intervals: str | os.PathLike[str] | None = None,
    n_examples: int = 16,
) -> Path:
    """Write a Kipoi entry of a saved model, and run `kipoi test` on it.

    The entry's folder holds a copy of the model, a `model.yaml` with schema and dataloader, an example
    (windows of a genome, with coordinates), the predictions that Kipoi makes of it, and a card. Nothing is
    left under the folder's name unless the test passes.

    Parameters
    ----------
    saved
        File of a whole model: ``.keras`` or ``.h5``, or ``.pt`` of a scripted or traced PyTorch module; or a
        `SavedModel`, for the weights of a module whose class is in a Python file.
    output
        The entry's folder, which does not exist yet.
    text
        What people read of it: name, authors, description, licence.
    length
        Length of the sequences, for a model that does not say it.
    layout
        Axes of one sequence, such as "L,4" or "1,4,L"; by default "L,4" for Keras, "4,L" for PyTorch.
    targets
        Name of each output.
    fasta, intervals
        Genome and intervals (BED or narrowPeak) that the example is taken from: its first windows. Without
        them the example is random sequences, and the card says so.
    n_examples
        Number of windows in the example.

    Returns
    -------
    Path
        The entry's folder.

    Raises
    ------
    InputError
        The folder exists; the model cannot be loaded, or not at this length or layout; or `kipoi test`
        fails, with its last lines.
    UnsupportedModelError
        The model has inputs beside one one-hot sequence.

    Examples
    --------
    >>> import keras
    >>> layers = [keras.Input((20, 4)), keras.layers.Conv1D(2, 5), keras.layers.GlobalMaxPooling1D()]
    >>> folder = getfixture("tmp_path")
    >>> keras.Sequential(layers).save(folder / "net.keras")
    >>> text = EntryText(name="net", authors=("A. Author",))
    >>> entry = package_model(folder / "net.keras", folder / "net", text)  # doctest: +SKIP
    """
    output = Path(output)
    saved = saved if isinstance(saved, SavedModel) else SavedModel(Path(saved))
    check_request(saved, output, text, fasta, intervals)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.absolute().parent) as temporary:
        folder = Path(temporary) / output.name
        folder.mkdir()
        saved = saved.copied_to(folder)
        with quiet_start(), refusing_code():
            runner = kipoi_model(saved)
            model = as_sequence_model(runner.model, length=length, layout=layout, targets=targets or None)
        length, axes = _length_and_axes(saved, model, length)
        example = write_example(folder, length, fasta, intervals, n_examples)
        prediction = runner.predict_on_batch(with_axes(example.one_hot, axes))
        (folder / "model.yaml").write_text(
            describe_entry(
                saved, text, length=length, layout=axes, prediction=prediction, targets=model.target_names
            )
        )
        (folder / "README.md").write_text(model_card(saved, text, model, example))
        _keep_expected_predictions(folder)
        _kipoi_test(folder)
        os.rename(folder, output)
    return output


def check_request(
    saved: SavedModel,
    output: str | os.PathLike[str],
    text: EntryText,
    fasta: str | os.PathLike[str] | None = None,
    intervals: str | os.PathLike[str] | None = None,
) -> None:
    """Check, before any framework is started, what can be told wrong without the model.

    Raises
    ------
    InputError
        The folder exists, or the one that it goes into does not; a file is missing or of another kind; or
        the name or the authors are missing.
    """
    output = Path(output)
    if output.exists():
        raise InputError(f"{output}: already there; choose another folder, or remove it first")
    if not output.absolute().parent.is_dir():
        raise InputError(f"{output}: no folder {output.absolute().parent}; make it first")
    text.check()
    saved.check()
    check_origin(fasta, intervals)


def _length_and_axes(saved: SavedModel, model: SequenceModel, length: int | None) -> tuple[int, str]:
    """Length and axes of one sequence.

    Raises
    ------
    InputError
        Nothing tells the length.
    UnsupportedModelError
        The input is not one one-hot sequence.
    """
    length = length or model.length
    if length is None:
        raise InputError(f"{saved.weights.name}: takes sequences of any length; say which (--length 1000)")
    layout = model.layout
    if model.auxiliary or layout is None or layout.tracks or layout.flattened or not layout.has_bases:
        raise UnsupportedModelError(
            f"{saved.weights.name}: expected a model of one one-hot sequence, got layout {layout} and inputs "
            f"beside it {model.auxiliary or 'none'}; write its model.yaml and dataloader by hand"
        )
    return length, str(layout)


def _keep_expected_predictions(folder: Path) -> None:
    """Have Kipoi predict the example, and keep inputs and predictions for `kipoi test` to compare."""
    import kipoi

    with quiet_start():
        model = kipoi.get_model(str(folder.resolve()), source="dir")
        model.pipeline.predict_example(output_file=str(folder.resolve() / EXPECTED))


def _kipoi_test(folder: Path) -> None:
    """Run the real `kipoi test` on the entry, in a process of its own; InputError where it fails."""
    run = "from kipoi.__main__ import main; main()"
    process = subprocess.run(
        [sys.executable, "-c", run, "test", str(folder.resolve()), "--source=dir"],
        capture_output=True,
        text=True,
    )
    if process.returncode:
        lines = (process.stdout + process.stderr).strip().splitlines()
        raise InputError(f"{folder.name}: `kipoi test` fails: " + " | ".join(lines[-3:]))
