"""``kipoi predict`` handled roughly: inputs and foreign files stay, one line, nothing half-written."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from kipoi_tfbind.cli import main as tfbind
from kipoi_tfbind.errors import InputError
from tests import test_plugin as toy

ROWS = ("--dataloader_args", "n=5")
# More bytes than this are refused by the system, as on a full disk.
SMALL_DISK = 20_000
NOBODY = 65534


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    (folder / "model.yaml").write_text(toy.MODEL_YAML)
    (folder / "toy_model.py").write_text(toy.MODEL)
    yaml = toy.DATALOADER_YAML.replace(
        "args:\n", "args:\n  table: {doc: a file, optional: True}\n  tables: {doc: files, optional: True}\n"
    )
    (folder / "dataloader.yaml").write_text(yaml)
    code = toy.DATALOADER.replace("def __init__(self, n,", "def __init__(self, n, table=None, tables=None,")
    (folder / "dataloader.py").write_text(code)
    return folder


@pytest.fixture
def predict(model, tmp_path, monkeypatch):
    """Run the command in this process, which is much faster than to start one."""
    monkeypatch.chdir(tmp_path)
    from kipoi.cli import main

    def run(*args: str | Path) -> None:
        main.cli_predict("predict", [str(model), "--source=dir", *map(str, args)])

    return run


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestInputs:
    @pytest.mark.parametrize("link", ["same", "symlink", "hard link"])
    def test_an_input_is_not_overwritten(self, predict, tmp_path, link):
        table, output = tmp_path / "table.tsv", tmp_path / "table.tsv"
        table.write_text("preds\n1\n")
        if link != "same":
            output = tmp_path / "link.tsv"
            (output.symlink_to if link == "symlink" else output.hardlink_to)(table)
        for given in (f"table={table}", f"tables=['{table}']"):
            with pytest.raises(InputError, match=r"tsv: is the input table.*which it would overwrite"):
                predict("-o", output, *ROWS, given)
        with pytest.raises(InputError, match="is the input table"):
            predict("--overwrite", "-o", output, *ROWS, f"table={table}")
        assert table.read_text() == "preds\n1\n"

    def test_a_foreign_file_is_kept_unless_the_user_insists(self, predict, tmp_path):
        for name, words in {"x.tsv": "chrom\tpos\n", "x.bed": "chr1\t0\t1\n", "x.h5": "numbers"}.items():
            path = tmp_path / name
            path.write_text(words)
            with pytest.raises(InputError, match=f"{name}: the file exists"):
                predict("-m", "-o", name, *ROWS)
            assert path.read_text() == words
            predict("-m", "--overwrite", "-o", name, *ROWS)
            assert path.read_bytes() != words.encode()
        assert files_in(tmp_path) == ["x.bed", "x.h5", "x.tsv"]

    def test_its_own_table_is_replaced_as_kipoi_does(self, predict, tmp_path):
        predict("-o", "x.tsv", "--dataloader_args", "n=3")
        predict("-o", "x.tsv", *ROWS)
        assert len(pd.read_csv(tmp_path / "x.tsv", sep="\t")) == 5

    def test_one_output_of_two_runs(self, predict, tmp_path):
        from kipoi import writers

        first = writers.get_writer("x.tsv")
        with pytest.raises(InputError, match=r"x\.tsv: another process is writing this file"):
            predict("-o", "x.tsv", *ROWS)
        del first
        predict("-o", "x.tsv", *ROWS)
        assert files_in(tmp_path) == ["x.tsv"]

    def test_one_name_for_two_outputs(self, predict, tmp_path):
        with pytest.raises(InputError, match="given twice"):
            predict("-o", "x.tsv", "./x.tsv", *ROWS)


class TestArguments:
    @pytest.mark.parametrize(
        ("given", "problem"),
        [
            (["fail_at=3"], "expected the arguments n, got fail_at; add n"),
            (["n=5", "fial_at=7"], "has no argument 'fial_at'; did you mean 'fail_at'"),
            (["/"], "expected JSON, a JSON file, or KEY=VALUE, got '/' .it is a folder"),
            (['{"n": '], "expected JSON, a JSON file, or KEY=VALUE"),
            (["n=1=2"], "expected JSON"),
            (["missing.json"], "expected JSON.*missing.json"),
        ],
    )
    def test_one_line_before_anything_runs(self, predict, tmp_path, given, problem):
        with pytest.raises(InputError, match=problem):
            predict("-o", "x.tsv", "--dataloader_args", *given)
        assert files_in(tmp_path) == []

    def test_a_file_that_holds_a_list(self, predict, tmp_path):
        (tmp_path / "a.json").write_text("[1, 2]")
        with pytest.raises(InputError, match="it holds list, not names and values"):
            predict("-o", "x.tsv", "--dataloader_args", "a.json")

    def test_unknown_model_and_suffix(self, predict, model, tmp_path):
        from kipoi.cli import main

        with pytest.raises(InputError, match="model 'nothing', source 'dir': model nothing doesn't exist"):
            main.cli_predict("predict", ["nothing", "--source=dir", "-o", "x.tsv", *ROWS])
        with pytest.raises(InputError, match=r"x\.xls: Kipoi cannot write this format"):
            predict("-o", "x.xls", *ROWS)
        with pytest.raises(InputError, match=r"x\.tsv: there is no folder .*/no"):
            predict("-o", "no/x.tsv", *ROWS)

    def test_the_commands_of_the_package_say_the_same(self, model, tmp_path):
        args = ("ism", model, "--source=dir", "-o", tmp_path / "x.nc", "--layout", "L*4")
        ran = CliRunner().invoke(tfbind, [*map(str, args), "--dataloader_args", "lenght=4"])
        assert ran.exit_code == 1
        assert ran.stderr.splitlines()[-1].startswith("error: dataloader: has no argument 'lenght'")


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that nothing can be written to, whoever runs the tests."""
    folder.chmod(0o555)
    with as_nobody():
        yield
    folder.chmod(0o755)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, whom no folder is closed to."""
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.setresuid(NOBODY, NOBODY, 0)
        yield
    finally:
        if is_root:
            os.setresuid(0, 0, 0)


class TestDisk:
    @pytest.mark.parametrize(
        ("ending", "is_seen_before"),
        [("tsv", True), ("tsv", False), ("bed", False), ("h5", False), ("parquet", False)],
    )
    def test_a_read_only_folder(self, model, monkeypatch, ending, is_seen_before):
        from kipoi.cli import main

        if not is_seen_before:
            # As on a network file system, which tells only when something is written.
            monkeypatch.setattr(os, "access", lambda *_: True)
        # Not in pytest's own folder, which nobody else may enter.
        with tempfile.TemporaryDirectory() as name:
            folder, output = Path(name), Path(name, f"x.{ending}")
            shutil.copytree(model, folder / "model")
            (folder / "model").chmod(0o755)
            before = files_in(folder)
            arguments = [str(folder / "model"), "--source=dir", "-m", "-o", str(output), *ROWS]
            with (
                read_only(folder),
                pytest.raises(InputError, match=r"cannot be written \(.*ermission") as error,
            ):
                main.cli_predict("predict", arguments)
            assert str(error.value).count("\n") == 0
            assert str(error.value).startswith(f"{output}: ")
            assert files_in(folder) == before
            if is_seen_before:
                folder.chmod(0o000)
                arguments[arguments.index(str(output))] = str(folder / "inside" / "x.tsv")
                with as_nobody(), pytest.raises(InputError, match="there is no folder"):
                    main.cli_predict("predict", arguments)
                folder.chmod(0o755)

    @pytest.mark.parametrize("ending", ["tsv", "bed", "h5", "parquet"])
    def test_a_full_disk(self, model, kipoi_home, tmp_path, ending):
        process = kipoi(
            kipoi_home, tmp_path, "predict", model, "--source=dir", "-m", "--batch_size=1000",
            "-o", f"x.{ending}", "--dataloader_args", "n=20000", preexec_fn=small_disk,
        )  # fmt: skip
        assert process.returncode == 1, process.stderr
        line = process.stderr.splitlines()[-1]
        assert line.startswith(f"error: {tmp_path / 'x'}.{ending}: cannot be written (")
        assert "Traceback" not in process.stderr
        assert files_in(tmp_path) == []

    def test_interrupted(self, model, kipoi_home, tmp_path):
        command = [
            Path(sys.executable).with_name("kipoi"),
            "predict",
            model,
            "--source=dir",
            "--batch_size=1",
        ]
        process = subprocess.Popen(
            [*command, "-o", "x.tsv", "--dataloader_args", "n=1000000"],
            cwd=tmp_path, env=os.environ | {"HOME": str(kipoi_home)}, stderr=subprocess.PIPE, text=True,
            preexec_fn=hear_interrupts,
        )  # fmt: skip
        for _ in range(600):
            if (tmp_path / ".x.tsv.partial").exists():
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in errors
        assert errors.splitlines()[-1] == "kipoi predict: interrupted; no output was written"
        assert files_in(tmp_path) == []


def hear_interrupts() -> None:
    """What a shell starts in the background, as tests can be, ignores them, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def small_disk() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_DISK, SMALL_DISK))


def kipoi(home: Path, cwd: Path, *args: str | Path, **options) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("kipoi")), *map(str, args)]
    environment = os.environ | {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, **options
    )
