"""A benchmark of the embedded world in the official DreamBench++ layout, with the true scene behind every prompt.

images/{live_subject/animal,live_subject/human,object,style}/NN.png    the reference picture
captions/{same}/NN.txt      line 0: subject word; 1-4: photorealistic, 5-7: stylised, 8-9: imaginative prompts
masks/{same}/NN.png         255 on the subject
world.json                  per subject its identity, its reference scene and the true scene of each prompt
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from evalkit.errors import DataError, UsageError
from evalkit.files import write_error
from evalkit.sandbox.world import (
    WORLD_VERSION,
    Identity,
    Pose,
    Scene,
    View,
    prompt_for,
    reference_scene,
    render,
    sample_identity,
    style_prompt,
    subject_words,
)
from evalkit.sandbox.world.vocabulary import PLACES, STYLE_PLANS, TWISTS, actions_of

FOLDERS: Mapping[str, str] = {
    "animal": "live_subject/animal", "human": "live_subject/human", "object": "object", "style": "style",
}  # fmt: skip
DEFAULT_COUNTS: Mapping[str, int] = {"animal": 15, "human": 7, "object": 21, "style": 7}
_KINDS: Mapping[str, str] = {"images": ".png", "captions": ".txt", "masks": ".png"}
PROMPTS = 9
KINDS = ("photorealistic",) * 4 + ("stylised",) * 3 + ("imaginative",) * 2
_PLACES = tuple(p for p in PLACES if p != "studio")
_TWISTS = tuple(t for t in TWISTS if t != "none")


@dataclass(frozen=True)
class WorldCase:
    """One prompt of the world benchmark: the subject, the prompt and the scene that realises it."""

    subject: str
    prompt_index: int
    prompt: str
    scene: Scene


def _content(index: int) -> Identity:
    """What a style subject's pictures show: a training identity, since only the style must be preserved."""
    return sample_identity(("animal", "object", "human")[index % 3], 700 + index, split="train")


def _subject_scenes(identity: Identity, index: int) -> list[tuple[str, Scene]]:
    """Nine prompts and true scenes of an animal, human or object; situations differ within a subject."""
    rng = np.random.default_rng([11, index, sum(map(ord, identity.plan))])
    places = rng.permutation(len(_PLACES))[:7].tolist()
    styles = rng.permutation(len(STYLE_PLANS))[:3].tolist()
    twists = rng.permutation(len(_TWISTS))[:2].tolist()
    actions = actions_of(identity.plan)
    order = rng.permutation(len(actions)).tolist()
    out = []
    for k, kind in enumerate(KINDS):
        action = actions[order[k % len(actions)]] if kind != "imaginative" else "standing"
        style = STYLE_PLANS[styles[k - 4]] if kind == "stylised" else "photo"
        twist = _TWISTS[twists[k - 7]] if kind == "imaginative" else "none"
        place = _PLACES[places[k]] if kind != "imaginative" else "studio"
        scene = Scene((identity,), (Pose(action),), place=place, style=style, twist=twist)
        out.append((prompt_for(subject_words(identity), action=action, place=place, style=style, twist=twist), scene))
    return out


def _style_scenes(identity: Identity, index: int) -> list[tuple[str, Scene]]:
    """As `_subject_scenes`, for a style: other contents in other places, drawn in the subject's style."""
    rng = np.random.default_rng([13, index])
    places = rng.permutation(len(_PLACES)).tolist()
    out = []
    for k, kind in enumerate(KINDS):
        content = sample_identity(("animal", "object", "human")[k % 3], 800 + 9 * index + k, split="train")
        action = actions_of(content.plan)[int(rng.integers(len(actions_of(content.plan))))]
        twist = _TWISTS[(index + k) % len(_TWISTS)] if kind == "imaginative" else "none"
        place = "studio" if twist != "none" else _PLACES[places[k]]
        scene = Scene((content,), (Pose(action),), place=place, twist=twist, style_identity=identity)
        out.append((style_prompt(content.plan, identity.plan, action=action, place=place, twist=twist), scene))
    return out


def _subject_record(category: str, index: int) -> dict[str, Any]:
    identity = sample_identity(category, index, split="bench")
    style = category == "style"
    cases = _style_scenes(identity, index) if style else _subject_scenes(identity, index)
    return {
        "subject": f"{FOLDERS[category]}/{index:02d}",
        "class_word": subject_words(identity),
        "identity": identity.to_json(),
        "reference": reference_scene(identity, content=_content(index) if style else None).to_json(),
        "prompts": [
            {"prompt": prompt, "kind": kind, "scene": s.to_json()}
            for (prompt, s), kind in zip(cases, KINDS, strict=True)
        ],
    }


