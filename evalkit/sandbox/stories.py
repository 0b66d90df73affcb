"""Twelve stories of the embedded world, in the form that the benchmark `stories` reads.

prompts.yaml               domain -> stories with subject, style and settings, in the world's own words
references/DOMAIN_I.png    the subject of each story, alone; masks/DOMAIN_I.png where it is
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import yaml

from evalkit.sandbox.scenes import Drawn, embed
from evalkit.sandbox.world import Pose, Scene, reference_scene, sample_identity, subject_words
from evalkit.sandbox.world.captions import PLACE_PHRASES, STYLE_PHRASES, article
from evalkit.sandbox.world.vocabulary import PLACES, STYLE_PLANS, actions_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COUNTS: Mapping[str, int] = {"animal": 5, "human": 3, "object": 4}
PICTURES = 5
STYLED_EVERY = 5
FIRST = 40
"""The first identity of each category: others than those of the world's DreamBench++."""


def embed_stories(folder: Path) -> Path:
    """Draws the stories into a folder in `folder` and returns it. Raises: RunError."""
    return embed(folder, world_stories())


def world_stories(counts: Mapping[str, int] = COUNTS) -> Drawn:
    """Stories of so many subjects of each category, five pictures each; every fifth story has a style."""
    stories: dict[str, list[dict[str, object]]] = {}
    references: dict[str, Scene] = {}
    cases: dict[str, Scene] = {}
    number = 0
    for category, count in counts.items():
        stories[category] = []
        for index in range(count):
            number += 1
            identity = sample_identity(category, FIRST + index, split="bench")
            rng = np.random.default_rng([17, number])
            style = STYLE_PLANS[int(rng.integers(len(STYLE_PLANS)))] if number % STYLED_EVERY == 0 else "photo"
            actions = actions_of(identity.plan)
            turns = [actions[(number + picture) % len(actions)] for picture in range(PICTURES)]
            places = [PLACES[1:][k] for k in rng.permutation(len(PLACES) - 1)[:PICTURES].tolist()]
            name = f"{category}_{index}"
            references[name] = reference_scene(identity)
            cases |= {
                f"{name}.p{picture}": Scene((identity,), (Pose(action),), place=place, style=style)
                for picture, (action, place) in enumerate(zip(turns, places, strict=True))
            }
            stories[category].append({
                "subject": article(subject_words(identity)),
                "style": "" if style == "photo" else STYLE_PHRASES[style],
                "settings": [f"{action} {PLACE_PHRASES[place]}" for action, place in zip(turns, places, strict=True)],
            })  # fmt: skip
    return Drawn(
        pictures={f"references/{name}.png": scene for name, scene in references.items()},
        masks={f"masks/{name}.png": scene for name, scene in references.items()},
        texts={"prompts.yaml": yaml.safe_dump(stories, sort_keys=False)},
        cases=cases,
    )
