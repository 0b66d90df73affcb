"""What a picture of the embedded world is made of: identities, poses, views and scenes, as plain frozen data.

Every object round-trips through `to_json` / `from_json`; an unknown or missing key is an error, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from evalkit.errors import DataError
from evalkit.sandbox.world.vocabulary import (
    ACCESSORIES,
    CATEGORIES,
    HAIR_STYLES,
    LIGHTS,
    PALETTES,
    PATTERNS,
    PLACES,
    PLANS,
    STYLES,
    TWISTS,
    actions_of,
)

WORLD_VERSION = "1.0.0"

RGB = tuple[float, float, float]
PROPORTIONS = 6
MAX_SUBJECTS = 3

VIEWS: Mapping[str, float] = {"front": 0.0, "three-quarter": 35.0, "side": 90.0, "back": 180.0}


def _among(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise DataError(
            f"{what} must be one of {', '.join(allowed)}; found {value!r}; use a name of the world's vocabulary"
        )


def _checked(cls: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` as keyword arguments of the dataclass `cls`.

    Raises:
        DataError: a key that `cls` does not have, or one without default that is missing.
    """
    names = {f.name: f for f in fields(cls)}
    unknown = sorted(set(data) - set(names))
    if unknown:
        raise DataError(
            f"{cls.__name__} has no key {unknown[0]!r}; its keys are {', '.join(names)}; remove or rename it"
        )
    missing = [n for n, f in names.items() if f.default is MISSING and n not in data]
    if missing:
        raise DataError(f"{cls.__name__} needs the key {missing[0]!r}; found {sorted(data)!r}; add it")
    return {k: _tuples(v) for k, v in data.items()}


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value


def _lists(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_lists(v) for v in value]
    return value.to_json() if hasattr(value, "to_json") else value


