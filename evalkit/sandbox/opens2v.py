"""The embedded world in the layout of OpenS2V-Eval: 34 cases of one to three subjects, with the true scene behind each.

Open-Domain_Eval.json, Single-Domain_Eval.json, Human-Domain_Eval.json    entries, prompts in the world's own words
Images/KIND/NAME.png                                                      each subject alone; faces are close-ups
world.json                                                                facts (entries of each category) and true scenes
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.sandbox.scenes import Drawn, embed
from evalkit.sandbox.world import Identity, Pose, Scene, reference_scene, sample_identity
from evalkit.sandbox.world.captions import PLACE_PHRASES, article
from evalkit.sandbox.world.vocabulary import PLACES, actions_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

COUNTS: Mapping[str, tuple[str, ...]] = {
    "singleobj": ("object",), "singlehuman": ("human",), "singleface": ("face",), "multiobject": ("object", "animal"),
    "humanobj": ("human", "object"), "faceobj": ("face", "animal", "object"), "multiface": ("face", "face"),
    "multihuman": ("human", "human"),
}  # fmt: skip
"""What stands in a case, by its category."""
CASES: Mapping[str, int] = {
    "singleobj": 6, "singlehuman": 6, "singleface": 4, "multiobject": 4, "humanobj": 4, "faceobj": 4, "multiface": 2,
    "multihuman": 4,
}  # fmt: skip
DOMAINS: Mapping[str, tuple[str, ...]] = {
    "open": tuple(COUNTS), "single": ("singleobj", "singlehuman", "singleface"), "human": ("singlehuman", "singleface"),
}  # fmt: skip
ADULTS = ("man", "woman")
FIRST = 500
"""The first identity of each category: others than those of the world's other benchmarks."""


def embed_opens2v(folder: Path) -> Path:
    """Draws the world into a folder in `folder` and returns it. Raises: RunError."""
    return embed(folder, world_opens2v())


def world_opens2v(counts: Mapping[str, int] = CASES) -> Drawn:
    """The whole of it, with so many cases of each category."""
    fresh = {category: _identities(category) for category in ("animal", "human", "object")}
    pictures: dict[str, Scene] = {}
    cases: dict[str, Scene] = {}
    entries: dict[str, dict[str, Any]] = {}
    for category, kinds in COUNTS.items():
        for number in range(1, counts[category] + 1):
            case_id = f"{category}_{number}"
            identities = [next(fresh["human" if kind == "face" else kind]) for kind in kinds]
            rng = np.random.default_rng([19, *case_id.encode()])
            place = PLACES[1 + int(rng.integers(len(PLACES) - 1))]
            poses = [str(rng.choice(actions_of(identity.plan)[1:])) for identity in identities]
            cases[case_id] = Scene(tuple(identities), tuple(map(Pose, poses)), place=place)
            paths: list[str] = []
            for kind, identity in zip(kinds, identities, strict=True):
                path = f"Images/{category}/{'crop_' * (kind == 'face')}{identity.plan}/{number}_{len(paths)}.png"
                pictures[path] = close_scene(identity) if kind == "face" else reference_scene(identity)
                paths.append(path)
            doing = (f"{article(i.plan)} {pose}" for i, pose in zip(identities, poses, strict=True))
            entries[case_id] = {
                "img_paths": paths,
                "prompt": f"{' and '.join(doing)} {PLACE_PHRASES[place]}",
                "synthesis_flag": "True" if category.startswith("multi") else "wrong",
                "class_label": [identity.plan.capitalize() for identity in identities],
            }
    domains = {
        name: {"file": f"{name.capitalize()}-Domain_Eval.json", "counts": {c: counts[c] for c in categories}}
        for name, categories in DOMAINS.items()
    }
    texts = {
        str(told["file"]): json.dumps(
            {k: e for k, e in entries.items() if k.partition("_")[0] in DOMAINS[name]}, indent=1
        )
        for name, told in domains.items()
    }
    return Drawn(pictures=pictures, cases=cases, texts=texts, facts={"domains": domains})


def _identities(category: str) -> Iterator[Identity]:
    """One after the other; of people grown-ups alone, whom the published labels tell apart as `Man` and `Woman`."""
    for index in range(FIRST, 100_000):
        identity = sample_identity(category, index, split="bench")
        if category != "human" or identity.plan in ADULTS:
            yield identity


def close_scene(identity: Identity) -> Scene:
    """The head and shoulders."""
    return replace(reference_scene(identity), scale=2.0, position=(0.0, -1.75))
