"""GmeScore: how well a sample shows what its prompt says, to GME, an embedding from a vision-language model.

The cosine of GME's embeddings of the sample and of the prompt: CLIP-T's formula on a model that reads long prompts.

Source: franciszzj/OpenS2V-Nexus at ef17513, `eval/get_gmescore.py`. Deviations: the prompt is embedded once, where the source
embeds it once for each frame; a prompt beyond 1800 tokens is the state `text_too_long`. The card has the rest.
"""

from __future__ import annotations

from evalkit.content import content
from evalkit.metrics.clip_t import ClipT

GME_SCORE = ClipT(content("metrics", "gme_score", "card.yaml"))
