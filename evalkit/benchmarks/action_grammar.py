"""The grammar of evalkit's own action prompts: 500 of DreamBench's subjects, by the criteria that Consis-GCPO states.

    prompt = shot "of" who "that" move "and then" move ", while" surroundings "; the camera" camera "."
    who    = "a" class | "a" class "and a" class
    move   = for one, in the singular; for two alike, in the plural; a live subject with a thing does something to it

300 prompts of single subjects, ten each, and 200 of twenty pairs, ten each. What things do is what can happen to them, and
what live subjects do is what animals can do, so that a prompt goes with the class of its reference.

Source of the criteria: Consis-GCPO, appendix A.1.2, for its training prompts: at least one dynamic verb, 20 to 50 words,
consistent with the class of the reference. Its 500 test prompts are not public; these are not them, and numbers on one are
not to be compared with numbers on the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evalkit.benchmarks.dreambench_facts import DreamBenchFacts

PROMPTS = 10
"""Of each subject and each pair."""
PAIRS = {"object_object": 7, "live_live": 7, "live_object": 6}
"""How many pairs of each kind, from the front of DreamBench's list."""


class Move(NamedTuple):
    """Something done, by one and by two."""

    one: str
    two: str


LIVE = (
    Move("runs along a beach at low tide", "run along a beach at low tide"),
    Move("trots across a snowy field", "trot across a snowy field"),
    Move("climbs over a fallen tree in a forest", "climb over a fallen tree in a forest"),
    Move("walks through a crowded market", "walk through a crowded market"),
    Move("dashes down a cobblestone street", "dash down a cobblestone street"),
    Move("jumps onto a wooden bench in a park", "jump onto a wooden bench in a park"),
    Move("crawls under a table in a bright kitchen", "crawl under a table in a bright kitchen"),
    Move("wades into a shallow stream", "wade into a shallow stream"),
    Move("chases falling leaves across a lawn", "chase falling leaves across a lawn"),
    Move("hops up the stone steps of a garden", "hop up the stone steps of a garden"),
)
LIVE_AFTER = (
    Move("turns its head toward the viewer", "turn their heads toward the viewer"),
    Move("shakes itself dry", "shake themselves dry"),
    Move("leaps high into the air", "leap high into the air"),
    Move("rolls over on its back", "roll over on their backs"),
    Move("spins around twice", "spin around twice"),
    Move("stretches and lies down", "stretch and lie down"),
    Move("runs back the same way", "run back the same way"),
)
THINGS = (
    Move("slides across a polished wooden table", "slide across a polished wooden table"),
    Move("rolls down a grassy slope", "roll down a grassy slope"),
    Move("spins slowly on a turntable in a dark studio", "spin slowly on a turntable in a dark studio"),
    Move("floats down a quiet stream", "float down a quiet stream"),
    Move("drops into a pool of clear water", "drop into a pool of clear water"),
    Move("swings from a rope above a sunlit courtyard", "swing from a rope above a sunlit courtyard"),
    Move("tumbles down a flight of stone steps", "tumble down a flight of stone steps"),
    Move("bounces along a cobblestone street", "bounce along a cobblestone street"),
    Move("drifts through the air above a wheat field", "drift through the air above a wheat field"),
    Move("glides over a frozen lake", "glide over a frozen lake"),
)
THINGS_AFTER = (
    Move("tips over on its side", "tip over on their sides"),
    Move("comes to rest against a wall", "come to rest against a wall"),
    Move("turns once around itself", "turn once around themselves"),
    Move("wobbles and settles", "wobble and settle"),
    Move("rises a little and sinks again", "rise a little and sink again"),
    Move("bumps into a pile of books", "bump into a pile of books"),
    Move("rocks back and forth", "rock back and forth"),
)
WITH_A_THING = (
    "circles {} in a sunny garden", "pushes {} across a wooden floor", "jumps over {} on a wide beach",
    "runs toward {} through fresh snow", "pulls {} along a garden path", "walks around {} in a bright kitchen",
    "nudges {} down a grassy slope", "chases {} along a city pavement", "crawls behind {} on a thick carpet",
    "rolls {} over the stones of a courtyard",
)  # fmt: skip
WITH_A_THING_AFTER = (
    "knocks it over", "lies down beside it", "turns away and runs off", "leaps back from it", "sits up and looks at it",
    "touches it with one paw", "spins around it once more",
)  # fmt: skip
SURROUNDINGS = (
    "clouds pass overhead and the light slowly changes", "dust glitters in the low evening sun", "a few leaves blow past",
    "soft rain begins to fall", "birds fly up in the distance", "shadows move slowly across the scene",
    "a light breeze stirs everything around", "the sun comes out from behind a cloud", "mist slowly clears in the background",
)  # fmt: skip
CAMERAS = (
    "follows from the side", "slowly zooms in", "circles around once", "pans to the right", "tilts up from below",
    "pulls back to show the whole place", "stays low above the ground", "tracks backward in front",
)  # fmt: skip
SHOTS = ("A wide shot", "A medium shot", "A close shot", "A low-angle shot", "A cinematic shot")
_WORDS = {"glasses": "pair of glasses"}


def action_prompts(facts: DreamBenchFacts) -> list[dict[str, Any]]:
    """Each prompt with its `subjects`, single subjects first: the form of the prompt file."""
    shown = [(subject,) for subject in facts.classes]
    by_kind = {
        kind: [pair for pair in facts.pairs if facts.pair_kind(*pair) == kind][:count] for kind, count in PAIRS.items()
    }
    return [
        {"subjects": list(subjects), "prompt": prompt}
        for number, subjects in enumerate([*shown, *(pair for pairs in by_kind.values() for pair in pairs)])
        for prompt in _prompts(facts, subjects, number)
    ]


def _prompts(facts: DreamBenchFacts, subjects: Sequence[str], number: int) -> Iterator[str]:
    """Ten of one subject or pair; lists are gone through at steps that share no factor with their lengths."""
    for index in range(PROMPTS):
        first, after = _moves(facts, subjects, index, number)
        shot, around = SHOTS[(index + number) % len(SHOTS)], SURROUNDINGS[(2 * index + number) % len(SURROUNDINGS)]
        camera = CAMERAS[(3 * index + number) % len(CAMERAS)]
        yield f"{shot} of {_who(facts, subjects)} that {first} and then {after}, while {around}; the camera {camera}."


def _moves(facts: DreamBenchFacts, subjects: Sequence[str], index: int, number: int) -> tuple[str, str]:
    kinds = {facts.kind(subject) for subject in subjects}
    turn = 3 * index + number
    if len(kinds) == 2:
        thing = _named(facts, subjects[1])
        return WITH_A_THING[index].format(thing), WITH_A_THING_AFTER[turn % len(WITH_A_THING_AFTER)]
    moves, after = (LIVE, LIVE_AFTER) if kinds == {"live"} else (THINGS, THINGS_AFTER)
    form = 0 if len(subjects) == 1 else 1
    return moves[index][form], after[turn % len(after)][form]


def _who(facts: DreamBenchFacts, subjects: Sequence[str]) -> str:
    """A live subject with a thing is named alone, since the move names the thing."""
    first, *others = subjects
    if not others or facts.kind(first) != facts.kind(others[0]):
        return _named(facts, first)
    alike = facts.classes[first] == facts.classes[others[0]]
    second = _named(facts, others[0])
    return f"{_named(facts, first)} and {second.replace('a ', 'another ', 1) if alike else second}"


def _named(facts: DreamBenchFacts, subject: str) -> str:
    word = facts.classes[subject]
    return f"a {_WORDS.get(word, word)}"
