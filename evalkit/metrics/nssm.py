"""nSSM: how differently two pictures of one subject are laid out, from the self-similarity of their patch features.

One minus Pearson's correlation of the two pictures' patch self-similarity matrices inside the reference's mask. High
means another pose or geometry; a copy is 0.

Source: DivRL (arXiv 2606.23950), section 3.2.2; QianWangX/DivRL `mtg/cal_nssm.py` (b0d3f69), read and not copied.
Variants: `paper` as the text says; `official` as the code does: with resolution 32 it averages to 24 and enlarges
again, it multiplies the correlation by (n - 1)/n for n ordered pairs, and it gives 0 where there is no value;
`corrected` is `paper`. Deviation: only the mask's cells take part from the start, and where they are more than the
channels their matrices are never formed; the sums over pairs of cells follow from products of features (sum of squared
similarities = squared Frobenius norm of F'F), which is equal in exact arithmetic.
Registered as `mtg_nssm` on Mind-the-Glitch's visual features and `dino_nssm` on DINOv2's patches. The reference's mask
serves for both pictures: the text says so in its section 3.2.2, and its appendix B says otherwise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

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

EPS = 1e-8
CHUNK = 4
"""Samples at once: more of them leave a processor's cache and take longer."""
CONSTANT = 1e-12
"""Variance of similarities (each in [-1, 1]) below which they are equal but for rounding."""


def nssm(
    gen: Tensor,
    ref: Tensor,
    mask: Tensor,
    *,
    resolution: int = 48,
    variant: Literal["paper", "official", "corrected"] = "paper",
) -> Tensor:
    """nSSM of each pair.

    gen, ref: [B, H, W, C] patch features of the generated and the reference picture; mask: [B, h, w] bool, the
    reference's subject at any size. Features are averaged down to `resolution` cells a side. Returns [B] float32 in
    [0, 2]; 0 for identical features. Undefined (fewer than two cells in the mask, or constant similarity): NaN, and 0
    in `official`.

    Raises: UsageError for shapes that do not fit or an unknown variant.
    """
    import torch

    _check(gen, ref, mask, resolution, variant)
    values = torch.empty(len(gen), dtype=torch.float64, device=gen.device)
    # the samples of one reference have one mask: they are taken together, CHUNK at a time
    masks, which = torch.unique(_masked_cells(mask, gen.shape[1:3], resolution), dim=0, return_inverse=True)
    for number, inside in enumerate(masks):
        for rows in (which == number).nonzero()[:, 0].split(CHUNK):
            x, y = (_cells(features[rows], resolution, inside) for features in (gen, ref))
            values[rows] = _correlated(x, y, variant)
    return values.float()


def _check(gen: Tensor, ref: Tensor, mask: Tensor, resolution: int, variant: str) -> None:
    if gen.ndim != 4 or gen.shape != ref.shape or mask.ndim != 3 or len(mask) != len(gen):
        shapes = [list(tensor.shape) for tensor in (gen, ref, mask)]
        raise UsageError(f"wanted gen and ref [B, H, W, C] of one shape and mask [B, h, w], found {shapes}")
    if len(gen) and not (gen.numel() and mask.numel()):
        raise UsageError(f"wanted cells and channels, found features {list(gen.shape)} and a mask {list(mask.shape)}")
    refuse_soft(mask)
    if variant not in ("paper", "official", "corrected"):
        raise UsageError(f"wanted variant 'paper', 'official' or 'corrected', found {variant!r}")
    if resolution < 2:
        raise UsageError(f"wanted a resolution of 2 cells a side or more, found {resolution}")


