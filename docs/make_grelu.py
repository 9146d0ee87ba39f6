"""The numbers of gReLU for a small network, which docs/coming_from/grelu.md compares with: grelu.json.

gReLU asks for some sixty packages that nothing else here needs (560 MB without PyTorch), so it has an
environment of its own and is run by hand. It asks for captum 0.5.0, and runs with 0.9.

    python -m venv .venv-grelu; . .venv-grelu/bin/activate
    pip install torch==2.13.0 captum==0.9.0 tangermeme==1.6.0 transformers==4.56.2
    pip install --no-deps gReLU==1.1.0 enformer-pytorch
    pip install anndata bioframe genomepy logomaker plotnine polars pytorch-lightning seaborn statsmodels \
        torchmetrics wandb
    python docs/make_grelu.py
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from grelu.data.dataset import PatternMarginalizeDataset
from grelu.interpret.score import ISM_predict, get_attributions
from grelu.interpret.simulate import marginalize_patterns
from grelu.lightning import LightningModel
from grelu.transforms.prediction_transforms import Aggregate

LENGTH, WIDTH, FILTERS, TASKS = 60, 7, 8, ["CTCF", "MAX"]
SEED = 0
PATTERN = "TGACTCA"


def network() -> torch.nn.Module:
    """A convolution and its maximum: (sequence, base, position) -> (sequence, task, 1)."""
    rng = np.random.default_rng(SEED)
    module = torch.nn.Sequential(
        torch.nn.Conv1d(4, FILTERS, WIDTH),
        torch.nn.ReLU(),
        torch.nn.MaxPool1d(LENGTH - WIDTH + 1),
        torch.nn.Conv1d(FILTERS, len(TASKS), 1),
    )
    for parameter in module.parameters():
        drawn = rng.normal(0, 0.4, tuple(parameter.shape)).astype(np.float32)
        parameter.data = torch.tensor(drawn)
    return module.eval()


def main() -> None:
    """Run gReLU and write its numbers."""
    model: Any = LightningModel(
        {"model_type": "ConvModel", "n_tasks": len(TASKS)}, {"task": "regression", "loss": "MSE"}
    )
    model.model = network()
    model.data_params = {"tasks": {"name": TASKS}}
    rng = np.random.default_rng(SEED + 1)
    texts = ["".join(rng.choice(list("ACGT"), LENGTH)) for _ in range(3)]
    references = ["".join(rng.choice(list("ACGT"), LENGTH)) for _ in range(5)]
    codes = np.array([["ACGT".index(base) for base in text] for text in references])
    given = torch.tensor(np.eye(4, dtype=np.float32)[codes].swapaxes(1, 2).copy())[None].repeat(
        len(texts), 1, 1, 1
    )
    one = {"prediction_transform": Aggregate(tasks=[TASKS[0]], model=model), "device": "cpu"}
    shuffles: Any = {"n_shuffles": 2, "seed": SEED}
    before, after = marginalize_patterns(model, [PATTERN], texts, num_workers=0, **shuffles)
    # What it shuffled, sequence by sequence: every second item is without the pattern.
    dataset = PatternMarginalizeDataset(texts, [PATTERN], **shuffles)
    shuffled = [dataset[number].numpy() for number in range(0, len(dataset), 2)]
    found = {
        # (sequence, position, base, task, 1), the mutants' predictions
        "ISM_predict": ISM_predict(texts, model, return_df=False, num_workers=0)[..., 0],
        # (sequence, base, position), of the first task
        "inputxgradient": get_attributions(model, texts, method="inputxgradient", **one),
        "saliency, corrected": get_attributions(model, texts, method="saliency", correct_grad=True, **one),
        "deepshap": get_attributions(model, texts, method="deepshap", references=given, **one),
        # (background, task)
        "marginalize_patterns": np.asarray(after - before).reshape(len(shuffled), len(TASKS)),
    }
    backgrounds = ["".join("ACGT"[code] for code in item.argmax(axis=0)) for item in shuffled]
    versions = {name: version(name) for name in ("grelu", "captum", "tangermeme", "torch")}
    numbers = {name: np.asarray(values, dtype=float).round(8).tolist() for name, values in found.items()}
    text = json.dumps(
        {
            "versions": versions,
            "sequences": texts,
            "references": references,
            "backgrounds": backgrounds,
            "numbers": numbers,
        }
    )
    (Path(__file__).parent / "coming_from" / "grelu.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
