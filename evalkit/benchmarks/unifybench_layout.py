"""UniCTokens' data on disk: concepts with training pictures, questions and prompts, and evalkit's form of what ++ adds.

Source: HankYang428/unictokens_data on the hub, as arctanxarc/UniCTokens (9f7a80c) reads it: `eval/eval_p_mmu.py` for the
questions, `eval/gen_p_images_for_gen_eval.py` and `eval/4o_judge_t2i.py` for the prompts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from evalkit.benchmarks.json_files import JsonFiles, Text, repeated
from evalkit.benchmarks.layout import listed
from evalkit.errors import DataError
from evalkit.files import inside
from evalkit.nouns import FileSafeId, Noun, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONCEPTS, PROMPTS, TRAIN_IMAGES = "concepts_list.json", "prompts_to_eval.json", "concept/train/train_images.json"
PLUS = "unifybench_pp"
_TOPS = ("concept", "random_images")
_AGAIN = "fetch the data again"
_BUILT = f"{_AGAIN}, or let its gen_test_data.py write it"
_TASKS = {"rec": "rec", "vqa": "vqa", "text_only": "qa"}
"""Types of questions in the files, and what the tables call them; others with `choice` in their name are `choice`."""
_YES_OR_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


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

    @property
    def task(self) -> str | None:
        """What the tables call its type; None for a type that they do not know."""
        return "choice" if "choice" in self.type else _TASKS.get(self.type)

    @property
    def asked(self) -> tuple[str, str]:
        """The question, without the place of its picture, and the expected answer."""
        question, answer = (turn.value for turn in self.conversations[:2])
        return question.replace("<image>\n", ""), answer

    @property
    def yes_or_no(self) -> str | None:
        """What the expected answer says, None where that is not certain: the script takes all but "No." for a yes."""
        answer = self.asked[1]
        word = _YES_OR_NO.search(answer)
        said = None if word is None else word[1].lower()
        return said if said == ("no" if answer == "No." else "yes") else None


class Question(Noun):
    """A question of the ++ extension, with its answer."""

    question: Text
    answer: Text


class Left(Noun):
    """A prompt that leaves something out, and the same with it."""

    prompt: Text
    detailed: Text


class Plus(Noun):
    """One concept of the ++ extension, held-out parts alone; evalkit's own form, since none is published."""

    rea: tuple[Question, ...] = ()
    dense_rea: tuple[Question, ...] = ()
    dense_gen: tuple[Text, ...] = ()
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

    @property
    def shown_paths(self) -> tuple[str, ...]:
        """The training pictures and those that questions are about, each once."""
        asked = (self.shown(item).path for item in self.questions if not is_text_only(item))
        return tuple(dict.fromkeys([*(picture.path for picture in self.pictures), *asked]))

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


def read_concepts(root: Path, *, plus: bool) -> tuple[tuple[Concept, ...], list[str]]:
    """Every concept of `concepts_list.json` that can be read, with the ++ extension where it is asked for; and a line for
    each file that is missing or not of its form, each picture that is not there and whatever else is wrong."""
    files = JsonFiles(root)
    names = files.read(CONCEPTS, tuple[FileSafeId, ...]) or ()
    train = files.read(TRAIN_IMAGES, dict[str, tuple[Text, ...]])
    prompts = files.read(PROMPTS, dict[str, tuple[Text, ...]])
    files.problems += [f"{CONCEPTS}: wanted each concept once, found {name!r} again" for name in repeated(names)]
    every = [_concept(files, name, train or {}, prompts or {}, plus) for name in dict.fromkeys(names)]
    if train is not None:
        files.problems += [
            f"{TRAIN_IMAGES}: wanted the pictures of {n!r}, found none; {_AGAIN}" for n in names if not train.get(n)
        ]
    return tuple(concept for concept in every if concept is not None), files.problems


def _concept(
    files: JsonFiles, name: str, train: dict[str, tuple[str, ...]], prompts: dict[str, tuple[Text, ...]], plus: bool
) -> Concept | None:
    folder = f"concept/train/{name}"
    info = files.read(f"{folder}/info.json", Info)
    questions = files.read(f"test_data/{name}.json", tuple[TestItem, ...], missing=_BUILT)
    conditions = files.read(f"concept/test/{name}/t2i_conditions.json", tuple[Text, ...])
    more = files.read(f"{PLUS}/{name}.json", Plus) if plus else Plus()
    if info is not None and prompts and info.generation_type not in prompts:
        files.problems.append(
            f"{folder}/info.json: wanted a generation_type of {PROMPTS} ({', '.join(prompts)}), found {info.generation_type!r}"
        )
    if info is None or questions is None or conditions is None or more is None:
        return None
    concept = Concept(
        name, info,
        tuple(Reference(path=f"{folder}/{p}", subject=name, label=info.class_word) for p in train.get(name, ())),
        questions, prompts.get(info.generation_type, ()), conditions, more,
    )  # fmt: skip
    files.problems += _faults(files.root, concept)
    return concept


def _faults(root: Path, concept: Concept) -> Iterator[str]:
    """A line for each question that cannot be asked, and one for the pictures that are not there."""
    for number, item in enumerate(concept.questions):
        where, (question, answer) = f"test_data/{concept.name}.json: {number}", item.asked
        if item.task is None:
            known = ", ".join(_TASKS)
            yield f"{where}: wanted a type of {known} or one with 'choice' in it, found {item.type!r}"
        if not question.strip():
            yield f"{where}: wanted a question, found {question!r}"
        if item.task == "rec" and item.yes_or_no is None:
            yield f"{where}: wanted 'No.' or a yes as the answer to a question of type 'rec', found {answer!r:.80}"
        elif item.task == "choice" and not answer.strip():
            yield f"{where}: wanted the choice that is right, found {answer!r}"
    missing = []
    for path in concept.shown_paths:
        try:
            if not inside(root, path).is_file():
                missing.append(path)
        except DataError as error:
            yield f"{concept.name}: {error}"
    if missing:
        yield f"{concept.name}: {len(missing)} pictures are missing: {listed(missing)}; {_AGAIN}"


def is_there(root: Path, path: str) -> bool:
    """Whether the path names a file inside the data."""
    try:
        return inside(root, path).is_file()
    except DataError:
        return False


def is_text_only(item: TestItem) -> bool:
    """Whether a question is about no picture: its file names a black one."""
    return item.type.startswith("text_only")
