"""The compiled half of `kipoi_tfbind.dna.shuffle`: random Eulerian walks over the k-lets of a sequence.

Its own module, so that numba is imported with the first shuffle and not with the package.

A sequence is a walk over its (k-1)-mers (the nodes), each step appending a base (an edge). Another walk
over the same edges from the same node is a sequence with the same k-lets. Such walks correspond, one to
one, to a tree of last edges that lead every node to the end of the walk, and an order of the other edges
of each node (the BEST theorem). The tree is drawn uniformly with Wilson's algorithm (1996,
doi:10.1145/237814.237880), in which a node with several edges of one kind chooses it as many times as
often; the order comes from drawing without replacement as the walk goes.
"""

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.compiled import compiled

_N_BASES = 4
_U64 = np.uint64
_HALF = _U64(32)
_LOW = _U64(0xFFFFFFFF)


@compiled
def next_random(state: NDArray[np.uint64]) -> np.uint64:
    """64 random bits from xoshiro256++ (Blackman and Vigna 2021, doi:10.1145/3460772)."""
    total = state[0] + state[3]
    result = ((total << _U64(23)) | (total >> _U64(41))) + state[0]
    shifted = state[1] << _U64(17)
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= shifted
    state[3] = (state[3] << _U64(45)) | (state[3] >> _U64(19))
    return result


@compiled
def _below(bound: np.integer, state: NDArray[np.uint64]) -> np.int64:
    """A whole number from 0 to bound - 1, each equally probable (Lemire 2019, doi:10.1145/3230636)."""
    n = _U64(bound)
    product = (next_random(state) >> _HALF) * n
    if (product & _LOW) < n:
        rejected = (_U64(1) << _HALF) % n
        while (product & _LOW) < rejected:
            product = (next_random(state) >> _HALF) * n
    return np.int64(product >> _HALF)


@compiled
def _pick(counts: NDArray[np.int32], total: np.integer, state: NDArray[np.uint64]) -> np.int64:
    """A base, as probable as its share of the counts."""
    draw = _below(total, state)
    first = counts[0]
    second = first + counts[1]
    return np.int64(draw >= first) + np.int64(draw >= second) + np.int64(draw >= second + counts[2])


@compiled
def _draw_last_edges(
    leaving: NDArray[np.int32],
    nodes: NDArray[np.int64],
    root: np.int64,
    last: NDArray[np.int64],
    in_tree: NDArray[np.bool_],
    state: NDArray[np.uint64],
) -> None:
    """Draw the last edge of each node but the root: a uniform tree, by loop-erased random walks."""
    mask = len(leaving) - 1
    for node in nodes:
        in_tree[node] = node == root
    for node in nodes:
        here = node
        while not in_tree[here]:
            edges = leaving[here]
            # A later visit overwrites the choice of an earlier one: that erases the loop.
            last[here] = _pick(edges, edges[0] + edges[1] + edges[2] + edges[3], state)
            here = (here * _N_BASES + last[here]) & mask
        here = node
        while not in_tree[here]:
            in_tree[here] = True
            here = (here * _N_BASES + last[here]) & mask


@compiled
def _shuffle_stretch(
    stretch: NDArray[np.uint8],
    k: int,
    counts: NDArray[np.int32],
    state: NDArray[np.uint64],
    shuffled: NDArray[np.uint8],
) -> None:
    """Write shuffles (draw, position) of a stretch without N; `counts` (node, base) is 0 before and after."""
    n_kmers = len(counts)
    mask = n_kmers - 1  # A power of 4: what is left of the node after a step is its lower digits.
    first = np.int64(0)
    for position in range(k - 1):
        first = first * _N_BASES + np.int64(stretch[position])
    nodes = np.empty(len(stretch), dtype=np.int64)
    n_nodes = 0
    node = first
    for position in range(k - 1, len(stretch)):
        if counts[node].sum() == 0:
            nodes[n_nodes] = node
            n_nodes += 1
        base = np.int64(stretch[position])
        counts[node, base] += 1
        node = (node * _N_BASES + base) & mask
    root = node
    nodes = nodes[:n_nodes]

    # An edge from a node to itself is never the last one; without them the walks to the root are shorter.
    leaving = counts.copy()
    for node in nodes:
        for letter in range(_N_BASES):
            if (node * _N_BASES + letter) & mask == node:
                leaving[node, letter] = 0
    left = np.zeros_like(counts)
    n_left = np.zeros(n_kmers, dtype=np.int64)
    last = np.zeros(n_kmers, dtype=np.int64)
    in_tree = np.zeros(n_kmers, dtype=np.bool_)
    # The root need not be among the nodes: the walk may never leave it.
    in_tree[root] = True

    for draw in range(len(shuffled)):
        _draw_last_edges(leaving, nodes, root, last, in_tree, state)
        for node in nodes:
            left[node] = counts[node]
            if node != root:
                left[node, last[node]] -= 1
            n_left[node] = left[node].sum()
        row = shuffled[draw]
        row[: k - 1] = stretch[: k - 1]
        node = first
        for position in range(k - 1, len(stretch)):
            if n_left[node] > 0:
                base = _pick(left[node], n_left[node], state)
                left[node, base] -= 1
                n_left[node] -= 1
            else:
                base = last[node]
            row[position] = base
            node = (node * _N_BASES + base) & mask
    for node in nodes:
        counts[node] = 0


@compiled
def shuffle_codes(codes: NDArray[np.uint8], n: int, k: int, states: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Shuffles (sequence, draw, position) of base codes (sequence, position).

    `states` (sequence, 4) holds the start of each sequence's own random numbers, and is used up. A
    stretch has a generator of its own, so that its first draws do not depend on how many follow.
    """
    n_sequences, length = codes.shape
    shuffled = np.empty((n_sequences, n, length), dtype=np.uint8)
    counts = np.zeros((_N_BASES ** (k - 1), _N_BASES), dtype=np.int32)
    state = np.empty(4, dtype=np.uint64)
    for sequence in range(n_sequences):
        start = 0
        while start < length:
            end = start
            while end < length and codes[sequence, end] < _N_BASES:
                end += 1
            stretch = codes[sequence, start:end]
            if end - start > k:
                for word in range(4):
                    state[word] = next_random(states[sequence])
                _shuffle_stretch(stretch, k, counts, state, shuffled[sequence, :, start:end])
            else:
                # One k-let or none: there is no other order.
                for draw in range(n):
                    shuffled[sequence, draw, start:end] = stretch
            if end < length:
                shuffled[sequence, :, end] = codes[sequence, end]
            start = end + 1
    return shuffled
