"""Six concepts of the embedded world in UniCTokens' layout, with questions whose answers are known, and evalkit's ++ files.

concepts_list.json, prompts_to_eval.json                       which concepts there are, prompts by generation type
concept/train/NAME/N.png, info.json; concept/train/train_images.json
concept/test/NAME/N.png, t2i_conditions.json                   held-out pictures, prompts that lean on what is known
test_data/NAME.json                                            questions: rec, vqa, text_only and those with choices
unifybench_pp/NAME.json                                        the ++ extension
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.sandbox.concept_words import (
    SOME_PLACES,
    Told,
    colour_choice,
    dense_reason,
    doing,
    likes,
    place_choice,
    reasons,
    recognised,
    where,
)
from evalkit.sandbox.scenes import Drawn, embed, realised
from evalkit.sandbox.world import Identity, Pose, Scene, reference_scene, sample_identity, subject_words
from evalkit.sandbox.world.captions import PLACE_PHRASES
from evalkit.sandbox.world.vocabulary import actions_of

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.sandbox.concept_words import Asked

NAMES = {"bo": "human", "mina": "human", "tiko": "animal", "lulu": "animal", "rolo": "object", "zuzu": "object"}
TRAIN, TEST = 4, 3
FIRST = 900
"""The first identity: others than those of the world's other benchmarks."""
PROMPT_PLACES = ("beach", "snow", "forest", "kitchen", "meadow", "night")


@dataclass(frozen=True)
class _Known:
    """What is true of a concept."""

    name: str
    number: int
    identity: Identity
    place: str
    """Where it likes to be."""
    action: str
    """What it likes to do."""

    @property
    def told(self) -> Told:
        """The same in the words that methods are given."""
        return Told(f"<{self.name}>", self.identity.palette, subject_words(self.identity), self.place, self.action)

    def scene(self, place: str, action: str = "standing") -> Scene:
        """The concept somewhere, doing something."""
        return Scene((self.identity,), (Pose(action),), place=place)

    def tested(self, shot: int) -> tuple[str, str]:
        """Place and action of its held-out picture of that number."""
        actions = actions_of(self.identity.plan)
        return SOME_PLACES[(2 * self.number + 3 * shot) % len(SOME_PLACES)], actions[
            (self.number + shot) % len(actions)
        ]


def embed_unifybench(folder: Path) -> Path:
    """Draws the concepts into a folder in `folder` and returns it. Raises: RunError."""
    return embed(folder, world_unifybench())


def world_unifybench() -> Drawn:
    """The whole of it."""
    concepts = [_known(name, number) for number, name in enumerate(NAMES)]
    pictures: dict[str, Scene] = {}
    cases: dict[str, Scene] = {}
    prompts = [f"a <sks> standing {PLACE_PHRASES[place]}" for place in PROMPT_PLACES]
    files: dict[str, Any] = {
        "concepts_list.json": [*NAMES],
        "prompts_to_eval.json": dict.fromkeys(("object", "live_subject"), prompts),
        "concept/train/train_images.json": {name: [f"{shot}.png" for shot in range(TRAIN)] for name in NAMES},
    }
    for known in concepts:
        pictures |= _pictures(known)
        files |= _files(known, concepts)
        cases |= {f"{known.name}.pure_gen{k:02d}": known.scene(place) for k, place in enumerate(PROMPT_PLACES)}
        liked = (known.scene(known.place), known.scene("studio", known.action))
        for task in ("knowledge_gen", "rea_gen", "dense_rea_gen"):
            cases |= {f"{known.name}.{task}{k:02d}": scene for k, scene in enumerate(liked)}
        cases |= {f"{known.name}.dense_gen{k:02d}": known.scene(*known.tested(k)) for k in range(2)}
    return Drawn(pictures, cases, texts={name: json.dumps(data, indent=1) + "\n" for name, data in files.items()})


def _known(name: str, number: int) -> _Known:
    identity = sample_identity(NAMES[name], FIRST + number, split="bench")
    actions = actions_of(identity.plan)
    place = SOME_PLACES[(5 * number + 1) % len(SOME_PLACES)]
    return _Known(name, number, identity, place, actions[1 + number % (len(actions) - 1)])


def _pictures(known: _Known) -> dict[str, Scene]:
    train = [reference_scene(known.identity), *(known.scene(place) for place in ("kitchen", "street", "lake"))]
    drawn = [train[0], *(realised(scene, known.name, seed) for seed, scene in enumerate(train[1:]))]
    found = {f"concept/train/{known.name}/{shot}.png": scene for shot, scene in enumerate(drawn)}
    tested = (realised(known.scene(*known.tested(shot)), known.name, 50 + shot) for shot in range(TEST))
    return found | {f"concept/test/{known.name}/{shot}.png": scene for shot, scene in enumerate(tested)}


def _files(known: _Known, concepts: list[_Known]) -> dict[str, Any]:
    told = known.told
    name, at, action = told.name, told.at, told.action
    kind = "object" if known.identity.category == "object" else "live_subject"
    info = {"info": told.info, "class": told.word, "extra_info": list(told.facts)}
    left = [
        {"prompt": f"a {name} standing in its favourite place", "detailed": f"a {name} standing {at}"},
        {"prompt": f"a {name} doing its favourite thing in a studio", "detailed": f"a {name} {action} in a studio"},
    ]
    tested = [known.tested(shot) for shot in range(2)]
    plus = {
        "rea": [one._asdict() for one in reasons(told)],
        "dense_rea": [dense_reason(told)._asdict()],
        "dense_gen": [f"a {name}, {action}, {PLACE_PHRASES[place]}, by day" for place, action in tested],
        "rea_gen": left,
        "dense_rea_gen": [{k: f"{text}, by day, as a photo" for k, text in one.items()} for one in left],
    }  # fmt: skip
    return {
        f"concept/train/{known.name}/info.json": info | {"generation_type": kind, "conversation_type": kind},
        f"concept/test/{known.name}/t2i_conditions.json": [f"a photo of a {name}", *(one["prompt"] for one in left)],
        f"test_data/{known.name}.json": _questions(known, concepts),
        f"unifybench_pp/{known.name}.json": plus,
    }


def _questions(known: _Known, concepts: list[_Known]) -> list[dict[str, Any]]:
    """Yes and no are asked in another order of each concept, so that another's answers are no better than chance."""
    told, name = known.told, known.told.name
    others = [concepts[(known.number + step) % len(concepts)] for step in range(1, TEST + 1)]
    rec = [("rec", f"{known.name}/{shot}", recognised(name, there=True)) for shot in range(TEST)]
    rec += [("rec", f"{other.name}/{shot}", recognised(name, there=False)) for shot, other in enumerate(others)]
    turn = 2 * known.number % len(rec)
    asked: list[tuple[str, str, Asked]] = [*rec[turn:], *rec[:turn]]
    for shot in range(TEST):
        place, action = known.tested(shot)
        asked.append(("vqa", f"{known.name}/{shot}", where(name, place)))
        asked.append(("vqa", f"{known.name}/{shot}", doing(name, action)))
    asked.append(("vqa_choice", f"{known.name}/0", colour_choice(told, known.number)))
    asked.append(("text_only_choice", "", place_choice(told, known.number + 1)))
    asked += [("text_only", "", one) for one in likes(told)]
    return [
        {
            "image": f"concept/test/{picture}.png" if picture else "black_512x512.png",
            "type": kind,
            "conversations": [
                {"from": "human", "value": f"<image>\n{one.question}"}, {"from": "gpt", "value": one.answer}
            ],
        }
        for kind, picture, one in asked
    ]  # fmt: skip
