"""From an identity and a pose to painted solids standing on the ground of subject space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from evalkit.sandbox.world.accessories import Anchors, wear
from evalkit.sandbox.world.animals import bird, fish, quadruped, turtle
from evalkit.sandbox.world.humans import human
from evalkit.sandbox.world.objects import thing
from evalkit.sandbox.world.poses import resolve
from evalkit.sandbox.world.rig import Rig
from evalkit.sandbox.world.solids import F64, Solids
from evalkit.sandbox.world.types import Identity, Pose
from evalkit.sandbox.world.vocabulary import BIRDS, PLANS, QUADRUPEDS

#: an action lifts a subject no further than this height of its highest point
HEADROOM = 2.5


@dataclass(frozen=True)
class Body:
    """A posed subject: its solids, the paint of each, and the half sizes [P, 3] of each part before any view."""

    solids: Solids
    paints: tuple[str, ...]
    radii: F64


def _build(rig: Rig, identity: Identity) -> Anchors:
    plan, p = identity.plan, identity.proportions
    if identity.category == "human":
        return human(rig, plan, identity.hair_style, identity.hair_size, p)
    if identity.category == "object":
        return thing(rig, plan, p)
    if plan in QUADRUPEDS:
        return quadruped(rig, plan, p)
    if plan in BIRDS:
        return bird(rig, plan, p)
    return turtle(rig, p) if plan == "turtle" else fish(rig, p)


@lru_cache(maxsize=64)
def _fit(plan: str) -> float:
    """Factor (at most 1.25) that makes a bare plan of middle proportions 2.05 units high or 2.3 wide."""
    category = next(c for c, plans in PLANS.items() if plan in plans)
    grey = (0.5, 0.5, 0.5)
    rig = Rig()
    _build(rig, Identity(category, plan, "grey", "plain", "none", grey, grey, grey))
    solids = rig.solids()
    half = solids.half_extents()
    low, high = (solids.centre - half).min(axis=0), (solids.centre + half).max(axis=0)
    return float(min(2.05 / (high[1] - low[1]), 2.3 / max(high[0] - low[0], 0.9 * (high[2] - low[2])), 1.25))


def assemble(identity: Identity, pose: Pose) -> Body:
    """The posed subject, facing +z and centred over the origin, on the ground or lifted by the action.

    Not for the category "style", which has no body.
    """
    action = resolve(identity.plan, pose)
    rig = Rig(action.bend)
    anchors = _build(rig, identity)
    wear(rig, identity.accessory, anchors, identity.accessory_size)
    solids = rig.solids().moved(np.eye(3) * _fit(identity.plan), np.zeros(3))
    half = solids.half_extents()
    low, high = (solids.centre - half).min(axis=0), (solids.centre + half).max(axis=0)
    middle = (low + high) / 2
    lift = min(action.lift, max(HEADROOM - float(high[1]), 0.0))
    solids = solids.moved(np.eye(3), np.array([-middle[0], lift, -middle[2]]))
    return Body(solids, tuple(rig.paints), np.sqrt((solids.matrix**2).sum(axis=1)))
