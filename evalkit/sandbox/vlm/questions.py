"""What is asked about a concept in one go: its references, what is told of it, and questions with their answers.

What is told is drawn anew each time, so that nothing but reading it answers questions about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evalkit.sandbox.concept_words import (
    LETTERS,
    SOME_PLACES,
    Asked,
    Told,
    colour_choice,
    dense_reason,
    doing,
    likes,
    place_choice,
    reasons,
    recognised,
    sentence,
    where,
)
from evalkit.sandbox.vlm.assemble import PLACEHOLDER
from evalkit.sandbox.vlm.concepts import FAMILY, PICTURES, ConceptSet
from evalkit.sandbox.world import subject_words
from evalkit.sandbox.world.captions import PLACE_PHRASES, describe
from evalkit.sandbox.world.vocabulary import actions_of

if TYPE_CHECKING:
    from evalkit.sandbox.world import Scene

REFERENCES = 4
TOLD = ("place_choice", "likes_where", "likes_doing", "rea_where", "rea_doing", "dense_rea")
"""Questions that only what is told answers."""
RECOGNITION = ("rec_yes", "rec_no_other_colour", "rec_no_same_colour", "rec_no_other")
"""Is it the concept: yes; no, of its family in another colour; of its family in its colours; any other concept."""
ALMOST_ANY_TURN = 3 * 11 * 4
"""A multiple of the places and of the numbers of wrong choices."""


class Question(NamedTuple):
    """A question, by kind, about picture `shot` of the concept `shown`, or about none."""

    kind: str
    asked: Asked
    shown: tuple[int, int] | None = None
    chance: float = 0.0
    """How often a guess among the answers of its form is right; 0 where there are very many."""


class Visit(NamedTuple):
    """A concept, the pictures that are its references as (concept, shot), what is told of it, and questions."""

    concept: int
    references: tuple[tuple[int, int], ...]
    facts: str
    questions: tuple[Question, ...]


def visit(data: ConceptSet, concept: int, *, rng: np.random.Generator) -> Visit:
    """Every kind of question about a concept, with four of its pictures as references and the other two to be asked about."""
    identity = data.identity(concept)
    actions = actions_of(identity.plan)
    told = Told(PLACEHOLDER, identity.palette, subject_words(identity), _one(SOME_PLACES, rng), _one(actions[1:], rng))
    shots = [0, *(1 + rng.permutation(PICTURES - 1)).tolist()]
    tested = [(concept, shot) for shot in shots[REFERENCES:]]
    return Visit(
        concept,
        tuple((concept, shot) for shot in shots[:REFERENCES]),
        facts_of(told),
        (*_seen(data, told, tested, rng), *_recognition(data, concept, tested, rng), *_told(told, len(actions), rng)),
    )


def facts_of(told: Told) -> str:
    """What is told, in the form in which UnifyBench's cases have it."""
    return "\n".join((f"name: {told.name}", f"info: {told.info}", f"extra_info: {' '.join(told.facts)}"))


def captioned(scene: Scene) -> str:
    """A sentence that says all that words of the world's grammar say of a picture of one subject."""
    identity, place = scene.identities[0], PLACE_PHRASES[scene.place]
    return sentence(f"{describe(identity)} {scene.poses[0].action} {place}")


def _seen(data: ConceptSet, told: Told, tested: list[tuple[int, int]], rng: np.random.Generator) -> list[Question]:
    (concept, first), (_, second) = tested
    scenes = data.scenes[concept]
    actions = len(actions_of(scenes[0].identities[0].plan))
    return [
        Question("where", where(told.name, scenes[first].place), tested[0], 1 / len(SOME_PLACES)),
        Question("doing", doing(told.name, scenes[second].poses[0].action), tested[1], 1 / actions),
        Question("colour_choice", colour_choice(told, _turn(rng)), tested[0], 1 / len(LETTERS)),
        Question("caption", Asked("Describe this picture.", captioned(scenes[second])), tested[1]),
        Question("describe", Asked(f"Describe {told.name}.", sentence(describe(scenes[0].identities[0])))),
    ]


def _recognition(
    data: ConceptSet, concept: int, tested: list[tuple[int, int]], rng: np.random.Generator
) -> list[Question]:
    start, member = concept - concept % FAMILY, concept % FAMILY
    strangers = [start + other for other in range(FAMILY) if other != member]
    other = start
    while other - other % FAMILY == start:
        other = int(rng.integers(len(data.scenes)))
    found = [Question("rec_yes", recognised(PLACEHOLDER, there=True), shown, 0.5) for shown in tested]
    for stranger in (*strangers, other):
        family = stranger - stranger % FAMILY == start
        same = data.identity(stranger).palette == data.identity(concept).palette
        kind = ("rec_no_same_colour" if same else "rec_no_other_colour") if family else "rec_no_other"
        shown = (stranger, int(rng.integers(1, PICTURES)))
        found.append(Question(kind, recognised(PLACEHOLDER, there=False), shown, 0.5))
    return found


def _told(told: Told, actions: int, rng: np.random.Generator) -> list[Question]:
    """`actions` that the concept can do; it likes none but the others than standing."""
    by_place, by_action = 1 / len(SOME_PLACES), 1 / (actions - 1)
    asked: Mapping[str, tuple[Asked, float]] = {
        "place_choice": (place_choice(told, _turn(rng)), 1 / len(LETTERS)),
        **dict(zip(("likes_where", "likes_doing"), zip(likes(told), (by_place, by_action), strict=True), strict=True)),
        **dict(zip(("rea_where", "rea_doing"), zip(reasons(told), (by_place, by_action), strict=True), strict=True)),
        "dense_rea": (dense_reason(told), by_place * by_action),
    }
    return [Question(kind, *one[:1], None, one[1]) for kind, one in asked.items()]


def _turn(rng: np.random.Generator) -> int:
    return int(rng.integers(ALMOST_ANY_TURN))


def _one(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
