"""Results written piece by piece: the same as when written at once, also after a run was killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from kipoi_tfbind import encode_sequences, open_result, save_result, schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.results.append import (
    ResultFile,
    append_result,
    finish_result,
    finished_sequences,
    open_for_append,
)
from kipoi_tfbind.results.files import iterate_result

N, LENGTH = 23, 30
SETTINGS = {"method": "gradients", "model": "additive", "output": "logit", "seed": 3, "tolerance": 0.001}


def sequences(n: int = N, seed: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    letters = ["".join(rng.choice(list("ACGTN"), size=LENGTH)) for _ in range(n)]
    # Text of growing width, so that the pieces have it in different widths.
    dataset = encode_sequences(letters, ids=[f"sequence {'ä' * i}{i}" for i in range(n)])
    return dataset.assign_coords(
        chrom=("sequence", [f"chr{i}" for i in range(n)]),
        start=("sequence", np.arange(n) * 100),
        end=("sequence", np.arange(n) * 100 + LENGTH),
        strand=("sequence", ["+-*"[i % 3] for i in range(n)]),
    )


def method(chunk: xr.Dataset, **attributes: str | int | float) -> xr.Dataset:
    """A result that depends on each sequence alone, as all methods' results do."""
    weights = np.random.default_rng(1).normal(size=(LENGTH, 4, 2)).astype(np.float32)
    result = chunk.assign_coords(target=["CTCF", "MAX"])
    contribution = chunk["one_hot"].values[..., np.newaxis] * weights
    result["contribution"] = ("sequence", "position", "base", "target"), contribution
    result["prediction"] = ("sequence", "target"), contribution.sum(axis=(1, 2))
    result["completeness_error"] = ("sequence", "target"), np.full((chunk.sizes["sequence"], 2), np.nan)
    return schema.annotate(result.assign_attrs(SETTINGS | {"versions": "numpy 2"} | attributes))


def split(dataset: xr.Dataset, size: int) -> list[xr.Dataset]:
    return [dataset.isel(sequence=slice(i, i + size)) for i in range(0, dataset.sizes["sequence"], size)]


@pytest.mark.parametrize("size", [1, 7, N])
def test_appended_pieces_are_the_result_written_at_once(tmp_path: Path, size: int) -> None:
    whole = method(sequences())
    save_result(whole, tmp_path / "whole.nc")
    for chunk in split(sequences(), size):
        append_result(method(chunk), tmp_path / "pieces.nc")
    assert finished_sequences(tmp_path / "pieces.nc", SETTINGS) == N
    finish_result(tmp_path / "pieces.nc")
    again = open_result(tmp_path / "pieces.nc")
    xr.testing.assert_identical(again, whole)
    xr.testing.assert_identical(again, open_result(tmp_path / "whole.nc"))
    for name in whole.variables:
        assert again[name].encoding.get("complevel") == open_result(tmp_path / "whole.nc")[name].encoding.get(
            "complevel"
        )
    assert sorted(os.listdir(tmp_path)) == ["pieces.nc", "whole.nc"]


def test_the_file_is_plain_hdf5_and_netcdf(tmp_path: Path) -> None:
    path = tmp_path / "result.h5"
    for chunk in split(sequences(), 10):
        append_result(method(chunk), path)
    finish_result(path)
    whole = method(sequences())
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["contribution"][:], whole["contribution"])
        assert file["id"].asstr()[:].tolist() == whole["id"].values.tolist()
        assert [file["contribution"].dims[i][0].name for i in range(4)] == [
            "/sequence",
            "/position",
            "/base",
            "/target",
        ]
        assert file["contribution"].compression == "gzip"
        assert "unfinished" not in file.attrs
        assert file.attrs["seed"] == 3
    if shutil.which("ncdump"):
        dump = subprocess.run(
            ["ncdump", "-v", "start", path], capture_output=True, text=True, check=True
        ).stdout
        assert f"sequence = {N} ;" in dump
        assert "float contribution(sequence, position, base, target) ;" in dump
        assert " 2000, 2100, 2200 ;" in dump


