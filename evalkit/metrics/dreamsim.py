"""DreamSim: perceptual distance between a sample and its subject, tuned to human judgements of similarity.

One minus the cosine of DreamSim embeddings (concatenated ViT features, LoRA-tuned, centred over their own dimensions
and normalised), averaged over the case's targets.

Source: ssundaram21/dreamsim, `dreamsim/model.py` (package dreamsim 0.2.1); Fu et al., NeurIPS 2023.
Deviations: a zero embedding is the state `undefined`, where the reference code gives NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.content import content
from evalkit.metrics.cosine import TargetMeasure, mean_target_cosine

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


def dreamsim(sample: ArrayLike, targets: ArrayLike) -> NDArray[np.float64]:
    """Mean DreamSim distance of a sample's embedding to its targets'.

    sample: [..., D]; targets: [..., R, D]; centred embeddings. Returns [...] in [0, 2]; 0 for a copy, NaN where an
    embedding is zero.

    Example:
        >>> dreamsim([1.0, -1.0], [[1.0, -1.0], [-1.0, 1.0]]).item()
        1.0
    """
    return 1.0 - mean_target_cosine(sample, targets)


DREAMSIM = TargetMeasure(content("metrics", "dreamsim", "card.yaml"), output="embedding", measure=dreamsim)
