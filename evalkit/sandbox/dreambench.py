"""The embedded world in DreamBench's layout: twelve subjects of four pictures each, alone and in pairs, in eight places.

prompts_and_classes.txt    class table and prompt templates, in DreamBench's notation and the world's words
SUBJECT/NN.png             the subject: 00 alone in the studio, the others in places of their own
world.json                 its facts (classes, pairs, photographs, as the benchmark's spec has them) and the true scenes
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from evalkit.sandbox.scenes import Drawn, embed, realised
from evalkit.sandbox.world import Identity, Pose, Scene, reference_scene, sample_identity
from evalkit.sandbox.world.captions import PLACE_PHRASES, article
from evalkit.sandbox.world.vocabulary import PLACES, actions_of

if TYPE_CHECKING:
    from pathlib import Path

LIVE = ("cat", "cat2", "dog", "rabbit", "bear", "penguin")
OBJECTS = ("teapot", "car", "backpack", "robot", "mug", "clock")
PAIRS = (
    ("teapot", "car"), ("backpack", "robot"), ("mug", "clock"),
    ("cat", "dog"), ("cat2", "rabbit"), ("bear", "penguin"),
    ("cat", "teapot"), ("dog", "backpack"), ("penguin", "mug"),
)  # fmt: skip
"""Three pairs of objects, three of live subjects, three of both; the live one comes first."""
PHOTOGRAPHS = 4
ACTIONS = 2
"""Prompts for clips of each subject and pair."""
PROMPT_PLACES = PLACES[1:9]
FIRST = 60
"""The first identity: others than those of the world's other benchmarks."""


def embed_dreambench(folder: Path) -> Path:
    """Draws the world into a folder in `folder` and returns it. Raises: RunError."""
    return embed(folder, world_dreambench())


def embed_dream_vbench(folder: Path) -> Path:
    """Draws the subjects into a folder in `folder`, with prompts for clips of them, and returns it. Raises: RunError."""
    plain = world_dreambench()
    subjects = {name: plain.cases[f"{name}.p00"].identities[0] for name in (*LIVE, *OBJECTS)}
    prompts: list[dict[str, object]] = []
    cases: dict[str, Scene] = {}
    for number, names in enumerate((*((name,) for name in subjects), *PAIRS)):
        for index in range(ACTIONS):
            place = PLACES[1:][(number + 4 * index) % len(PLACES[1:])]
            poses = tuple(Pose(_action(subjects[name], number + index)) for name in names)
            scene = Scene(tuple(subjects[name] for name in names), poses, place=place)
            who = " and ".join(
                f"{article(subjects[name].plan)} {p.action}" for name, p in zip(names, poses, strict=True)
            )
            cases[f"{'.'.join(names)}.a{index:02d}"] = scene
            prompts.append({"subjects": names, "prompt": f"{who} {PLACE_PHRASES[place]}"})
    texts = {**plain.texts, "prompts.json": json.dumps(prompts, indent=1) + "\n"}
    return embed(folder, replace(plain, cases=cases, texts=texts))


def _action(identity: Identity, turn: int) -> str:
    """Something that it does beside standing."""
    actions = actions_of(identity.plan)[1:]
    return actions[turn % len(actions)]


def world_dreambench() -> Drawn:
    """The whole of it."""
    subjects = {name: _identity(name, number) for number, name in enumerate((*LIVE, *OBJECTS))}
    pictures = {
        f"{name}/{shot:02d}.png": scene
        for name, identity in subjects.items()
        for shot, scene in enumerate(_photographs(name, identity))
    }
    shown = chain(((name,) for name in subjects), PAIRS)
    cases = {
        f"{'.'.join(names)}.p{index:02d}": Scene(
            tuple(subjects[name] for name in names), tuple(Pose() for _ in names), place=place
        )
        for names in shown
        for index, place in enumerate(PROMPT_PLACES)
    }
    return Drawn(
        pictures=pictures,
        cases=cases,
        texts={"prompts_and_classes.txt": _prompt_file({name: i.plan for name, i in subjects.items()})},
        facts={"dreambench": _facts({name: i.plan for name, i in subjects.items()}), "prompts": len(PROMPT_PLACES)},
    )


def _identity(name: str, number: int) -> Identity:
    """The first identity of that plan from a place of its own on."""
    plan = name.rstrip("0123456789")
    category = "animal" if name in LIVE else "object"
    candidates = (sample_identity(category, index, split="bench") for index in range(FIRST + 30 * number, 10_000))
    return next(identity for identity in candidates if identity.plan == plan)


def _photographs(name: str, identity: Identity) -> list[Scene]:
    others = [Scene((identity,), (Pose(),), place=place) for place in ("studio", "kitchen", "bedroom")]
    return [reference_scene(identity), *(realised(scene, name, seed) for seed, scene in enumerate(others))]


def _prompt_file(classes: dict[str, str]) -> str:
    lines = ["Classes", "", "subject_name,class", *(f"{name},{word}" for name, word in classes.items()), "", "Prompts"]
    templates = [f"'a {{0}} {{1}} standing {PLACE_PHRASES[place]}'" for place in PROMPT_PLACES]
    quoted = [f"{template}.format(unique_token, class_token)" for template in templates]
    for title in ("Object Prompts", "Live Subject Prompts"):
        lines += ["", title, "", "prompt_list = [", ",\n".join(quoted), "]"]
    return "\n".join(lines) + "\n"


def _facts(classes: dict[str, str]) -> dict[str, Any]:
    """In the form of the `facts` of DreamBench's spec."""
    kinds = ("object_object", "live_live", "live_object")
    return {
        "classes": classes,
        "live": sorted(LIVE),
        "photographs": dict.fromkeys(classes, PHOTOGRAPHS),
        "chosen": dict.fromkeys(classes, "00"),
        "pairs": [list(pair) for pair in PAIRS],
        "phrasing": {
            "together": "{before}{first} and {before}{second}{after}",
            "beside": "{before}{first}{after} and {before}{second}",
            "beside_from": dict.fromkeys(kinds, len(PROMPT_PLACES)),
        },
    }
