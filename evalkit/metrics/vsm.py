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
from evalkit.metrics.masks import mask_cells, refuse_soft
from evalkit.metrics.patches import PatchMeasure, no_cell
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from evalkit.metrics.patches import Array, Mask


CHUNK_FLOATS = 2**26


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
    refuse_soft(mask_gen, mask_ref)
    cells = mask_gen.shape[1] * mask_gen.shape[2]
    rows = max(1, CHUNK_FLOATS // cells**2)
    score, survivors = [], []
    for i in range(0, len(mask_gen), rows):
        part = slice(i, i + rows)
        source, target = mask_gen[part].flatten(1), mask_ref[part].flatten(1)
        semantic = _similarity(sem_gen[part], sem_ref[part], target)
        best, match = semantic.max(-1)
        kept = source & (best > semantic_threshold)
        if one_to_one:
            kept = _first_best(best, match, kept)
        alike = kept & (_similarity(vis_gen[part], vis_ref[part], target).amax(-1) > visual_threshold)
        survivors.append(kept.sum(-1))
        score.append(alike.sum(-1) / kept.sum(-1))
    if not score:
        return Vsm(sem_gen.new_zeros(0), mask_gen.new_zeros(0, dtype=torch.int64))
    return Vsm(torch.cat(score), torch.cat(survivors))


def _similarity(gen: Tensor, ref: Tensor, target: Tensor) -> Tensor:
    """Cosine of every pair of cells [B, N, N]; a cell outside the target's mask keeps its place with similarity 0."""
    from torch.nn.functional import normalize

    a, b = (normalize(t.float(), dim=1).flatten(2) for t in (gen, ref))
    return a.transpose(1, 2) @ b.masked_fill(~target[:, None], 0.0)


def _first_best(best: Tensor, match: Tensor, kept: Tensor) -> Tensor:
    """Of the kept cells that share a match, the one of the highest similarity, the first of equals."""
    import torch

    strength = best.masked_fill(~kept, -torch.inf)
    top = torch.full_like(best, -torch.inf).scatter_reduce(-1, match, strength, "amax")
    candidate = kept & (strength == top.gather(-1, match))
    order = torch.arange(best.shape[-1], device=best.device).expand_as(match)
    place = order.masked_fill(~candidate, best.shape[-1])
    first = torch.full_like(match, best.shape[-1]).scatter_reduce(-1, match, place, "amin")
    return candidate & (place == first.gather(-1, match))


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
        if not inside.any():
            return no_cell(grid)
        if not own.any():
            return no_cell(grid, State.NO_SUBJECT)
        (sem_gen, vis_gen), (sem_ref, vis_ref) = (
            [torch.tensor(array).permute(2, 0, 1)[None] for array in maps] for maps in (gen, ref)
        )
        found = vsm(sem_gen, sem_ref, vis_gen, vis_ref, own, inside, **bound.card.params)
        if not found.survivors.item():
            threshold = bound.card.params["semantic_threshold"]
            return Outcome(State.NO_SURVIVORS, reason=f"no cell has a semantic match above {threshold:g}")
        return Outcome.scored(found.score.item())


VSM = VisualSemanticMatching(content("metrics", "vsm", "card.yaml"), outputs=("semantic", "visual"))
