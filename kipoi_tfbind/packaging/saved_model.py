"""A saved Keras or PyTorch model as Kipoi's own classes load it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from kipoi_tfbind.errors import InputError

_KERAS = (".keras", ".h5", ".hdf5")
_TORCH = (".pt", ".pth", ".bin")
_UNKNOWN_CLASS = re.compile(r"Could not locate (?:class|function) '([^']+)'")
_NESTED_WEIGHTS = re.compile(r'Unexpected key\(s\) in state_dict: .*"(state_dict|\w+_state_dict)"')
_LONGEST = 400  # characters of another's message


@dataclass(frozen=True)
class SavedModel:
    """The files of a model.

    Attributes
    ----------
    weights
        ``.keras`` or ``.h5`` of a whole Keras model; ``.pt`` or ``.pth`` of a scripted or traced PyTorch
        module, or of the state dict of one whose class is in `code`.
    code
        Python file with the class of a PyTorch module, or with a dictionary OBJECTS of Keras layers.
    module_class
        Name of the PyTorch class.
    module_arguments
        Its arguments by name.
    """

    weights: Path
    code: Path | None = None
    module_class: str | None = None
    module_arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def framework(self) -> Literal["keras", "pytorch"]:
        """Kipoi's name of the framework."""
        return "keras" if self.weights.suffix in _KERAS else "pytorch"

    def check(self) -> None:
        """Raise InputError where a file is missing, or of a kind that makes no entry."""
        for path in filter(None, (self.weights, self.code)):
            if not path.is_file():
                raise InputError(f"{path}: no such file")
        if self.weights.suffix not in _KERAS + _TORCH:
            raise InputError(
                f"{self.weights}: expected a file of a Keras model ({', '.join(_KERAS)}) or of a PyTorch "
                f"module or its weights ({', '.join(_TORCH)})"
            )
        if self.framework == "pytorch" and (self.code is None) != (self.module_class is None):
            raise InputError(
                "code, module_class: the weights of a PyTorch module need the Python file and the name of "
                "its class, both (--code net.py --class Net); a scripted module needs neither"
            )

    def copied_to(self, folder: Path) -> SavedModel:
        """Copy the files into an entry's folder, the weights as `model.*`."""
        weights = folder / f"model{self.weights.suffix}"
        shutil.copyfile(self.weights, weights)
        if self.code is None:
            return replace(self, weights=weights)
        code = folder / self.code.name
        shutil.copyfile(self.code, code)
        return replace(self, weights=weights, code=code)

    def kipoi_arguments(self) -> dict[str, Any]:
        """`args` of the model.yaml, by the names that Kipoi's class has for them."""
        arguments: dict[str, Any] = {"weights": self.weights.name}
        if self.code is None:
            return arguments
        if self.framework == "keras":
            return arguments | {"custom_objects": self.code.name}
        arguments |= {"module_file": self.code.name, "module_class": self.module_class}
        return arguments | ({"module_kwargs": dict(self.module_arguments)} if self.module_arguments else {})


def kipoi_model(saved: SavedModel) -> Any:
    """Load the files of an entry with the class that Kipoi takes for it.

    Raises
    ------
    InputError
        They cannot be loaded.
    """
    import kipoi.model

    arguments = saved.kipoi_arguments()
    cls = kipoi.model.KerasModel
    if saved.framework == "pytorch":
        cls = kipoi.model.infer_pyt_class(arguments)
    try:
        # As Kipoi does: the names are those of files in the entry's folder.
        with chdir(saved.weights.parent):
            return cls(**arguments)
    except InputError as error:
        if saved.framework == "keras" or saved.code is not None:
            raise
        raise InputError(
            f"{saved.weights.name}: no scripted or traced module; for weights give their class (--code "
            "net.py --class Net); a pickle of a whole module, which runs code where it is loaded, makes no "
            "entry: save the module with torch.jit.script(model).save('model.pt')"
        ) from error
    except Exception as error:  # of a framework, or of the model's own code
        # The folder is a temporary one, which means nothing to the user.
        said = str(error).replace(f"{saved.weights.parent.resolve()}{os.sep}", "")
        reason = f"{type(error).__name__}: {' '.join(said.split())}"
        if saved.framework == "keras" and (unknown := _UNKNOWN_CLASS.search(reason)):
            name = unknown[1]
            raise InputError(
                f"{saved.weights.name}: has {name!r}, which Keras does not know; give the Python file of its "
                f"class (--code layers.py), with OBJECTS = {{{name!r}: {name}}} in it"
            ) from error
        if nested := _NESTED_WEIGHTS.search(reason):
            raise InputError(
                f"{saved.weights.name}: holds weights and more; keep the weights alone: "
                f"torch.save(torch.load(FILE)[{nested[1]!r}], 'weights.pt')"
            ) from error
        reason = reason if len(reason) < _LONGEST else f"{reason[:_LONGEST]}..."
        raise InputError(f"{os.path.basename(saved.weights)}: cannot be loaded: {reason}") from error
