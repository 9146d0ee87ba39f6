"""What becomes of windows in each kind of operation: the table `HANDLERS`.

A handler takes the walk, the number of the node and its geometry, and gives the state of the node's output;
None ends the windows there.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental import position_ops as geo
from kipoi_tfbind.graph.incremental.affected_region import Dealt, Flat, Table, Window
from kipoi_tfbind.graph.incremental.offsets import ALL, Start, pooled

if TYPE_CHECKING:
    from kipoi_tfbind.graph.incremental.single_edits import Walk


def _inputs(walk: Walk, i: int) -> list[Window] | None:
    """The windows among a node's inputs, if all others are constants."""
    found = []
    for ref in dict.fromkeys(walk.program.graph.nodes[i].inputs):
        state = walk.state.get(ref)
        if isinstance(state, Window):
            found.append(state)
        elif ref not in walk.program.constants:
            return None
    return found


def _input(walk: Walk, i: int) -> Window | None:
    """The one window among a node's inputs."""
    windows = _inputs(walk, i)
    return windows[0] if windows is not None and len(windows) == 1 else None


def _channels(walk: Walk, ref: Ref, axis: int) -> int:
    return math.prod(walk.windows.rest(ref, axis))


def _like(walk: Walk, i: int, window: Window, axis: int, **arrays: Any) -> Window:
    """A window of the node's output in the same places."""
    return Window((i, 0), axis, window.length, window.start, window.width, ready=window.ready, **arrays)


# Operations that act at each position by itself.


def _varies(walk: Walk, i: int, window: Window) -> bool:
    """Whether a constant that is broadcast is not the same at all positions."""
    if window.axis == 0:
        return False
    from_end = len(walk.program.shapes[window.ref]) - window.axis + 1
    constants = (walk.program.constants.get(ref) for ref in walk.program.graph.nodes[i].inputs)
    return any(c is not None and c.ndim >= from_end and c.shape[-from_end] != 1 for c in constants)


def _run(walk: Walk, i: int, arrays: Mapping[Ref, Any], window: Window, axis: int) -> list[Any]:
    """Outputs of a node for arrays of windows that lie as `window` does."""
    node, width = walk.program.graph.nodes[i], window.width
    inputs = [
        walk.arrays.to_layout(arrays[ref], walk.state[ref].axis) if ref in arrays else walk.whole(ref)
        for ref in node.inputs
    ]
    shapes = [walk.program.shapes[(i, j)] for j in range(node.n_outputs)]
    if axis:
        shapes = [(*s[: axis - 1], width, *s[axis:]) if len(s) >= axis else s for s in shapes]
    walk.windows.elements += width * _channels(walk, (i, 0), axis)
    outputs = walk.arrays.run(node, inputs, shapes)
    return [
        walk.arrays.from_layout(y, axis, width) if len(s) >= axis else y
        for y, s in zip(outputs, shapes, strict=True)
    ]


def local(walk: Walk, i: int, known: geo.Local) -> Any:
    """The same function at every position, of the edited values there."""
    windows = _inputs(walk, i)
    if windows is None or len({window.length for window in windows}) > 1:
        return None
    shapes = walk.program.shapes
    from_end = {len(shapes[window.ref]) - window.axis for window in windows}
    if known.broadcasts and (len(from_end) > 1 or _varies(walk, i, windows[0])):
        return None
    together = walk.windows.together(windows)
    window = together[0]
    if known.broadcasts and window.axis:
        axis = len(shapes[(i, 0)]) - from_end.pop()
    else:
        axis = window.axis - sum(a < window.axis for a in known.dropped)
    if axis and (len(shapes[(i, 0)]) < axis or shapes[(i, 0)][axis - 1] != window.length):
        return None
    values = {w.ref: walk.windows.value(w) for w in together}
    outputs = _run(walk, i, values, window, axis)
    whole = [
        j == 0 or (len(shapes[(i, j)]) >= axis > 0 and shapes[(i, j)][axis - 1] == window.length)
        for j in range(len(outputs))
    ]
    return {
        (i, j): replace(_like(walk, i, window, axis, value=y), ref=(i, j))
        for j, y in enumerate(outputs)
        if whole[j]
    }


def added(walk: Walk, i: int, known: geo.Sum) -> Any:
    """Changes add up, and constants do not change."""
    windows = _inputs(walk, i)
    shapes = walk.program.shapes
    if windows is None or any(shapes[w.ref] != shapes[(i, 0)] or w.axis != windows[0].axis for w in windows):
        return local(walk, i, geo.Local(broadcasts=True))
    if len(windows) != sum(r not in walk.program.constants for r in walk.program.graph.nodes[i].inputs):
        return local(walk, i, geo.Local(broadcasts=True))  # x + x
    if len(windows) == 1 and windows[0].change is None:
        return local(walk, i, geo.Local(broadcasts=True))
    together = walk.windows.together(windows)
    change = functools.reduce(lambda a, b: a + b, [walk.windows.change(w) for w in together])
    if len(windows) > 1:
        walk.windows.count(together[0])
    return _like(walk, i, together[0], windows[0].axis, change=change)


