"""The texts of an entry: its model.yaml and its card."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.packaging.example import FASTA, INTERVALS, Example
from kipoi_tfbind.packaging.saved_model import SavedModel

EXPECTED = "expected.h5"
_PACKAGES = {"keras": ["kipoi_tfbind", "keras", "tensorflow"], "pytorch": ["kipoi_tfbind", "torch"]}


@dataclass(frozen=True)
class EntryText:
    """What people read of an entry.

    Attributes
    ----------
    name
        Its name.
    authors
        Who made the model, at least one.
    doc
        A sentence or two on what it predicts.
    license
        Licence of the model.
    cite_as
        DOI or URL of a publication.
    trained_on
        Data that it was trained on, and what was held out.
    """

    name: str
    authors: tuple[str, ...]
    doc: str = ""
    license: str = "not stated"
    cite_as: str = ""
    trained_on: str = "not stated"

    def check(self) -> None:
        """Raise InputError where the name or the authors are missing."""
        if not self.name.strip():
            raise InputError("name: expected the name of the entry, got nothing")
        if not any(author.strip() for author in self.authors):
            raise InputError("authors: expected at least one (--author 'A. Author')")


def describe_entry(
    saved: SavedModel,
    text: EntryText,
    *,
    length: int,
    layout: str,
    prediction: Any,
    targets: Sequence[str] | None,
) -> str:
    """Text of the model.yaml.

    Parameters
    ----------
    saved, text
        The model's files in the entry's folder; what people read.
    length, layout
        Of one sequence.
    prediction
        Output of Kipoi's model for a batch: an array, or lists and dicts of arrays.
    targets
        Names for the columns of its only array, if any.
    """
    sizes = {"L": length, "4": 4, "1": 1}
    shape = tuple(sizes[axis] for axis in layout.split(","))
    info: dict[str, Any] = {
        "authors": [{"name": author} for author in text.authors],
        "name": text.name,
        "doc": text.doc or f"{text.name}: targets of DNA sequences of {length} bp",
        "license": text.license,
        "tags": ["DNA sequence"],
        "trained_on": text.trained_on,
    }
    if text.cite_as:
        info["cite_as"] = text.cite_as
    entry = {
        "type": saved.framework,
        "args": saved.kipoi_arguments(),
        "default_dataloader": {
            "defined_as": "kipoi_tfbind.dataloaders.IntervalWindows",
            # Kipoi takes defaults for the example of `kipoi test`; elsewhere the two files are not found and
            # have to be given.
            "default_args": {
                "intervals_file": INTERVALS,
                "fasta_file": FASTA,
                "length": length,
                "layout": layout,
            },
        },
        "info": info,
        "dependencies": {"conda": ["python>=3.11", "bioconda::bedtools"], "pip": _PACKAGES[saved.framework]},
        "schema": {
            "inputs": {
                "name": "seq",
                "shape": str(shape),
                "special_type": "DNASeq",
                "doc": "One-hot window, bases in the order A C G T, N as zeros",
                "associated_metadata": "ranges",
            },
            "targets": _target_schema(prediction, targets),
        },
        "test": {"expect": EXPECTED, "precision_decimal": 5},
    }
    return yaml.safe_dump(entry, sort_keys=False, allow_unicode=True, width=100)


def _target_schema(prediction: Any, targets: Sequence[str] | None) -> Any:
    """Kipoi's schema of an output: nested as the output is, a shape without the batch for each array."""
    if isinstance(prediction, dict):
        return {str(key): _target_schema(value, None) for key, value in prediction.items()}
    if isinstance(prediction, list | tuple):
        parts = [_target_schema(value, None) for value in prediction]
        return [{"name": f"output{number}", **part} for number, part in enumerate(parts)]
    shape = np.shape(prediction)[1:]
    schema: dict[str, Any] = {"shape": str(tuple(shape)), "doc": "Prediction of the model"}
    if targets and len(shape) == 1:
        schema["column_labels"] = list(targets)
    return schema


def model_card(saved: SavedModel, text: EntryText, model: SequenceModel, example: Example) -> str:
    """Text of the card: what is known of the model, how it is used, and what its authors have to add."""
    weights = saved.weights.read_bytes()
    n_targets = len(model.target_names)
    shown = ", ".join(model.target_names[:8]) + (f" and {n_targets - 8} more" if n_targets > 8 else "")
    length = example.one_hot.shape[1]
    return f"""# {text.name}

{text.doc or "What it predicts is not stated."}

| | |
|---|---|
| Authors | {", ".join(text.authors)} |
| Licence | {text.license} |
| Publication | {text.cite_as or "not stated"} |
| Framework | {saved.framework} |
| Input | {length} bp, one-hot, axes {model.layout}, bases A C G T, N as zeros |
| Targets | {n_targets}: {shown} |
| Output that methods explain | {model.output} |
| Model file | {saved.weights.name}, {len(weights):,} bytes, md5 {hashlib.md5(weights).hexdigest()} |
| Trained on | {text.trained_on} |
| Example | {example.origin} |

## Use

```
kipoi predict {text.name} --source=dir -o predictions.tsv \\
  --dataloader_args='{{"intervals_file": "sites.bed", "fasta_file": "genome.fa"}}'
kipoi tfbind ism {text.name} --fasta genome.fa --intervals sites.bed -o ism.nc
kipoi tfbind variants {text.name} --vcf variants.vcf.gz --fasta genome.fa -o scored.vcf.gz
```

## How good it is

Not stated. Before others rely on it, say here on which data it was held out, its AUPRC with an interval, and
simple baselines beside it (a motif scan, GC content); and whether it answers to the motif that it should:
`kipoi tfbind gia effect`.
"""
