"""VSM: the share of a subject's matched points that also look alike.

Each cell of the generated subject is matched to the reference's cell of the highest semantic similarity; of the cells
whose match is good enough and their own (one to one), VSM is the share whose best visual similarity is high.

Source: Mind-the-Glitch (arXiv 2509.21989), `mtg/utils/correspondence.py` in its public copies; DivRL (arXiv
2606.23950), equation 3. Deviations: where no match survives there is no value (NaN, as in the source's division), which
is the state `no_survivors`; the source does not say how it brings masks to the grid, here a cell counts where the mask
covers more than half of it. Mind-the-Glitch masks both pictures; DivRL's equation 3 does not mask the sample, so that all
its cells may match.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalkit.content import content
from evalkit.errors import UsageError
from evalkit.metrics.base import Bound, Outcome
from evalkit.metrics.masks import mask_cells
from evalkit.metrics.patches import PatchMeasure, no_cell
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from evalkit.metrics.patches import Array, Mask


class Vsm(NamedTuple):
    """VSM of a batch."""

    score: Tensor
    """[B] in [0, 1], NaN where no match survived."""
    survivors: Tensor
    """[B] integers: how many matches it is the share of."""


def vsm(
    sem_gen: Tensor,
    sem_ref: Tensor,
    vis_gen: Tensor,
    vis_ref: Tensor,
    mask_gen: Tensor,
    mask_ref: Tensor,
    *,
    semantic_threshold: float = 0.7,
    visual_threshold: float = 0.7,
    one_to_one: bool = True,
) -> Vsm:
    """VSM of each generated picture against its reference; not symmetric.

    sem_*, vis_*: semantic and visual features [B, C, H, W], normalised here; mask_*: [B, H, W] bool at feature size.
    Both thresholds are strict. With `one_to_one`, of several cells with one match only the most similar counts (the
    first of equals). Higher is more consistent; 1 for a copy.

    Raises: UsageError for shapes that do not fit.
    """
    import torch

    grids = {tuple(t.shape[:1] + t.shape[2:]) for t in (sem_gen, sem_ref, vis_gen, vis_ref) if t.ndim == 4}
    masks = {tuple(t.shape) for t in (mask_gen, mask_ref)}
    if len(grids) != 1 or masks != grids or sem_gen.shape != sem_ref.shape or vis_gen.shape != vis_ref.shape:
        shapes = [list(t.shape) for t in (sem_gen, sem_ref, vis_gen, vis_ref, mask_gen, mask_ref)]
        raise UsageError(f"wanted features [B, C, H, W] and masks [B, H, W] of one size, found {shapes}")
    maps = zip(sem_gen, sem_ref, vis_gen, vis_ref, mask_gen, mask_ref, strict=True)
    told = [_matched(pair, semantic_threshold, visual_threshold, one_to_one) for pair in maps]
    if not told:
        return Vsm(sem_gen.new_zeros(0), mask_gen.new_zeros(0, dtype=torch.int64))
    alike, kept = torch.stack([one for one, _ in told]), torch.stack([count for _, count in told])
    return Vsm(alike / kept, kept)


def _matched(
    pair: tuple[Tensor, ...], semantic_threshold: float, visual_threshold: float, one_to_one: bool
) -> tuple[Tensor, Tensor]:
    """How many of one pair's matches look alike, and how many there are; features [C, H, W], masks [H, W]."""
    sem_gen, sem_ref, vis_gen, vis_ref = (features.permute(1, 2, 0).flatten(0, 1) for features in pair[:4])
    source, target = (mask.flatten().bool() for mask in pair[4:])
    best, match = _best(sem_gen, sem_ref, source, target)
    kept = best > semantic_threshold
    if one_to_one:
        kept = _first_best(best, match, kept, places=len(target))
    looks, _ = _best(vis_gen, vis_ref, source, target)
    return (kept & (looks > visual_threshold)).sum(), kept.sum()


def _best(gen: Tensor, ref: Tensor, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Of each source cell the highest cosine with a target cell, and that cell's place; features [N, C], masks [N].

    A cell outside the target's mask keeps its place with similarity 0.
    """
    import torch
    from torch.nn.functional import normalize

    places, outside = target.nonzero()[:, 0], (~target).nonzero()[:1, 0]
    ours, theirs = (normalize(features[chosen].float(), dim=-1) for features, chosen in ((gen, source), (ref, target)))
    cosines = ours @ theirs.T
    if len(outside):
        cosines = torch.cat([cosines, cosines.new_zeros(len(cosines), 1)], 1)
    best, match = cosines.max(-1)
    return best, torch.cat([places, outside])[match]


def _first_best(best: Tensor, match: Tensor, kept: Tensor, *, places: int) -> Tensor:
    """Of the kept cells that share a match, the one of the highest similarity, the first of equals."""
    import torch

    strength = best.masked_fill(~kept, -torch.inf)
    top = best.new_full((places,), -torch.inf).scatter_reduce(0, match, strength, "amax")
    candidate = kept & (strength == top[match])
    order = torch.arange(len(best), device=best.device)
    place = order.masked_fill(~candidate, len(best))
    first = match.new_full((places,), len(best)).scatter_reduce(0, match, place, "amin")
    return candidate & (order == first[match])


class VisualSemanticMatching(PatchMeasure):
    """VSM as a plugin. Variant parameters `semantic_threshold`, `visual_threshold` and `one_to_one`, as of `vsm`."""

    def pair(
        self, gen: Sequence[Array], ref: Sequence[Array], mask: Mask, bound: Bound, *, shown: Mask | None
    ) -> Outcome:
        """Every cell of the sample, or those of the subject, against the target's cells inside its mask."""
        import torch

        grid = ref[0].shape[:2]
        inside = torch.from_numpy(mask_cells(mask, grid))[None]
        own = torch.ones_like(inside) if shown is None else torch.from_numpy(mask_cells(shown, grid))[None]
        if not inside.any() or not own.any():
            return no_cell(grid)
        (sem_gen, vis_gen), (sem_ref, vis_ref) = (
            [torch.tensor(array).permute(2, 0, 1)[None] for array in maps] for maps in (gen, ref)
        )
        found = vsm(sem_gen, sem_ref, vis_gen, vis_ref, own, inside, **bound.card.params)
        if not found.survivors.item():
            threshold = bound.card.params["semantic_threshold"]
            return Outcome(State.NO_SURVIVORS, reason=f"no cell has a semantic match above {threshold:g}")
        return Outcome.scored(found.score.item())


VSM = VisualSemanticMatching(content("metrics", "vsm", "card.yaml"), outputs=("semantic", "visual"))
