"""CLIP-I: how much a sample looks like its subject to CLIP.

The cosine between CLIP's projected image embeddings of sample and target, averaged over the case's targets; all
(sample, target) pairs of a benchmark count once under micro aggregation, or all samples in variants that say so.

Source: DreamBooth (Ruiz et al., CVPR 2023), section 4.1; yuangpeng/dreambench_plus at 66ca27e, `metrics/clip_score.py`.
Deviations: a zero embedding is the state `undefined`, where the reference code gives NaN.
"""

from __future__ import annotations

from evalkit.content import content
from evalkit.metrics.cosine import TargetMeasure, mean_target_cosine

clip_i = mean_target_cosine
CLIP_I = TargetMeasure(content("metrics", "clip_i", "card.yaml"), output="embedding")
