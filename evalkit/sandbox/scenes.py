"""Benchmarks of the embedded world as plain data: texts, pictures by their scenes, and the true scene of every case.

world.json    the world's version, the size of pictures, the scene of each picture and mask, every text, the scene of each case
and each of those pictures, masks and texts where its path says.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from evalkit.errors import DataError
from evalkit.files import write_error
from evalkit.progress import warn
from evalkit.sandbox.world import WORLD_VERSION, Scene, View, render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

SIZE = 96
WORLD_FILE = "world.json"


@dataclass(frozen=True)
class Drawn:
    """What a benchmark of the world consists of; paths are relative to its folder."""

    pictures: Mapping[str, Scene]
    cases: Mapping[str, Scene]
    """What each case asks for, by its id."""
    texts: Mapping[str, str] = field(default_factory=dict)
    masks: Mapping[str, Scene] = field(default_factory=dict)
    """Where the subjects of a scene are: 255, elsewhere 0."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What a loader needs beside."""
    size: int = SIZE

    def record(self) -> dict[str, Any]:
        """The content of world.json."""
        scenes = {
            kind: {name: scene.to_json() for name, scene in table.items()}
            for kind, table in (("pictures", self.pictures), ("masks", self.masks), ("cases", self.cases))
        }
        told = {"world_version": WORLD_VERSION, "size": self.size, "facts": dict(self.facts), "texts": dict(self.texts)}
        record: dict[str, Any] = json.loads(json.dumps(told | scenes))
        return record


def embed(folder: Path, drawn: Drawn) -> Path:
    """Draws into a folder of the world's version in `folder`, whole or not at all, and returns it.

    What is there already and whole is left; what was damaged or is of another content is drawn again. Raises: RunError
    where it cannot be written.
    """
    root, record = folder / f"world-{WORLD_VERSION}", drawn.record()
    if _holds(root, record):
        return root
    try:
        if root.exists():
            warn(f"the embedded world in {root} is damaged; drawing it again")
            shutil.rmtree(root)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".world-") as temporary:
            staged = Path(temporary) / "world"
            staged.mkdir()
            _draw(staged, drawn, record)
            try:
                staged.rename(root)
            except OSError:
                if not _holds(root, record):  # another process was quicker with the same
                    raise
    except OSError as error:
        raise write_error(root, error) from error
    return root


def _draw(root: Path, drawn: Drawn, record: Mapping[str, Any]) -> None:
    def place(name: str) -> Path:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    for name, scene in drawn.pictures.items():
        Image.fromarray(render(scene, size=drawn.size).image).save(place(name))
    for name, scene in drawn.masks.items():
        Image.fromarray(render(scene, size=drawn.size).mask.astype(np.uint8) * 255).save(place(name))
    for name, text in drawn.texts.items():
        place(name).write_text(text, encoding="utf-8")
    (root / WORLD_FILE).write_text(json.dumps(record) + "\n", encoding="utf-8")


def _holds(root: Path, record: Mapping[str, Any]) -> bool:
    try:
        told = json.loads((root / WORLD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    files = [root / name for kind in ("pictures", "masks", "texts") for name in record[kind]]
    return bool(told == record) and all(file.is_file() and file.stat().st_size for file in files)


class SceneWorld:
    """A drawn world that is read again. Raises: DataError where `world.json` is damaged or of another version."""

    def __init__(self, root: Path) -> None:
        path = root / WORLD_FILE
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            self.version, self.size = str(record["world_version"]), int(record["size"])
            self.facts: dict[str, Any] = record["facts"]
            found = {name: Scene.from_json(scene) for name, scene in record["cases"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: damaged ({type(error).__name__}: {error}); delete its folder and draw it again"
            ) from error
        if self.version != WORLD_VERSION:
            raise DataError(
                f"wanted world version {WORLD_VERSION!r} in {str(path)!r}, found {self.version!r}; draw it again"
            )
        self._cases = found

    def scene(self, case_id: str) -> Scene:
        """What the case asks for. Raises: DataError for a case that the world does not have."""
        if case_id not in self._cases:
            raise DataError(f"wanted a scene of {case_id!r} in {WORLD_FILE}, found none; draw the world again")
        return self._cases[case_id]

    def picture(self, case_id: str, seed: int) -> NDArray[np.uint8]:
        """A true picture of the case, uint8 [size, size, 3]; another seed gives another view, pose and position."""
        return render(realised(self.scene(case_id), case_id, seed), size=self.size).image

    def clip(self, case_id: str, seed: int) -> tuple[NDArray[np.uint8], float]:
        """A true clip of the case, uint8 [T, size, size, 3], and its frames a second; another seed gives another one."""
        from evalkit.sandbox.clips import FPS, draw_clip

        return draw_clip(self.scene(case_id), case_id, seed, size=self.size), FPS


def realised(scene: Scene, case_id: str, seed: int) -> Scene:
    """The scene with what a prompt leaves open drawn from case and seed: pose jitter, view, scale, position, backdrop."""
    rng = np.random.default_rng([seed, *case_id.encode()])
    side = float(rng.choice([-1.0, 1.0]))
    view = View(side * float(rng.uniform(0, 48)), float(rng.uniform(8, 20)))
    poses = tuple(replace(pose, jitter=int(rng.integers(1, 2**31))) for pose in scene.poses)
    position = (float(rng.uniform(-0.16, 0.16)), float(rng.uniform(-0.04, 0.1)))
    return replace(
        scene, poses=poses, view=view, scale=float(rng.uniform(0.9, 1.08)), position=position,
        place_seed=int(rng.integers(16)),
    )  # fmt: skip
