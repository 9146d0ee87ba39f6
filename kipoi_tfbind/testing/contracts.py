"""Promises of every method, as assertions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from kipoi_tfbind.errors import InputError

Method = Callable[..., xr.Dataset]


def assert_batch_invariant(
    method: Method,
    model: object,
    sequences: xr.Dataset,
    *,
    batch_sizes: Sequence[int] = (1, 7, 256),
    rtol: float = 1e-5,
    atol: float = 0.0,
    dim: str = "sequence",
    **options: object,
) -> None:
    """Assert that a result depends neither on the batch size nor on what a sequence is computed with.

    Parameters
    ----------
    method
        Called as ``method(model, sequences, batch_size=..., **options)``; returns a Dataset.
    model
        Model, as the method takes it.
    sequences
        At least two sequences.
    batch_sizes
        The sizes to compare. With the last one each sequence is computed alone, too.
    rtol, atol
        A variable may differ by `atol` + `rtol` times its largest absolute value; 0 asks for equal bits.
    dim
        The dimension of the input and of the result that is taken apart.
    **options
        Other arguments of the method.

    Raises
    ------
    AssertionError
        A result differs; the message says which variable and how it was computed.
    InputError
        Fewer than two sequences, or no batch size.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, in_silico_mutagenesis
    >>> from kipoi_tfbind.testing import linear_model, random_sequences
    >>> function = linear_model(10)
    >>> model = as_sequence_model(function, targets=function.target_names)
    >>> assert_batch_invariant(in_silico_mutagenesis, model, random_sequences(3, 10), rtol=0)
    """
    _check_enough(sequences, dim)
    if not batch_sizes:
        raise InputError("batch_sizes: expected at least one, got none")
    whole, *others = (method(model, sequences, batch_size=size, **options) for size in batch_sizes)
    _assert_something_to_compare(whole, dim)
    for size, other in zip(batch_sizes[1:], others, strict=True):
        _assert_same(other, whole, rtol, atol, f"batch size {size} and not {batch_sizes[0]}")
    for index in range(sequences.sizes[dim]):
        part = [index]
        alone = method(model, sequences.isel({dim: part}), batch_size=batch_sizes[-1], **options)
        _assert_same(
            _along(alone, dim), _along(whole, dim).isel({dim: part}), rtol, atol, f"{dim} {index} alone"
        )


def assert_order_invariant(
    method: Method,
    model: object,
    sequences: xr.Dataset,
    *,
    rtol: float = 1e-5,
    atol: float = 0.0,
    dim: str = "sequence",
    **options: object,
) -> None:
    """Assert that sequences in another order have the same results, in that order.

    Parameters
    ----------
    method
        Called as ``method(model, sequences, **options)``; returns a Dataset.
    model, sequences, rtol, atol, dim, **options
        As `assert_batch_invariant`.

    Raises
    ------
    AssertionError
        A result differs; the message says which variable.
    InputError
        Fewer than two sequences.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, in_silico_mutagenesis
    >>> from kipoi_tfbind.testing import linear_model, random_sequences
    >>> function = linear_model(10)
    >>> model = as_sequence_model(function, targets=function.target_names)
    >>> assert_order_invariant(in_silico_mutagenesis, model, random_sequences(3, 10), rtol=0)
    """
    _check_enough(sequences, dim)
    expected = method(model, sequences, **options)
    _assert_something_to_compare(expected, dim)
    backwards = np.arange(sequences.sizes[dim])[::-1]
    for order, description in ((backwards, "backwards"), (np.roll(backwards[::-1], 1), "the last one first")):
        result = method(model, sequences.isel({dim: order}), **options)
        permuted = _along(expected, dim).isel({dim: order})
        _assert_same(_along(result, dim), permuted, rtol, atol, description)


def assert_leaves_sequences(method: Method, model: object, sequences: xr.Dataset, **options: object) -> None:
    """Assert that a method changes nothing in the sequences it is given: values, coordinates, attributes.

    Parameters
    ----------
    method
        Called as ``method(model, sequences, **options)``.
    model, sequences, **options
        As `assert_batch_invariant`.

    Raises
    ------
    AssertionError
        The sequences are not what they were.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, in_silico_mutagenesis
    >>> from kipoi_tfbind.testing import linear_model, random_sequences
    >>> function = linear_model(10)
    >>> model = as_sequence_model(function, targets=function.target_names)
    >>> assert_leaves_sequences(in_silico_mutagenesis, model, random_sequences(3, 10))
    """
    before = sequences.copy(deep=True)
    method(model, sequences, **options)
    xr.testing.assert_identical(sequences, before)


def _along(result: xr.Dataset, dim: str) -> xr.Dataset:
    """The variables that have the dimension."""
    return result[[name for name, variable in result.data_vars.items() if dim in variable.dims]]


def _check_enough(sequences: xr.Dataset, dim: str) -> None:
    if sequences.sizes.get(dim, 0) < 2:
        raise InputError(f"sequences: expected at least two along {dim!r}, got {sequences.sizes.get(dim, 0)}")


def _assert_something_to_compare(result: xr.Dataset, dim: str) -> None:
    """A result of nothing, or of nothing but NaN, would be invariant to everything."""
    variables = _along(result, dim).data_vars.values()
    if not any(variable.dtype.kind == "f" and np.isfinite(variable).any() for variable in variables):
        raise AssertionError(f"no variable of the result has finite numbers along {dim!r}")


def _assert_same(actual: xr.Dataset, expected: xr.Dataset, rtol: float, atol: float, how: str) -> None:
    if set(actual.variables) != set(expected.variables):
        raise AssertionError(f"{how}: variables {[*actual.variables]}, not {[*expected.variables]}")
    for name, variable in expected.variables.items():
        other = actual.variables[name]
        if other.dims != variable.dims or other.dtype.kind != variable.dtype.kind:
            raise AssertionError(
                f"{how}: {name} is {other.dtype} {other.dims}, not {variable.dtype} {variable.dims}"
            )
        message = f"{how}: {name}"
        if variable.dtype.kind == "f":
            finite = np.abs(variable.values[np.isfinite(variable.values)])
            allowed = atol + rtol * finite.max(initial=0.0)
            np.testing.assert_allclose(other.values, variable.values, 0, allowed, err_msg=message)
        else:
            np.testing.assert_array_equal(other.values, variable.values, err_msg=message)
