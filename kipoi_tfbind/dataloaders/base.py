"""Base of the dataloaders: a Kipoi Dataset whose unit of work is a block of batches."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, TypeVar

import numpy as np
from kipoi.data import Dataset
from kipoi.specs import DataLoaderDescription
from kipoi_utils.data_utils import get_dataset_item
from kipoi_utils.external.torch.data import DataLoader
from numpy.typing import NDArray
from related import from_yaml

from kipoi_tfbind.errors import InputError

# Bases encoded at a time: enough to spread the cost of a call, and the one-hot rows stay in the cache.
_BLOCK_BASES = 1 << 17

Batch = dict[str, Any]


class WindowDataset(Dataset):
    """A Kipoi Dataset that reads many windows at once.

    A subclass sets `length` and gives :meth:`__len__` and :meth:`read_batch`. Kipoi's own Dataset asks for
    one sample at a time and stacks them; here the samples of a batch, and the batches of a block, are
    read together, in this process or in workers. The order of the batches is the same with either.
    """

    length: int

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give a subclass its own `args`.

        Kipoi makes a subclass for each model's default_args, and then writes them as examples into
        `args`: with one `args` for all, the last model loaded would set the examples of the others.
        """
        super().__init_subclass__(**kwargs)
        cls.args = deepcopy(cls.args)

    def read_batch(self, rows: NDArray[np.intp]) -> Batch:
        """Samples of some rows as one batch: nested dictionary of arrays, first axis `rows`."""
        raise NotImplementedError

    def __getitem__(self, index: int) -> Batch:
        """One sample; negative numbers count from the end."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} samples")
        return get_dataset_item(self.read_batch(np.array([index % len(self)])), 0)

    def batch_iter(
        self,
        batch_size: int = 32,
        shuffle: bool = False,
        num_workers: int = 0,
        drop_last: bool = False,
        **kwargs: Any,
    ) -> Iterator[Batch]:
        """Iterate over the batches once.

        Parameters
        ----------
        batch_size
            Samples in a batch; the last may have fewer.
        shuffle
            Draw the order from NumPy's global generator (`numpy.random.seed`), as Kipoi does.
        num_workers
            Processes that read; 0 reads in this one.
        drop_last
            Leave out a last batch that is not full.
        **kwargs
            Ignored, as in Kipoi's own Dataset: `pipeline.predict(keep_metadata=True)` hands its option down.
        """
        return iter(self._batch_iterable(batch_size, shuffle, num_workers, drop_last))

    def _batch_iterable(
        self,
        batch_size: int = 32,
        shuffle: bool = False,
        num_workers: int = 0,
        drop_last: bool = False,
        **kwargs: Any,
    ) -> "_Batches":
        return _Batches(self, as_positive("batch_size", batch_size), shuffle, num_workers, drop_last)


class _Batches:
    """The batches of a dataset; every iteration begins anew."""

    def __init__(
        self, dataset: WindowDataset, batch_size: int, shuffle: bool, num_workers: int, drop_last: bool
    ) -> None:
        self._dataset = dataset
        self._batch_size = batch_size
        self._shuffle = shuffle
        self._num_workers = num_workers
        self._n = len(dataset) // batch_size * batch_size if drop_last else len(dataset)

    def __len__(self) -> int:
        return -(-self._n // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        n = len(self._dataset)
        order = np.random.permutation(n) if self._shuffle else np.arange(n)  # noqa: NPY002
        batches_per_block = max(1, _BLOCK_BASES // (self._batch_size * self._dataset.length))
        step = batches_per_block * self._batch_size
        # A block is named by two numbers, not by its rows: Kipoi's DataLoader fills the pipe to its workers
        # before it reads their answers, and a full pipe would be a deadlock.
        blocks = [[(start, min(start + step, self._n))] for start in range(0, self._n, step)]
        reader = DataLoader(
            _Blocks(self._dataset, order, self._batch_size),
            batch_sampler=blocks,
            collate_fn=_only_item,
            num_workers=self._num_workers,
        )
        for block in reader:
            yield from block


class _Blocks:
    """Blocks of batches, as Kipoi's DataLoader and its workers ask for them."""

    def __init__(self, dataset: WindowDataset, order: NDArray[np.intp], batch_size: int) -> None:
        self._dataset = dataset
        self._order = order
        self._batch_size = batch_size

    def __getitem__(self, block: tuple[int, int]) -> list[Batch]:
        start, end = block
        everything = self._dataset.read_batch(self._order[start:end])
        n = end - start
        return [_slice(everything, slice(i, i + self._batch_size)) for i in range(0, n, self._batch_size)]


T = TypeVar("T", bound=type[WindowDataset])


def describe(cls: T, description: str) -> T:
    """Attach to a dataloader the description that Kipoi keeps in a dataloader.yaml.

    Kipoi's own decorator reads it from the class's docstring, which is then no documentation.
    """
    return cls._add_description_factory(DataLoaderDescription.from_config(from_yaml(description)))


def genomic_ranges(
    chrom: NDArray, start: NDArray, length: int, name: NDArray, strand: NDArray
) -> dict[str, NDArray]:
    """Return the fields of Kipoi's GenomicRanges for windows, 0-based, half-open.

    A plain dictionary, as Kipoi's own batches have; `GenomicRanges.from_dict` takes it.
    """
    return {"chr": chrom, "start": start, "end": start + length, "id": as_text(name), "strand": strand}


def as_text(column: NDArray) -> NDArray[np.str_]:
    """Fixed-width text, the only kind that Kipoi's writers know, from NumPy's variable-width text."""
    return np.array(column.tolist(), dtype=np.str_)


def as_positive(name: str, value: Any) -> int:
    """Take an argument that has to be a positive integer (from the command line anything may come).

    Raises
    ------
    InputError
        It is none.

    Examples
    --------
    >>> as_positive("length", 1000)
    1000
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InputError(f"{name}: expected a positive integer, got {value!r}")
    return int(value)


def _only_item(items: list[list[Batch]]) -> list[Batch]:
    return items[0]


def _slice(data: Any, rows: slice) -> Any:
    if isinstance(data, dict):
        return {key: _slice(value, rows) for key, value in data.items()}
    return data[rows]
