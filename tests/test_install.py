"""The package installed in every way that pip knows: the plugin is there, and afterwards nothing is.

The environments are new ones. The package's dependencies come from the environment of the tests through
PYTHONPATH, where Python reads no .pth file: what makes the plugin work is what was installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
NOT_SOURCE = shutil.ignore_patterns(".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache")

pytestmark = pytest.mark.slow


class Environment(NamedTuple):
    """A virtual environment with the dependencies on its path."""

    folder: Path
    variables: dict[str, str]

    def run(self, *command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        program = self.folder / "bin" / "python"
        process = subprocess.run(
            [program, *map(str, command)],
            cwd=self.folder,
            env=os.environ | self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert process.returncode == 0 or not check, process.stdout + process.stderr
        return process

    def pip(self, *args: str | Path) -> None:
        self.run("-m", "pip", *args)

    def files(self) -> set[Path]:
        """What is installed; compiled modules apart, which any import leaves."""
        return {path for path in self.folder.rglob("*") if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def bare_environment(tmp_path_factory) -> Environment:
    home = tmp_path_factory.mktemp("install")
    venv.create(home / "environment", with_pip=True)
    dependencies = home / "dependencies"
    dependencies.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "kipoi_tfbind" not in path.name and path.name != "__pycache__":
            (dependencies / path.name).symlink_to(path)
    variables = {"PYTHONPATH": str(dependencies), "HOME": str(home), "PYTHONSAFEPATH": "1"}
    return Environment(home / "environment", variables)


@pytest.fixture
def environment(bare_environment):
    yield bare_environment
    bare_environment.pip("uninstall", "--yes", "kipoi_tfbind")


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of the source, so that building leaves nothing in the working tree."""
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("source") / "kipoi_tfbind", ignore=NOT_SOURCE))


@pytest.fixture(scope="module")
def distributions(source, tmp_path_factory) -> dict[str, Path]:
    """The wheel, built from the sdist, and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source],
        check=True,
        capture_output=True,
        timeout=300,
    )
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return {"wheel": wheel, "sdist": sdist}


EDITABLE = ["editable", "editable strict", "editable compat"]


@pytest.mark.parametrize("way", ["wheel", "sdist", "directory", *EDITABLE])
def test_the_plugin_is_there_and_uninstalling_leaves_nothing(way, request, environment, source):
    before = environment.files()
    options = ["--no-deps", "--no-build-isolation"]
    if way in EDITABLE:
        mode = way.removeprefix("editable").strip()
        options += ["--config-settings", f"editable_mode={mode}"] if mode else []
        environment.pip("install", *options, "--editable", source)
    elif way == "directory":
        environment.pip("install", *options, source)
    else:
        environment.pip("install", *options, request.getfixturevalue("distributions")[way])

    listed = environment.run("-m", "kipoi", "list_plugins").stdout
    assert ["kipoi_tfbind", "True", "True"] in [line.split()[:3] for line in listed.splitlines()]
    assert environment.run("-m", "kipoi", "tfbind", "--help").stdout.startswith("Usage: kipoi tfbind ")
    script = environment.folder / "bin" / "kipoi-tfbind"
    assert environment.run(script, "--help").stdout.startswith("Usage: kipoi-tfbind ")
    repaired = environment.run("-c", "import kipoi; print(kipoi.writers.np.string_.__name__)")
    assert repaired.stdout.strip() == "bytes_"

    environment.pip("uninstall", "--yes", "kipoi_tfbind")
    assert environment.files() == before
    listed = environment.run("-m", "kipoi", "list_plugins")
    assert "kipoi_tfbind" not in listed.stdout
    assert "kipoi_tfbind" not in listed.stderr


def test_the_hook_is_silent_when_its_source_is_gone(environment, source, tmp_path):
    moved = Path(shutil.copytree(source, tmp_path / "moved"))
    environment.pip("install", "--no-deps", "--no-build-isolation", "--editable", moved)
    shutil.rmtree(moved)
    process = environment.run("-c", "print('Python starts')")
    assert (process.stdout, process.stderr) == ("Python starts\n", "")


def test_the_sdist_has_what_the_wheel_and_a_reader_need(distributions, tmp_path):
    shutil.unpack_archive(distributions["sdist"], tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    names = {"LICENSE", "CHANGELOG.md", "kipoi_tfbind.pth", "_kipoi_tfbind_hook.py", "setup.py", "tests"}
    assert names <= {path.name for path in folder.iterdir()}
