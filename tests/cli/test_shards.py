"""Shards from the command line: by hand, on a Dask cluster, by a SLURM script."""

from __future__ import annotations

import filecmp
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import kipoi_tfbind as tfb
from kipoi_tfbind.cli import main
from tests.cli.test_interpret import CONTIG, make_entry

ROOT = Path(__file__).parents[2]
needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="needs dask.distributed, which is not installed"
)
COMMAND = ["occlusion", "additive", "--source", "dir", "--fasta", "genome.fa", "--intervals", "peaks.bed"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_entry(tmp_path, "additive")
    (tmp_path / "genome.fa").write_text(f">20\n{CONTIG}\n")
    windows = (f"chr20\t{100 + 9 * i}\t{140 + 9 * i}\tpeak {i}\n" for i in range(70))
    (tmp_path / "peaks.bed").write_text("".join(windows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def program(*arguments: str, cwd: Path, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("kipoi-tfbind")), *arguments]
    return subprocess.run(
        command, cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=check, timeout=300
    )


def test_processes_of_their_own_give_the_bytes_of_one_run(folder: Path) -> None:
    assert run(*COMMAND, "-o", "whole.nc").exit_code == 0
    for k in (1, 2):
        program(*COMMAND, "--shard", f"{k}/2", "-o", f"part{k}.nc", cwd=folder)
    done = run("merge", "part2.nc", "part1.nc", "-o", "joined.nc")
    assert done.exit_code == 0, done.output
    assert "joined.nc: 2 shards of 70 records" in done.output
    # What a process has imported before is among the versions of the packages.
    versions = [tfb.open_result(name).attrs["versions"] for name in ("joined.nc", "whole.nc")]
    if versions[0] == versions[1]:
        assert filecmp.cmp("joined.nc", "whole.nc", shallow=False)
    program(*COMMAND, "-o", "whole.nc", cwd=folder)
    assert filecmp.cmp("joined.nc", "whole.nc", shallow=False)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([*COMMAND, "--shard", "3/2", "-o", "a.nc"], "--shard: expected K/N such as 1/8"),
        ([*COMMAND, "--shard", "1/2", "--scheduler", "local", "-o", "a.nc"], "leave out one of the two"),
        (["merge", "nothing.nc", "-o", "a.nc"], "nothing.nc: no such file"),
        (["merge", "peaks.bed", "-o", "a.nc"], "peaks.bed: not a result"),
        (["merge", "peaks.bed", "-o", "peaks.bed"], "peaks.bed"),
    ],
)
def test_mistakes_are_one_line(folder: Path, arguments: list[str], problem: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 1
    assert problem in done.output
    assert len(done.output.strip().splitlines()) == 1
    assert not list(folder.glob("*.nc*"))


def test_every_command_that_goes_on_after_an_interruption_takes_shards() -> None:
    def commands(group: object, names: tuple[str, ...] = ()) -> dict[tuple[str, ...], set[str | None]]:
        found: dict[tuple[str, ...], set[str | None]] = {}
        for name in group.list_commands(None):  # type: ignore[attr-defined]
            command = group.get_command(None, name)  # type: ignore[attr-defined]
            if hasattr(command, "list_commands"):
                found |= commands(command, (*names, name))
            else:
                found[*names, name] = {parameter.name for parameter in command.params}
        return found

    known = commands(main)
    assert len(known) > 30
    for name, parameters in known.items():
        # Not the experiments of gia but k-mers, whose tests are of all backgrounds, nor a survey of models.
        if {"model", "restart"} <= parameters and (name[0] != "gia" or name[-1] == "kmers"):
            assert {"shard", "scheduler"} <= parameters, name


@needs_dask
def test_workers_of_a_cluster(folder: Path) -> None:
    # Every load of the model leaves its process's number behind.
    model = folder / "additive" / "model.py"
    leave = f"import os\nopen({str(folder / 'loads')!r}, 'a').write(str(os.getpid()) + ' ')\n"
    model.write_text(leave + model.read_text())
    program(*COMMAND, "-o", "one.nc", cwd=folder)
    (folder / "loads").unlink()
    done = program(*COMMAND, "-o", "shared.nc", "--scheduler", "local:2", "--verbose", cwd=folder)
    assert "shared.nc: 70 records, by 2 workers in 8 shards" in done.stdout
    assert filecmp.cmp(folder / "shared.nc", folder / "one.nc", shallow=False)
    loads = (folder / "loads").read_text().split()
    assert len(loads) == len(set(loads)) <= 2
    assert not (folder / "shared.nc.shards").exists()


@needs_dask
def test_a_model_that_no_worker_can_load_is_one_line_and_shards_are_kept(folder: Path) -> None:
    model = folder / "additive" / "model.py"
    good = model.read_text()
    model.write_text("import no_such_package\n" + good)
    done = program(*COMMAND, "-o", "a.nc", "--scheduler", "local:1", cwd=folder, check=False)
    assert done.returncode == 1
    [line] = [each for each in done.stderr.splitlines() if "error: " in each]
    assert "no_such_package" in line
    assert "(shard " in line
    assert "worker tcp://127.0.0.1:" in line
    assert "Traceback" not in done.stderr
    # The run is gone on with; another one is refused.
    assert json.loads((folder / "a.nc.shards" / "run.json").read_text())["of"] == 4
    model.write_text(good)
    done = program(*COMMAND, "--width", "3", "-o", "a.nc", "--scheduler", "local:1", cwd=folder, check=False)
    assert "shards of an interrupted run with other options" in done.stderr
    program(*COMMAND, "-o", "a.nc", "--scheduler", "local:1", cwd=folder)
    program(*COMMAND, "-o", "whole.nc", cwd=folder)
    assert filecmp.cmp(folder / "a.nc", folder / "whole.nc", shallow=False)


@needs_dask
@pytest.mark.slow
def test_a_worker_is_killed_and_the_bytes_are_the_same() -> None:
    """As often as a suite has time for; benchmarks/killed_workers.py does it 20 times."""
    script = ROOT / "benchmarks" / "killed_workers.py"
    done = subprocess.run(
        [sys.executable, script, "--rounds", "2"], capture_output=True, text=True, timeout=600, check=False
    )
    assert "2 of 2 runs whose worker was killed have the bytes of one process" in done.stdout, done.stdout
