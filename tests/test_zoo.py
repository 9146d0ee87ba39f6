"""Every entry of model_zoo/TFBind through Kipoi's own command line and Python interface, offline."""

import csv
import json
import re
import shutil
from pathlib import Path

import h5py
import kipoi
import numpy as np
import pandas as pd
import pytest

from kipoi_tfbind import encode_sequences, gradients, load_model
from kipoi_tfbind.dna.one_hot import one_hot
from kipoi_tfbind.errors import WeightsError
from kipoi_tfbind.report.labelled import label, settings

ROOT = Path(__file__).parents[1]
GROUP = ROOT / "model_zoo" / "TFBind"
EXAMPLES = GROUP / "example_data"
GENOME = EXAMPLES / "chr20.hg19.1-1Mb.fa.gz"

with open(GROUP / "models.tsv") as _table:
    ROWS = {row["model"]: row for row in csv.DictReader(_table, delimiter="\t")}
ENTRIES = sorted(ROWS)
INPUT_OF = {
    "intervals": {"intervals_file": EXAMPLES / "ctcf_sites.bed"},
    "variants": {"vcf_file": EXAMPLES / "variants.vcf.gz"},
}


def loader_arguments(entry: str) -> dict[str, str]:
    files = {**INPUT_OF[ROWS[entry]["kind"]], "fasta_file": GENOME}
    return {name: str(path) for name, path in files.items()}


def targets(entry: str) -> list[str]:
    return ROWS[entry]["targets"].split(",")


def prediction_columns(entry: str) -> set[str]:
    spread = {f"preds/spread/{target}" for target in targets(entry) if ROWS[entry]["spread"] != "."}
    if ROWS[entry]["kind"] == "intervals":
        return {f"preds/{target}" for target in targets(entry)} | spread
    values = ("ref", "alt", "difference")
    return {f"preds/{value}/{target}" for value in values for target in targets(entry)} | spread


def test_the_group_has_the_promised_entries():
    assert [
        *("CTCF", "CTCF-single", "CTCF-single/variants", "CTCF/variants"),
        *("GM12878", "GM12878/variants"),
        *(
            "HepG2",
            "HepG2-ensemble",
            "HepG2-ensemble/variants",
            "HepG2-single",
            "HepG2-single/variants",
            "HepG2/variants",
        ),
        *("K562", "K562/variants"),
    ] == ENTRIES
    assert targets("HepG2") == targets("HepG2-ensemble")
    assert len(targets("HepG2")) == 19


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if "/" not in entry])
def test_verdicts_of_the_card_are_those_that_the_model_tells(entry):
    metrics = json.loads((GROUP / "training" / f"{entry}.metrics.json").read_text())
    verdicts = {name: result["verdict"] for name, result in metrics["targets"].items()}
    model = kipoi.get_model(str(GROUP / entry), source="dir", with_dataloader=False)
    assert model.not_learned == {name: said for name, said in verdicts.items() if said != "learned"}
    card = (GROUP / "cards" / f"{entry}.md").read_text().split("## What it has learned")[1]
    for name, said in verdicts.items():
        row = next(line for line in card.splitlines() if line.startswith(f"| {name} |"))
        assert said in row.split("|")[-2]
    assert metrics["model_md5"] == ROWS[entry]["md5"]
    # The card says what the line of models.tsv does, and has the numbers that were measured.
    assert ROWS[entry]["calibrated_to"].split(" (")[0] in " ".join(card.split())
    for name, result in metrics["targets"].items():
        if "label_sets" in result:
            assert f"{result['label_sets']['bound']['value']:.2f} (" in card
        assert {"auprc", "auroc", "recall"} == set(result["model"])
        for baseline in {"motif", "boosting", "composition", "kmer"} & set(result):
            assert {"gain_low", "gain_high"} < set(result[baseline]["auprc"])
        own = result.get("own_motif")
        # A matrix without its version is another one tomorrow.
        assert own is None or re.fullmatch(r"MA\d{4}\.\d+", own["matrix"]), name