def test_pieces_are_read_back_one_at_a_time(tmp_path: Path) -> None:
    whole = method(sequences())
    save_result(whole, tmp_path / "result.nc")
    pieces = list(iterate_result(tmp_path / "result.nc", chunk=10))
    assert [piece.sizes["sequence"] for piece in pieces] == [10, 10, 3]
    for piece, expected in zip(pieces, split(whole, 10), strict=True):
        xr.testing.assert_identical(piece, expected)
    with pytest.raises(InputError, match="chunk: expected at least 1 sequence, got 0"):
        next(iterate_result(tmp_path / "result.nc", chunk=0))
    save_result(xr.Dataset({"score": ("variant", [1.0])}), tmp_path / "other.nc")
    with pytest.raises(InputError, match=r"expected a result with the dimension sequence, found variant"):
        next(iterate_result(tmp_path / "other.nc"))


def test_an_unfinished_result_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "result.nc"
    append_result(method(sequences(2)), path)
    with pytest.raises(
        InputError, match=r"result.nc: is not finished: .*result.nc.partial; run the same comm"
    ):
        open_result(path)
    with pytest.raises(InputError, match="is not finished"):
        next(iterate_result(path))
    # Nor is a piece that somebody picks out and gives another name.
    piece = next((tmp_path / "result.nc.partial").glob("*-*.nc"))
    shutil.copy(piece, tmp_path / "stolen.nc")
    for lazy in (False, True):
        with pytest.raises(InputError, match=r"stolen.nc: only a part of a result \(sequences 0 to 1"):
            open_result(tmp_path / "stolen.nc", lazy=lazy)


def test_an_older_result_is_opened_with_a_notice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "result.nc"
    save_result(method(sequences(3)), path)
    append_result(method(sequences(2)), path)
    assert open_result(path).sizes["sequence"] == 3
    assert "the result of an earlier run; a later one has not finished" in capsys.readouterr().err
    finish_result(path)
    assert open_result(path).sizes["sequence"] == 2
    assert capsys.readouterr().err == ""


def test_an_interrupted_run_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "result.nc"

    def interrupted() -> None:
        with open_for_append(path, SETTINGS) as out:
            for number, chunk in enumerate(out.remaining(split(sequences(), 5))):
                if number == 2:
                    raise KeyboardInterrupt
                out.append(method(chunk))

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "not finished; 10 sequences are done and kept in" in capsys.readouterr().err
    assert finished_sequences(path, SETTINGS) == 10
    with open_for_append(path, SETTINGS | {"batch_size": 7}) as out:
        assert out.n_finished == 10
        # Other chunks than before: one of them is half done.
        for chunk in out.remaining(split(sequences(), 7)):
            out.append(method(chunk))
    assert "going on after the 10 sequences" in capsys.readouterr().err
    xr.testing.assert_identical(open_result(path), method(sequences()))
    assert os.listdir(tmp_path) == ["result.nc"]


def test_versions_of_both_runs_are_kept(tmp_path: Path) -> None:
    first, second = split(sequences(), 12)
    append_result(method(first, versions="numpy 2.3"), tmp_path / "result.nc")
    append_result(method(second, versions="numpy 2.4"), tmp_path / "result.nc")
    finish_result(tmp_path / "result.nc")
    assert open_result(tmp_path / "result.nc").attrs["versions"] == "numpy 2.3; then numpy 2.4"


def test_attributes_are_added(tmp_path: Path) -> None:
    with open_for_append(tmp_path / "result.nc", {"input": "peaks.bed", "seed": 3}) as out:
        out.append(method(sequences()))
    assert open_result(tmp_path / "result.nc").attrs["input"] == "peaks.bed"
    with (
        pytest.raises(InputError, match=r"other attributes than .*: seed was 4, is now 3"),
        open_for_append(tmp_path / "result.nc", {"seed": 4}) as out,
    ):
        out.append(method(sequences()))


# A run in a child process, which can be killed and begun again without importing everything anew.
RUN = """
import os, random, signal, sys, time
sys.path.insert(0, {tests!r})
import kipoi_tfbind.results.result_file as result_file
from kipoi_tfbind.results.append import finished_sequences, open_for_append
from test_append import SETTINGS, method, sequences, split

PATH = {path!r}

def run():
    with open_for_append(PATH, SETTINGS) as out:
        for chunk in out.remaining(split(sequences(), 2)):
            out.append(method(chunk))
            print("done", out.n_finished, flush=True)

def in_child(prepare=lambda: None, kill_after=None):
    child = os.fork()
    if not child:
        prepare()
        run()
        os._exit(0)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    print("exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
# Killed when half a piece or half the whole is written; when all of it is, without its name; and with it.
FAULTS = {
    "half a piece": ("write_netcdf", "open(args[1], 'wb').write(b'half')", 4),
    "a piece without its name": ("os.replace", "pass", 4),
    "a piece with its name": ("os.replace", "original(*args)", 4),
    "half the whole": ("merge", "original(args[0][:3], args[1])", 1),
    "the whole without its name": ("os.replace", "pass", 13),
    "the whole with its name": ("os.replace", "original(*args)", 13),
}
KILLED_ONCE = """
original = result_file.{name}
calls = 0

