"""What is told of a concept of the embedded world and asked about it: the wording of the embedded UnifyBench and its ++.

The benchmark writes its files in these words, and the small model that answers questions is trained on them, with other
concepts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from evalkit.sandbox.world.captions import PLACE_PHRASES
from evalkit.sandbox.world.vocabulary import PALETTES, PLACES

YES, NO = "Yes.", "No."
SOME_PLACES = PLACES[1:]
"""Where a concept is seen and likes to be; the studio is nobody's place."""
LETTERS = "ABC"
"""Of the choices."""


@dataclass(frozen=True)
class Told:
    """What a method is told of a concept."""

    name: str
    """As texts have it, in angle brackets."""
    palette: str
    word: str
    """Its class."""
    place: str
    """Where it likes to be, one of `PLACES`."""
    action: str
    """What it likes to do."""

    @property
    def at(self) -> str:
        """The words of its place."""
        return PLACE_PHRASES[self.place]

    @property
    def info(self) -> str:
        """What it is."""
        return f"{self.name} is a {self.palette} {self.word}."

    @property
    def facts(self) -> tuple[str, str]:
        """What it likes, which no picture shows."""
        return f"{self.name} likes to be {self.at}.", f"{self.name} likes {self.action}."


class Asked(NamedTuple):
    """A question and its answer."""

    question: str
    answer: str


def recognised(name: str, *, there: bool) -> Asked:
    """Whether the concept is in a picture."""
    return Asked(f"Is {name} in this picture?", YES if there else NO)


def where(name: str, place: str) -> Asked:
    """Where a picture shows the concept."""
    return Asked(f"Where is {name} in this picture?", sentence(PLACE_PHRASES[place]))


def doing(name: str, action: str) -> Asked:
    """What a picture shows the concept do."""
    return Asked(f"What is {name} doing in this picture?", sentence(action))


def colour_choice(told: Told, turn: int) -> Asked:
    """The concept's colour among three."""
    return _choice(f"Which colour has {told.name}?", told.palette, [*PALETTES], turn)


def place_choice(told: Told, turn: int) -> Asked:
    """The place that the concept likes among three."""
    return _choice(
        f"Where does {told.name} like to be?", told.at, [PLACE_PHRASES[place] for place in SOME_PLACES], turn
    )


def likes(told: Told) -> tuple[Asked, Asked]:
    """Where the concept likes to be, and what it likes to do."""
    return (
        Asked(f"Where does {told.name} like to be?", sentence(told.at)),
        Asked(f"What does {told.name} like to do?", sentence(told.action)),
    )


def reasons(told: Told) -> tuple[Asked, Asked]:
    """The same in situations that need it."""
    place, action = told.facts
    return (
        Asked(f"{told.name} may go anywhere today. Where will you find it, and why?", place),
        Asked(f"{told.name} has an hour for itself. What will it do, and why?", action),
    )


def dense_reason(told: Told) -> Asked:
    """Both in a longer one."""
    return Asked(
        f"It is a long day, and many things could be done. {told.name} has seen the shops, had breakfast and "
        "answered its letters; now it is free. Where does it go and what does it do there?",
        " ".join(told.facts),
    )


def sentence(words: str) -> str:
    """The words as a sentence.

    Example:
        >>> sentence("on the beach")
        'On the beach.'
    """
    return f"{words[0].upper()}{words[1:]}."


def _choice(question: str, true: str, every: list[str], turn: int) -> Asked:
    """Three choices with the true one in a place that depends on `turn`, as its letter."""
    wrong = [other for other in every if other != true]
    offered = [wrong[turn % len(wrong)], wrong[(turn + 4) % len(wrong)]]
    offered.insert(turn % len(LETTERS), true)
    told = " ".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, offered, strict=True))
    return Asked(f"{question} {told}", LETTERS[turn % len(LETTERS)])
