"""Captions and prompts: short English from a closed grammar over a closed vocabulary.

    caption  = [style "of"] subject action where
    subject  = "a" word | "a" colour [pattern] word [wearing]        (the second form only with `detailed=True`)
    several  = subject "and" subject ["and" subject]
    where    = place phrase | twist phrase
    style    = "a photo" | "a pencil sketch" | ...

`words()` lists every word, which is what a word-level tokenizer needs.
"""

from __future__ import annotations

from collections.abc import Mapping

from evalkit.sandbox.world.types import Identity, Scene
from evalkit.sandbox.world.vocabulary import ACCESSORIES, CATEGORIES, PALETTES, PATTERNS, PLANS, STYLE_PLANS, actions_of

PLACE_PHRASES: Mapping[str, str] = {
    "studio": "in a studio", "beach": "on the beach", "snow": "in the snow", "forest": "in the forest",
    "street": "on a city street", "desert": "in the desert", "kitchen": "in the kitchen", "bedroom": "in the bedroom",
    "mountain": "in the mountains", "meadow": "in a flower meadow", "lake": "by a lake", "night": "under the night sky",
}  # fmt: skip
TWIST_PHRASES: Mapping[str, str] = {
    "space": "in outer space", "giant": "as a giant above a tiny city", "underwater": "deep under water",
    "moon": "upside down on the moon", "clouds": "high above the clouds", "candy": "in a candy land",
}  # fmt: skip
STYLE_PHRASES: Mapping[str, str] = {
    "photo": "a photo of", "sketch": "a pencil sketch of", "watercolour": "a watercolour painting of",
    "comic": "a comic drawing of",
    "pixel": "a pixel art picture of", "mosaic": "a mosaic of", "oil": "an oil painting of", "linocut": "a linocut print of",
    "pop": "a pop art print of",
}  # fmt: skip
STYLE_SUBJECTS: Mapping[str, str] = {
    "sketch": "pencil sketch style", "watercolour": "watercolour painting style", "comic": "comic drawing style",
    "pixel": "pixel art style", "mosaic": "mosaic style", "oil": "oil painting style", "linocut": "linocut print style",
    "pop": "pop art style",
}  # fmt: skip
_WORN = {
    "hat": "with a hat",
    "scarf": "with a scarf",
    "glasses": "with glasses",
    "bow": "with a bow",
    "star": "with a star",
}
_LIGHT_WORDS = {"day": "", "sunset": "at sunset", "dusk": "at dusk"}


def article(words: str) -> str:
    """`words` with "a" or "an"."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def subject_words(identity: Identity) -> str:
    """The class word of a subject, as line 0 of a DreamBench++ caption file has it."""
    return STYLE_SUBJECTS[identity.plan] if identity.category == "style" else identity.plan


def describe(identity: Identity) -> str:
    """The subject with what the picture alone tells otherwise: colour, pattern, accessory."""
    pattern = "" if identity.pattern == "plain" else f" {identity.pattern}"
    worn = "" if identity.accessory == "none" else f" {_WORN[identity.accessory]}"
    if identity.category == "human":
        return f"{article(identity.plan)} in {identity.palette}{pattern} clothes{worn}"
    return f"{article(f'{identity.palette}{pattern} {identity.plan}')}{worn}"


def prompt_for(
    words: str, *, action: str = "standing", place: str = "studio", style: str = "photo", twist: str = "none"
) -> str:
    """The prompt for a subject word in a situation, style named first and left out for a photo.

    >>> prompt_for("cat", action="running", place="beach")
    'a cat running on the beach'
    >>> prompt_for("owl clock", action="standing", place="snow", style="oil")
    'an oil painting of an owl clock standing in the snow'
    """
    where = PLACE_PHRASES[place] if twist == "none" else TWIST_PHRASES[twist]
    lead = "" if style == "photo" else f"{STYLE_PHRASES[style]} "
    return f"{lead}{article(words)} {action} {where}"


def style_prompt(words: str, style: str, *, action: str, place: str, twist: str = "none") -> str:
    """The prompt for a style subject: the content, then the style whose reference is given."""
    return f"{prompt_for(words, action=action, place=place, twist=twist)} in {STYLE_SUBJECTS[style]}"


def caption(scene: Scene, *, detailed: bool = False, light: bool = False) -> str:
    """The English of a scene. `detailed` names colours, patterns and accessories; `light` names sunset and dusk."""
    named = [describe(i) if detailed else article(i.plan) for i in scene.identities]
    subjects = " and ".join(f"{name} {pose.action}" for name, pose in zip(named, scene.poses, strict=True))
    where = PLACE_PHRASES[scene.place] if scene.twist == "none" else TWIST_PHRASES[scene.twist]
    hour = _LIGHT_WORDS[scene.light] if light else ""
    return " ".join(part for part in (STYLE_PHRASES[scene.drawn_style], subjects, where, hour) if part)


def words() -> tuple[str, ...]:
    """Every word that a caption or a prompt can hold, sorted."""
    plans = [plan for category in CATEGORIES for plan in PLANS[category]]
    actions = [action for plan in plans if plan not in STYLE_PLANS for action in actions_of(plan)]
    phrases = [*PLACE_PHRASES.values(), *TWIST_PHRASES.values(), *STYLE_PHRASES.values(), *STYLE_SUBJECTS.values(), *_WORN.values(),
               *_LIGHT_WORDS.values(), *PALETTES, *PATTERNS, *ACCESSORIES["animal"], *plans, *actions,
               "a an and clothes in of the picture scene image style"]  # fmt: skip
    return tuple(sorted({word for phrase in phrases for word in phrase.split()}))