def fault(*args):
    global calls
    calls += 1
    if calls == {call}:
        {last}
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args)

def prepare():
    result_file.{name} = fault

in_child(prepare)
print("finished", finished_sequences(PATH, SETTINGS))
print("whole", os.path.exists(PATH), flush=True)
run()
"""
KILLED_OFTEN = """
random.seed(0)
for _ in range(20):
    in_child(kill_after=random.uniform(0.02, 0.25))
    print("finished", finished_sequences(PATH, SETTINGS), flush=True)
    if os.path.exists(PATH):
        break
run()
"""


def report(path: Path, code: str) -> list[tuple[str, str]]:
    """Words that a script printed, in pairs."""
    code = RUN.format(tests=str(Path(__file__).parent), path=str(path)) + code
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    words = ran.stdout.split()
    return list(zip(words[::2], words[1::2], strict=True))


@pytest.mark.parametrize("where", FAULTS)
def test_a_killed_run_loses_nothing_that_was_done(tmp_path: Path, where: str) -> None:
    path = tmp_path / "result.nc"
    name, last, call = FAULTS[where]
    lines = report(path, KILLED_ONCE.format(name=name, last=last, call=call))
    killed = lines.index(("exit", "-9"))
    (_, finished), (_, whole) = lines[killed + 1 : killed + 3]
    reported = int(lines[killed - 1][1])
    assert reported == (6 if call == 4 else N)
    assert int(finished) == reported + (2 if where == "a piece with its name" else 0)
    assert whole == str(where == "the whole with its name")
    # The second run begins where the first one was stopped.
    done = [int(number) for word, number in lines[killed + 3 :] if word == "done"]
    assert done == [*range(int(finished) + 2, N, 2), *([N] if int(finished) < N else [])]
    xr.testing.assert_identical(open_result(path), method(sequences()))
    assert os.listdir(tmp_path) == ["result.nc"]


def test_a_run_killed_at_any_moment_ends_in_the_same_result(tmp_path: Path) -> None:
    path = tmp_path / "result.nc"
    lines = report(path, KILLED_OFTEN)
    assert lines.count(("exit", "-9")) > 1
    seen = 0
    for word, number in lines:
        if word in ("done", "finished"):
            assert int(number) >= seen or path.exists()
            seen = int(number)
    xr.testing.assert_identical(open_result(path), method(sequences()))
    assert os.listdir(tmp_path) == ["result.nc"]


@pytest.mark.parametrize("damage", ["truncated", "missing", "other number"])
def test_damaged_pieces_are_done_again(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "result.nc"
    for chunk in split(sequences(), 5):
        append_result(method(chunk), path)
    piece = tmp_path / "result.nc.partial" / "0000000005-0000000010.nc"
    if damage == "truncated":
        piece.write_bytes(piece.read_bytes()[:1000])
    elif damage == "missing":
        piece.unlink()
    else:
        shutil.copy(piece.with_name("0000000020-0000000023.nc"), piece)
    assert finished_sequences(path) == 5
    capsys.readouterr()
    with open_for_append(path, SETTINGS) as out:
        assert "damaged; the sequences from" in capsys.readouterr().err
        assert out.n_finished == 5
        for chunk in out.remaining([sequences()]):
            out.append(method(chunk))
    xr.testing.assert_identical(open_result(path), method(sequences()))


def test_another_run_does_not_go_on_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "result.nc"
    append_result(method(sequences(4)), path)
    problem = (
        r"the unfinished result in .* is of another run \(seed was 3, is now 4; steps was not set, is now 5\)"
    )
    with pytest.raises(InputError, match=problem):
        finished_sequences(path, SETTINGS | {"seed": 4, "steps": 5})
    with pytest.raises(InputError, match=problem), open_for_append(path, {"seed": 4, "steps": 5}):
        pytest.fail("was opened")
    assert finished_sequences(path, SETTINGS) == 4
    with open_for_append(path, {"seed": 4}, restart=True) as out:
        assert out.n_finished == 0
        out.append(method(sequences(2), seed=4))
    assert open_result(path).attrs["seed"] == 4


def test_other_sequences_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "result.nc"
    # A result of some of the positions: only these can be compared.
    append_result(method(sequences(4)).isel(position=slice(5, 20)), path)
    same, mutated, renamed = sequences(4), sequences(4), sequences(4)
    mutated["one_hot"].values[2, 7] = mutated["one_hot"].values[2, 7, ::-1] + [0.5, 0, 0, 0]
    renamed = renamed.assign_coords(id=("sequence", ["sequence 0", "sequence ä1", "b", "c"]))
    moved = sequences(4).assign_coords(start=("sequence", [0, 100, 200, 301]))
    outside = sequences(4)
    outside["one_hot"].values[2, 25] = [0.25, 0.25, 0.25, 0.25]
    out = ResultFile(path, SETTINGS)
    for other, row in ((mutated, 2), (renamed, 2), (moved, 3)):
        with pytest.raises(InputError, match=rf"is of other sequences \(its sequence {row}, counted from 0"):
            list(out.remaining(split(other, 3)))
    with pytest.raises(InputError, match="it has 4 sequences, this run only 3"):
        list(out.remaining(split(same, 3)[:1]))
    assert list(out.remaining(split(same, 3))) == []
    assert list(out.remaining([outside])) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda r: r.drop_vars("prediction"), "only one of them has the variables prediction"),
        (lambda r: r.assign_attrs(seed=4), "seed was 3, is now 4"),
        (lambda r: r.assign_attrs(steps=4), "only one of them has the attributes steps"),
        (lambda r: r.isel(target=[0]), r"was .*'target': 2.*, is now .*'target': 1"),
        (lambda r: r.assign_coords(target=["CTCF", "MYC"]), "target has other values"),
        (
            lambda r: r.assign(contribution=r["contribution"].astype(float)),
            "contribution was of type float32, is now of float64",
        ),
        (lambda r: r.rename(sequence="row"), "expected the dimension sequence, found row"),
    ],
)
def test_results_that_do_not_fit_are_refused(tmp_path: Path, change, problem: str) -> None:
    path = tmp_path / "result.nc"
    append_result(method(sequences(4)), path)
    with pytest.raises(InputError, match=problem):
        append_result(change(method(sequences(4))), path)
    assert finished_sequences(path) == 4


def test_two_processes_do_not_write_the_same_result(tmp_path: Path) -> None:
    path = tmp_path / "result.nc"
    with open_for_append(path, SETTINGS) as out:
        out.append(method(sequences(4)))
        lines = report(
            path, "try:\n    run()\nexcept Exception as error:\n    print(*str(error).split()[1:3])"
        )
        assert lines == [("another", "process")]
    assert open_result(path).sizes["sequence"] == 4


def test_nothing_to_write_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "result.nc"
    with pytest.raises(InputError, match=r"result.nc: no sequence to write"), open_for_append(path) as out:
        out.append(method(sequences(4)).isel(sequence=slice(0, 0)))
    with pytest.raises(InputError, match="no result was begun for this file"):
        finish_result(path)
    with pytest.raises(InputError, match="there is no folder"):
        append_result(method(sequences(1)), tmp_path / "nowhere" / "result.nc")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.nc"
    append_result(method(sequences(4)), path)

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr("kipoi_tfbind.results.result_file.write_netcdf", full)
        with pytest.raises(InputError, match=r"cannot be written \(No space left on device\); make room"):
            append_result(method(sequences(4)), path)
    assert finished_sequences(path) == 4


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "result.nc"
    append_result(method(sequences(4)), path)
    (tmp_path / "result.nc.partial" / "notes.txt").write_text("mine")
    finish_result(path)
    assert os.listdir(tmp_path / "result.nc.partial") == ["notes.txt"]
    (tmp_path / "other.nc.partial").write_text("a file")
    with pytest.raises(InputError, match=r"cannot write to .*other.nc.partial \(File exists\); remove it"):
        append_result(method(sequences(4)), tmp_path / "other.nc")
