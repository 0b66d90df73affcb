"""Named actions as continuous joint parameters, and seeded jitter around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evalkit.sandbox.world.rig import Vec3
from evalkit.sandbox.world.types import Pose
from evalkit.sandbox.world.vocabulary import BIRDS, HUMANS, OBJECTS, QUADRUPEDS

JITTER_DEGREES = 7.0


@dataclass(frozen=True)
class Action:
    """Extra Euler angles in degrees by joint, and the height of the lowest point above the ground."""

    bend: Mapping[str, Vec3]
    lift: float = 0.0


_QUADRUPED = {
    "standing": Action({}),
    "sitting": Action({"root": (-42, 0, 0), "head": (38, 0, 0), "fl": (38, 0, 0), "fr": (38, 0, 0), "bl": (-38, 0, 0),
                       "br": (-38, 0, 0), "tail": (40, 0, 0)}),
    "running": Action({"root": (-6, 0, 0), "fl": (-62, 0, 0), "fr": (-38, 0, 0), "bl": (58, 0, 0), "br": (36, 0, 0),
                       "tail": (-25, 0, 0)}, 0.16),
    "jumping": Action({"root": (-34, 0, 0), "head": (18, 0, 0), "fl": (-42, 0, -8), "fr": (-52, 0, 8), "bl": (52, 0, 0),
                       "br": (62, 0, 0), "tail": (-30, 0, 0)}, 0.34),
    "lying": Action({"fl": (-84, 0, 6), "fr": (-84, 0, -6), "bl": (-84, 0, -14), "br": (-84, 0, 14), "head": (4, 0, 0),
                     "tail": (30, 25, 0)}),
    "waving": Action({"root": (-42, 0, 0), "head": (36, 0, 8), "fl": (38, 0, 0), "fr": (-88, 0, 34), "bl": (-38, 0, 0),
                      "br": (-38, 0, 0), "tail": (40, 0, 0)}),
    "looking up": Action({"head": (-40, 0, 0), "root": (-8, 0, 0), "fl": (8, 0, 0), "fr": (8, 0, 0), "bl": (8, 0, 0),
                          "br": (8, 0, 0)}),
}  # fmt: skip
_BIRD = {
    "standing": Action({}),
    "sitting": Action({"ll": (-88, 0, 0), "rl": (-88, 0, 0), "root": (-6, 0, 0)}),
    "flying": Action({"root": (38, 0, 0), "head": (-32, 0, 0), "lw": (0, 0, -98), "rw": (0, 0, 98), "ll": (38, 0, 0),
                      "rl": (38, 0, 0)}, 0.55),
    "jumping": Action({"lw": (0, 0, -58), "rw": (0, 0, 58), "ll": (24, 0, 0), "rl": (24, 0, 0), "root": (-10, 0, 0)}, 0.34),
    "waving": Action({"rw": (0, 0, 138), "head": (0, 0, 10)}),
    "looking up": Action({"head": (-40, 0, 0), "root": (-8, 0, 0), "ll": (8, 0, 0), "rl": (8, 0, 0)}),
}  # fmt: skip
_FISH = {
    "standing": Action({}, 0.1),
    "swimming": Action({"root": (0, 0, 0), "tail": (0, 34, 0), "lw": (0, 0, -30), "rw": (0, 0, 30)}, 0.3),
    "jumping": Action({"root": (-52, 0, 0), "tail": (-18, 14, 0)}, 0.4),
    "diving": Action({"root": (52, 0, 0), "tail": (18, -14, 0)}, 0.25),
}
_TURTLE = {
    "standing": Action({}),
    "walking": Action({"fl": (-34, 0, 0), "br": (-30, 0, 0), "fr": (30, 0, 0), "bl": (30, 0, 0)}),
    "lying": Action(
        {"fl": (-60, 0, -40), "fr": (-60, 0, 40), "bl": (60, 0, -40), "br": (60, 0, 40), "head": (16, 0, 0)}
    ),
    "waving": Action({"root": (-24, 0, 0), "fr": (-110, 0, 40), "fl": (20, 0, 0), "head": (12, 0, 0)}),
    "looking up": Action({"head": (-44, 0, 0), "root": (-10, 0, 0)}),
}
_HUMAN = {
    "standing": Action({}),
    "sitting": Action({"ll": (-86, 0, -8), "rl": (-86, 0, 8), "la": (-24, 0, 0), "ra": (-24, 0, 0)}),
    "running": Action({"root": (10, 0, 0), "la": (-62, 0, 0), "ra": (56, 0, 0), "ll": (48, 0, 0), "rl": (-56, 0, 0),
                       "lk": (52, 0, 0), "rk": (40, 0, 0)}, 0.08),
    "jumping": Action({"la": (0, 0, -98), "ra": (0, 0, 98), "ll": (0, 0, -26), "rl": (0, 0, 26), "lk": (36, 0, 0),
                       "rk": (36, 0, 0)}, 0.34),
    "lying": Action({"root": (0, 0, 84), "head": (0, 0, -14), "la": (0, 0, -10), "ra": (0, 0, 30), "rl": (-16, 0, 0)}),
    "waving": Action({"ra": (0, 0, 100), "head": (0, 0, -6)}),
    "dancing": Action({"root": (0, 0, -8), "la": (0, 0, -62), "ra": (0, 0, 98), "ll": (0, 0, -8), "rl": (-34, 0, 34),
                       "rk": (46, 0, 0), "head": (0, 0, 10)}, 0.02),
    "looking up": Action({"head": (-38, 0, 0), "root": (-4, 0, 0)}),
}  # fmt: skip
_OBJECT = {
    "standing": Action({}),
    "tilted": Action({"root": (0, 0, 26)}),
    "lying": Action({"root": (0, 14, 82)}),
    "spinning": Action({"root": (0, 140, -20)}, 0.25),
}
_SINGLE = {"turtle": _TURTLE, "fish": _FISH}


def action_table(plan: str) -> Mapping[str, Action]:
    """The actions of a body plan by name, in the order of `vocabulary.actions_of`."""
    for plans, table in ((QUADRUPEDS, _QUADRUPED), (BIRDS, _BIRD), (HUMANS, _HUMAN), (OBJECTS, _OBJECT)):
        if plan in plans:
            return table
    return _SINGLE[plan]


JOINTS = ("root", "head", "tail", "fl", "fr", "bl", "br", "la", "ra", "ll", "rl", "lk", "rk", "lw", "rw")


def resolve(plan: str, pose: Pose) -> Action:
    """The joint angles of `pose` for a body plan: the action scaled by its strength, plus jitter on every joint."""
    action = action_table(plan)[pose.action]
    noise = np.zeros((len(JOINTS), 3))
    if pose.jitter:
        noise = np.random.default_rng(pose.jitter).normal(size=noise.shape).clip(-2, 2) * JITTER_DEGREES
        noise[0] *= 0.35
    bend: dict[str, Vec3] = {}
    for joint, extra in zip(JOINTS, noise.tolist(), strict=True):
        base = action.bend.get(joint, (0.0, 0.0, 0.0))
        bend[joint] = (
            pose.strength * base[0] + extra[0], pose.strength * base[1] + extra[1], pose.strength * base[2] + extra[2],
        )  # fmt: skip
    return Action(bend, pose.strength * action.lift)
