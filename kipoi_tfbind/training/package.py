"""Put a trained and evaluated model into a Kipoi model group."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.kipoi_model import TFBindModel
from kipoi_tfbind.results.files import whole_file
from kipoi_tfbind.training.card import calibrated_to, model_card
from kipoi_tfbind.training.config import NAME, NAME_RULE, TrainingConfig
from kipoi_tfbind.training.learned import LEARNED


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
        Folder of the group: `model-template.yaml`, and `example_data/` for the expected predictions.
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
        The run is not trained, or this model of it is not evaluated on the test regions; the group has
        no template or example data; or a name or text cannot stand in the group's table.
    """
    run_dir, group = Path(run_dir), Path(group)
    if not NAME.fullmatch(name):
        raise InputError(f"name {name!r}: the name of an entry must be {NAME_RULE}")
    for path, remedy in (
        (run_dir / "model.keras", "train the model first: kipoi tfbind train"),
        (run_dir / "metrics.json", "evaluate the model first: kipoi tfbind evaluate"),
        (group / "model-template.yaml", "give the folder of a model group with --group"),
        (group / "example_data", "the group needs the files that its dataloaders give as examples"),
    ):
        if not path.exists():
            raise InputError(f"{path}: no such file; {remedy}")
    config = TrainingConfig.from_yaml(run_dir / "config.yaml")
    _check_cells(title=config.title, trained_on=config.trained_on, weights_url=weights_url or "")
    md5 = hashlib.md5((run_dir / "model.keras").read_bytes()).hexdigest()
    metrics = _metrics(run_dir / "metrics.json", md5)

    weights = group / "weights" / f"{name}.keras"
    for folder in ("weights", "cards", "training", "expected"):
        (group / folder).mkdir(exist_ok=True)
    with whole_file(weights) as path:
        shutil.copyfile(run_dir / "model.keras", path)
    members = sorted(run_dir.glob("member-*.yaml"), key=lambda path: int(path.stem.split("-")[1]))
    configs = [TrainingConfig.from_yaml(path) for path in members] or [config]
    parameters = TFBindModel(str(weights), list(config.targets), config.length, md5).model.count_params()
    distillation, kept_of_it = run_dir / "distillation.json", run_dir / "fidelity.json"
    card = model_card(
        name,
        configs,
        metrics,
        parameters=parameters,
        md5=md5,
        earlier=_kept_note(group, name),
        distillation=json.loads(distillation.read_text()) if distillation.exists() else None,
        fidelity=json.loads(kept_of_it.read_text()) if kept_of_it.exists() else None,
    )
    with whole_file(group / "cards" / f"{name}.md") as path:
        path.write_text(card)
    kept = {"metrics.json": "metrics.json"}
    if members:
        kept |= {"members.json": "members.json"} | {path.name: path.name for path in members}
    else:
        kept["yaml"] = "config.yaml"
    if distillation.exists():
        kept |= {path.name: path.name for path in (distillation, kept_of_it) if path.exists()}
    for old in (group / "training").glob(f"{name}.*"):
        if old.name != f"{name}.earlier.md":
            old.unlink()
    for ending, source in kept.items():
        with whole_file(group / "training" / f"{name}.{ending}") as path:
            shutil.copyfile(run_dir / source, path)
    # The expected predictions come from the file in the group: nothing need be at the URL yet.
    for entry in _list_entries(group, name, configs, metrics, None):
        _write_expected(group, entry)
    return _list_entries(group, name, configs, metrics, weights_url)


def _kept_note(group: Path, name: str) -> str:
    """Text on versions before this one, from `training/NAME.earlier.md` if it is there."""
    path = group / "training" / f"{name}.earlier.md"
    return path.read_text().strip() if path.exists() else ""


def _metrics(path: Path, md5: str) -> dict[str, Any]:
    """The metrics of a run, if they are those of its present model on the test regions."""
    metrics: dict[str, Any] = json.loads(path.read_text())
    if metrics["split"] != "test":
        raise InputError(f"{path}: from split {metrics['split']!r}; evaluate with --split test")
    if metrics.get("model_md5") != md5:
        raise InputError(f"{path}: not of this model.keras, which is newer; evaluate it again")
    return metrics


def _check_cells(**texts: str) -> None:
    """Refuse what would break a line of models.tsv, in which Kipoi takes # for a comment."""
    for name, text in texts.items():
        if re.search(r"[#\t\r\n\"]", text):
            raise InputError(f"{name} {text!r}: must be one line without a tab, # or double quote")


def _list_entries(
    group: Path,
    name: str,
    configs: Sequence[TrainingConfig],
    metrics: dict[str, Any],
    weights_url: str | None,
) -> list[str]:
    """Add the rows of the two entries to the group's models.tsv."""
    config = max(configs, key=lambda config: config.length)
    shared: dict[str, Any] = {
        "entry": name,
        "length": config.length,
        "bin_length": config.windows.bin_length,
        "targets": ",".join(config.targets),
        "md5": metrics["model_md5"],
        "not_learned": ";".join(
            f"{target}={result['verdict']}"
            for target, result in metrics["targets"].items()
            if result["verdict"] != LEARNED
        )
        or ".",
        "spread": "members" if len(configs) > 1 else ".",
        "weights_url": weights_url or ".",
        "title": config.title or name,
        "trained_on": config.trained_on or "not stated",
        "calibrated_to": calibrated_to(configs),
    }
    rows = pd.DataFrame(
        [
            {"model": name, "kind": "intervals", **shared},
            {"model": f"{name}/variants", "kind": "variants", **shared},
        ]
    )
    table = group / "models.tsv"
    if table.exists():
        others = pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False)
        rows = pd.concat([others[others["entry"] != name], rows]).fillna(".")
    with whole_file(table) as path:
        rows.sort_values("model").to_csv(path, sep="\t", index=False)
    return [name, f"{name}/variants"]


def _write_expected(group: Path, entry: str) -> None:
    """Run Kipoi on the example files and keep inputs and predictions for `kipoi test` to compare."""
    import kipoi

    model = kipoi.get_model(str((group / entry).resolve()), source="dir")
    with whole_file(group / "expected" / f"{entry.replace('/', '.')}.h5") as path:
        model.pipeline.predict_example(output_file=str(path.resolve()))
