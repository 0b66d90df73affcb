"""DINO-I: how much a sample looks like its subject to a self-supervised ViT.

The cosine between class tokens (after the final norm) of sample and target, averaged over the case's targets. DINO is
not trained to ignore differences between members of a class, which CLIP is, so it tells subjects apart better.

Source: DreamBooth (Ruiz et al., CVPR 2023), section 4.1; yuangpeng/dreambench_plus at 66ca27e, `metrics/dino_score.py`.
Deviations: a zero embedding is the state `undefined`, where the reference code gives NaN.
"""

from __future__ import annotations

from evalkit.content import content
from evalkit.metrics.cosine import TargetMeasure, mean_target_cosine

dino_i = mean_target_cosine
DINO_I = TargetMeasure(content("metrics", "dino_i", "card.yaml"), output="cls")
