"""TensorFlow's start-up lines stay off stderr; real messages, crashes and the user's own settings do not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAMP = "0000 00:00:1795717775.284373   10168"
START = "from kipoi_tfbind.backends.quiet_start import quiet_start, start_tensorflow\nimport os, sys\n"
# A package of this name that says what it is told to, as C++ does: to the file descriptor.
FAKE = "import os\nos.write(2, os.environ['SAID'].encode())\n"


def run(code: str, folder: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_CPP")}
    if folder is not None:
        environment["PYTHONPATH"] = str(folder)
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"CUDA_VISIBLE_DEVICES": ""} | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    (tmp_path / "tensorflow.py").write_text(FAKE)
    return tmp_path


NOISE = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    f"I{STAMP} port.cc:153] oneDNN custom operations are on.\n"
    f"I{STAMP} single_machine.cc:376] Starting new session\n"
    "To enable the following instructions: AVX2, in other operations, rebuild TensorFlow.\n"
    "2025-01-01 10:00:00.123456: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.\n"
    f"E{STAMP} cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: UNKNOWN ERROR (303)\n"
)
REAL = (
    f"E{STAMP} conv.cc:1] out of memory\n"
    f"W{STAMP} gpu.cc:3] Skipping registering GPU devices\n"
    "WARNING: the disk is full\n"
    "Traceback of somebody else\n"
    "no line break at the end"
)


def test_all_but_the_known_lines_is_passed_on(fake: Path) -> None:
    code = START + "with quiet_start():\n    import tensorflow\nprint('after', file=sys.stderr)"
    process = run(code, fake, SAID=NOISE + REAL + "\n")
    assert process.stderr == REAL + "\nafter\n"
    assert process.returncode == 0
    assert run(code, fake, SAID=REAL).stderr == REAL + "after\n"


@pytest.mark.parametrize(
    ("end", "code"), [("os.abort()", -signal.SIGABRT), ("os.kill(os.getpid(), 9)", -signal.SIGKILL)]
)
def test_the_last_words_of_a_crash_are_seen(fake: Path, end: str, code: int) -> None:
    fatal = f"F{STAMP} cpu.cc:1] built to use AVX instructions, which this machine has not\n"
    process = run(START + f"with quiet_start():\n    import tensorflow\n    {end}", fake, SAID=NOISE + fatal)
    assert (process.returncode, process.stderr) == (code, fatal)


def test_an_error_inside_the_block(fake: Path) -> None:
    process = run(START + "with quiet_start():\n    import tensorflow\n    1 / 0", fake, SAID=NOISE)
    assert process.returncode == 1
    assert process.stderr.startswith("Traceback")
    assert process.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_what_the_user_asks_for_is_shown(fake: Path) -> None:
    code = START + "with quiet_start():\n    import tensorflow"
    assert run(code, fake, SAID=NOISE, TF_CPP_MIN_LOG_LEVEL="0").stderr == NOISE


def test_the_level_is_left_as_it_was(fake: Path) -> None:
    show = "print(os.environ.get('TF_CPP_MIN_LOG_LEVEL'))"
    code = START + f"with quiet_start():\n    import tensorflow\n    {show}\n{show}"
    assert run(code, fake, SAID="").stdout == "1\nNone\n"
    assert run(code, fake, SAID="", TF_CPP_MIN_LOG_LEVEL="3").stdout == "3\n3\n"


def test_nothing_is_started_for_a_block_without_tensorflow(fake: Path) -> None:
    code = START + "import subprocess; subprocess.Popen = None\nwith quiet_start():\n    import json"
    assert run(code, fake).stderr == ""


@pytest.mark.slow
def test_a_real_start_in_python_and_on_the_command_line(tmp_path: Path) -> None:
    """The model is loaded, explained and traced several times, and nothing is said on the way."""
    code = """
import kipoi_tfbind as tfb
model = tfb.load_model("model_zoo/TFBind/CTCF-single")
sequences = tfb.encode_sequences(["ACGT" * 100])
tfb.in_silico_mutagenesis(model, sequences, end=3, path="incremental")
tfb.deep_shap(model, sequences, n_references=2)
import keras
for length in range(20, 60, 5):
    layers = [keras.layers.Input((length, 4)), keras.layers.Flatten(), keras.layers.Dense(1)]
    tfb.gradients(keras.Sequential(layers), tfb.encode_sequences(["A" * length]))
"""
    process = run(code)
    assert (process.returncode, process.stderr) == (0, "")

    fasta = tmp_path / "a.fa"
    fasta.write_text(">a\n" + "ACGT" * 100 + "\n")
    command = (
        "from kipoi_tfbind.cli import main; main(["
        f"'ism', 'model_zoo/TFBind/CTCF-single', '--sequences', {str(fasta)!r}, '--start', '3', '--end', '5',"
        f" '-o', {str(tmp_path / 'x.nc')!r}])"
    )
    process = run(command)
    assert (process.returncode, process.stderr) == (0, "")
    assert "in_silico_mutagenesis; sequences: 1" in process.stdout
    process = run(command.replace(str(fasta), str(tmp_path / "none.fa")).replace("x.nc", "y.nc"))
    assert process.returncode == 1
    assert process.stderr.count("\n") == 1
    assert process.stderr.startswith("error: ")
