"""``make demo`` after installation: what it runs, shows and writes, and how long it takes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_demo(root: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", root / "demo" / "run.sh"],
        env=os.environ | {"PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_demo_shows_its_tables_and_writes_its_picture() -> None:
    start = time.monotonic()
    ran = run_demo(ROOT)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert time.monotonic() - start < 120
    assert ran.stderr == ""
    assert "$ kipoi predict model_zoo/TFBind/HepG2/variants --source=dir" in ran.stdout
    assert "44 of 47 alleles are scored" in ran.stdout
    assert "ctcf_break_" in ran.stdout
    assert "10 of 22 windows" in ran.stdout
    assert (ROOT / "demo/output/ctcf_site_2.png").read_bytes().startswith(b"\x89PNG")


def test_demo_stops_at_the_first_error_and_shows_it(tmp_path: Path) -> None:
    """Without models: Kipoi's message is on the screen, and nothing after it is run."""
    (tmp_path / "demo").mkdir()
    for name in ("run.sh", "show.py"):
        (tmp_path / "demo" / name).write_text((ROOT / "demo" / name).read_text())
    ran = run_demo(tmp_path)
    assert ran.returncode != 0
    assert "model_zoo/TFBind/HepG2/variants doesn't exist" in ran.stdout
    assert ran.stdout.count("$ kipoi") == 1
