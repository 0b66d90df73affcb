"""The closed vocabulary of the world: every name that an identity, a scene or a caption may use."""

from __future__ import annotations

from collections.abc import Mapping

CATEGORIES = ("animal", "human", "object", "style")

QUADRUPEDS = ("cat", "dog", "rabbit", "bear", "elephant", "pig")
BIRDS = ("bird", "penguin")
HUMANS = ("man", "woman", "boy", "girl")
OBJECTS = (
    "teapot", "car", "lamp", "mug", "rocket", "backpack", "boot", "clock", "robot", "vase", "camera", "boat",
)  # fmt: skip
STYLE_PLANS = ("sketch", "watercolour", "comic", "pixel", "mosaic", "oil", "linocut", "pop")

PLANS: Mapping[str, tuple[str, ...]] = {
    "animal": (*QUADRUPEDS, *BIRDS, "turtle", "fish"),
    "human": HUMANS,
    "object": OBJECTS,
    "style": STYLE_PLANS,
}

#: main and second colour of each palette, RGB in 0..255
PALETTES: Mapping[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "red": ((214, 62, 56), (250, 214, 190)),
    "orange": ((238, 140, 52), (255, 232, 196)),
    "yellow": ((244, 200, 66), (255, 246, 214)),
    "green": ((96, 168, 84), (222, 240, 190)),
    "teal": ((52, 160, 160), (206, 242, 232)),
    "blue": ((72, 118, 206), (206, 226, 250)),
    "purple": ((140, 92, 190), (232, 214, 250)),
    "pink": ((240, 142, 170), (255, 230, 234)),
    "brown": ((146, 98, 62), (236, 210, 176)),
    "grey": ((138, 144, 152), (230, 234, 236)),
    "black": ((62, 60, 68), (190, 188, 194)),
    "white": ((244, 240, 232), (196, 170, 150)),
}

PATTERNS = ("plain", "striped", "spotted", "checked", "patched")
ACCESSORIES: Mapping[str, tuple[str, ...]] = {
    "animal": ("none", "hat", "scarf", "glasses", "bow"),
    "human": ("none", "hat", "scarf", "glasses", "bow"),
    "object": ("none", "hat", "scarf", "star", "bow"),
    "style": ("none",),
}
HAIR_STYLES = ("short", "long", "bun", "curly", "spiky")

_QUADRUPED = ("standing", "sitting", "running", "jumping", "lying", "waving", "looking up")
_BIRD = ("standing", "sitting", "flying", "jumping", "waving", "looking up")
_FISH = ("standing", "swimming", "jumping", "diving")
_TURTLE = ("standing", "walking", "lying", "waving", "looking up")
_HUMAN = ("standing", "sitting", "running", "jumping", "lying", "waving", "dancing", "looking up")
_OBJECT = ("standing", "tilted", "lying", "spinning")

PLACES = (
    "studio", "beach", "snow", "forest", "street", "desert", "kitchen", "bedroom", "mountain", "meadow", "lake", "night",
)  # fmt: skip
LIGHTS = ("day", "sunset", "dusk")
STYLES = ("photo", *STYLE_PLANS)
TWISTS = ("none", "space", "giant", "underwater", "moon", "clouds", "candy")


def actions_of(plan: str) -> tuple[str, ...]:
    """The actions a body plan can take; "standing" always comes first."""
    if plan in QUADRUPEDS:
        return _QUADRUPED
    if plan in BIRDS:
        return _BIRD
    if plan in HUMANS:
        return _HUMAN
    return {"fish": _FISH, "turtle": _TURTLE}.get(plan, _OBJECT)