def scaled(walk: Walk, i: int, known: geo.Scale) -> Any:
    """The operation itself, on the change if that is at hand."""
    window = _input(walk, i)
    if window is None or (known.broadcasts and _varies(walk, i, window)):
        return None
    shape, after = walk.program.shapes[window.ref], walk.program.shapes[(i, 0)]
    if len(shape) != len(after) or (window.axis and after[window.axis - 1] != window.length):
        return None
    if not known.broadcasts:
        walk.windows.products += window.width * _channels(walk, window.ref, window.axis) * after[-1]
    name = "value" if window.change is None else "change"
    (found,) = _run(walk, i, {window.ref: getattr(window, name)}, window, window.axis)
    return _like(walk, i, window, window.axis, **{name: found})


# Operations that move positions.


def _each(window: Window, function: Any) -> dict[str, Any]:
    """A function of the arrays of a window that are there."""
    arrays = {"change": window.change, "value": window.value}
    return {name: function(x) for name, x in arrays.items() if x is not None}


def reshaped(walk: Walk, i: int, known: geo.Reshape) -> Any:
    """Positions that stay an axis of their own, or are merged with the channels or the batch."""
    (ref, *_), shapes = walk.program.graph.nodes[i].inputs, walk.program.shapes
    state, after = walk.state[ref], shapes[(i, 0)]
    if isinstance(state, Dealt):
        axis = geo.reshaped_axis(shapes[ref], state.axis, after)
        return replace(state, axis=axis) if axis else None
    if isinstance(state, Flat):
        return state if after == shapes[ref] else None
    if state.axis:
        found = geo.reshaped_axis(shapes[ref], state.axis, after)
        if found is None:
            return Flat(state) if len(after) == 1 else None
    else:
        merged = math.prod(after) == math.prod(shapes[ref])
        if not merged and (after[0] != state.length or math.prod(after[1:]) != math.prod(shapes[ref])):
            return None
        found = 0 if merged else 1
    rest = walk.windows.rest((i, 0), found)
    arrays = _each(state, lambda x: walk.arrays.reshape(x, (-1, state.width, *rest)))
    return _like(walk, i, state, found, substitution=state.substitution, **arrays)


def permuted(walk: Walk, i: int, known: geo.Permute) -> Any:
    """Axes in another order; windows keep their positions second."""
    window = _input(walk, i)
    if window is None or window.axis == 0:
        return None
    others = [a for a in known.order[1:] if a != window.axis]
    order = [0, 1, *(a + 1 if a < window.axis else a for a in others)]
    arrays = _each(window, lambda x: walk.arrays.transpose(x, order))
    return _like(walk, i, window, known.order.index(window.axis), **arrays)


def cut(walk: Walk, i: int, known: geo.Cut) -> Any:
    """A stretch of the positions, and of other axes."""
    window = _input(walk, i)
    if window is None or window.axis == 0:
        return None
    index: list[Any] = [slice(None)] * (len(walk.program.shapes[window.ref]) + 1)
    for a, (first, n, step) in known.stretches.items():
        if a != window.axis:
            index[a + 1 if a < window.axis else a] = slice(first, first + (n - 1) * step + 1, step)
    start, length = window.start, window.length
    if window.axis in known.stretches:
        first, length, step = known.stretches[window.axis]
        if step != 1:
            return None
        start = start.moved(-first)
    before, after = walk.program.shapes[window.ref], walk.program.shapes[(i, 0)]
    dropped = len(before) - len(after)
    axis = window.axis - (
        sum(a < window.axis and n == 1 for a, (_, n, _) in known.stretches.items()) if dropped else 0
    )
    if not 0 < axis <= len(after) or after[axis - 1] != length or dropped > 1:
        return None
    change = walk.windows.change(window)[tuple(index)]
    change = walk.arrays.reshape(change, (-1, window.width, *walk.windows.rest((i, 0), axis)))
    found = Window((i, 0), axis, length, start, window.width)
    return replace(found, change=walk.windows.kept(found, change, 0))


def padded(walk: Walk, i: int, known: geo.ZeroPad) -> Any:
    """More positions, of zeros."""
    window = _input(walk, i)
    if window is None or window.axis == 0:
        return None
    length = walk.program.shapes[(i, 0)][window.axis - 1]
    start = window.start.moved(known.before)
    return Window((i, 0), window.axis, length, start, window.width, change=walk.windows.change(window))


