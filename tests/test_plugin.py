"""The plugin in Kipoi's own command, and each repair against the failure that it is for."""

from __future__ import annotations

import os
import pkgutil
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType, SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import kipoi_tfbind
from kipoi_tfbind import cli
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.repairs import plugin_list
from kipoi_tfbind.repairs import writers as repaired_writers

FRAMEWORKS = ("tensorflow", "keras", "torch", "shap", "matplotlib")

MODEL_YAML = """
defined_as: toy_model.RowSum
args: {}
default_dataloader: .
info:
  authors: [{name: Nobody}]
  doc: The sum of each row
schema:
  inputs:
    shape: (4, )
    doc: four numbers
  targets:
    shape: (1, )
    doc: their sum
"""
MODEL = """
from kipoi.model import BaseModel

class RowSum(BaseModel):
    def predict_on_batch(self, x):
        return x.sum(axis=1)
"""
DATALOADER_YAML = """
type: Dataset
defined_as: dataloader.Rows
args:
  n: {doc: number of rows, type: int, example: 5}
  fail_at: {doc: row at which an error is raised, type: int, optional: True}
  error: {doc: its class, type: str, optional: True}
info:
  authors: [{name: Nobody}]
  doc: Row i is four times i
output_schema:
  inputs:
    shape: (4, )
    doc: four numbers
  metadata:
    ranges: {type: GenomicRanges, doc: one base pair}
"""
DATALOADER = """
import builtins
import numpy as np
from kipoi.data import Dataset
from kipoi.metadata import GenomicRanges
from kipoi_tfbind import errors

class Rows(Dataset):
    def __init__(self, n, fail_at=-1, error="InputError"):
        self.n, self.fail_at = int(n), int(fail_at)
        self.error = getattr(errors, error, None) or getattr(builtins, error)

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if i == self.fail_at:
            raise self.error(f"rows.txt, line {i}: expected 4 numbers, got 3")
        ranges = GenomicRanges("chr1", i, i + 1, f"row{i}", "+")
        return {"inputs": np.full(4, float(i)), "metadata": {"ranges": ranges}}
"""
FAILS_HALF_WAY = ("--dataloader_args", "n=9", "fail_at=7")
ERROR_LINE = "error: rows.txt, line 7: expected 4 numbers, got 3"


