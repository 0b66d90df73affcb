"""UniCTokens' data on disk: concepts with training pictures, questions and prompts, and evalkit's form of what ++ adds.

Source: HankYang428/unictokens_data on the hub, as arctanxarc/UniCTokens (9f7a80c) reads it: `eval/eval_p_mmu.py` for the
questions, `eval/gen_p_images_for_gen_eval.py` and `eval/4o_judge_t2i.py` for the prompts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from evalkit.benchmarks.json_files import read_json
from evalkit.errors import DataError
from evalkit.files import inside
from evalkit.nouns import FileSafeId, Noun, Reference

if TYPE_CHECKING:
    from pathlib import Path

CONCEPTS, PROMPTS, TRAIN_IMAGES = "concepts_list.json", "prompts_to_eval.json", "concept/train/train_images.json"
PLUS = "unifybench_pp"
_TOPS = ("concept", "random_images")
_BUILT = "fetch the data again, or let its gen_test_data.py write it"


class _Read(BaseModel):
    """A part of a published file; what evalkit does not need of it may be there."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Info(_Read):
    """A concept's `info.json`."""

    info: str
    class_word: str = Field(alias="class", min_length=1)
    extra_info: tuple[str, ...] = ()
    generation_type: str
    """Which list of prompts it has."""


class Turn(_Read):
    """Something said in a test item."""

    value: str


class TestItem(_Read):
    """One question of `test_data/CONCEPT.json`."""

    __test__ = False

    image: str
    type: str
    conversations: tuple[Turn, ...] = Field(min_length=2)


class Question(Noun):
    """A question of the ++ extension, with its answer."""

    question: str
    answer: str


class Left(Noun):
    """A prompt that leaves something out, and the same with it."""

    prompt: str
    detailed: str


class Plus(Noun):
    """One concept of the ++ extension, held-out parts alone; evalkit's own form, since none is published."""

    rea: tuple[Question, ...] = ()
    dense_rea: tuple[Question, ...] = ()
    dense_gen: tuple[str, ...] = ()
    rea_gen: tuple[Left, ...] = ()
    dense_rea_gen: tuple[Left, ...] = ()


@dataclass(frozen=True)
class Concept:
    """Everything that the folder holds of one concept."""

    name: str
    info: Info
    pictures: tuple[Reference, ...]
    """Its training pictures."""
    questions: tuple[TestItem, ...]
    prompts: tuple[str, ...]
    """With `<sks>` for the concept."""
    conditions: tuple[str, ...]
    """Prompts that lean on what is known of the concept, with its name in angle brackets; the first is a plain one."""
    plus: Plus

    def shown(self, item: TestItem) -> Reference:
        """The picture that a question is about."""
        return Reference(path=local_path(item.image), subject=self.name, label="question")


def local_path(image: str) -> str:
    """A picture's path inside the data, whatever folder the data lay in when the file was written.

    Example:
        >>> local_path("/home/me/UniCTokens_Dataset/concept/test/bo/0.png")
        'concept/test/bo/0.png'
    """
    parts = PurePosixPath(image.replace("\\", "/")).parts
    starts = [index for index, part in enumerate(parts) if part in _TOPS]
    return "/".join(parts[starts[0] :] if starts else parts[-1:])


def read_concepts(root: Path, *, plus: bool) -> tuple[Concept, ...]:
    """Every concept of `concepts_list.json`, with the ++ extension where it is asked for.

    Raises: DataError for a file that is missing or not of its form, and for a picture that is not there.
    """
    names = read_json(root / CONCEPTS, tuple[FileSafeId, ...])
    train = read_json(root / TRAIN_IMAGES, dict[str, tuple[str, ...]])
    prompts = read_json(root / PROMPTS, dict[str, tuple[str, ...]])
    return tuple(_concept(root, name, train, prompts, plus) for name in names)


def _concept(
    root: Path, name: str, train: dict[str, tuple[str, ...]], prompts: dict[str, tuple[str, ...]], plus: bool
) -> Concept:
    folder = f"concept/train/{name}"
    info = read_json(root / folder / "info.json", Info)
    if not train.get(name):
        raise DataError(f"{TRAIN_IMAGES}: wanted the pictures of {name!r}, found none; fetch the data again")
    if info.generation_type not in prompts:
        raise DataError(
            f"{folder}/info.json: wanted a generation_type of {PROMPTS} ({', '.join(prompts)}), found {info.generation_type!r}"
        )
    pictures = tuple(
        Reference(path=f"{folder}/{picture}", subject=name, label=info.class_word) for picture in train[name]
    )
    concept = Concept(
        name, info, pictures,
        questions=read_json(root / "test_data" / f"{name}.json", tuple[TestItem, ...], missing=_BUILT),
        prompts=prompts[info.generation_type],
        conditions=read_json(root / "concept" / "test" / name / "t2i_conditions.json", tuple[str, ...]),
        plus=read_json(root / PLUS / f"{name}.json", Plus) if plus else Plus(),
    )  # fmt: skip
    asked = [concept.shown(item) for item in concept.questions if not is_text_only(item)]
    for reference in (*pictures, *asked):
        if not inside(root, reference.path).is_file():
            raise DataError(
                f"{name}: wanted the picture {reference.path!r}, found none in {str(root)!r}; fetch the data again"
            )
    return concept


def is_text_only(item: TestItem) -> bool:
    """Whether a question is about no picture: its file names a black one."""
    return item.type.startswith("text_only")
