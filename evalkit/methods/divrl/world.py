"""Training data of the embedded world in DivRL's documented form: subjects that no benchmark holds."""

from __future__ import annotations

import tempfile
from pathlib import Path

from evalkit.files import write_error
from evalkit.methods.divrl.data import write_lesson
from evalkit.sandbox.world import WORLD_VERSION

SUBJECTS, PROMPTS, SEED = 96, 4, 17


def world_lessons(cache: Path, *, subjects: int = SUBJECTS, prompts: int = PROMPTS, seed: int = SEED) -> Path:
    """The folder below `cache` with that many training identities, drawn where it is not there yet.

    Styles are left out: they have no subject to keep. Raises RunError where it cannot be written.
    """
    from evalkit.sandbox.kontext.pairs import PairPlan, pair_scene, subject_of
    from evalkit.sandbox.training.data import SIZE
    from evalkit.sandbox.world import render, subject_words

    folder = cache / "world" / f"divrl-{WORLD_VERSION}-{subjects}x{prompts}-{seed}"
    if folder.is_dir():
        return folder
    plan = PairPlan(subjects=2 * subjects, targets=prompts, split="train", seed=seed)
    numbers = [n for n in range(plan.subjects) if subject_of(plan, n)[0].category != "style"][:subjects]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".divrl-") as temporary:
            staged = Path(temporary) / "data"
            for number in numbers:
                identity, scene = subject_of(plan, number)
                drawn = render(scene, size=SIZE)
                told = [subject_words(identity), *(pair_scene(plan, number, k)[0] for k in range(prompts))]
                write_lesson(staged, f"{number:04d}", drawn.image, drawn.mask, told)
            staged.rename(folder)
    except OSError as error:
        if not folder.is_dir():  # else another process was quicker with the same
            raise write_error(folder, error) from error
    return folder