def reversed_(walk: Walk, i: int, known: geo.Reverse) -> Any:
    """Axes in reverse; with the positions, the windows are mirrored."""
    window = _input(walk, i)
    if window is None or window.axis == 0:
        return None
    axes = [1 if a == window.axis else a + 1 if a < window.axis else a for a in known.axes]
    start = window.start
    if window.axis in known.axes:
        places = None if start.places is None else -start.places
        start = Start(places, window.length - start.offset - window.width)
    arrays = _each(window, lambda x: walk.arrays.reverse(x, axes))
    return Window((i, 0), window.axis, window.length, start, window.width, **arrays)


# Convolutions and pools.


def convolved(walk: Walk, i: int, known: geo.Convolution) -> Any:
    """The convolution of the change."""
    state = walk.state[walk.program.graph.nodes[i].inputs[0]]
    if isinstance(state, Dealt):
        plain = known.stride == known.dilation == 1 and known.before == 0 and state.convolution is None
        return replace(state, convolution=known, axis=state.axis) if plain else None
    window = _input(walk, i)
    return None if window is None else convolve(walk, i, known, window, window.axis)


def convolve(walk: Walk, i: int, known: geo.Convolution, window: Window, axis: int) -> Window:
    """The convolution of a window's change, as the output of node `i`."""
    n_out = walk.program.shapes[(i, 0)][axis - 1]
    n_in, n_channels = known.kernel.shape[1:]
    if known.stride > 1:
        pool = geo.Pool(known.span, known.stride, known.before, maximum=False)
        start, width, start_in, width_in = pooled(walk.arrays, window.start, window.width, pool, n_out)
        change = walk.windows.change(walk.windows.moved(window, start_in, width_in))
        change = walk.arrays.reshape(change, (-1, width_in, n_in))
        change = walk.arrays.stride_convolution(change, known)
        walk.windows.products += width * known.kernel.size
        found = Window((i, 0), axis, n_out, start, width)
    else:
        found = _target(walk, i, known, window, axis, n_out)
        start = window.start.moved(known.before - known.span + 1)
        shift = start.minus(found.start)
        if window.substitution is not None:
            change = _looked_up(walk, known, window, shift, found.width)
        else:
            x = walk.arrays.reshape(walk.windows.change(window), (-1, window.width, n_in))
            change = walk.arrays.spread(x, known)
            walk.windows.products += window.width * known.kernel.size
            walk.windows.elements += window.width * len(known.kernel) * n_channels
            if not (isinstance(shift, int) and shift == 0 and found.width == window.width + known.span - 1):
                change = walk.arrays.place(change, shift, found.width)
                walk.windows.count(found)
    walk.windows.count(found)
    change = walk.arrays.reshape(change, (-1, found.width, *walk.windows.rest((i, 0), axis)))
    return replace(found, change=walk.windows.kept(found, change, 0))


def _target(walk: Walk, i: int, known: geo.Convolution, window: Window, axis: int, n_out: int) -> Window:
    """Where the output's windows are to lie: as the pool that follows needs them, or all positions."""
    start, width = window.start.moved(known.before - known.span + 1), window.width + known.span - 1
    pool = walk.program.next_pool((i, 0), axis) if walk.looks_ahead else None
    if pool is not None:
        out, width_out, start, width = pooled(walk.arrays, start, width, *pool)
        return Window((i, 0), axis, n_out, start, width, ready=(pool[0], out, width_out))
    if width >= n_out:
        start, width = ALL, n_out
    return Window((i, 0), axis, n_out, start, width)


def _looked_up(walk: Walk, known: geo.Convolution, window: Window, shift: Any, width: int) -> Any:
    """The change that one substitution makes: a difference of the kernel's weights, without a product."""
    place = walk.arrays.span(walk.arrays.constant(np.array([0])), width)
    place = place - (shift if isinstance(shift, int) else shift[:, None])
    within = (place >= 0) & (place < known.span)
    index = window.substitution[:, None] * known.span + walk.arrays.clip(place, 0, known.span - 1)
    rows = walk.program.substitutions(known)
    return walk.arrays.take(walk.arrays.constant(rows), walk.arrays.where(within, index, len(rows) - 1))


def dealt(walk: Walk, i: int, known: geo.Blocks) -> Any:
    """Positions dealt out to blocks: what comes of it is known when they are put together again."""
    window = _input(walk, i)
    return None if window is None or window.axis == 0 else Dealt(window, known, window.axis)


def put_together(walk: Walk, i: int, known: geo.Unblocks) -> Any:
    """A dilated convolution, seen whole."""
    state = walk.state[walk.program.graph.nodes[i].inputs[0]]
    if not isinstance(state, Dealt) or state.convolution is None or state.blocks.size != known.size:
        return None
    before = state.blocks.before - known.before
    dilated = geo.Convolution(state.convolution.kernel, 1, known.size, before)
    return convolve(walk, i, dilated, state.window, state.axis)


