"""The grammar of evalkit's own stories: 96 of five pictures each, by the criteria that ASemConsist states for its own.

    story    = identity, five settings
    identity = ["a cartoon of" | another broad style] subject        (a style in every fifth story)
    subject  = "a cat" | "an old man" | ...                           (class alone, so that much is left open)
    setting  = action place                                           (five actions and five places in a story)

Source of the criteria: ASemConsist, appendix E.1: identities that are not detailed, settings that vary pose and
background, about a fifth with a broad style. Its own 96 were written by a language model and are not public; these are
not them, and numbers on one are not to be compared with numbers on the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

PICTURES = 5
STYLED_EVERY = 5
STYLES = ("a cartoon of", "a sketch of", "a watercolor painting of", "a comic drawing of", "an oil painting of")
SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "animals": (
        "a cat", "a dog", "a rabbit", "a fox", "a bear", "a horse", "a pig", "a cow", "a mouse", "an owl", "a duck", "a parrot",
        "a frog", "a turtle", "a lion", "a tiger", "an elephant", "a giraffe", "a monkey", "a wolf", "a squirrel", "a hedgehog",
        "a penguin", "a goat",
    ),
    "people": (
        "a man", "a woman", "a boy", "a girl", "an old man", "an old woman", "a young man", "a young woman", "a chef",
        "a nurse", "a farmer", "a sailor", "a dancer", "a painter", "a teacher", "a firefighter", "a gardener", "a musician",
        "a postman", "a baker", "a knight", "a detective", "an astronaut", "a fisherman",
    ),
    "creatures": (
        "a robot", "a dragon", "a ghost", "a fairy", "a wizard", "a troll", "an alien", "a snowman", "a gnome", "a monster",
        "a unicorn", "a goblin", "a giant", "a yeti", "a scarecrow", "an elf", "a witch", "a pirate", "a griffin", "a centaur",
        "a vampire", "a mummy", "a cyborg", "a clown",
    ),
    "objects": (
        "a teapot", "a toy car", "a backpack", "a lamp", "a clock", "a vase", "a boot", "a guitar", "a camera", "a suitcase",
        "an umbrella", "a bicycle", "a chair", "a candle", "a globe", "a radio", "a telescope", "a sailing boat", "a lantern",
        "a hat", "a typewriter", "a watering can", "a skateboard", "a treasure chest",
    ),
}  # fmt: skip
"""Domain to the subjects of its stories."""
_ALIVE = (
    "standing on tiptoe", "sitting down", "running", "jumping", "lying on the back", "looking up", "sleeping",
    "turning around", "climbing", "leaning forward", "stretching", "crouching",
)  # fmt: skip
_THINGS = (
    "standing upright", "lying on its side", "seen from behind", "hanging from a rope", "turned upside down", "floating",
    "leaning against a wall", "half buried", "seen from above", "tied with a ribbon", "spinning", "falling",
)  # fmt: skip
ACTIONS: Mapping[str, tuple[str, ...]] = {d: _THINGS if d == "objects" else _ALIVE for d in SUBJECTS}
PLACES = (
    "on a beach", "in a snowy forest", "in a kitchen", "on a city street at night", "in a meadow of flowers", "in a library",
    "on a mountain top", "by a lake at sunset", "in a desert", "on a rooftop", "in an attic", "under a waterfall",
    "in a market square", "on a wooden bridge", "in a greenhouse", "at a train station", "in an empty theatre", "in a cave",
    "on a frozen river", "in a wheat field",
)  # fmt: skip


def stories() -> dict[str, list[dict[str, Any]]]:
    """Domain to its stories, each with `subject`, `style` (empty for none) and `settings`: the form of the prompt file."""
    number = 0
    told: dict[str, list[dict[str, Any]]] = {}
    for domain, subjects in SUBJECTS.items():
        told[domain] = []
        for index, subject in enumerate(subjects):
            number += 1
            styled = number % STYLED_EVERY == 0
            style = STYLES[number // STYLED_EVERY % len(STYLES)] if styled else ""
            told[domain].append({"subject": subject, "style": style, "settings": list(_settings(domain, index))})
    return told


def _settings(domain: str, index: int) -> Iterator[str]:
    """Steps that share no factor with the lengths of the lists, so that nothing comes twice in a story."""
    actions, turn = ACTIONS[domain], [*SUBJECTS].index(domain)
    for picture in range(PICTURES):
        action = actions[(index + index // len(actions) + 5 * picture) % len(actions)]
        yield f"{action} {PLACES[(index + 5 * turn + 7 * picture) % len(PLACES)]}"
