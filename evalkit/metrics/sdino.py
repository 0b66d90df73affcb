"""sDINO: how well each patch of a sample is found again on its subject, by DINOv2's patch features.

The mean, over the sample's patches, of the best cosine with a patch of the target inside the subject's mask. It
follows parts wherever they went, so it is a measure of identity that pose and place do not disturb.

Source: DivRL (arXiv 2606.23950), equation 10 and appendix B; there is no public code of it. Deviations: the sample's
patches are not masked, since nothing here segments a sample; the text says that results stay the same without. The
text names neither the patches' resolution nor the resizing: pictures are squashed to the model's square, so that each
patch covers the same share of the picture as of its mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.content import content
from evalkit.metrics.base import Bound, Outcome
from evalkit.metrics.masks import mask_cells
from evalkit.metrics.patches import PatchMeasure, no_cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from evalkit.metrics.patches import Array, Mask


def sdino(gen: ArrayLike, ref: ArrayLike, ref_mask: ArrayLike, gen_mask: ArrayLike | None = None) -> float:
    """Mean over the sample's patches of the highest cosine with a masked patch of the reference, in float64.

    gen: [N, D]; ref: [M, D]; ref_mask: [M] bool; gen_mask: [N] bool, every patch where None. Returns a number in
    [-1, 1]; 1 where every patch is found again; not symmetric. NaN where a mask is empty or a patch that counts is zero.

    Example:
        >>> sdino([[1.0, 0.0], [0.0, 2.0]], [[3.0, 0.0], [0.0, 1.0]], [True, False])
        0.5
    """
    import numpy as np

    x = np.asarray(gen, np.float64)
    x = x if gen_mask is None else x[np.asarray(gen_mask, bool)]
    y = np.asarray(ref, np.float64)[np.asarray(ref_mask, bool)]
    if not len(x) or not len(y):
        return float("nan")
    with np.errstate(invalid="ignore", divide="ignore"):
        best: NDArray[np.float64] = (_unit(x) @ _unit(y).T).max(axis=1)
    return float(np.clip(best, -1.0, 1.0).mean())


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


class StructuralDino(PatchMeasure):
    """sDINO as a plugin."""

    def pair(self, gen: Sequence[Array], ref: Sequence[Array], mask: Mask, bound: Bound) -> Outcome:
        """The sample's patches, all of them, on the target's masked ones."""
        (sample,), (target,) = gen, ref
        inside = mask_cells(mask, target.shape[:2])
        if not inside.any():
            return no_cell(target.shape[:2])
        channels = target.shape[-1]
        return Outcome.scored(sdino(sample.reshape(-1, channels), target.reshape(-1, channels), inside.reshape(-1)))


SDINO = StructuralDino(content("metrics", "sdino", "card.yaml"), outputs=("patches",))
