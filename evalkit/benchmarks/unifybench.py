"""UnifyBench and UnifyBench++: questions about personal concepts, answered in words, and prompts for pictures of them.

Source: UniCTokens (arctanxarc/UniCTokens at 9f7a80c) for data, tasks and scripts; Sync-R1, table 1 and appendices B and E, for
what ++ adds. The files of ++ are not public: their form here is evalkit's own.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from evalkit.benchmarks.base import Loaded
from evalkit.benchmarks.hub_files import fetch_files
from evalkit.benchmarks.layout import Checked, find_root, heading, undecodable
from evalkit.benchmarks.spec import read_spec
from evalkit.benchmarks.unifybench_layout import CONCEPTS, PROMPTS, Concept, is_text_only, is_there, read_concepts
from evalkit.errors import ProblemsError
from evalkit.nouns import Case

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from evalkit.benchmarks.spec import BenchmarkSpec
    from evalkit.nouns import Medium, Reference

WORLD_FILE = "world.json"
_MEDIUM: dict[str, Medium | None] = {"understanding": "text", "generation": "image"}
"""Protocols of one medium; the others have both."""


class UnifyBench:
    """The loader of UnifyBench, or of UnifyBench++ where `plus`. `data` is the folder that holds `concepts_list.json`."""

    def __init__(self, name: str, *, plus: bool) -> None:
        self._name, self._plus = name, plus

    @property
    def spec(self) -> BenchmarkSpec:
        """The declaration."""
        return read_spec(self._name)

    def load(self, data: Path, protocol: str) -> Loaded:
        """Questions as cases of the medium `text`, prompts as cases of the medium `image`, concept by concept.

        A case carries its task as a tag. A question's case has its expected answer among its texts, and where it is about
        a picture that picture as its last reference and `question_picture`; a prompt's case is scored against all training
        pictures, with `<sks>` and the concept's name replaced by its class. With a `world.json` the data are the embedded
        world's, and `real_image` renders what a prompt asks for.

        Raises: DataError, ProblemsError (see Benchmark.load); UsageError for a protocol that the spec does not have.
        """
        name = self.spec.protocol(protocol).name
        root = find_root(data, self.spec, mark=CONCEPTS, below="unictokens_data")
        drawn = (root / WORLD_FILE).exists()
        concepts, problems = read_concepts(root, plus=self._plus)
        problems += [] if drawn else self._counts(concepts)
        shown = {path for concept in concepts for path in concept.shown_paths}
        problems += undecodable(root, (Checked(path) for path in sorted(shown) if is_there(root, path)))
        if problems:
            raise ProblemsError(heading(root, self.spec), problems)
        every = [case for concept in concepts for case in self._cases(concept)]
        medium = _MEDIUM.get(name)
        cases = tuple(case for case in every if medium in (None, case.medium))
        if not drawn:
            return Loaded(self.spec, name, cases, root, lambda _case, _seed: None)
        from evalkit.sandbox.scenes import SceneWorld

        world = SceneWorld(root)

        def real_image(case: Case, seed: int) -> NDArray[np.uint8] | None:
            return world.picture(case.case_id, seed) if case.medium == "image" else None

        return Loaded(self.spec, name, cases, root, real_image, world=world.version)

    def fetch(self, folder: Path) -> Path:
        """Brings everything of the hub dataset. A `folder` that holds concepts is returned as it is.

        That is not all: a script of its own has to write the questions, and the prompts are in the code repository, which
        `load` says of such a folder. Raises: see `fetch_files`.
        """
        if not (folder / CONCEPTS).exists():
            fetch_files(str(self.spec.source.hub), folder, get=self.spec.source.get)
        return folder

    def embed(self, folder: Path) -> Path:
        """Writes the embedded world's concepts, with the ++ extension, into a folder in `folder`. Raises: RunError."""
        from evalkit.sandbox.unifybench import embed_unifybench

        return embed_unifybench(folder)

    def _counts(self, concepts: tuple[Concept, ...]) -> Iterator[str]:
        """A line for a number of concepts or plain prompts that is not the published one."""
        wanted = self.spec.expected
        if len(concepts) != wanted.subjects:
            yield f"{CONCEPTS}: wanted {wanted.subjects} concepts that can be read, found {len(concepts)}; fetch the data again"
        for kind, prompts in {concept.info.generation_type: concept.prompts for concept in concepts}.items():
            if len(prompts) != wanted.prompts_per_subject:
                yield (
                    f"{PROMPTS}: wanted {wanted.prompts_per_subject} prompts of {kind!r}, found {len(prompts)}; "
                    "fetch the data again"
                )

    def _cases(self, concept: Concept) -> Iterator[Case]:
        yield from _questions(concept)
        yield from _pictures(concept, "pure_gen", [(text, None) for text in concept.prompts])
        if not self._plus:
            yield from _pictures(concept, "knowledge_gen", [(text, None) for text in concept.conditions[1:]])
            return
        plus = concept.plus
        for task, asked in (("rea", plus.rea), ("dense_rea", plus.dense_rea)):
            for index, one in enumerate(asked):
                yield _question(concept, task, index, one.question, one.answer)
        yield from _pictures(concept, "dense_gen", [(text, None) for text in plus.dense_gen])
        yield from _pictures(concept, "rea_gen", [(left.prompt, left.detailed) for left in plus.rea_gen])
        yield from _pictures(concept, "dense_rea_gen", [(left.prompt, left.detailed) for left in plus.dense_rea_gen])


