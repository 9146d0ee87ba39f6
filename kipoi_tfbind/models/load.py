"""The model door: any model, by its name or as an object, as a `SequenceModel`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from kipoi_tfbind.arguments import file_name
from kipoi_tfbind.backends.base import OutputKind, Transform, check_output, check_transform
from kipoi_tfbind.backends.quiet_start import quiet_start
from kipoi_tfbind.errors import InputError, TFBindError
from kipoi_tfbind.models.code_in_entry import read_description
from kipoi_tfbind.models.description import Options
from kipoi_tfbind.models.ensemble import ensemble
from kipoi_tfbind.models.find_entry import find_source, is_entry
from kipoi_tfbind.models.model_file import is_model_file, load_model_file
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.models.unprobed import UnprobedModel
from kipoi_tfbind.models.wrap import LengthNeeded, wrap
from kipoi_tfbind.repairs.weight_files import refusing_code


def load_model(
    name: Any, *, source: str | None = None, allow_pickle: bool = False, **options: Any
) -> SequenceModel:
    """Load a Kipoi model by its folder or by its name, or a file that is a model itself.

    A model at hand is taken as by `as_sequence_model`; a list of models or of their names is their ensemble.

    Parameters
    ----------
    name
        The folder of a model.yaml, or of a model of a group, such as "model_zoo/TFBind/CTCF"; the name of
        the model in its source; or a file: ``.keras``, ``.h5``, a SavedModel's folder, ``.pt`` of a whole or
        scripted PyTorch module, ``.pt2`` of an exported one, ``.onnx``, or ``.pkl`` or ``.joblib`` of an
        estimator of scikit-learn.
    source
        A model source of Kipoi: "dir" for a folder, "kipoi" for its zoo, or one from Kipoi's configuration.
        By default the folder where there is one of that name, else Kipoi's zoo.
    allow_pickle
        Load files of data that run the code in them when they are loaded: pickles, as those of scikit-learn
        and of whole PyTorch modules, and Lambda layers of Keras. Allow it only for files that you trust; see
        docs/security.md.
    **options
        Those of `as_sequence_model`.

    Returns
    -------
    SequenceModel

    Raises
    ------
    InputError
        There is no such source or model, or loading it runs code of a data file and that is not allowed.
    UnsupportedModelError
        As `as_sequence_model`.

    Examples
    --------
    >>> model = load_model("model_zoo/TFBind/CTCF-single")  # in the project's folder
    >>> model.length, model.target_names, model.output
    (400, ('CTCF',), 'logit')
    """
    with quiet_start():
        return as_sequence_model(_loaded(name, source, allow_pickle), **options)


def _loaded(name: Any, source: str | None, allow_pickle: bool) -> Any:
    """What a name stands for; a model at hand as it is."""
    if isinstance(name, list | tuple):
        return [_loaded(each, source, allow_pickle) for each in name]
    if name is None or isinstance(name, str | os.PathLike | bytes | int | float):
        return get_kipoi_model(file_name("model", name), source, allow_pickle=allow_pickle)
    if source is not None:
        raise InputError(f"source: is where a name is looked up, got {source!r} and a model at hand")
    return name


def as_sequence_model(
    model: Any,
    *,
    sequence_input: str | None = None,
    layout: str | None = None,
    alphabet: str | None = None,
    neutral_value: float | None = None,
    length: int | None = None,
    auxiliary: Mapping[str, Any] | None = None,
    targets: Sequence[str] | None = None,
    transform: Transform | None = None,
    output: OutputKind | None = None,
    double_precision: bool = False,
    head: str | None = None,
    output_position: int | Literal["centre"] | None = None,
    average_strands: bool = False,
) -> SequenceModel:
    """Give a model the one face that the methods see.

    Parameters
    ----------
    model
        A Kipoi model; a Keras, TensorFlow or PyTorch model, or an exported PyTorch program; an ONNX model; a
        fitted estimator of scikit-learn; a function of one-hot arrays, NumPy's or JAX's; or a list of these,
        their ensemble. A `SequenceModel` is returned as it is.
    sequence_input
        Name of the input that is the sequence, where a model has several; by default the one that its
        schema calls DNA, or the only one with an axis of 4 bases.
    layout
        How the sequence goes in, as the axes of one sequence: "L,4", "4,L", "1,4,L", "L,4,1" and the like,
        "L*4" (flattened), "tokens" (a number for each base) or "string"; "L,4+2" where the input has two
        more channels, which are then the auxiliary input ``tracks`` (position, channel). By default as the
        model's schema and its dataloader say; "4,L" for a bare PyTorch module, "L,4" for other bare models.
    alphabet
        The bases in the model's order; by default as its dataloader says, or "ACGT".
    neutral_value
        Value of the four numbers of N; by default 0.25 where the dataloader is kipoiseq's, else 0.
    length
        Length of the sequences, for a model that does not say it and cannot take any. Without it, a function
        or module that says nothing of itself is asked for its outputs at its first batch.
    auxiliary
        Values, without a batch axis, of the other inputs, held fixed for every sequence. A bare PyTorch
        module or function takes them as further arguments, in this order.
    targets
        Names of the outputs of a model that has none for them.
    transform
        "mean", "sum" or "max" of a profile over its positions, or a function of each output (in the
        model's own framework, first axis the batch); of an output that is an object, such as HuggingFace's,
        a function of the whole.
    output
        "logit": leave out the sigmoid or softmax at the model's end; "probability": leave it; by default
        the logit where there is such an end, found in the model's own graph, and else the output as it
        comes ("raw").
    double_precision
        Compute in float64, whatever the model's weights are: slower, and exact where float32 loses digits
        (the logits of attention, differences of large numbers). Not for models that only predict.
    head
        Only this output of a model that has several: its key, name or number.
    output_position
        Only the targets at one position of a profile, 0-based, or "centre", position n // 2; the positions
        are the longest axis of an output.
    average_strands
        Average over a sequence and its reverse complement.

    Returns
    -------
    SequenceModel

    Raises
    ------
    InputError
        Something is ambiguous, or an argument does not fit the model; the message lists what there is and
        how to say it.
    UnsupportedModelError
        The model has other inputs or outputs; the message says which.

    Examples
    --------
    >>> as_sequence_model(lambda one_hot: one_hot.sum(axis=1), targets=list("ACGT"))
    SequenceModel(name='<lambda>', target_names=('A', 'C', 'G', 'T'), length=None, output='raw')
    """
    check_transform(transform)
    check_output(output)
    if targets is not None and not len(targets):
        raise InputError("targets: expected the name of each output, got none")
    options = Options(
        sequence_input,
        layout,
        alphabet,
        neutral_value,
        length,
        dict(auxiliary or {}),
        targets,
        transform,
        output,
        double_precision,
        head,
        output_position,
    )

    def wrapped(probe_length: int | None) -> SequenceModel:
        own = options._replace(probe_length=probe_length)
        if isinstance(model, list | tuple):
            found = ensemble([wrap(member, own) for member in model])
        else:
            found = wrap(model, own)
        return found.average_strands() if average_strands else found

    try:
        with quiet_start():
            return wrapped(None)
    except LengthNeeded:
        return UnprobedModel(wrapped)


def get_kipoi_model(
    name: str, source: str | None = None, *, allow_pickle: bool = False, with_dataloader: bool = False
) -> Any:
    """Load a model with Kipoi, by default without its dataloader; or a file that is a model itself.

    Parameters
    ----------
    name, source, allow_pickle
        As of `load_model`.
    with_dataloader
        Import the model's default dataloader too.

    Raises
    ------
    InputError
        There is no such source or model.
    """
    import kipoi

    name = file_name("model", name)
    is_file = source is None and not is_entry(name) and is_model_file(name)
    source = None if is_file else find_source(name, source)
    with quiet_start(), refusing_code(allow_pickle):
        if source is not None:
            read_description(name, source)
        try:
            if source is None:
                if with_dataloader:
                    raise InputError(
                        f"model {name}: a file has no dataloader; give the sequences (--sequences), or a "
                        "genome and intervals (--fasta, --intervals)"
                    )
                return load_model_file(name)
            return kipoi.get_model(name, source=source, with_dataloader=with_dataloader)
        except (TFBindError, MemoryError):
            raise
        except Exception as error:  # of Kipoi, of a framework, or of the model's own code
            raise InputError(f"model {name!r}: cannot be loaded: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """Problem that lies behind an error that Kipoi has put its own words before."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    earlier = error.__cause__ or error.__context__
    if isinstance(error, ImportError) and earlier is not None:
        return f"{text} ({_reason(earlier)})"
    return text
