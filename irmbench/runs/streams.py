"""Samples too large to hold: drawn chunk by chunk, each from a random stream of its own, and kept as moments.

A chunk's stream is keyed by what it is drawn for, the data seed and the chunk's number, and chunks are merged in their
order: how many threads or processes draw them changes nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from tqdm import tqdm

from irmbench.interface import Dataset, Examples, Moments, Role
from irmbench.moments import compress, merge

WHOLE = 2**18  # examples of an environment that are drawn at once
ROWS = 2**13  # examples of an environment in a chunk: few enough for the processor's cache
BLOCK = 2**18  # examples that a thread draws before it looks at anything else, a power of two chunks


def in_chunks(of: Dataset, role: Role = "training") -> bool:
    """Whether a dataset's sample is large, moments suffice, and it can be drawn in chunks."""
    large = of.n > WHOLE and of.loss == "squared" and of.network is None
    return large and of.fresh_sample(role, 2, 0, "a first chunk") is not None


def streamed(of: Dataset, role: Role, seed: int, use: str, sizes: Sequence[int] | None = None) -> Moments | None:
    """Return the moments of ``n`` examples of every training or test environment, or of ``sizes``, drawn for one use.

    None where the sample is not one that is drawn in chunks.
    """
    if not in_chunks(of, role):
        return None

    def block(first: int) -> Moments:
        end = min(first + BLOCK, of.n)
        merged = merge(
            compress(chunk(of, role, seed, use, start), sizes and [min(max(size - start, 0), ROWS) for size in sizes])
            for start in range(first, end, ROWS)
        )
        progress.update(end - first)
        return merged

    # A worker process leaves the terminal to its parent; `None`: quiet where standard error is no terminal.
    quiet = True if multiprocessing.parent_process() else None
    with (
        tqdm(total=of.n, unit="example", unit_scale=True, leave=False, disable=quiet) as progress,
        ThreadPoolExecutor(torch.get_num_threads()) as pool,
    ):
        return merge(pool.map(block, range(0, of.n, BLOCK)))


def whole(of: Dataset, role: Role, seed: int, use: str) -> Examples:
    """Return all chunks' examples, for methods that need them."""
    chunks = [chunk(of, role, seed, use, start) for start in range(0, of.n, ROWS)]
    inputs, targets = zip(*(of_chunk.tensors for of_chunk in chunks), strict=True)
    return chunks[0].with_tensors(torch.cat(inputs, -2), torch.cat(targets, -1))


def chunk(of: Dataset, role: Role, seed: int, use: str, start: int) -> Examples:
    """Return the examples from number ``start`` of every environment on, as many as a chunk has."""
    examples = of.fresh_sample(role, min(ROWS, of.n - start), seed, f"{use}, chunk {start // ROWS}")
    assert examples is not None  # as `in_chunks` has seen
    return examples


def no_room(of: Dataset, environments: int, parameters: int) -> str | None:
    """Return why a sample's examples cannot be held all at once, or None where this machine has the memory."""
    needed = 2 * 8 * environments * (parameters + 1) * of.n  # chunks, and what they are put together to
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed < memory:
        return None
    return (
        f"needs its examples, and to draw {of.n:,} in each of {environments} environments takes "
        f"{needed / 2**30:,.0f} GiB of memory; this machine has {memory / 2**30:,.0f} GiB"
    )


def expected(samples: Iterable[tuple[Dataset, Role]]) -> str | None:
    """Return in words how long the samples take to draw, from the time of a chunk of each; None if soon done."""
    large = [(of, role) for of, role in samples if in_chunks(of, role)]
    times = {pair: _seconds(*pair) for pair in dict.fromkeys(large)}
    threads = torch.get_num_threads()
    minutes = sum(times[pair] * pair[0].n / ROWS for pair in large) / threads / 60
    if minutes < 1:
        return None
    return (
        f"{len(large):,} samples of up to {max(of.n for of, _ in large):,} examples in each environment: about "
        f"{minutes:,.0f} minutes to draw on {threads} threads, each sample once with --workers 1"
    )


def _seconds(of: Dataset, role: Role) -> float:
    """Return the seconds that a chunk takes, once everything is warm."""
    for _ in range(2):
        started = time.perf_counter()
        compress(chunk(of, role, 0, "to time it", 0))
        seconds = time.perf_counter() - started
    return seconds
