"""nSSM and VSM of feature maps against loops over pairs that follow the public code's order of operations.

    python perf/masked_metrics.py [--pairs N] [--peer N] [--channels C] [--threads N]

The maps are random, 48 x 48 cells, nine samples a reference as in DreamBench++, with a share of the cells in the
reference's mask that the embedded world's subjects have in the mean. The loops are written here after DivRL's
`mtg/cal_nssm.py` (b0d3f69) and Mind-the-Glitch's `mtg/utils/correspondence.py`: both whole matrices of a pair, the mask as
an index into them, a dictionary for the one-to-one matches. They are run on a part of the pairs, spread over all, and timed
against evalkit on the same, in CPU seconds; every value is held against evalkit's. The networks that make the maps have no
part in it.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import avg_pool2d, interpolate, normalize

from evalkit.metrics.nssm import nssm
from evalkit.metrics.vsm import vsm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    Pair = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
    """Semantic and visual maps [1, 48, 48, C] of sample and reference, and the reference's mask [1, 48, 48]."""

SIDE, CHUNK = 48, 18
SAMPLES_A_REFERENCE = 9
COVERED = 0.19
TOLERANCE = {"nssm official": 2e-5, "nssm paper": 2e-5, "vsm": 1e-6}
WANTED = 20.0


