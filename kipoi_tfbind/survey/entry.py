"""One model of a survey: what it is, and whether each method runs on its example.

Run in a process of its own, which may hang, be killed or take its framework down with it: what is known
so far is written after every step.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr

from kipoi_tfbind.errors import TFBindError
from kipoi_tfbind.interpret import (
    deep_shap,
    filter_motifs,
    gradients,
    in_silico_mutagenesis,
    layer_contributions,
    motif_importance,
    occlusion,
    sampled_shapley,
    second_order_mutagenesis,
)
from kipoi_tfbind.interpret._batches import batch_of
from kipoi_tfbind.interpret._method import predict_all
from kipoi_tfbind.models.find_entry import find_source
from kipoi_tfbind.models.kipoi_schema import read_inputs
from kipoi_tfbind.models.load import get_kipoi_model, load_model
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.results.files import whole_file
from kipoi_tfbind.sequences.from_dataloader import sequences_from_dataloader
from kipoi_tfbind.testing.sequences import random_sequences

N_SEQUENCES = 2
_USUAL_LENGTH = 1000  # of sequences for a model that takes any
Record = dict[str, Any]


def _predict(model: SequenceModel, sequences: xr.Dataset) -> None:
    predict_all(model, batch_of(sequences, model), batch_size=N_SEQUENCES, description="predictions")


def _middle(sequences: xr.Dataset, n: int) -> list[int]:
    length = sequences.sizes["position"]
    start = max(0, (length - n) // 2)
    return list(range(start, min(length, start + n)))


# Name -> call, small enough that a large model takes seconds.
METHODS: dict[str, Callable[[SequenceModel, xr.Dataset], Any]] = {
    "predict": _predict,
    "ism": lambda model, x: in_silico_mutagenesis(model, x, positions=_middle(x, 10)),
    "second-order-ism": lambda model, x: second_order_mutagenesis(model, x, positions=_middle(x, 4)),
    "gradients": gradients,
    "deepshap": lambda model, x: deep_shap(model, x, n_references=5),
    "occlusion": lambda model, x: occlusion(model, x, start=_middle(x, 50)[0], end=_middle(x, 50)[-1] + 1),
    "sampled-shapley": lambda model, x: sampled_shapley(model, x, n_references=2, n_permutations=1),
    "gia": lambda model, x: motif_importance(model, x, {"AP-1": "TGACTCA"}),
    "filters": filter_motifs,
    "layer-contributions": lambda model, x: layer_contributions(model, x, n_references=5),
}


def survey_entry(name: str, source: str | None, path: Path, methods: list[str], allow_pickle: bool) -> None:
    """Write the record of a model, JSON, as far as it gets.

    Parameters
    ----------
    name, source
        As of `load_model`.
    path
        The record's file.
    methods
        Those to try, of `METHODS`.
    allow_pickle
        As of `load_model`.
    """
    record: Record = {"state": "loading", "methods": {}}

    def write(state: str) -> None:
        record["state"] = state
        record["peak_mb"] = _peak_mb()
        with whole_file(path) as partial:
            partial.write_text(json.dumps(record, indent=1))

    write("loading")
    started = time.perf_counter()
    try:
        record |= _declared(name, source)
        model = load_model(name, source=source, allow_pickle=allow_pickle)
        record["load_seconds"] = round(time.perf_counter() - started, 2)
        record |= _described(model)
    except Exception as error:  # whatever a model's own code raises
        record["problem"] = _one_line(error)
        write("done")
        return
    write("reading the example")
    sequences, record["example"] = _example(model, name, source, allow_pickle)
    for method in methods:
        write(method)
        started = time.perf_counter()
        try:
            METHODS[method](model, sequences)
            found: Record = {"runs": True, "seconds": round(time.perf_counter() - started, 2)}
        except Exception as error:  # as above
            found = {"runs": False, "why": _one_line(error)}
        record["methods"][method] = found
    write("done")


def _peak_mb() -> int:
    """Largest memory of this process; on Linux without that of the process that it was forked from."""
    status = Path("/proc/self/status")
    if status.exists():
        return round(int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _declared(name: str, source: str | None) -> Record:
    """Kind and inputs, as the model.yaml has them."""
    import kipoi

    description = kipoi.get_source(find_source(name, source)).get_model_descr(name)
    _, inputs = read_inputs(description.schema.inputs)
    shown = [f"{field.name} {'any' if field.shape is None else tuple(field.shape)}" for field in inputs]
    return {"kind": str(description.defined_as or description.type), "inputs": shown}


def _described(model: SequenceModel) -> Record:
    names = model.target_names
    return {
        "layout": str(model.layout),
        "length": model.length,
        "auxiliary": list(model.auxiliary),
        "n_targets": len(names),
        "targets": list(names[:5]),
        "output": model.output,
        "capabilities": sorted(model.capabilities),
        "fingerprint": model.fingerprint,
    }


def _example(
    model: SequenceModel, name: str, source: str | None, allow_pickle: bool
) -> tuple[xr.Dataset, str]:
    """Sequences to try the methods on, and a word on where they are from."""
    try:
        kipoi_model = get_kipoi_model(name, source, allow_pickle=allow_pickle, with_dataloader=True)
        loader = kipoi_model.default_dataloader.init_example()
        chunks = sequences_from_dataloader(
            loader,
            layout=model.layout or "L,4",
            sequence_input=model.sequence_input,
            auxiliary=model.auxiliary,
            batch_size=N_SEQUENCES,
        )
        return next(iter(chunks)).isel(sequence=slice(N_SEQUENCES)), "its own"
    except Exception as error:  # of the model's own dataloader
        length = model.length or _USUAL_LENGTH
        return random_sequences(N_SEQUENCES, length), f"random sequences: {_one_line(error)}"


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, TFBindError) else f"{type(error).__name__}: {text}"


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    survey_entry(**(arguments | {"path": Path(arguments["path"])}))
