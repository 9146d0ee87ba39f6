"""Models as the methods see them: Kipoi entries as other groups write them, our own, and functions."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from kipoi_tfbind import as_sequence_model, load_model
from kipoi_tfbind.dna.one_hot import one_hot
from kipoi_tfbind.errors import InputError, UnsupportedModelError

Schema = dict[str, Any] | list[dict[str, Any]]


def array(shape: str, **more: Any) -> dict[str, Any]:
    """An array in a model.yaml."""
    return {"shape": shape, "doc": "an array", **more}


ARRAY_INPUT = array("(None, 4)", name="seq")

MODEL_CODE = """
    import numpy as np
    from kipoi.model import BaseModel

    class Counter(BaseModel):
        '''Counts the bases; as an array, or as a dict of targets.'''

        def __init__(self, form="array", base_axis=-1):
            self.form, self.base_axis = form, base_axis

        def predict_on_batch(self, x):
            if self.form == "text":
                return np.array([[str(text).count(base) for base in "ACGT"] for text in x], dtype=np.float32)
            x = x["seq"] if isinstance(x, dict) else x
            assert x.dtype == np.float32
            x = np.moveaxis(x, self.base_axis, -1).reshape(len(x), -1, 4)
            counts = x.sum(axis=1)
            if self.form == "dict":
                return {"T": counts[:, 3], "purine": counts[:, [0, 2]]}
            if self.form == "one":
                return counts[:, 0]
            return counts
