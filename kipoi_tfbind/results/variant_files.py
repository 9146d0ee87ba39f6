"""Files of variant scores, written block by block: an interrupted run goes on and ends with the same bytes.

Beside every output there is a folder ``OUTPUT.partial`` until all of it is there. What has been written so
far is noted after each block, so that whatever came after the last note is cut off when the run goes on.
Blocks have a fixed number of lines, and each is compressed for itself: where a run was interrupted cannot
be seen in the bytes.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pysam

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import silent_htslib
from kipoi_tfbind.genome.text_files import BGZF_END
from kipoi_tfbind.notices import notice
from kipoi_tfbind.results.bgzip_blocks import is_packed, packed
from kipoi_tfbind.results.files import partial_folder
from kipoi_tfbind.results.folder_lock import LOCK, lock_folder
from kipoi_tfbind.results.late_score import LateScore, add_late_score, rewrite_table, rewrite_vcf
from kipoi_tfbind.results.variant_outputs import STDOUT, kind_of_output
from kipoi_tfbind.results.variant_tables import (
    TableColumns,
    columns_of_part,
    merge_to_netcdf,
    merge_to_parquet,
    table_lines,
    write_part,
)

_STATE = "state.json"
_DATA = "data"
_FINAL = "final"
_INDEX = ".tbi"
# What is beside a file of a shard (`kipoi_tfbind.results.variant_shards`).
SHARD_SUFFIX = ".shard"
Line = bytes
Columns = Mapping[str, Any]


class VariantFiles:
    """Outputs that grow block by block.

    Parameters
    ----------
    paths
        Names of the outputs.
    attributes
        Settings that the numbers depend on: an interrupted run goes on only with the same.
    columns
        Columns of the tables.
    late
        Name of a score (allele, target) that is known only when all alleles are done, the score that it is
        made of, and how; its keys in INFO, one for each target.
    beside
        These are files of a shard: writes, from the parts, what is kept beside each. Nothing is late then.

    Attributes
    ----------
    n_lines : int
        Lines of the input that are done.
    checksum : int
        Of these lines.
    is_complete : bool
        Whether an interrupted run has done everything: there is nothing left to do.
    tallies : dict of str to int
        Numbers that the caller wants to be kept with what is done.
    top : list
        Rows that the caller wants to be kept with it.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        attributes: Mapping[str, Any],
        columns: TableColumns,
        late: LateScore | None = None,
        beside: Callable[[Sequence[Path], Path], None] | None = None,
    ) -> None:
        self.paths = [os.fspath(path) for path in paths]
        self.attributes = {name: str(value) for name, value in attributes.items()}
        self.columns = columns
        self._late, self._beside = late if beside is None else None, beside
        self.n_lines = self.n_alleles = self.checksum = self._n_parts = 0
        self.is_complete = False
        self.tallies: dict[str, int] = {}
        self.top: list[list[Any]] = []
        self._sizes: dict[str, int] = {}
        self._locks = ExitStack()
        self._made: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Let other processes write; of a new run on bad input, or that has done nothing, nothing is left."""
        is_bad_input = isinstance(error, InputError) and not isinstance(error.__cause__, OSError)
        if is_bad_input or not (self.n_lines or self.is_complete):
            for path in self._made:
                shutil.rmtree(partial_folder(path), ignore_errors=True)
        self._locks.close()

    @property
    def in_files(self) -> list[str]:
        """All outputs but standard output."""
        return [path for path in self.paths if path != STDOUT]

    def begin(self, header: Sequence[bytes], *, restart: bool = False) -> None:
        """Go on with an interrupted run, or begin a new one.

        Raises
        ------
        InputError
            There is an interrupted run with other options, another process is writing an output, or it
            cannot be written.
        """
        with _disk(self.in_files):
            for path in self.in_files:
                is_new = not partial_folder(path).exists()
                self._locks.enter_context(lock_folder(partial_folder(path), path))
                self._made += [path] if is_new else []
        if self.in_files and not restart and self._resume():
            if STDOUT in self.paths:
                raise InputError(
                    f"{self.in_files[0]}: what an interrupted run has sent to standard output cannot be "
                    "sent again; use --restart"
                )
            return
        with _disk(self.in_files):
            for path in self.in_files:
                for stale in partial_folder(path).iterdir():
                    if stale.name != LOCK:
                        stale.unlink()
        self._append_text("vcf", b"".join(header))
        self._append_text("tsv", self.columns.header)
        self._note()

    def append(self, lines: Sequence[Line], read: Sequence[Line], table: Columns | pa.Table) -> None:
        """Add a block.

        Parameters
        ----------
        lines
            Annotated lines of the VCF.
        read
            The lines as they were read.
        table
            Columns of its alleles.
        """
        self._append_text("vcf", b"".join(lines))
        if any(kind_of_output(path) == "tsv" for path in self.paths):
            columns = columns_of_part(table, self.columns) if isinstance(table, pa.Table) else table
            self._append_text("tsv", table_lines(columns, self.columns))
        with _disk(self.in_files):
            for path in self._with_parts:
                write_part(table, self.columns, partial_folder(path) / f"{self._n_parts:08d}.parquet")
        self._n_parts += 1
        self.n_lines += len(read)
        self.n_alleles += len(table["pos"])
        self.checksum = checksum(read, self.checksum)
        self._note()

    @property
    def _with_parts(self) -> list[str]:
        """Outputs that are made of parts: all of them where a score is late, and all of a shard."""
        tables = [path for path in self.in_files if kind_of_output(path) in ("parquet", "nc")]
        return self.in_files if self._late is not None or self._beside is not None else tables

    def finish(self) -> None:
        """Complete the outputs and give them their names."""
        if STDOUT in self.paths:
            sys.stdout.buffer.flush()
        with _disk(self.in_files):
            if not self.is_complete:
                for path in self.in_files:
                    self._complete(path)
                self.is_complete = True
                self._note()
            for path in self.in_files:
                _move_out(path)
            for path in reversed(self.in_files):
                shutil.rmtree(partial_folder(path), ignore_errors=True)

    def _complete(self, path: str) -> None:
        """Complete an output in its folder."""
        folder, kind = partial_folder(path), kind_of_output(path)
        data, parts = folder / _DATA, [folder / f"{number:08d}.parquet" for number in range(self._n_parts)]
        if self._beside is not None:
            self._beside(parts, folder / SHARD_SUFFIX)
        if self._late is not None:
            data = folder / _FINAL
            parts = add_late_score(parts, self._late, self.columns)
            if kind == "vcf":
                rewrite_vcf(folder / _DATA, data, parts, self._late, pack=self._packer(path))
            elif kind == "tsv":
                rewrite_table(parts, data, self.columns, pack=self._packer(path))
        if kind in ("vcf", "tsv"):
            if is_packed(path):
                with open(data, "ab") as file:
                    file.write(BGZF_END)
            if kind == "vcf" and is_packed(path):
                with silent_htslib():
                    pysam.tabix_index(str(data), preset="vcf", force=True, index=str(data) + _INDEX)
            return
        merge = merge_to_parquet if kind == "parquet" else merge_to_netcdf
        merge(parts, data, self.columns, self.attributes, self.n_alleles)

    def _packer(self, path: str) -> Callable[[bytes], bytes]:
        """Function from the text of an output to its bytes."""
        folder = partial_folder(path)
        return (lambda text: packed(text, folder)) if is_packed(path) else (lambda text: text)

    def _append_text(self, kind: str, text: bytes) -> None:
        for path in self.paths:
            if kind_of_output(path) != kind:
                continue
            if path == STDOUT:
                sys.stdout.buffer.write(text)
                continue
            with _disk([path]):
                data = packed(text, partial_folder(path)) if is_packed(path) else text
                with open(partial_folder(path) / _DATA, "ab") as file:
                    file.write(data)
                    self._sizes[path] = file.tell()

    def _note(self) -> None:
        """Note what is done, in one step."""
        if not self.in_files:
            return
        state = {
            "attributes": self.attributes,
            "outputs": self.paths,
            "lines": self.n_lines,
            "alleles": self.n_alleles,
            "checksum": self.checksum,
            "parts": self._n_parts,
            "complete": self.is_complete,
            "tallies": self.tallies,
            "top": self.top,
            "sizes": self._sizes,
        }
        folder = partial_folder(self.in_files[0])
        with _disk(self.in_files):
            new = folder / (_STATE + ".new")
            new.write_text(json.dumps(state))
            os.replace(new, folder / _STATE)

    def _resume(self) -> bool:
        path = self.in_files[0]
        folder = partial_folder(path)
        if not (folder / _STATE).exists():
            return False
        state = json.loads((folder / _STATE).read_text())
        if state["attributes"] != self.attributes or state["outputs"] != self.paths:
            names = {*state["attributes"], *self.attributes}
            other = [n for n in sorted(names) if state["attributes"].get(n) != self.attributes.get(n)]
            raise InputError(
                f"{path}: an interrupted run of other options is in {folder} "
                f"({', '.join(other) or 'other outputs'}); give the same, or --restart to begin anew"
            )
        self.is_complete, self.tallies = state["complete"], state["tallies"]
        self.top = state["top"]
        if not self.is_complete:
            with _disk(self.in_files):
                for name, size in state["sizes"].items():
                    os.truncate(partial_folder(name) / _DATA, size)
        self.n_lines, self.checksum = state["lines"], state["checksum"]
        self.n_alleles, self._n_parts, self._sizes = state["alleles"], state["parts"], state["sizes"]
        if self.n_lines:
            notice(f"{path}: going on after the {self.n_lines} lines that an interrupted run has done")
        return True


def _move_out(path: str) -> None:
    """Give an output, and its index, their names; the index last, because it must not be the older one."""
    folder = partial_folder(path)
    for name in (_FINAL, _DATA):
        if (folder / name).exists():
            Path(path + _INDEX).unlink(missing_ok=True)
            os.replace(folder / name, path)
            if name == _FINAL:
                (folder / _DATA).unlink(missing_ok=True)
    Path(path + SHARD_SUFFIX).unlink(missing_ok=True)
    if (folder / SHARD_SUFFIX).exists():
        os.replace(folder / SHARD_SUFFIX, path + SHARD_SUFFIX)
    for name in (_FINAL, _DATA):
        if (folder / (name + _INDEX)).exists():
            os.utime(folder / (name + _INDEX))
            os.replace(folder / (name + _INDEX), path + _INDEX)


def checksum(lines: Sequence[bytes], before: int = 0) -> int:
    """Checksum of lines that follow those of another one."""
    return zlib.crc32(b"".join(lines), before)


@contextmanager
def _disk(paths: Sequence[str]) -> Iterator[None]:
    """Turn what the disk refuses into one line; what is done is kept."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{paths[0]}: cannot be written ({error.strerror or error}); what is done is kept in "
            f"{partial_folder(paths[0])}: run the same command again to go on, or choose another place"
        ) from error
