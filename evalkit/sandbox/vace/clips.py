"""Clips to train and judge the small VACE on: pictures of one to three subjects, a prompt, and a true clip of the prompt.

References, prompts and clips follow the grammar of the embedded OpenS2V and Dream-VBench, so that a model is judged on what
it was taught: other subjects, not other tasks.
"""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evalkit.errors import DataError
from evalkit.sandbox.clips import FRAMES as WHOLE
from evalkit.sandbox.clips import moving
from evalkit.sandbox.opens2v import ADULTS, close_scene
from evalkit.sandbox.training.data import SIZE, Progress
from evalkit.sandbox.world import Identity, Pose, Scene, reference_scene, render, sample_identity
from evalkit.sandbox.world.captions import PLACE_PHRASES, article
from evalkit.sandbox.world.vocabulary import PLACES, actions_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FRAMES = 9
"""The last of a true clip's twelve, at the same rate: the subjects are well in their poses, and move as fast."""
MOST_REFERENCES = 3
KINDS = (
    ("object",), ("human",), ("face",), ("animal",), ("object", "animal"), ("human", "object"), ("face", "animal", "object"),
    ("object",), ("human",), ("face",), ("animal",), ("face", "face"), ("human", "human"), ("object", "object"),
    ("animal", "animal"), ("animal", "object"),
)  # fmt: skip
"""What stands in a clip; these take turns. Single subjects come twice."""
_FIRST = 100_000
"""Identities are drawn from here on: others than those of the world's benchmarks."""


@dataclass(frozen=True)
class ClipPlan:
    """What to render: `cases` of subjects of a split; `frames` is 9, or 1 for one of the nine as a picture."""

    cases: int
    frames: int
    split: str
    seed: int


class ClipCase(NamedTuple):
    """One case: its subjects, what is asked for, and the scenes of its references and of its clip's frames."""

    identities: tuple[Identity, ...]
    prompt: str
    references: tuple[Scene, ...]
    frames: tuple[Scene, ...]


@dataclass(frozen=True)
class ClipSet:
    """N rendered cases.

    `clips` uint8 [N, frames, 96, 96, 3]; `references` uint8 [N, 3, 96, 96, 3], black beyond the first `count` int64 [N];
    `prompts` N texts.
    """

    clips: NDArray[np.uint8]
    references: NDArray[np.uint8]
    count: NDArray[np.int64]
    prompts: tuple[str, ...]


def clip_case(plan: ClipPlan, number: int, *, telling: int = 0) -> ClipCase:
    """Case `number`; another `telling` has the same subjects do something else in another place."""
    kinds = KINDS[number % len(KINDS)]
    rng = np.random.default_rng([plan.seed, 31, number])
    identities = tuple(_identity(kind, plan.split, rng) for kind in kinds)
    rng = np.random.default_rng([plan.seed, 32, number, telling])
    place = _one(PLACES[1:], rng)
    poses = [_one(actions_of(identity.plan)[1:], rng) for identity in identities]
    doing = (f"{article(identity.plan)} {pose}" for identity, pose in zip(identities, poses, strict=True))
    scene = Scene(identities, tuple(map(Pose, poses)), place=place)
    frames = moving(scene, f"{plan.split}/{number}/{telling}", plan.seed)[WHOLE - FRAMES :]
    shown = (int(rng.integers(FRAMES)),) if plan.frames == 1 else range(FRAMES)
    return ClipCase(
        identities,
        f"{' and '.join(doing)} {PLACE_PHRASES[place]}",
        tuple(
            close_scene(identity) if kind == "face" else reference_scene(identity)
            for kind, identity in zip(kinds, identities, strict=True)
        ),
        tuple(frames[index] for index in shown),
    )


def _identity(kind: str, split: str, rng: np.random.Generator) -> Identity:
    """Of people grown-ups alone, as in the benchmark."""
    person = kind in ("human", "face")
    while True:
        identity = sample_identity("human" if person else kind, int(rng.integers(_FIRST, 2**31)), split=split)
        if not person or identity.plan in ADULTS:
            return identity


def _one(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _render_case(task: tuple[ClipPlan, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], str]:
    case = clip_case(*task)
    references, clip = (
        np.stack([render(scene, size=SIZE).image for scene in scenes]) for scenes in (case.references, case.frames)
    )
    return references, clip, case.prompt


def render_clips(folder: Path, plan: ClipPlan, *, workers: int = 1, progress: Progress | None = None) -> ClipSet:
    """Render `plan` into `folder`, or open it where it is complete already; the result does not depend on `workers`.

    Raises:
        DataError: `folder` holds clips of another plan.
    """
    done = folder / "done.json"
    if not done.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _render_all(folder, plan, workers, progress)
    told = json.loads(done.read_text(encoding="utf-8"))
    if told["plan"] != asdict(plan):
        raise DataError(
            f"wanted clips of {asdict(plan)!r} in {str(folder)!r}; found {told['plan']!r}; name another folder"
        )
    clips, references = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("clips", "references"))
    return ClipSet(clips, references, np.array(told["count"], np.int64), tuple(told["prompts"]))


def _render_all(folder: Path, plan: ClipPlan, workers: int, progress: Progress | None) -> None:
    shape = (SIZE, SIZE, 3)
    save = np.lib.format.open_memmap
    clips = save(folder / "clips.npy", mode="w+", dtype=np.uint8, shape=(plan.cases, plan.frames, *shape))
    references = save(folder / "references.npy", mode="w+", dtype=np.uint8, shape=(plan.cases, MOST_REFERENCES, *shape))
    count: list[int] = []
    prompts: list[str] = []
    tasks = [(plan, number) for number in range(plan.cases)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for number, (shown, clip, prompt) in enumerate(pool.imap(_render_case, tasks, chunksize=8)):
            references[number, : len(shown)], clips[number] = shown, clip
            count.append(len(shown))
            prompts.append(prompt)
            if progress is not None:
                progress("render clips" if plan.frames > 1 else "render pictures", (number + 1) / plan.cases)
    clips.flush()
    references.flush()
    told = {"plan": asdict(plan), "count": count, "prompts": prompts}
    (folder / "done.json").write_text(json.dumps(told), encoding="utf-8")
