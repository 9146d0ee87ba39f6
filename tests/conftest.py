"""What several test modules share: the real ``kipoi`` command, skips, and letting go of models."""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.kipoi_server import KipoiServer


class KipoiCommand(Protocol):
    def __call__(
        self, *args: str | Path, cwd: str | Path | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]: ...


CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("needs_bedtools") and shutil.which("bedtools") is None:
        pytest.skip("needs the program bedtools, which is not installed")
    if item.get_closest_marker("needs_snakemake") and snakemake_program() is None:
        pytest.skip("needs the program snakemake, which is not installed")
    if item.get_closest_marker("needs_chromium") and not any(map(shutil.which, CHROMIUM)):
        pytest.skip("needs the program chromium, which is not installed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: of two processes, one waits for the other's last file."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def snakemake_program() -> str | None:
    """Snakemake, or that of an environment of its own: its jsonschema needs newer attrs than Kipoi allows."""
    own = Path(__file__).parents[1] / ".venv-snakemake" / "bin" / "snakemake"
    return str(own) if own.exists() else shutil.which("snakemake")


@pytest.fixture
def snakemake() -> str:
    return str(snakemake_program())


@pytest.fixture(scope="module", autouse=True)
def _let_go_of_models(request: pytest.FixtureRequest) -> Iterator[None]:
    """Free the models that a test module, or a module of shared models, has kept in a cache.

    Without it, one process that runs all tests holds hundreds of models and what was compiled for them.
    """
    yield
    shared = [module for name, module in sys.modules.items() if name.startswith("tests.")]
    for module in (request.module, *shared):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
    gc.collect()
    if sys.platform == "linux":
        # glibc keeps what was freed in small pieces; hand it back.
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@pytest.fixture(scope="session")
def kipoi_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory whose Kipoi configuration names no remote model source."""
    home = tmp_path_factory.mktemp("home")
    config = home / ".kipoi" / "config.yaml"
    config.parent.mkdir()
    zoo = home / "zoo"
    zoo.mkdir()
    config.write_text(f"model_sources:\n  kipoi:\n    type: local\n    local_path: {zoo}\n")
    return home


SETTINGS = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
PROGRAM = Path(sys.executable).with_name("kipoi")


@pytest.fixture(scope="session")
def kipoi_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KipoiServer]:
    server = KipoiServer(PROGRAM, tmp_path_factory.mktemp("printed"), dict(os.environ) | SETTINGS)
    yield server
    server.close()


def checked(
    run: subprocess.CompletedProcess[str], args: tuple[str | Path, ...], check: bool
) -> subprocess.CompletedProcess[str]:
    if check and run.returncode != 0:
        line = f"kipoi {' '.join(map(str, args))}: exit code {run.returncode}"
        pytest.fail(f"{line}\n{run.stdout}{run.stderr}")
    return run


@pytest.fixture(scope="session")
def kipoi_cli(kipoi_home: Path, kipoi_server: KipoiServer) -> KipoiCommand:
    """Run the real ``kipoi`` command in a process of its own, offline.

    ``kipoi_cli(*args, cwd=None, check=True)`` returns the completed process with its text output; with
    ``check``, an exit code other than 0 fails the test and shows that output. What takes seconds to import
    is there before it begins, but neither Kipoi nor this package; `kipoi_program` starts from nothing.
    """

    def run(
        *args: str | Path, cwd: str | Path | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        env = dict(os.environ) | SETTINGS | {"HOME": str(kipoi_home)}
        return checked(kipoi_server.run([*map(str, args)], Path(cwd or os.getcwd()), env), args, check)

    return run


@pytest.fixture(scope="session")
def kipoi_program(kipoi_home: Path) -> KipoiCommand:
    """Run the real ``kipoi`` command as a user does: a program that is started. As `kipoi_cli` otherwise."""

    def run(
        *args: str | Path, cwd: str | Path | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        process = subprocess.run(
            [PROGRAM, *map(str, args)],
            cwd=cwd,
            env=os.environ | SETTINGS | {"HOME": str(kipoi_home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        return checked(process, args, check)

    return run