class _Json:
    """`to_json` for flat frozen dataclasses."""

    def to_json(self) -> dict[str, Any]:
        """Plain lists, strings and numbers, keys in field order."""
        return {f.name: _lists(getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True)
class Identity(_Json):
    """Who the subject is: everything that must survive a change of pose, view, place and style.

    The discrete combination (plan, palette, pattern, accessory) decides the split (`sampling.split_of`). Colours are RGB in
    [0, 1]; `proportions` are six numbers in [-1, 1] whose meaning depends on the plan (fatness, limb length, head size, feature
    size, tail or snout length, eye size). `pattern_strength`, `accessory_size` and `hair_size` in [0, 1] fade their part in and
    out, so that every attribute can drift continuously. `skin`, `hair` and `hair_style` show on humans only. For the category
    "style" the plan names the drawing style, the colours tint it, and `pattern_scale` is the size of its stroke.
    """

    category: str
    plan: str
    palette: str
    pattern: str
    accessory: str
    main: RGB
    second: RGB
    accent: RGB
    skin: RGB = (0.9, 0.72, 0.6)
    hair: RGB = (0.25, 0.16, 0.1)
    hair_style: str = "short"
    hair_size: float = 1.0
    proportions: tuple[float, ...] = (0.0,) * PROPORTIONS
    pattern_scale: float = 1.0
    pattern_phase: float = 0.0
    pattern_strength: float = 1.0
    accessory_size: float = 1.0

    def __post_init__(self) -> None:
        _among("Identity.category", self.category, CATEGORIES)
        _among(f"Identity.plan of category {self.category!r}", self.plan, PLANS[self.category])
        _among("Identity.palette", self.palette, tuple(PALETTES))
        _among("Identity.pattern", self.pattern, PATTERNS)
        _among("Identity.accessory", self.accessory, ACCESSORIES[self.category])
        _among("Identity.hair_style", self.hair_style, HAIR_STYLES)
        if len(self.proportions) != PROPORTIONS:
            raise DataError(
                f"Identity.proportions must be {PROPORTIONS} numbers; found {self.proportions!r}; give {PROPORTIONS}"
            )

    @property
    def combination(self) -> tuple[str, str, str, str]:
        """The discrete combination that the split rule reads."""
        return self.plan, self.palette, self.pattern, self.accessory

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Identity:
        """Inverse of `to_json`. Raises DataError on unknown or missing keys."""
        return cls(**_checked(cls, data))


@dataclass(frozen=True)
class Pose(_Json):
    """A named action; `strength` in [0, 1] moves from standing to it; `jitter` seeds small joint noise (0: none)."""

    action: str = "standing"
    strength: float = 1.0
    jitter: int = 0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pose:
        """Inverse of `to_json`. Raises DataError on unknown or missing keys."""
        return cls(**_checked(cls, data))


@dataclass(frozen=True)
class View(_Json):
    """Camera direction in degrees: azimuth 0 sees the front, 90 the side, 180 the back; elevation looks down from above."""

    azimuth: float = 0.0
    elevation: float = 14.0

    @property
    def name(self) -> str:
        """The nearest named view, left and right taken as one."""
        turn = abs((self.azimuth + 180.0) % 360.0 - 180.0)
        return min(VIEWS, key=lambda n: abs(VIEWS[n] - turn))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> View:
        """Inverse of `to_json`. Raises DataError on unknown or missing keys."""
        return cls(**_checked(cls, data))


@dataclass(frozen=True)
class Scene(_Json):
    """One picture: 1 to 3 posed subjects seen from a view in a place, drawn in a style, perhaps with an imaginative twist.

    `position` shifts the subjects in picture units (the picture is 3.2 wide and high, y up); several subjects stand side by
    side, left to right in the order given. `place_seed` varies the backdrop's details. `style_identity` (category "style")
    overrides `style`. A `twist` other than "none" overrides `place`.
    """

    identities: tuple[Identity, ...]
    poses: tuple[Pose, ...]
    view: View = View()
    scale: float = 1.0
    position: tuple[float, float] = (0.0, 0.0)
    place: str = "studio"
    light: str = "day"
    style: str = "photo"
    twist: str = "none"
    place_seed: int = 0
    style_identity: Identity | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.identities) <= MAX_SUBJECTS:
            raise DataError(
                f"a Scene holds 1 to {MAX_SUBJECTS} identities; found {len(self.identities)}; leave some out"
            )
        if len(self.poses) != len(self.identities):
            raise DataError(
                f"a Scene needs one pose an identity; found {len(self.poses)} for {len(self.identities)}; match them"
            )
        for identity, pose in zip(self.identities, self.poses, strict=True):
            if identity.category == "style":
                raise DataError("a style cannot stand in a Scene; found it among identities; give it as style_identity")
            _among(f"Pose.action of a {identity.plan}", pose.action, actions_of(identity.plan))
        if self.style_identity is not None and self.style_identity.category != "style":
            raise DataError(
                f"style_identity must be of category 'style'; found {self.style_identity.category!r}; pass a style"
            )
        _among("Scene.place", self.place, PLACES)
        _among("Scene.light", self.light, LIGHTS)
        _among("Scene.style", self.style, STYLES)
        _among("Scene.twist", self.twist, TWISTS)
        if self.scale <= 0:
            raise DataError(f"Scene.scale must be positive; found {self.scale!r}; give a factor such as 1.0")

    @property
    def drawn_style(self) -> str:
        """The style the picture is drawn in."""
        return self.style if self.style_identity is None else self.style_identity.plan

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scene:
        """Inverse of `to_json`. Raises DataError on unknown or missing keys, at any level."""
        values = _checked(
            cls, {k: v for k, v in data.items() if k not in _NESTED} | {k: () for k in _NESTED if k in data}
        )
        if "identities" in data:
            values["identities"] = tuple(Identity.from_json(i) for i in data["identities"])
        if "poses" in data:
            values["poses"] = tuple(Pose.from_json(p) for p in data["poses"])
        if "view" in data:
            values["view"] = View.from_json(data["view"])
        if "style_identity" in data:
            nested = data["style_identity"]
            values["style_identity"] = None if nested is None else Identity.from_json(nested)
        return cls(**values)


_NESTED = ("identities", "poses", "view", "style_identity")