def pool(walk: Walk, i: int, known: geo.Pool) -> Any:
    """The maximum or mean of the edited values."""
    window = _input(walk, i)
    if window is None or window.axis == 0:
        return None
    n_out = walk.program.shapes[(i, 0)][window.axis - 1]
    if window.ready is not None and window.ready[0] == known:
        _, start, width = window.ready
    else:
        start, width, start_in, width_in = pooled(walk.arrays, window.start, window.width, known, n_out)
        window = walk.windows.moved(window, start_in, width_in)
    x = walk.windows.value(window)
    if known.maximum:
        x = walk.windows.kept(window, x, -math.inf)
    rest = walk.windows.rest((i, 0), window.axis)
    if known.span == known.stride:
        parts = walk.arrays.reshape(x, (-1, width, known.span, *rest))
        value = walk.arrays.max(parts, [2]) if known.maximum else walk.arrays.mean(parts, [2])
    else:
        last = (width - 1) * known.stride + 1
        shifted = [x[:, j : j + last : known.stride] for j in range(known.span)]
        value = functools.reduce(walk.arrays.maximum if known.maximum else lambda a, b: a + b, shifted)
        value = value if known.maximum else value / known.span
    walk.windows.count(window)
    return Window((i, 0), window.axis, n_out, start, width, value=value)


# Where the positions end.


def reduced(walk: Walk, i: int, known: geo.Reduce) -> Any:
    """One value for all positions: the sequence's own with the change, or a maximum of what is left."""
    window = _input(walk, i)
    if window is None or window.axis == 0:
        return None
    shape, after = walk.program.shapes[window.ref], walk.program.shapes[(i, 0)]
    others = [a for a in known.axes if a != window.axis]
    if known.how == "max":
        if any(shape[a - 1] != 1 for a in others):
            return None
        return walk.arrays.reshape(_maximum(walk, window), (-1, *after))
    axes = [1, *(a + 1 if a < window.axis else a for a in others)]
    total = walk.arrays.sum(walk.windows.change(window), axes)
    walk.windows.count(window)
    if known.how == "mean":
        total = total / math.prod(shape[a - 1] for a in known.axes)
    walk.ends[(i, 0)] = walk.arrays.reshape(total, (-1, *after))
    return walk.windows.whole((i, 0)) + walk.ends[(i, 0)]


def _maximum(walk: Walk, window: Window) -> Any:
    """The maximum over the window, all before it and all after it."""
    x = walk.arrays.max(walk.windows.kept(window, walk.windows.value(window), -math.inf), [1])
    walk.windows.count(window)
    ends: Sequence[tuple[str, int]] = (("before", 0), ("after", window.width))
    for how, offset in ends:
        at = replace(window, start=window.start.moved(offset), width=1)
        place = walk.arrays.clip(walk.windows.positions(at)[:, 0], 0, window.length)
        row = walk.windows.sequence * (window.length + 1) + place
        x = walk.arrays.maximum(
            x, walk.arrays.take(walk.windows.table(Table(window.ref, how, window.axis)), row)
        )
    return x


def dense(walk: Walk, i: int, known: geo.Linear) -> Any:
    """A dense layer on flattened positions: the changed ones times their weights."""
    states = [walk.state.get(ref) for ref in walk.program.graph.nodes[i].inputs]
    flat = [state for state in states if isinstance(state, Flat)]
    if len(flat) != 1 or math.prod(walk.program.shapes[flat[0].window.ref]) != len(known.weight):
        return None
    window = flat[0].window
    shape, n_units = walk.program.shapes[window.ref], known.weight.shape[1]
    weight = known.by_position(shape, window.axis)
    x = walk.arrays.reshape(walk.windows.change(window), (-1, window.width, weight.shape[1]))
    walk.windows.products += min(window.width + 1, window.length) * weight.shape[1] * n_units
    walk.spans = True
    walk.ends[(i, 0)] = walk.arrays.span_product(x, walk.windows.positions(window), weight)
    return walk.windows.whole((i, 0)) + walk.ends[(i, 0)]


HANDLERS: Mapping[type, Any] = {
    geo.Local: local,
    geo.Sum: added,
    geo.Scale: scaled,
    geo.Reshape: reshaped,
    geo.Permute: permuted,
    geo.Cut: cut,
    geo.ZeroPad: padded,
    geo.Reverse: reversed_,
    geo.Convolution: convolved,
    geo.Blocks: dealt,
    geo.Unblocks: put_together,
    geo.Pool: pool,
    geo.Reduce: reduced,
    geo.Linear: dense,
}