UNIFYBENCH = UnifyBench("unifybench", plus=False)
UNIFYBENCH_PP = UnifyBench("unifybench_pp", plus=True)


def _questions(concept: Concept) -> Iterator[Case]:
    answers = Counter(item.yes_or_no for item in concept.questions if item.task == "rec")
    numbers: Counter[str] = Counter()
    for item in concept.questions:
        task, (question, answer) = str(item.task), item.asked
        picture = None if is_text_only(item) else concept.shown(item)
        alike = answers[item.yes_or_no] if task == "rec" else None
        yield _question(concept, task, numbers[task], question, answer, picture, alike=alike)
        numbers[task] += 1


def _question(
    concept: Concept, task: str, index: int, question: str, answer: str, picture: Reference | None = None,
    *, alike: int | None = None,
) -> Case:  # fmt: skip
    texts = _known(concept, task) | {"expected_answer": answer}
    texts |= {} if picture is None else {"question_picture": picture.path}
    texts |= {} if alike is None else {"answers_alike": str(alike)}
    return Case(
        case_id=f"{concept.name}.{task}{index:02d}",
        prompt=question,
        subjects=(concept.name,),
        references=concept.pictures + (() if picture is None else (picture,)),
        targets=(),
        category=concept.info.generation_type,
        tags=(task,),
        prompt_index=index,
        texts=texts,
        medium="text",
    )


def _pictures(concept: Concept, task: str, prompts: list[tuple[str, str | None]]) -> Iterator[Case]:
    for index, (template, detailed) in enumerate(prompts):
        texts = _known(concept, task) | {"template": template}
        texts |= {} if detailed is None else {"scored_prompt": _with_class(concept, detailed)}
        yield Case(
            case_id=f"{concept.name}.{task}{index:02d}",
            prompt=_with_class(concept, template),
            subjects=(concept.name,),
            references=concept.pictures,
            targets=concept.pictures,
            category=concept.info.generation_type,
            tags=(task,),
            prompt_index=index,
            texts=texts,
        )


def _known(concept: Concept, task: str) -> dict[str, str]:
    """What every case says: its task, and what a method may be told of the concept and a judge is."""
    told = [f"name: <{concept.name}>", f"info: {concept.info.info}", f"extra_info: {' '.join(concept.info.extra_info)}"]
    return {"task": task, "concept_info": "\n".join(told)}


def _with_class(concept: Concept, text: str) -> str:
    return text.replace("<sks>", concept.info.class_word).replace(f"<{concept.name}>", concept.info.class_word)
