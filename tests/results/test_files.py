"""Result files: what is written is read back, by other readers too, and is never half a file."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis, open_result, save_result
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.results.files import whole_file


@pytest.fixture
def result() -> xr.Dataset:
    model = as_sequence_model(lambda x: x.sum(axis=1), targets=["A", "Cä", "G", "T"])
    sequences = encode_sequences(["ACGTNA", "GGGGGA"], ids=["first", "zweite Sequenz"])
    located = sequences.assign_coords(
        chrom=("sequence", ["chr20", "chr20"]),
        start=("sequence", [-3, 62_000_000]),
        end=("sequence", [3, 62_000_006]),
        strand=("sequence", ["+", "-"]),
    )
    return in_silico_mutagenesis(model, located, start=1)


def test_a_result_is_read_back_as_it_was(result: xr.Dataset, tmp_path: Path) -> None:
    save_result(result, tmp_path / "result.nc")
    again = open_result(tmp_path / "result.nc")
    xr.testing.assert_identical(again, result)
    for name in result.variables:
        assert again[name].dtype.kind in (result[name].dtype.kind, "O", "T"), name
    assert os.listdir(tmp_path) == ["result.nc"]


def test_a_result_is_plain_hdf5(result: xr.Dataset, tmp_path: Path) -> None:
    save_result(result, tmp_path / "result.h5")
    with h5py.File(tmp_path / "result.h5") as file:
        np.testing.assert_array_equal(file["mutation_effect"][:], result["mutation_effect"])
        assert file["target"].asstr()[:].tolist() == ["A", "Cä", "G", "T"]
        assert file["mutation_effect"].dims[1].label == ""
        assert file["mutation_effect"].dims[1][0].name == "/position"
        assert file.attrs["method"] == "in_silico_mutagenesis"
        assert file["mutation_effect"].attrs["long_name"].startswith("prediction with this base")


def test_a_failed_write_leaves_the_old_file(result: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "result.nc"
    save_result(result, path)
    # The last variable cannot be written: by then the others are in the file.
    broken = result.assign(unwritable=("sequence", np.array([{}, object()], dtype=object)))
    with pytest.raises((TypeError, ValueError)):
        save_result(broken, path)
    xr.testing.assert_identical(open_result(path), result)
    assert os.listdir(tmp_path) == ["result.nc"]


def test_a_killed_process_leaves_no_file_of_that_name(tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "from kipoi_tfbind.results.files import whole_file\n"
        f"with whole_file({str(tmp_path / 'result.nc')!r}) as partial:\n"
        "    partial.write_text('half of it')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert not (tmp_path / "result.nc").exists()


def test_places_that_cannot_be_written_are_refused(result: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere/result.nc: there is no folder .*nowhere; make it"):
        save_result(result, tmp_path / "nowhere" / "result.nc")
    with pytest.raises(InputError, match="is a folder; give the name of a file"):
        save_result(result, tmp_path)
    with pytest.raises(InputError, match=r"/proc/result.nc: .*choose another place"):
        save_result(result, "/proc/result.nc")


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    problem = r"a.txt: cannot be written \(No space left on device\)"
    with pytest.raises(InputError, match=problem), whole_file(tmp_path / "a.txt"):
        raise OSError(28, os.strerror(28))
    assert os.listdir(tmp_path) == []


def test_files_that_are_no_results_are_refused(result: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "result.nc"
    with pytest.raises(InputError, match=r"result.nc: no such file; make one with `kipoi tfbind ism`"):
        open_result(path)
    path.write_text("not HDF5")
    with pytest.raises(InputError, match=r"result.nc: not a result that can be read"):
        open_result(path)
    save_result(result, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"result.nc: not a result that can be read"):
        open_result(path)
