"""HPS v2: how much people would prefer a sample, made for its prompt, to a CLIP tuned on their choices.

The cosine of the tuned CLIP's embeddings of sample and prompt: CLIP-T's formula on other weights, pictures fitted whole
into a square instead of cropped.

Source: tgxs002/HPSv2 at 866735e, `hpsv2/img_score.py`; Wu et al., arXiv 2306.09341.
Deviations: a zero embedding is the state `undefined`, where the source gives 0; where the source stops (a picture of
224 x less, an alpha channel) there is a value; float32 throughout. The card has the rest.
"""

from __future__ import annotations

from evalkit.content import content
from evalkit.metrics.clip_t import ClipT

HPS = ClipT(content("metrics", "hps", "card.yaml"))