@pytest.fixture(scope="module")
def toy_model(tmp_path_factory) -> Path:
    """A Kipoi model of plain NumPy, with a dataloader that can be told to fail."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "model.yaml").write_text(MODEL_YAML)
    (folder / "toy_model.py").write_text(MODEL)
    (folder / "dataloader.yaml").write_text(DATALOADER_YAML)
    (folder / "dataloader.py").write_text(DATALOADER)
    return folder


@pytest.fixture
def predict(kipoi_cli, toy_model, tmp_path):
    def run(*args: str):
        return kipoi_cli(
            "predict", toy_model, "--source=dir", "--batch_size=2", *args, cwd=tmp_path, check=False
        )

    return run


@pytest.fixture
def unrepaired_predict(kipoi_home, toy_model, tmp_path):
    def run(*args: str):
        return unrepaired_kipoi(
            kipoi_home, "predict", toy_model, "--source=dir", "--batch_size=2", *args, cwd=tmp_path
        )

    return run


def unrepaired_kipoi(home: Path, *args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``kipoi`` without the hook: -S starts Python without the site module, which reads .pth files."""
    paths = [str(distribution("kipoi").locate_file("")), str(Path(kipoi_tfbind.__file__).parents[1])]
    program = f"import sys; sys.path += {paths!r}; from kipoi.__main__ import main; main()"
    return subprocess.run(
        [sys.executable, "-S", "-c", program, *map(str, args)],
        cwd=cwd,
        env=os.environ | {"HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )


def python(program: str, **environment: str) -> str:
    process = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout + process.stderr


class TestPlugin:
    def test_kipoi_lists_the_plugin_as_installed(self, kipoi_program, kipoi_home, tmp_path):
        process = kipoi_program("list_plugins")
        rows = [line.split() for line in process.stdout.splitlines()]
        assert ["kipoi_tfbind", "True", "True"] in [row[:3] for row in rows]
        assert "pkg_resources" not in process.stderr
        process = unrepaired_kipoi(kipoi_home, "list_plugins", cwd=tmp_path)
        assert process.returncode == 0
        assert "kipoi_tfbind" not in process.stdout
        assert "pkg_resources is deprecated" in process.stderr

    def test_kipoi_runs_the_commands(self, kipoi_program):
        assert kipoi_program("tfbind", "--help").stdout.startswith("Usage: kipoi tfbind ")
        assert kipoi_program("tfbind", "--version").stdout == f"kipoi_tfbind {kipoi_tfbind.__version__}\n"
        process = kipoi_program("tfbind", "no-such-command", check=False)
        assert process.returncode == 2
        assert "No such command 'no-such-command'" in process.stderr

    def test_a_second_registration_changes_nothing(self):
        plugin = ModuleType("kipoi.plugin")
        plugin.PLUGINS = []  # type: ignore[attr-defined]
        plugin_list.register_plugin(plugin)
        plugin_list.register_plugin(plugin)
        assert plugin.PLUGINS == [plugin_list.PLUGIN]


class TestOutputs:
    def test_hdf5(self, predict, unrepaired_predict, tmp_path):
        args = ("-o", "x.h5", "-m", "--dataloader_args", "n=5")
        process = unrepaired_predict(*args)
        assert process.returncode != 0
        assert "AttributeError: `np.string_` was removed" in process.stderr
        (tmp_path / "x.h5").unlink()

        assert predict(*args).returncode == 0
        with h5py.File(tmp_path / "x.h5") as file:
            np.testing.assert_array_equal(file["preds"][:], [0, 4, 8, 12, 16])
            assert list(file["metadata/ranges/chr"].asstr()) == ["chr1"] * 5

    def test_bed(self, predict, unrepaired_predict, tmp_path):
        args = ("-o", "x.bed", "--dataloader_args", "n=5")
        assert "TypeError: BedBatchWriter.__init__() got an unexpected" in unrepaired_predict(*args).stderr

        process = predict(*args)
        assert process.returncode == 1
        assert process.stderr.splitlines()[-1].startswith("error: BED output: expected metadata")
        assert predict(*args[:2], "-m", *args[2:]).returncode == 0
        table = pd.read_csv(tmp_path / "x.bed", sep="\t")
        assert list(table["name"]) == ["row0", "row1", "row2", "row3", "row4"]
        assert list(table["start"]) == [0, 1, 2, 3, 4]

    def test_zarr_is_refused(self, predict, unrepaired_predict, tmp_path):
        args = ("-o", "x.zarr", "--dataloader_args", "n=5")
        assert unrepaired_predict(*args).returncode == 0
        assert not list(tmp_path.iterdir())

        process = predict(*args)
        assert process.returncode == 1
        assert process.stderr.startswith("error: x.zarr: Kipoi cannot write this format; give a name")

    def test_no_half_written_output(self, predict, unrepaired_predict, tmp_path):
        assert unrepaired_predict("-m", "-o", "x.tsv", *FAILS_HALF_WAY).returncode == 1
        assert len(pd.read_csv(tmp_path / "x.tsv", sep="\t")) == 6

        before = (tmp_path / "x.tsv").read_bytes()
        outputs = ("x.tsv", "x.bed", "x.parquet", "x.h5")
        assert predict("-m", "-o", *outputs, *FAILS_HALF_WAY).returncode == 1
        assert [path.name for path in tmp_path.iterdir()] == ["x.tsv"], "neither outputs nor temporary files"
        assert (tmp_path / "x.tsv").read_bytes() == before

    def test_several_outputs_agree(self, predict, tmp_path):
        args = ("-m", "-n", "2", "-o", "x.tsv", "x.parquet", "--dataloader_args", "n=9")
        assert predict(*args).returncode == 0
        table = pd.read_csv(tmp_path / "x.tsv", sep="\t")
        assert list(table["preds"]) == [4 * i for i in range(9)]
        pd.testing.assert_frame_equal(table, pd.read_parquet(tmp_path / "x.parquet"), check_dtype=False)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["x.parquet", "x.tsv"]

    @pytest.mark.parametrize("name", ["x.h5", "x.parquet"])
    def test_an_existing_output_is_kept(self, predict, tmp_path, name):
        (tmp_path / name).write_text("a result")
        process = predict("-o", name, "--dataloader_args", "n=5")
        assert process.returncode == 1
        assert process.stderr.splitlines()[-1] == (
            f"error: {name}: the file exists; remove it or give another name"
        )
        assert (tmp_path / name).read_text() == "a result"

    def test_no_records_is_an_error(self, predict, unrepaired_predict, tmp_path):
        args = ("-o", "x.tsv", "--dataloader_args", "n=0")
        assert unrepaired_predict(*args).returncode == 0

        for name in ("x.tsv", "x.h5"):
            process = predict("-o", name, *args[2:])
            assert process.returncode == 1
            assert process.stderr.splitlines()[-1].startswith(f"error: {tmp_path / name}: not written")
        assert not list(tmp_path.iterdir())

    def test_preproc_writes_whole_files_too(self, kipoi_cli, toy_model, tmp_path):
        args = ("preproc", toy_model, "--source=dir", "--batch_size=2", "-o", "x.h5")
        process = kipoi_cli(*args, *FAILS_HALF_WAY, cwd=tmp_path, check=False)
        assert process.stderr.splitlines()[-1] == ERROR_LINE
        assert not list(tmp_path.iterdir())
        kipoi_cli(*args, "--dataloader_args", "n=9", cwd=tmp_path)
        with h5py.File(tmp_path / "x.h5") as file:
            np.testing.assert_array_equal(file["inputs"][:, 0], np.arange(9))

    def test_expected_predictions_are_found_beside_the_model(
        self, kipoi_cli, kipoi_home, toy_model, tmp_path
    ):
        model = tmp_path / "model"
        shutil.copytree(toy_model, model)
        kipoi_cli("test", model, "--source=dir", "-o", model / "expected.h5")
        with open(model / "model.yaml", "a") as file:
            file.write("test: {expect: expected.h5}\n")
        args = ("test", model, "--source=dir")
        assert unrepaired_kipoi(kipoi_home, *args, cwd=model).returncode == 0
        assert unrepaired_kipoi(kipoi_home, *args, cwd=tmp_path).returncode != 0
        process = kipoi_cli(*args, cwd=tmp_path)
        assert "All predictions match" in process.stdout + process.stderr

    def test_every_output_is_compared(self, kipoi_cli, kipoi_home, toy_model, tmp_path):
        model = tmp_path / "model"
        shutil.copytree(toy_model, model)
        outputs = "{'a': x.sum(axis=1), 'b': {'c': x.sum(axis=1)}}"
        (model / "toy_model.py").write_text(MODEL.replace("x.sum(axis=1)", outputs))
        kipoi_cli("test", model, "--source=dir", "-o", "expected.h5", cwd=tmp_path)
        args = ("test", model, "--source=dir", "-e", "expected.h5")
        kipoi_cli(*args, cwd=tmp_path)
        with h5py.File(tmp_path / "expected.h5", "r+") as file:
            file["preds/b/c"][...] += 1
        assert unrepaired_kipoi(kipoi_home, *args, cwd=tmp_path).returncode == 0
        process = kipoi_cli(*args, cwd=tmp_path, check=False)
        assert process.returncode == 1
        assert "don't match" in process.stdout + process.stderr


class TestRepairsLeaveAlone:
    """What is not broken stays as it is."""

    def test_numpy_itself(self):
        import kipoi.writers

        assert kipoi.writers.np.string_ is np.bytes_
        assert kipoi.writers.np.asarray is np.asarray
        assert not hasattr(np, "string_")

    def test_a_numpy_that_has_the_names(self):
        old_numpy = SimpleNamespace(string_=bytes, unicode_=str)
        writers = ModuleType("kipoi.writers")
        writers.np = old_numpy  # type: ignore[attr-defined]
        repaired_writers.restore_numpy_names(writers)
        assert writers.np is old_numpy

    def test_a_bed_writer_that_knows_its_keyword(self):
        class BedBatchWriter:
            def __init__(self, file_path, dataloader_schema, header=True): ...

        writers = ModuleType("kipoi.writers")
        writers.BedBatchWriter = BedBatchWriter  # type: ignore[attr-defined]
        repaired_writers.accept_bed_schema(writers)
        assert writers.BedBatchWriter is BedBatchWriter

    def test_the_modules_own_loader(self):
        import kipoi.writers

        assert type(kipoi.writers.__loader__).__name__ == "SourceFileLoader"
        assert kipoi.writers.__spec__.loader is kipoi.writers.__loader__


class TestErrorLine:
    @pytest.mark.parametrize("workers", ["0", "2"])
    def test_one_line_without_traceback(self, predict, workers):
        process = predict("-n", workers, "-o", "x.tsv", *FAILS_HALF_WAY)
        assert process.returncode == 1
        assert process.stderr.splitlines()[-1] == ERROR_LINE
        assert "Traceback" not in process.stdout + process.stderr

    def test_traceback_when_asked_for(self, predict, monkeypatch):
        monkeypatch.setenv("KIPOI_TFBIND_TRACEBACK", "1")
        process = predict("-o", "x.tsv", *FAILS_HALF_WAY)
        assert process.returncode == 1
        assert "Traceback" in process.stderr
        assert process.stderr.splitlines()[-1].startswith("kipoi_tfbind.errors.InputError: rows.txt")

    def test_other_errors_keep_their_traceback(self, predict):
        process = predict("-o", "x.tsv", *FAILS_HALF_WAY, "error=ValueError")
        assert process.returncode == 1
        assert "Traceback" in process.stderr
        assert process.stderr.splitlines()[-1].startswith("ValueError: rows.txt")

    def test_importing_kipoi_in_a_program_installs_nothing(self):
        program = "import sys, kipoi; print(sys.excepthook is sys.__excepthook__)"
        assert python(program).splitlines()[-1] == "True"


class TestCommandLine:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        """A folder of commands with one that fails, and a helper module that is no command."""
        (tmp_path / "fail_here.py").write_text(
            "import click\n"
            "from kipoi_tfbind.errors import InputError\n\n\n"
            "@click.command()\n"
            "def command() -> None:\n"
            '    """Fail."""\n'
            '    raise InputError("a.bed, line 3: expected 3 columns, got 1")\n'
        )
        (tmp_path / "_helper.py").write_text("")
        monkeypatch.setattr(cli, "__path__", [str(tmp_path)])
        yield
        sys.modules.pop("kipoi_tfbind.cli.fail_here", None)
        vars(cli).pop("fail_here", None)

    @pytest.mark.usefixtures("folder")
    def test_modules_are_commands(self):
        result = CliRunner().invoke(cli.main, ["--help"])
        assert result.output.splitlines()[-2:] == ["Commands:", "  fail-here  Fail."]

    @pytest.mark.usefixtures("folder")
    def test_error_in_one_line(self, monkeypatch):
        result = CliRunner().invoke(cli.main, ["fail-here"])
        assert (result.exit_code, result.output) == (1, "error: a.bed, line 3: expected 3 columns, got 1\n")
        monkeypatch.setenv("KIPOI_TFBIND_TRACEBACK", "1")
        assert isinstance(CliRunner().invoke(cli.main, ["fail-here"]).exception, InputError)

    def test_help_loads_no_framework(self):
        program = (
            "import sys\n"
            "from kipoi_tfbind.cli import main\n"
            "main(['--help'], standalone_mode=False)\n"
            f"print('loaded:', [name for name in {FRAMEWORKS} if name in sys.modules])"
        )
        assert python(program).splitlines()[-1] == "loaded: []"


class TestImports:
    def test_starting_python_loads_neither_kipoi_nor_the_package(self):
        program = (
            "import sys; print([name for name in sys.modules if name.split('.')[0].startswith('kipoi')])"
        )
        assert python(program).strip() == "[]"

    def test_importing_the_package_loads_no_framework(self):
        program = (
            f"import sys, kipoi_tfbind; print([n for n in {(*FRAMEWORKS, 'kipoi')} if n in sys.modules])"
        )
        assert python(program).strip() == "[]"

    @pytest.mark.parametrize("name", kipoi_tfbind.__all__)
    def test_public_names_exist(self, name):
        assert getattr(kipoi_tfbind, name) is not None
        assert name in dir(kipoi_tfbind)

    def test_no_public_name_is_hidden_by_a_submodule(self):
        submodules = {module.name for module in pkgutil.iter_modules(kipoi_tfbind.__path__)}
        assert not submodules & set(kipoi_tfbind.__all__)

    def test_submodules_are_attributes(self):
        """Kipoi's ``defined_as`` imports the package only, and walks the attributes."""
        assert python("import kipoi_tfbind; print(kipoi_tfbind.errors.InputError.__name__)") == "InputError\n"

    def test_unknown_names_are_refused(self):
        with pytest.raises(AttributeError, match="'kipoi_tfbind' has no attribute 'no_such_name'"):
            _ = kipoi_tfbind.no_such_name

    def test_kipoi_stays_importable_when_the_package_is_broken(self, tmp_path):
        (tmp_path / "kipoi_tfbind").mkdir()
        (tmp_path / "kipoi_tfbind" / "__init__.py").write_text("raise RuntimeError('half removed')")
        output = python("import kipoi; print(kipoi.__version__)", PYTHONPATH=str(tmp_path))
        assert "0.8.6" in output.splitlines()
        assert "UserWarning: kipoi_tfbind: kipoi.writers is left unrepaired: RuntimeError" in output