def world_record(subjects_per_category: Mapping[str, int] | None = None, *, size: int = 96) -> dict[str, Any]:
    """The content of world.json, without writing anything.

    Raises:
        UsageError: an unknown category, or a count below 0 or above 100.
    """
    counts = DEFAULT_COUNTS if subjects_per_category is None else subjects_per_category
    bad = {c: n for c, n in counts.items() if c not in FOLDERS or not 0 <= n <= 100}
    if bad:
        raise UsageError(
            f"subjects_per_category needs counts of 0 to 100 for {', '.join(FOLDERS)}; found {bad!r}; correct it"
        )
    subjects = [_subject_record(category, i) for category in FOLDERS for i in range(counts.get(category, 0))]
    return {"world_version": WORLD_VERSION, "size": size, "subjects": subjects}


def write_dreambench_pp(root: Path, *, subjects_per_category: Mapping[str, int] | None = None, size: int = 96) -> None:
    """Write the benchmark under `root`, whole or not at all; a benchmark of the same content is left as it is.

    Raises:
        DataError: `root` exists and holds something else.
        RunError: the disk is full, or `root` cannot be written.
        UsageError: see `world_record`.
    """
    record = world_record(subjects_per_category, size=size)
    if root.exists():
        if _holds(root, record):
            return
        raise DataError(
            f"wanted an empty place or this same world benchmark at {str(root)!r}; found other files; choose another folder"
        )
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root.parent, prefix=".world-") as temporary:
            staged = Path(temporary) / "world"
            staged.mkdir()
            for subject in record["subjects"]:
                _write_subject(staged, subject, size)
            (staged / "world.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            _move(staged, root, record)
    except OSError as error:
        raise write_error(root, error) from error


def _holds(root: Path, record: Mapping[str, Any]) -> bool:
    """Whether `root` is this very benchmark with every file in its place."""
    try:
        told = json.loads((root / "world.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    files = [root / kind / f"{s['subject']}{suffix}" for s in record["subjects"] for kind, suffix in _KINDS.items()]
    return bool(told == record) and all(file.is_file() and file.stat().st_size for file in files)


def _move(staged: Path, root: Path, record: Mapping[str, Any]) -> None:
    try:
        staged.rename(root)
    except OSError:
        if not _holds(root, record):  # another process was quicker with the same
            raise


def _write_subject(root: Path, subject: Mapping[str, Any], size: int) -> None:
    name = subject["subject"]
    for kind in _KINDS:
        (root / kind / name).parent.mkdir(parents=True, exist_ok=True)
    picture = render(Scene.from_json(subject["reference"]), size=size)
    mask = np.ones_like(picture.mask) if subject["identity"]["category"] == "style" else picture.mask
    Image.fromarray(picture.image).save(root / "images" / f"{name}.png")
    Image.fromarray(mask.astype(np.uint8) * 255).save(root / "masks" / f"{name}.png")
    lines = [subject["class_word"], *(p["prompt"] for p in subject["prompts"])]
    (root / "captions" / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def load_world(root: Path) -> tuple[WorldCase, ...]:
    """Every case of a written world benchmark, subjects in order, nine prompts each.

    Raises:
        DataError: no world.json, or one of another world version.
    """
    path = root / "world.json"
    if not path.is_file():
        raise DataError(
            f"wanted world.json in {str(root)!r}; found none; write the benchmark with `write_dreambench_pp`"
        )
    record = json.loads(path.read_text(encoding="utf-8"))
    if record.get("world_version") != WORLD_VERSION:
        raise DataError(
            f"wanted world version {WORLD_VERSION!r} in {str(path)!r}; found {record.get('world_version')!r}; write it again"
        )
    return tuple(
        WorldCase(s["subject"], k, p["prompt"], Scene.from_json(p["scene"]))
        for s in record["subjects"] for k, p in enumerate(s["prompts"])
    )  # fmt: skip


def true_scene(case: WorldCase, *, seed: int) -> Scene:
    """A scene that realises the case's prompt: what the prompt leaves open (pose jitter, view, scale, position, backdrop detail)
    comes from `seed` and the case."""
    rng = np.random.default_rng([seed, case.prompt_index, *case.subject.encode()])
    side = float(rng.choice([-1.0, 1.0]))
    view = View(side * float(rng.uniform(0, 48)), float(rng.uniform(8, 20)))
    poses = tuple(replace(p, jitter=int(rng.integers(1, 2**31))) for p in case.scene.poses)
    position = (float(rng.uniform(-0.16, 0.16)), float(rng.uniform(-0.04, 0.1)))
    return replace(
        case.scene, poses=poses, view=view, scale=float(rng.uniform(0.9, 1.08)), position=position,
        place_seed=int(rng.integers(16)),
    )  # fmt: skip
