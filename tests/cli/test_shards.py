"""Shards from the command line: by hand, on a Dask cluster, by a SLURM script."""

from __future__ import annotations

import filecmp
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kipoi_tfbind.cli import main
from tests.cli.test_interpret import CONTIG, make_entry

ROOT = Path(__file__).parents[2]
needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="needs dask.distributed, which is not installed"
)
COMMAND = ["occlusion", "additive", "--source", "dir", "--fasta", "genome.fa", "--intervals", "peaks.bed"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, its inputs, and whole.nc, which one process has made of them."""
    folder = tmp_path_factory.mktemp("made")
    make_entry(folder, "additive")
    (folder / "genome.fa").write_text(f">20\n{CONTIG}\n")
    windows = (f"chr20\t{100 + 9 * i}\t{140 + 9 * i}\tpeak {i}\n" for i in range(70))
    (folder / "peaks.bed").write_text("".join(windows))
    program(*COMMAND, "-o", "whole.nc", cwd=folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def program(*arguments: str, cwd: Path, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("kipoi-tfbind")), *arguments]
    return subprocess.run(
        command, cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=check, timeout=300
    )


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
    assert [path.name for path in folder.glob("*.nc*")] == ["whole.nc"]


def test_every_command_that_goes_on_after_an_interruption_takes_shards() -> None:
    def commands(group: object, names: tuple[str, ...] = ()) -> dict[tuple[str, ...], set[str | None]]:
        found: dict[tuple[str, ...], set[str | None]] = {}
        for name in group.list_commands(None):  # type: ignore[attr-defined]
            command = group.get_command(None, name)  # type: ignore[attr-defined]
            if hasattr(command, "list_commands"):
                found |= commands(command, (*names, name))
            else:
                used = (parameter for parameter in command.params if parameter.expose_value)
                found[*names, name] = {parameter.name for parameter in used}
        return found

    known = commands(main)
    assert len(known) > 30
    for name, parameters in known.items():
        # A survey goes through models.
        if "restart" in parameters and name != ("survey",):
            assert {"shard", "scheduler"} <= parameters, name


@needs_dask
def test_workers_of_a_cluster(folder: Path) -> None:
    # Every load of the model leaves its process's number behind.
    loads = folder / "loads"
    model = folder / "additive" / "model.py"
    leave = f"import os\nopen({str(loads)!r}, 'a').write(str(os.getpid()) + ' ')\n"
    model.write_text(leave + model.read_text())
    done = program(*COMMAND, "-o", "shared.nc", "--scheduler", "local:2", cwd=folder)
    assert "shared.nc: 70 records, by 2 workers in 16 shards" in done.stdout
    numbers = loads.read_text().split()
    assert len(numbers) == len(set(numbers)) <= 2
    assert not (folder / "shared.nc.shards").exists()
    # The model's code is part of its hash.
    program(*COMMAND, "-o", "one.nc", cwd=folder)
    assert filecmp.cmp(folder / "shared.nc", folder / "one.nc", shallow=False)


@needs_dask
def test_a_model_that_no_worker_can_load_is_one_line_and_shards_are_kept(folder: Path) -> None:
    model = folder / "additive" / "model.py"
    model.write_text("import no_such_package\n" + model.read_text())
    done = program(*COMMAND, "-o", "a.nc", "--scheduler", "local:1", cwd=folder, check=False)
    assert done.returncode == 1
    [line] = [each for each in done.stderr.splitlines() if "error: " in each]
    assert "no_such_package" in line
    assert "(shard " in line
    assert "worker tcp://127.0.0.1:" in line
    assert "Traceback" not in done.stderr
    # The run can be gone on with.
    assert json.loads((folder / "a.nc.shards" / "run.json").read_text())["of"] == 8


@needs_dask
@pytest.mark.slow
def test_a_worker_is_killed_and_the_bytes_are_the_same() -> None:
    """As often as a suite has time for; benchmarks/killed_workers.py does it 20 times."""
    script = ROOT / "benchmarks" / "killed_workers.py"
    done = subprocess.run(
        [sys.executable, script, "--rounds", "2"], capture_output=True, text=True, timeout=600, check=False
    )
    assert "2 of 2 runs whose worker was killed have the bytes of one process" in done.stdout, done.stdout


def test_a_slurm_script_is_run_job_by_job(folder: Path) -> None:
    """Processes of their own, as their versions of packages are of what they have imported."""
    # A name that a shell would take apart.
    words = [*COMMAND, "-o", "out $put.nc"]
    program("shard-script", "--shards", "2", "--mem", "2G", "-o", "job.sh", "--", *words, cwd=folder)
    script = (folder / "job.sh").read_text()
    assert "#SBATCH --array=1-2\n" in script
    assert "#SBATCH --mem=2G\n" in script
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def job(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "job.sh", *arguments],
            cwd=folder,
            env=os.environ | {"PATH": path} | env,
            capture_output=True,
            text=True,
            check=False,
        )

    assert "is not set: run this with sbatch" in job().stderr
    for number in ("2", "1"):
        done = job(SLURM_ARRAY_TASK_ID=number, SLURM_CPUS_PER_TASK="1")
        assert done.returncode == 0, done.stderr
        assert f"{number}-of-2.out $put.nc" in done.stdout
    done = job("merge", SLURM_ARRAY_TASK_ID="1")
    assert "out $put.nc: 2 shards of 70 records" in done.stdout, done.stderr
    assert filecmp.cmp(folder / "out $put.nc", folder / "whole.nc", shallow=False)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["plot", "a.nc", "-o", "a.png"], "plot: takes no shards"),
        (["ims", "model", "-o", "a.nc"], "there is no command 'ims'"),
        ([*COMMAND, "--no-such-option", "-o", "a.nc"], "No such option"),
        (COMMAND, "Missing option '-o'"),
        ([*COMMAND, "--shard", "1/2", "-o", "a.nc"], "without --shard"),
    ],
)
def test_scripts_of_what_is_no_command_with_shards(folder: Path, words: list[str], problem: str) -> None:
    done = run("shard-script", "--shards", "2", "-o", "job.sh", "--", *words)
    assert done.exit_code == 1
    assert problem in done.output
    assert not (folder / "job.sh").exists()


@pytest.mark.needs_snakemake
def test_the_snakemake_workflow(folder: Path, snakemake: str) -> None:
    settings = {
        "program": str(Path(sys.executable).with_name("kipoi-tfbind")),
        "shards": 2,
        "output": "out.nc",
    }
    config = folder / "config.json"
    config.write_text(json.dumps(settings | {"command": " ".join(COMMAND)}))
    command = [snakemake, "-s", str(ROOT / "workflow" / "Snakefile"), "--configfile", str(config), "-j", "1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert filecmp.cmp(folder / "out.nc", folder / "whole.nc", shallow=False)
