"""Seeded identities and scenes, the rule that holds identities out, and controlled drift between identities."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np

from evalkit.errors import UsageError
from evalkit.sandbox.world.types import PROPORTIONS, RGB, Identity, Pose, Scene, View
from evalkit.sandbox.world.vocabulary import (
    ACCESSORIES,
    CATEGORIES,
    HAIR_STYLES,
    PALETTES,
    PATTERNS,
    PLACES,
    PLANS,
    STYLE_PLANS,
    actions_of,
)

SPLITS = ("train", "bench")
HELD_OUT_EVERY = 5
_SKIN = ((0.97, 0.84, 0.74), (0.92, 0.73, 0.58), (0.78, 0.56, 0.4), (0.58, 0.38, 0.26), (0.4, 0.26, 0.19))
_HAIR = ((0.13, 0.1, 0.1), (0.36, 0.22, 0.13), (0.9, 0.74, 0.42), (0.72, 0.32, 0.16), (0.66, 0.66, 0.68))


def split_of(identity: Identity) -> str:
    """ "bench" for one discrete combination in five, "train" for the others.

    With each attribute numbered in vocabulary order, a combination is held out when
    (plan + 2 palette + pattern + 3 accessory) mod 5 = 0. Continuous attributes play no part, so that no identity of the benchmark
    shares its combination with any training identity.
    """
    plan, palette, pattern, accessory = identity.combination
    number = (
        PLANS[identity.category].index(plan) + 2 * tuple(PALETTES).index(palette) + PATTERNS.index(pattern)
        + 3 * ACCESSORIES[identity.category].index(accessory)
    )  # fmt: skip
    return "bench" if number % HELD_OUT_EVERY == 0 else "train"


def _colour(base: tuple[int, int, int], rng: np.random.Generator) -> RGB:
    """A palette colour with a little variation in hue, saturation and value."""
    h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in base))
    dh, ds, dv = rng.uniform((-0.02, -0.08, -0.06), (0.02, 0.08, 0.06)).tolist()
    return colorsys.hsv_to_rgb((h + dh) % 1, min(max(s + (ds if s > 0.1 else 0), 0), 1), min(max(v + dv, 0), 1))


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _draw(category: str, plan: str, rng: np.random.Generator) -> Identity:
    palette = _pick(tuple(PALETTES), rng)
    accent = _pick(tuple(p for p in PALETTES if p not in (palette, "black", "white", "grey", "brown")), rng)
    main, second = (_colour(c, rng) for c in PALETTES[palette])
    return Identity(
        category=category, plan=plan, palette=palette, pattern=_pick(PATTERNS, rng), accessory=_pick(ACCESSORIES[category], rng),
        main=main, second=second, accent=_colour(PALETTES[accent][0], rng),
        skin=_colour(tuple(int(255 * c) for c in _SKIN[int(rng.integers(5))]), rng),  # type: ignore[arg-type]
        hair=_colour(tuple(int(255 * c) for c in _HAIR[int(rng.integers(5))]), rng),  # type: ignore[arg-type]
        hair_style=_pick(HAIR_STYLES, rng),
        proportions=tuple(rng.uniform(-1, 1, PROPORTIONS).tolist()),
        pattern_scale=float(rng.uniform(0.75, 1.35)), pattern_phase=float(rng.uniform(0, 3)),
    )  # fmt: skip


def sample_identity(category: str, index: int, *, split: str) -> Identity:
    """Identity number `index` of a category and split: the plans take turns, the rest is drawn from (category, index, split).

    Raises:
        UsageError: unknown category or split.
    """
    if category not in CATEGORIES or split not in SPLITS:
        raise UsageError(
            f"wanted a category of {CATEGORIES} and a split of {SPLITS}; found {category!r}, {split!r}; use those names"
        )
    plan = PLANS[category][index % len(PLANS[category])]
    rng = np.random.default_rng([CATEGORIES.index(category), index, SPLITS.index(split)])
    while True:
        identity = _draw(category, plan, rng)
        if split_of(identity) == split:
            return identity


def sample_view(rng: np.random.Generator, *, back: bool = True) -> View:
    """Mostly front and three-quarter views, some from the side and, unless told, a few from behind."""
    centre = float(rng.choice([0, 35, 90, 180], p=[0.36, 0.36, 0.2, 0.08] if back else [0.42, 0.42, 0.16, 0.0]))
    side = float(rng.choice([-1.0, 1.0]))
    return View(side * (centre + float(rng.normal(0, 8))), float(rng.uniform(6, 24)))


def sample_pose(plan: str, rng: np.random.Generator) -> Pose:
    """Any action of the plan, with jitter."""
    return Pose(_pick(actions_of(plan), rng), 1.0, int(rng.integers(1, 2**31)))


def sample_scene(
    identity: Identity, *, rng: np.random.Generator, others: tuple[Identity, ...] = (), content: Identity | None = None,
    place: str | None = None, style: str | None = None, twist: str | None = None,
) -> Scene:  # fmt: skip
    """A random picture of `identity` (and `others` beside it). What is not given is drawn.

    A style identity needs `content`, the subject that the picture shows.

    Raises:
        UsageError: a style without content.
    """
    shown = (identity, *others)
    if identity.category == "style":
        if content is None:
            raise UsageError("a style picture shows something; found no content; pass content=<identity>")
        shown = (content, *others)
    draws = rng.uniform(size=2)
    drawn_style = style if style is not None else ("photo" if draws[0] < 0.62 else _pick(STYLE_PLANS, rng))
    drawn_twist = twist
    if drawn_twist is None:
        drawn_twist = (
            "none"
            if draws[1] < 0.86 or place is not None
            else _pick(("space", "giant", "underwater", "moon", "clouds", "candy"), rng)
        )
    return Scene(
        identities=shown, poses=tuple(sample_pose(i.plan, rng) for i in shown), view=sample_view(rng),
        scale=float(rng.uniform(0.82, 1.14)), position=(float(rng.uniform(-0.22, 0.22)), float(rng.uniform(-0.06, 0.16))),
        place=place if place is not None else _pick(PLACES, rng),
        light=str(rng.choice(["day", "sunset", "dusk"], p=[0.7, 0.18, 0.12])),
        style="photo" if identity.category == "style" else drawn_style, twist=drawn_twist, place_seed=int(rng.integers(16)),
        style_identity=identity if identity.category == "style" else None,
    )  # fmt: skip


def reference_scene(identity: Identity, *, content: Identity | None = None) -> Scene:
    """The reference picture: the subject alone, front-ish, in the studio (a style: its content in a meadow)."""
    if identity.category == "style":
        if content is None:
            raise UsageError("a style's reference shows something; found no content; pass content=<identity>")
        return Scene((content,), (Pose(),), View(24.0, 14.0), place="meadow", place_seed=3, style_identity=identity)
    seed = sum(map(ord, identity.plan + identity.palette)) % 16
    return Scene(
        (identity,), (Pose(),), View(0.0 if identity.category == "human" else 24.0, 14.0), scale=1.06, place_seed=seed
    )


def _towards(a: tuple[float, ...], b: tuple[float, ...], t: float) -> tuple[float, ...]:
    return tuple(float((1 - t) * x + t * y) for x, y in zip(a, b, strict=True))


def drift_target(identity: Identity, *, rng: np.random.Generator) -> Identity:
    """Another identity of the same category and plan, with another palette."""
    while True:
        other = _draw(identity.category, identity.plan, rng)
        if other.palette != identity.palette:
            return other


def drift(identity: Identity, amount: float, *, rng: np.random.Generator) -> Identity:
    """`identity` moved continuously towards another of its plan: 0 is itself, 1 the other; `rng` chooses the other.

    Colours, proportions and sizes move linearly. A pattern, accessory or hair style that differs fades out until one half and
    the other's fades in from there.

    Raises:
        UsageError: amount outside [0, 1].
    """
    if not 0 <= amount <= 1:
        raise UsageError(f"drift needs an amount in [0, 1]; found {amount!r}; clip it")
    other = drift_target(identity, rng=rng)
    if amount == 0:
        return identity
    near = identity if amount < 0.5 else other
    fade = abs(1 - 2 * amount)
    values = {
        f: _towards(getattr(identity, f), getattr(other, f), amount)
        for f in ("main", "second", "accent", "skin", "hair", "proportions")
    }
    sizes = {
        f: _towards((getattr(identity, f),), (getattr(other, f),), amount)[0]
        for f in ("pattern_scale", "pattern_phase")
    }
    return replace(
        near, **values, **sizes,  # type: ignore[arg-type]
        pattern_strength=near.pattern_strength * (fade if identity.pattern != other.pattern else 1.0),
        accessory_size=near.accessory_size * (fade if identity.accessory != other.accessory else 1.0),
        hair_size=near.hair_size * (0.55 + 0.45 * fade if identity.hair_style != other.hair_style else 1.0),
    )  # fmt: skip
