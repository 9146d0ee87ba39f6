"""Put a trained and evaluated model into a Kipoi model group."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.io import whole_file
from kipoi_tfbind.kipoi_model import TFBindModel
from kipoi_tfbind.training.card import model_card
from kipoi_tfbind.training.config import TrainingConfig

_COLUMNS = ["model", "entry", "kind", "length", "targets", "md5", "weights_url", "title", "trained_on"]


def package(
    run_dir: str | Path, name: str, group: str | Path, *, weights_url: str | None = None
) -> list[str]:
    """Write the entries of a trained model into a model group: weights, card, and expected predictions.

    Each model makes two entries, `NAME` (windows in, probabilities out) and `NAME/variants`
    (reference and alternative windows in, log-odds and their difference out). An entry of the same
    name is replaced.

    Parameters
    ----------
    run_dir
        Folder of a run that was trained and evaluated on its test regions.
    name
        Name of the entry within the group.
    group
        Folder of the group: `model-template.yaml`, and `example_files/` for the expected predictions.
    weights_url
        Where the weights can be downloaded, when they are not to be read from the group's folder.
        The md5 of the file goes into the entry either way.

    Returns
    -------
    list of str
        Names of the entries.

    Raises
    ------
    InputError
        The run is not finished or not evaluated on the test regions, or the group has no template.
    """
    run_dir, group = Path(run_dir), Path(group)
    for path, remedy in (
        (run_dir / "model.keras", "train the model first: kipoi tfbind train"),
        (run_dir / "metrics.json", "evaluate the model first: kipoi tfbind evaluate"),
        (group / "model-template.yaml", "give the folder of a model group with --group"),
    ):
        if not path.exists():
            raise InputError(f"{path}: no such file; {remedy}")
    metrics = json.loads((run_dir / "metrics.json").read_text())
    if metrics["split"] != "test":
        raise InputError(
            f"{run_dir / 'metrics.json'}: from split {metrics['split']!r}; evaluate with --split test"
        )
    config = TrainingConfig.from_yaml(run_dir / "config.yaml")

    weights = group / "weights" / f"{name}.keras"
    for folder in ("weights", "cards", "training", "expected"):
        (group / folder).mkdir(exist_ok=True)
    with whole_file(weights) as path:
        shutil.copyfile(run_dir / "model.keras", path)
    md5 = hashlib.md5(weights.read_bytes()).hexdigest()
    parameters = TFBindModel(str(weights), list(config.targets), config.length, md5).model.count_params()
    card = model_card(name, config, metrics, parameters=parameters, md5=md5)
    with whole_file(group / "cards" / f"{name}.md") as path:
        path.write_text(card)
    for kept, source in (("yaml", "config.yaml"), ("metrics.json", "metrics.json")):
        with whole_file(group / "training" / f"{name}.{kept}") as path:
            shutil.copyfile(run_dir / source, path)
    entries = _list_entries(group, name, config, md5, weights_url)
    for entry in entries:
        _write_expected(group, entry)
    return entries


def _list_entries(
    group: Path, name: str, config: TrainingConfig, md5: str, weights_url: str | None
) -> list[str]:
    """Add the rows of the two entries to the group's models.tsv."""
    shared: dict[str, Any] = {
        "entry": name,
        "length": config.length,
        "targets": ",".join(config.targets),
        "md5": md5,
        "weights_url": weights_url or ".",
        "title": config.title or name,
        "trained_on": config.trained_on,
    }
    rows = pd.DataFrame(
        [
            {"model": name, "kind": "intervals", **shared},
            {"model": f"{name}/variants", "kind": "variants", **shared},
        ]
    )[_COLUMNS]
    table = group / "models.tsv"
    if table.exists():
        others = pd.read_csv(table, sep="\t")
        rows = pd.concat([others[others["entry"] != name], rows])
    with whole_file(table) as path:
        rows.sort_values("model").to_csv(path, sep="\t", index=False)
    return [name, f"{name}/variants"]


def _write_expected(group: Path, entry: str) -> None:
    """Run Kipoi on the example files and keep inputs and predictions for `kipoi test` to compare."""
    import kipoi

    model = kipoi.get_model(str((group / entry).resolve()), source="dir")
    with whole_file(group / "expected" / f"{entry.replace('/', '.')}.h5") as path:
        model.pipeline.predict_example(output_file=str(path.resolve()))