def test_a_target_that_is_not_learned_is_named_once_when_it_is_interpreted(capfd):
    model = load_model(str(GROUP / "K562"), source="dir").select_targets(["EP300", "CTCF"])
    x = one_hot(["ACGT" * 150])
    for _ in range(2):
        model.gradient(x)
    said = [line for line in capfd.readouterr().err.splitlines() if "has not learned" in line]
    assert len(said) == 1
    assert "EP300 (" in said[0]
    assert "CTCF (" not in said[0]
    # Its results say so too, and the report shows it among their settings.
    result = gradients(model, encode_sequences(["ACGT" * 150]))
    assert result.attrs["not_learned"] == "EP300 (context only)"
    assert ("not_learned", ["EP300 (context only)"]) in settings(label([result]))
    assert (
        "not_learned" not in gradients(model.select_targets(["CTCF"]), encode_sequences(["ACGT" * 150])).attrs
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "folder"),
    # Each kind of model and of entry; the others' predictions are compared below, in this process.
    [
        *(
            (entry, ROOT)
            for entry in ("CTCF-single", "CTCF-single/variants", "HepG2-ensemble/variants", "K562")
        ),
        ("HepG2", Path("/")),
    ],
)
def test_kipoi_test_passes_with_the_expected_predictions(entry, folder, kipoi_cli):
    run = kipoi_cli("test", str(GROUP / entry), "--source=dir", cwd=folder)
    assert "All predictions match" in run.stdout + run.stderr


@pytest.mark.slow
def test_kipoi_test_fails_on_other_predictions(kipoi_cli, tmp_path):
    changed = tmp_path / "expected.h5"
    shutil.copy(GROUP / "expected" / "CTCF-single.h5", changed)
    with h5py.File(changed, "r+") as file:
        file["preds/CTCF"][...] += 0.01
    run = kipoi_cli("test", str(GROUP / "CTCF-single"), "--source=dir", "-e", str(changed), check=False)
    assert run.returncode != 0


@pytest.mark.parametrize("entry", ENTRIES)
def test_expected_predictions_cover_every_target(entry):
    # `kipoi test` compares only the first of several outputs (kipoi_utils.utils.compare_numpy_dict).
    model = kipoi.get_model(str(GROUP / entry), source="dir")
    with h5py.File(GROUP / "expected" / f"{entry.replace('/', '.')}.h5") as file:
        inputs, expected = _tree(file["inputs"]), _tree(file["preds"])
    _assert_close(model.predict_on_batch(inputs), expected)
    _assert_close(model.pipeline.predict_example(batch_size=5), expected)


@pytest.mark.slow
def test_kipoi_test_source_accepts_the_zoo(kipoi_cli, kipoi_home):
    config = kipoi_home / ".kipoi" / "config.yaml"
    with open(config, "a") as file:
        file.write(f"  zoo:\n    type: local\n    local_path: {ROOT / 'model_zoo'}\n")
    run = kipoi_cli("test-source", "zoo", "--all", "-n")
    said = run.stdout + run.stderr
    assert all(f"TFBind/{entry}" in said for entry in ENTRIES)


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["CTCF-single", "CTCF-single/variants"])
def test_kipoi_info_and_get_example(entry, kipoi_cli, tmp_path):
    info = kipoi_cli("info", str(GROUP / entry), "--source=dir").stdout
    assert "fasta_file" in info
    run = kipoi_cli("get-example", str(GROUP / entry), "--source=dir", "-o", str(tmp_path / "example"))
    arguments = json.loads(run.stdout.strip().splitlines()[-1])
    # Kipoi copies only examples that are downloads; those of the group are named relative to it.
    assert {name for name in arguments if name.endswith("_file")} == set(loader_arguments(entry))
    assert all((GROUP / path).exists() for name, path in arguments.items() if name.endswith("_file"))


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["HepG2", "HepG2/variants", "CTCF-single/variants"])
def test_kipoi_predict_writes_the_same_to_every_format(entry, kipoi_cli, tmp_path):
    outputs = [tmp_path / f"predictions.{ending}" for ending in ("tsv", "h5", "parquet")]
    kipoi_cli(
        *("predict", str(GROUP / entry), "--source=dir", "-m"),
        f"--dataloader_args={json.dumps(loader_arguments(entry))}",
        *("-o", *map(str, outputs)),
    )
    table = pd.read_table(outputs[0])
    assert {name for name in map(str, table) if name.startswith("preds/")} == prediction_columns(entry)
    parquet = pd.read_parquet(outputs[2])
    with h5py.File(outputs[1]) as file:
        for name in sorted(prediction_columns(entry)):
            np.testing.assert_allclose(file[name][...], table[name], rtol=1e-6)
            np.testing.assert_allclose(parquet[name], table[name], rtol=1e-6)

    _assert_close(
        kipoi.get_model(str(GROUP / entry), source="dir").pipeline.predict(
            loader_arguments(entry), batch_size=7
        ),
        _tree_of_columns(table),
    )


