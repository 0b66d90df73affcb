"""The embedded world: clay subjects with known identity, pose, mask, parts, correspondence and caption, rendered in numpy."""

from evalkit.sandbox.world.captions import caption, prompt_for, style_prompt, subject_words, words
from evalkit.sandbox.world.render import Rendered, render
from evalkit.sandbox.world.sampling import (
    drift,
    drift_target,
    reference_scene,
    sample_identity,
    sample_pose,
    sample_scene,
    sample_view,
    split_of,
)
from evalkit.sandbox.world.truth import correspondences
from evalkit.sandbox.world.types import VIEWS, WORLD_VERSION, Identity, Pose, Scene, View

__all__ = [
    "VIEWS", "WORLD_VERSION", "Identity", "Pose", "Rendered", "Scene", "View", "caption", "correspondences", "drift",
    "drift_target", "prompt_for", "reference_scene", "render", "sample_identity", "sample_pose", "sample_scene", "sample_view",
    "split_of", "style_prompt", "subject_words", "words",
]  # fmt: skip