def made(first: int, count: int, channels: int) -> Pair:
    """Maps of `count` pairs from number `first` on, each made from its own seed: a reference's noise and a sample's."""
    columns: list[list[Tensor]] = [[], [], [], [], []]
    for number in range(first, first + count):
        of_reference = torch.Generator().manual_seed(number // SAMPLES_A_REFERENCE)
        of_sample = torch.Generator().manual_seed(10**6 + number)
        shape = (2, SIDE, SIDE, channels)
        reference = torch.randn(shape, generator=of_reference)
        sample = 0.8 * reference + 0.6 * torch.randn(shape, generator=of_sample)
        side = round(SIDE * COVERED**0.5)
        corner = int(torch.randint(SIDE - side, (), generator=of_reference))
        mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
        mask[corner : corner + side, corner : corner + side] = True
        for column, tensor in zip(columns, (sample[0], reference[0], sample[1], reference[1], mask), strict=True):
            column.append(tensor)
    sem_gen, sem_ref, vis_gen, vis_ref, mask = (torch.stack(column) for column in columns)
    return sem_gen, sem_ref, vis_gen, vis_ref, mask


def looped_nssm(pair: Pair, *, resolution: int, official: bool) -> float:
    """One pair: both self-similarity matrices, then the entries of masked, distinct cells, then their correlation."""
    maps = [normalize(values, dim=-1).permute(0, 3, 1, 2) for values in pair[2:4]]
    mask = pair[4][:, None].float()
    if resolution != SIDE:
        maps = [avg_pool2d(values, 2) for values in maps]
        size = (resolution, resolution)
        maps = [interpolate(values, size, mode="bilinear", align_corners=False) for values in maps]
        mask = interpolate(mask, size, mode="bilinear", align_corners=False)
    inside = (mask > 0.5).float().flatten()
    cells = [values.permute(0, 2, 3, 1).reshape(1, resolution**2, -1) for values in maps]
    matrices = [torch.bmm(values, values.transpose(1, 2))[0] for values in cells]
    number = torch.arange(resolution**2)
    chosen = ((inside[:, None] * inside[None, :]) > 0) & ((number[:, None] - number[None, :]).abs() > 0)
    x, y = (matrix[chosen] for matrix in matrices)
    x, y = x - x.mean(), y - y.mean()
    deviations = x.std() * y.std() + 1e-8 if official else (x * x).mean().sqrt() * (y * y).mean().sqrt()
    return 1 - ((x * y).mean() / deviations).item()


def looped_vsm(pair: Pair) -> float:
    """One pair: every source cell against every target cell, and a dictionary of the best source of each target."""
    inside = pair[4].reshape(1, -1).float()
    best: dict[int, tuple[int, float]] = {}
    found = []
    for gen, ref in ((pair[0], pair[1]), (pair[2], pair[3])):
        target = (ref / ref.norm(dim=-1, keepdim=True)).reshape(SIDE**2, -1).T * inside
        source = gen.reshape(SIDE**2, 1, -1)
        maps = (source / source.norm(dim=-1, keepdim=True)) @ target
        found.append(maps[:, 0].max(-1))
    semantic, visual = found
    for number, (score, match) in enumerate(zip(semantic.values, semantic.indices, strict=True)):
        if score <= 0.7:
            continue
        key = int(match)
        if key not in best or score > best[key][1]:
            best[key] = (number, float(score))
    kept = torch.tensor([float(visual.values[number]) for number, _ in best.values()])
    return ((kept > 0.7).sum() / len(kept)).item()


LOOPS: dict[str, Callable[[Pair], float]] = {
    "nssm official": lambda pair: looped_nssm(pair, resolution=32, official=True),
    "nssm paper": lambda pair: looped_nssm(pair, resolution=SIDE, official=False),
    "vsm": looped_vsm,
}


def one_by_one(chunk: Pair) -> Iterator[Pair]:
    """The pairs of a chunk, each as a chunk of its own."""
    for i in range(len(chunk[4])):
        sem_gen, sem_ref, vis_gen, vis_ref, mask = (tensor[i : i + 1] for tensor in chunk)
        yield sem_gen, sem_ref, vis_gen, vis_ref, mask


def main() -> None:
    """Prints a line a measure: seconds for all pairs, and how many times the loops' rate that is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1170)
    parser.add_argument("--peer", type=int, default=54, help="pairs that the loops are run on")
    parser.add_argument("--channels", type=int, default=384)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    total, ours, slow = (dict.fromkeys(LOOPS, 0.0) for _ in range(3))
    worst, compared = dict.fromkeys(LOOPS, 0.0), 0
    chunks = range(0, arguments.pairs, CHUNK)
    every = max(1, len(chunks) * CHUNK // arguments.peer)
    with torch.inference_mode():
        timed(made(0, 2, arguments.channels), dict.fromkeys(LOOPS, 0.0))
        for first in chunks:
            chunk, own = made(first, min(CHUNK, arguments.pairs - first), arguments.channels), dict.fromkeys(LOOPS, 0.0)
            values = timed(chunk, own)
            total = {name: total[name] + own[name] for name in LOOPS}
            if first // CHUNK % every:
                continue
            compared += len(chunk[4])
            ours = {name: ours[name] + own[name] for name in LOOPS}
            for name, loop in LOOPS.items():
                start = time.process_time()
                told = torch.tensor([loop(pair) for pair in one_by_one(chunk)])
                slow[name] += time.process_time() - start
                worst[name] = max(worst[name], float((values[name] - told).abs().max()))
    for name, difference in worst.items():
        if difference > TOLERANCE[name]:
            raise SystemExit(f"{name}: wanted equal values, found a difference of {difference:g}")
    shape = f"{arguments.pairs} pairs of {SIDE} x {SIDE} cells, {arguments.channels} channels"
    print(f"{shape}, {arguments.threads} threads, CPU seconds; loops on {compared} of the pairs")
    for pick in (*((name,) for name in LOOPS), ("nssm official", "vsm"), ("nssm paper", "vsm")):
        whole, fast, loops = (sum(column[name] for name in pick) for column in (total, ours, slow))
        print(f"{' + '.join(pick):22} {whole:7.1f} s, {loops / fast:5.1f} x the loops' rate (wanted {WANTED:g} x)")


def timed(chunk: Pair, seconds: dict[str, float]) -> dict[str, Tensor]:
    """The values of a chunk; what each measure took is added to `seconds`."""
    sem_gen, sem_ref, vis_gen, vis_ref, mask = chunk
    first = [values.permute(0, 3, 1, 2) for values in (sem_gen, sem_ref, vis_gen, vis_ref)]
    values = {}
    measures: dict[str, Callable[[], Tensor]] = {
        "nssm official": lambda: nssm(vis_gen, vis_ref, mask, resolution=32, variant="official"),
        "nssm paper": lambda: nssm(vis_gen, vis_ref, mask, resolution=SIDE),
        "vsm": lambda: vsm(first[0], first[1], first[2], first[3], torch.ones_like(mask), mask).score,
    }
    for name, measure in measures.items():
        start = time.process_time()
        values[name] = measure()
        seconds[name] += time.process_time() - start
    return values


if __name__ == "__main__":
    main()