def test_two_models_of_different_length_in_one_process_keep_their_own_length():
    lengths = {}
    for entry in ("HepG2", "CTCF-single", "HepG2"):
        model = kipoi.get_model(str(GROUP / entry), source="dir")
        loader = model.default_dataloader(**loader_arguments(entry))
        lengths[entry] = loader.length
    assert lengths == {entry: int(ROWS[entry]["length"]) for entry in lengths}


def test_predictions_do_not_depend_on_the_strand():
    rng = np.random.default_rng(0)
    for entry in ("CTCF", "CTCF-single", "GM12878", "HepG2", "HepG2-ensemble", "HepG2-single", "K562"):
        model = kipoi.get_model(str(GROUP / entry), source="dir", with_dataloader=False)
        x = one_hot(["".join(rng.choice(list("ACGT"), int(ROWS[entry]["length"]))) for _ in range(4)])
        _assert_close(model.predict_on_batch(x), model.predict_on_batch(x[:, ::-1, ::-1]))


def test_breaking_a_ctcf_site_lowers_its_log_odds():
    predictions = kipoi.get_model(str(GROUP / "CTCF-single/variants"), source="dir").pipeline
    rows = predictions.predict(loader_arguments("CTCF-single/variants"), keep_metadata=True)
    variants, difference = rows["metadata"]["variant"], rows["preds"]["difference"]["CTCF"]
    named = {
        prefix: difference[np.char.startswith(variants["id"].astype(str), prefix)]
        for prefix in ("ctcf_break", "ctcf_mild", "control")
    }
    assert np.median(named["ctcf_break"]) < -1
    assert np.median(np.abs(named["ctcf_mild"])) < 0.5 * np.median(np.abs(named["ctcf_break"]))
    assert np.abs(named["control"]).max() < 0.5 * np.median(np.abs(named["ctcf_break"]))


@pytest.mark.slow
def test_a_corrupted_weights_file_is_refused_in_one_line(kipoi_cli, tmp_path):
    zoo = tmp_path / "model_zoo"
    shutil.copytree(GROUP, zoo / "TFBind")
    weights = zoo / "TFBind" / "weights" / "CTCF-single.keras"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="expected md5"):
        kipoi.get_model(str(zoo / "TFBind" / "CTCF-single"), source="dir")
    output = tmp_path / "predictions.tsv"
    run = kipoi_cli(
        *("predict", str(zoo / "TFBind" / "CTCF-single"), "--source=dir", "-o", str(output)),
        f"--dataloader_args={json.dumps(loader_arguments('CTCF-single'))}",
        check=False,
    )
    errors = [line for line in run.stderr.splitlines() if line.startswith("error:")]
    assert run.returncode != 0
    assert len(errors) == 1
    assert "corrupted" in errors[0]
    assert "Traceback" not in run.stderr
    assert list(tmp_path.glob("*predictions*")) == []


def _tree(group):
    return (
        {name: _tree(item) for name, item in group.items()} if isinstance(group, h5py.Group) else group[...]
    )


def _tree_of_columns(table: pd.DataFrame):
    tree: dict = {}
    for name in map(str, table):
        if name.startswith("preds/"):
            *folders, last = name.removeprefix("preds/").split("/")
            place = tree
            for folder in folders:
                place = place.setdefault(folder, {})
            place[last] = table[name].to_numpy()
    return tree


def _assert_close(found, expected):
    """Compare nested dicts of arrays; 1e-5 on log-odds up to 10 is float32 summed in another batch shape."""
    if isinstance(expected, dict):
        assert set(found) == set(expected)
        for name in expected:
            _assert_close(found[name], expected[name])
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
