"""How good the Mind-the-Glitch heads are, on groups of pictures of held-out identities, through the metric that reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evalkit.metrics.vsm import vsm
from evalkit.sandbox.training.data import GRID
from evalkit.sandbox.training.evaluate import Figures, area_under_curve
from evalkit.sandbox.training.glitches import LOOKALIKE, OTHER, REFERENCE, SAME, Glitches
from evalkit.sandbox.training.mtg_heads import FULL, both_maps, layer_maps, load_heads

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from evalkit.features.aggregation import Kind

THRESHOLDS = (0.5, 0.6, 0.7)
VISIBLE = 0.2
"""Share of a look-alike's cells that must look otherwise for it to count as one that can be told."""
BATCH = 32


def evaluate_mtg(folder: Path, data: Glitches, *, dino: Path) -> Figures:
    """VSM of pictures of the same subject, of look-alikes, of others of its plan and of another plan, and PCK.

    `vsm_0.7_same` is the mean of VSM at semantic .7 and visual .7, the sample unmasked; `none_same` the share without a
    value. `lookalike_unchanged` is the true share of unchanged cells, with which VSM correlates at `lookalike_pearson`
    and `lookalike_spearman`. `auc_lookalike`: same subjects against look-alikes whose change shows.
    """
    vectors = _vectors(folder, data, dino)
    own = np.arange(len(data))
    stranger = _another_plan(data.plan)
    pairs = {"same": (SAME, own), "lookalike": (LOOKALIKE, own), "other": (OTHER, own), "other_plan": (SAME, stranger)}
    figures: Figures = {}
    values: dict[str, NDArray[np.float64]] = {}
    for name, (picture, references) in pairs.items():
        for threshold in THRESHOLDS:
            values[name] = _vsm(vectors, data, picture, references, threshold)
            figures[f"vsm_{threshold}_{name}"] = float(np.nanmean(values[name]))
        figures[f"none_{name}"] = float(np.isnan(values[name]).mean())
    changed, known = (data.alike[:, LOOKALIKE - 1] < 0).sum(1), (data.alike[:, LOOKALIKE - 1] != 0).sum(1)
    unchanged = 1 - changed / np.maximum(known, 1)
    return {
        **figures,
        **_against_truth(values["lookalike"], unchanged),
        "auc_lookalike": _auc(values["same"], values["lookalike"][unchanged < 1 - VISIBLE]),
        "auc_other": _auc(values["same"], values["other"]),
        "auc_chance": 0.5,
        **_found(vectors["semantic"], data, SAME, "semantic_pck_{}"),
        **_found(vectors["semantic"], data, OTHER, "semantic_pck_{}_other"),
        **_found(vectors["visual"], data, SAME, "visual_pck_{}"),
    }


def _vectors(folder: Path, data: Glitches, dino: Path) -> dict[Kind, Tensor]:
    import torch

    layers = layer_maps(dino, data)
    networks = load_heads(folder, layers)
    with torch.inference_mode():
        parts = [both_maps(networks, layers[i : i + BATCH]) for i in range(0, len(layers), BATCH)]
    return {kind: torch.cat([part[kind] for part in parts]) for kind in parts[0]}


def _another_plan(plan: NDArray[np.int16]) -> NDArray[np.int64]:
    """For each group the next one of another plan; itself where all are of one plan."""
    count = len(plan)
    turns = (next((t for t in range(1, count) if plan[(i + t) % count] != plan[i]), 0) for i in range(count))
    return np.array([(i + t) % count for i, t in enumerate(turns)])


def _vsm(
    vectors: dict[Kind, Tensor], data: Glitches, picture: int, references: NDArray[np.int64], threshold: float
) -> NDArray[np.float64]:
    import torch

    def grids(kind: Kind, which: int, rows: NDArray[np.int64]) -> Tensor:
        chosen = vectors[kind][torch.from_numpy(rows), which]
        return chosen.transpose(1, 2).reshape(len(rows), -1, GRID, GRID)

    inside = torch.from_numpy(data.subject[references, REFERENCE] >= FULL).reshape(-1, GRID, GRID)
    every = np.arange(len(data))
    found = vsm(
        grids("semantic", picture, every),
        grids("semantic", REFERENCE, references),
        grids("visual", picture, every),
        grids("visual", REFERENCE, references),
        torch.ones_like(inside),
        inside,
        visual_threshold=threshold,
    )
    return found.score.double().numpy()


def _against_truth(values: NDArray[np.float64], truth: NDArray[np.float64]) -> Figures:
    from scipy.stats import pearsonr, spearmanr

    there = ~np.isnan(values)
    return {
        "lookalike_unchanged": float(truth[there].mean()),
        "lookalike_pearson": float(pearsonr(values[there], truth[there]).statistic),
        "lookalike_spearman": float(spearmanr(values[there], truth[there]).statistic),
    }


def _auc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    return area_under_curve(positive[~np.isnan(positive)], negative[~np.isnan(negative)])


def _found(vectors: Tensor, data: Glitches, picture: int, name: str) -> Figures:
    """Share of cells whose nearest cell of the reference is within 1 or 2 cells of the true one, and chance."""
    group, source = np.nonzero(data.matches[:, picture - 1] >= 0)
    true = data.matches[group, picture - 1, source].astype(np.int64)
    similarity = (vectors[group, picture, source][:, None] * vectors[group, REFERENCE]).sum(-1)
    nearest = similarity.argmax(-1).numpy()
    grid = np.stack(np.divmod(np.arange(GRID * GRID), GRID), axis=1)
    error = np.abs(grid[nearest] - grid[true]).max(axis=1)
    chance = np.abs(grid[None] - grid[true][:, None]).max(axis=2)
    figures: Figures = {}
    for k in (1, 2):
        figures |= {name.format(k): float((error <= k).mean()), f"{name.format(k)}_chance": float((chance <= k).mean())}
    return figures