"""


def kipoi_entry(
    folder: Path, *, inputs: Schema, targets: Schema, form: str = "array", base_axis: int = -1
) -> str:
    """Write a Kipoi model and return the name by which ``source="dir"`` knows it."""
    folder.mkdir(exist_ok=True)
    (folder / "model.py").write_text(textwrap.dedent(MODEL_CODE))
    description = {
        "defined_as": "model.Counter",
        "args": {"form": form, "base_axis": base_axis},
        "default_dataloader": ".",
        "info": {"authors": [{"name": "somebody"}], "doc": "counts bases"},
        "schema": {"inputs": inputs, "targets": targets},
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(description, sort_keys=False))
    return str(folder)


def test_kipoi_model_with_column_labels(tmp_path: Path) -> None:
    name = kipoi_entry(
        tmp_path / "counter", inputs=ARRAY_INPUT, targets=array("(4, )", column_labels=list("acgt"))
    )
    model = load_model(name, source="dir")
    assert (model.name, model.target_names, model.length, model.output) == (name, tuple("acgt"), None, "raw")
    np.testing.assert_array_equal(model.predict(one_hot(["AACT"]).astype(np.float64)), [[2, 1, 0, 1]])
    with pytest.raises(InputError, match="this model has names for its targets"):
        load_model(name, source="dir", targets=list("wxyz"))


def test_kipoi_model_without_labels_numbers_its_targets(tmp_path: Path) -> None:
    inputs = array("(5, 4)", name="seq")
    name = kipoi_entry(tmp_path / "counter", inputs=inputs, targets=array("(4, )"))
    model = load_model(name, source="dir")
    assert (model.target_names, model.length) == (("0", "1", "2", "3"), 5)
    with pytest.raises(InputError, match=r"position: 5, base: 4\), got an array of shape \(1, 6, 4\)"):
        model.predict(one_hot(["ACGTAC"]))


def test_kipoi_model_with_dicts_of_inputs_and_targets(tmp_path: Path) -> None:
    name = kipoi_entry(
        tmp_path / "counter",
        inputs={"seq": array("(None, 4)")},
        targets={"purine": array("(2, )", column_labels=["A", "G"]), "T": array("()")},
        form="dict",
    )
    model = load_model(name, source="dir")
    assert model.target_names == ("purine/A", "purine/G", "T")
    np.testing.assert_array_equal(model.predict(one_hot(["AACT", "GGGG"])), [[2, 0, 1], [0, 4, 0]])


def test_kipoi_model_with_one_value_for_each_sequence(tmp_path: Path) -> None:
    name = kipoi_entry(tmp_path / "counter", inputs=ARRAY_INPUT, targets=array("(1, )"), form="one")
    prediction = load_model(name, source="dir").predict(one_hot(["AACT", "GGGG"]))
    np.testing.assert_array_equal(prediction, [[2], [0]])


@pytest.mark.parametrize(
    ("shape", "layout", "base_axis"),
    [
        ("(4, 5)", "4,L", 1),
        ("(5, 4, 1)", "L,4,1", 2),
        ("(1, 4, 5)", "1,4,L", 2),
        ("(4, 1, None)", "4,1,L", 1),
        ("(None, 4)", "L,4", 2),
    ],
)
def test_layout_is_read_from_the_shape(tmp_path: Path, shape: str, layout: str, base_axis: int) -> None:
    inputs = array(shape, name="seq")
    name = kipoi_entry(tmp_path / "counter", inputs=inputs, targets=array("(4, )"), base_axis=base_axis)
    model = load_model(name, source="dir")
    assert str(model.layout) == layout
    np.testing.assert_array_equal(model.predict(one_hot(["AACTN"])), [[2, 1, 0, 1]])


def test_text_is_given_where_the_schema_says_text(tmp_path: Path) -> None:
    inputs = array("()", name="seq", special_type="DNAStringSeq")
    name = kipoi_entry(tmp_path / "counter", inputs=inputs, targets=array("(4, )"), form="text")
    model = load_model(name, source="dir")
    assert str(model.layout) == "string"
    np.testing.assert_array_equal(model.predict(one_hot(["AACTN"])), [[2, 1, 0, 1]])


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        (
            array("(4, 4)", name="x"),
            r"input 'x': its shape \(4, 4\) can be read as 4,L or L,4; say which: layout",
        ),
        (array("(30, )", name="x"), r"found the shape \(30,\); if it is flattened .* say layout='L\*4'"),
        (
            {"a": array("(9, 4)"), "b": array("(9, 4)")},
            r"has a \(9, 4\), b \(9, 4\); say it, .*sequence_input='a'",
        ),
        (
            {"a": array("(9, )"), "b": array("(3, )")},
            r"which of its inputs is the sequence\? It has a \(9,\), b",
        ),
    ],
)
def test_what_is_ambiguous_is_asked_for(tmp_path: Path, inputs: Schema, found: str) -> None:
    name = kipoi_entry(tmp_path / "counter", inputs=inputs, targets=array("(4, )"))
    with pytest.raises((InputError, UnsupportedModelError), match=found):
        load_model(name, source="dir")


def test_what_the_user_says_settles_it(tmp_path: Path) -> None:
    name = kipoi_entry(tmp_path / "counter", inputs=array("(4, 4)", name="x"), targets=array("(4, )"))
    rows = load_model(name, source="dir", layout="4,L")
    assert rows.length == 4
    two = kipoi_entry(
        tmp_path / "two", inputs={"seq": array("(5, 4)"), "other": array("(5, 4)")}, targets=array("(4, )")
    )
    with pytest.raises(InputError, match="no input 'third'; this model has seq"):
        load_model(two, source="dir", sequence_input="third")
    model = load_model(two, source="dir", sequence_input="seq", auxiliary={"other": np.zeros((5, 4))})
    np.testing.assert_array_equal(model.predict(one_hot(["AACTN"])), [[2, 1, 0, 1]])
    needy = load_model(two, source="dir", sequence_input="seq")
    assert needy.auxiliary == ("other",)
    with pytest.raises(InputError, match="input 'other': expected a value beside the sequence"):
        needy.predict(one_hot(["AACTN"]))
    with pytest.raises(
        InputError, match=r"layout: 4,L does not fit the input 'seq', whose shape is \(5, 4\)"
    ):
        load_model(two, source="dir", sequence_input="seq", layout="4,L")
    with pytest.raises(InputError, match="takes sequences of 5 bases, not 6"):
        load_model(two, source="dir", sequence_input="seq", length=6)


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        (array("(2, 2)"), ("0/0", "0/1", "1/0", "1/1")),
        (array("(2, 2)", column_labels=["plus", "minus"]), ("0/plus", "0/minus", "1/plus", "1/minus")),
        ([array("(1, )", name="a"), array("(3, )", name="b")], ("a", "b/0", "b/1", "b/2")),
        ([array("(1, )"), array("(2, )")], ("0", "1/0", "1/1")),
        (
            {"x": array("(2, )", column_labels=["CTCF", "CTCF"]), "y": array("(1, )")},
            ("x/CTCF", "x/CTCF#2", "y"),
        ),
    ],
)
def test_outputs_of_any_form_are_named_targets(
    tmp_path: Path, targets: Schema, names: tuple[str, ...]
) -> None:
    name = kipoi_entry(tmp_path / "counter", inputs=ARRAY_INPUT, targets=targets)
    assert load_model(name, source="dir").target_names == names


def test_a_schema_that_the_output_contradicts_is_an_error(tmp_path: Path) -> None:
    targets = {"a": array("(4, )"), "b": array("()")}
    name = kipoi_entry(tmp_path / "counter", inputs=ARRAY_INPUT, targets=targets)
    with pytest.raises(
        UnsupportedModelError, match=r"its schema has the outputs a, b, and it returns \(one array\)"
    ):
        load_model(name, source="dir").predict(one_hot(["AACT"]))


def test_unknown_models_and_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"source 'dir': model .*/none doesn't exist"):
        load_model(str(tmp_path / "none"), source="dir")
    name = kipoi_entry(tmp_path / "counter", inputs=ARRAY_INPUT, targets=array("(4, )"))
    with pytest.raises(InputError, match=r"source 'nowhere': .* it is a folder: leave out --source"):
        load_model(name, source="nowhere")
    with pytest.raises(InputError, match=r"source 'nowhere': .* available sources: "):
        load_model("TFBind/CTCF", source="nowhere")


def test_our_own_model_gives_its_logits(tmp_path: Path) -> None:
    from kipoi_tfbind.architectures import motif_cnn
    from kipoi_tfbind.kipoi_model import TFBindModel

    motif_cnn(length=40, n_targets=2, filters=4, hidden_units=4).save(tmp_path / "model.keras")
    kipoi_model = TFBindModel(str(tmp_path / "model.keras"), targets=["CTCF", "MAX"], length=40)
    model = as_sequence_model(kipoi_model)
    assert (model.target_names, model.length, model.output) == (("CTCF", "MAX"), 40, "logit")
    sequences = one_hot(["ACGT" * 10, "N" * 40])
    probability = np.stack(list(kipoi_model.predict_on_batch(sequences).values()), axis=1)
    np.testing.assert_allclose(1 / (1 + np.exp(-model.predict(sequences))), probability, atol=1e-6)


def test_choosing_targets() -> None:
    model = as_sequence_model(lambda x: x.sum(axis=1), targets=list("ACGT"))
    chosen = model.select_targets(["T", "A"])
    assert chosen.target_names == ("T", "A")
    np.testing.assert_array_equal(chosen.predict(one_hot(["AACT"])), [[1, 2]])
    with pytest.raises(InputError, match="no target 'U'; its targets are A, C, G, T"):
        model.select_targets(["A", "U"])


def test_functions_are_taken_by_their_names() -> None:
    model = as_sequence_model(lambda x: x.sum(axis=1), targets=list("ACGT"))
    assert as_sequence_model(model) is model
    with pytest.raises(UnsupportedModelError, match="one row for each of 2 sequences"):
        as_sequence_model(np.sum, length=5)
    with pytest.raises(UnsupportedModelError, match="one row for each of 2 sequences"):
        as_sequence_model(np.sum).predict(one_hot(["ACGT"]))
    assert as_sequence_model(lambda x: x.sum(axis=1)).target_names == ("0", "1", "2", "3")
    with pytest.raises(InputError, match=r"expected a list .* got 'CTCF'"):
        as_sequence_model(np.sum, targets="CTCF")
    with pytest.raises(InputError, match="is wrapped already"):
        as_sequence_model(model, targets=["x"])
    with pytest.raises(UnsupportedModelError, match=r"expected a Kipoi, Keras, .* function .* got int"):
        as_sequence_model(3)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"output": "logits"}, "output: expected logit, probability, raw, got 'logits'"),
        ({"output": "logit"}, "does not end in a sigmoid or softmax that can be found"),
        ({"targets": ["a", "c", "a", "t"]}, "expected a name of its own for each output"),
        ({"targets": ["a", "c"]}, r"the name of each of the 4 outputs, got \['a', 'c'\]"),
        ({"length": 0}, "length: expected at least 1 base, got 0"),
        ({"transform": "median"}, r"transform: expected mean, sum, max .*; got 'median'"),
        ({"auxiliary": {"sequence": 3}}, "no input 'sequence' beside the sequence; this model has none"),
        ({"layout": "L,5"}, "layout: expected the axes of one sequence, .* got 'L,5'"),
        ({"alphabet": "ACGU"}, "expected each of A, C, G and T once, .* got 'ACGU'"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: dict[str, Any], found: str) -> None:
    inputs = array("(5, 4)", name="sequence")
    name = kipoi_entry(tmp_path / "counter", inputs=inputs, targets=array("(4, )"))
    with pytest.raises(InputError, match=found):
        load_model(name, source="dir", **options)


def needs_nine_bases(x: np.ndarray) -> np.ndarray:
    return x[:, 8]


def test_sequences_that_a_function_fails_on() -> None:
    model = as_sequence_model(needs_nine_bases, targets=list("ACGT"))
    assert model.predict(one_hot(["A" * 9])).tolist() == [[1, 0, 0, 0]]
    message = r"needs_nine_bases: fails on 2 sequences of 4 bases \(IndexError: index 8 .*of this length\?$"
    with pytest.raises(InputError, match=message):
        model.predict(one_hot(["ACGT", "AAAA"]))
    with pytest.raises(InputError, match=r"fails on inputs of the shapes \(2, 4, 4\) .* say the length and"):
        as_sequence_model(needs_nine_bases, length=4)


def test_other_errors_of_a_function_are_its_own() -> None:
    def broken(x: np.ndarray) -> np.ndarray:
        raise KeyError("weights")

    with pytest.raises(KeyError, match="weights"):
        as_sequence_model(broken, targets=["y"]).predict(one_hot(["ACGT"]))


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_sequences_shorter_than_a_model_of_any_length_takes(
    framework: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import keras
    import torch

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = torch.nn.Conv1d(4, 2, 7)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sigmoid(self.convolution(x).amax(dim=2))

    layers = keras.layers
    makers: dict[str, Any] = {
        "keras": lambda: keras.Sequential(
            [keras.Input((None, 4)), layers.Conv1D(2, 7), layers.GlobalMaxPooling1D()]
        ),
        "torch": Pooled,
    }
    model = as_sequence_model(makers[framework]())
    assert model.length is None
    assert model.predict(one_hot(["A" * 9])).shape == (1, 2)
    with pytest.raises(InputError, match=r"fails on 1 sequences of 5 bases .*of this length"):
        model.predict(one_hot(["A" * 5]))
    # No notice of how it could not be traced.
    assert "trace" not in capsys.readouterr().err


def test_a_module_of_one_length_asks_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40, 2))
    with pytest.raises(InputError, match=r"fails on inputs of the shapes \(2, 4, 1000\) .*length=, layout="):
        _ = as_sequence_model(module).target_names
    assert capsys.readouterr().err == ""
    assert as_sequence_model(module, length=10).length == 10


def test_what_a_model_returns_is_checked() -> None:
    sequences = one_hot(["ACGT", "AAAA"])
    with pytest.raises(UnsupportedModelError, match=r"shape \(2, 1\) for 2 sequences .* G, got \(2, 4\)"):
        as_sequence_model(lambda x: x.sum(axis=1), targets=["G"]).predict(sequences)
    with pytest.raises(InputError, match="prediction of G for sequence 1 of a batch is nan"):
        as_sequence_model(lambda x: np.array([1, np.nan]), targets=["G"]).predict(sequences)
    with pytest.raises(InputError, match=r"got an array of shape \(2, 4, 4, 1\)"):
        as_sequence_model(lambda x: x, targets=["G"]).predict(sequences[..., np.newaxis])
    whole_numbers = as_sequence_model(lambda x: x.sum(axis=1).astype(int), targets=list("ACGT"))
    assert whole_numbers.predict(sequences).dtype == np.float32