def _cells(features: Tensor, resolution: int, inside: Tensor) -> Tensor:
    """The cells `inside` [resolution**2] of normalised features [B, H, W, C] averaged down, as [B, N, C] in float64; not
    normalised again, as the source does. Only what reaches those cells is computed."""
    from torch.nn.functional import normalize

    height, width = features.shape[1:3]
    if (height, width) == (resolution, resolution):
        return normalize(features.flatten(1, 2)[:, inside].double(), dim=-1)
    factor = max(1, -(-width // resolution))
    kept = inside.view(resolution, resolution)
    rows, columns = kept.any(1), kept.any(0)
    down = _taken(height, factor, resolution).to(features.device)[rows]
    across = _taken(width, factor, resolution).to(features.device)[columns]
    tops, lefts = down.any(0), across.any(0)
    down, across, wanted = down[:, tops], across[:, lefts], kept[rows][:, columns]
    unused = (down.T @ wanted.double() @ across) == 0
    part = normalize(features[:, tops][:, :, lefts].double(), dim=-1).masked_fill(unused[..., None], 0.0)
    lines = (down @ part.flatten(2)).view(len(part), len(down), *part.shape[2:])
    averaged: Tensor = across @ lines
    return averaged[:, wanted]


def _taken(side: int, factor: int, resolution: int) -> Tensor:
    """How much of each of `side` cells goes into each of `resolution` [resolution, side]: means of `factor` cells, then
    linear interpolation; both are separable."""
    import torch
    from torch.nn.functional import avg_pool1d, interpolate

    each = avg_pool1d(torch.eye(side, dtype=torch.float64)[None], factor)
    weights: Tensor = interpolate(each, resolution, mode="linear", align_corners=False)[0].T
    return weights


def _masked_cells(mask: Tensor, grid: tuple[int, ...], resolution: int) -> Tensor:
    """The mask at the features' grid (antialiased, on 8-bit values as a picture), then at `resolution`, over one half."""
    import torch
    from torch.nn.functional import interpolate

    levels = (mask.bool()[:, None] * 255).to(torch.uint8)
    at_grid = interpolate(levels, tuple(grid), mode="bilinear", antialias=True).double() / 255
    if tuple(grid) != (resolution, resolution):
        at_grid = interpolate(at_grid, (resolution, resolution), mode="bilinear", align_corners=False)
    return (at_grid > 0.5).flatten(1)


def _correlated(x: Tensor, y: Tensor, variant: str) -> Tensor:
    """1 - Pearson over ordered pairs of distinct cells, of pictures' cells [B, N, C]; [B]."""
    n = x.new_tensor(x.shape[1] * (x.shape[1] - 1.0))
    mean_x, mean_y = _pair_sum(x) / n, _pair_sum(y) / n
    squares_x, squares_y, products = (total / n for total in _product_sums(x, y))
    var_x, var_y = (squares_x - mean_x**2).clamp(min=0), (squares_y - mean_y**2).clamp(min=0)
    covariance = products - mean_x * mean_y
    undefined = (n < 2) | (var_x < CONSTANT) | (var_y < CONSTANT)
    if variant == "official":
        value = 1 - covariance / ((var_x * var_y).sqrt() * n / (n - 1) + EPS)
        return value.masked_fill(undefined, 0.0)
    return (1 - covariance / (var_x * var_y).sqrt()).masked_fill(undefined, float("nan"))


def _pair_sum(x: Tensor) -> Tensor:
    """Sum over i != j of x_i . x_j."""
    return (x.sum(1) ** 2).sum(-1) - (x**2).sum((1, 2))


def _product_sums(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over i != j of (x_i . x_j)**2, of (y_i . y_j)**2, and of (x_i . x_j)(y_i . y_j)."""
    own_x, own_y = (x**2).sum(-1), (y**2).sum(-1)
    if x.shape[1] < x.shape[2]:  # the matrices of fewer cells than channels are smaller than the features' products
        a, b = x @ x.mT, y @ y.mT
        products = a**2, b**2, a * b
    else:
        products = (x.mT @ x) ** 2, (y.mT @ y) ** 2, (x.mT @ y) ** 2
    diagonals = own_x**2, own_y**2, own_x * own_y
    sums = [whole.sum((1, 2)) - alone.sum(-1) for whole, alone in zip(products, diagonals, strict=True)]
    return sums[0], sums[1], sums[2]


class SelfSimilarity(PatchMeasure):
    """nSSM as a plugin.

    Variant parameters: `resolution`, the cells a side at which it is taken, of features with `grid` cells a side. Where
    they come on another grid, as an embedded backbone's, the resolution scales with it. The variant's kind is `nssm`'s.
    """

    def pair(
        self, gen: Sequence[Array], ref: Sequence[Array], mask: Mask, bound: Bound, *, shown: Mask | None
    ) -> Outcome:
        """Both pictures' cells inside the target's mask, whatever the sample's."""
        import torch

        (sample,), (target,) = gen, ref
        params, kind, side = bound.card.params, bound.card.kind, target.shape[0]
        assert kind != "own"
        if kind != "official" and not mask_cells(mask, target.shape[:2]).any():
            return no_cell(target.shape[:2])
        resolution = max(2, round(side * params["resolution"] / params["grid"]))
        tensors = [torch.tensor(array)[None] for array in (sample, target, mask)]
        value = nssm(tensors[0], tensors[1], tensors[2], resolution=resolution, variant=kind).item()
        if math.isnan(value):
            return Outcome(State.UNDEFINED, reason="fewer than two cells in the mask, or cells that are all alike")
        return Outcome.scored(value)


MTG_NSSM = SelfSimilarity(content("metrics", "mtg_nssm", "card.yaml"), outputs=("visual",))
DINO_NSSM = SelfSimilarity(content("metrics", "dino_nssm", "card.yaml"), outputs=("patches",))
