"""Stories: one identity prompt and several prompts of single pictures, which are to show one subject.

Source: ASemConsist, appendix E.1, for the criteria; its stories are not public. ConsiStory+ (byliutao/1Prompt1Story,
`resource/gen_benchmark.py`) for the form of the prompt file, how prompts are joined and how samples are named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from evalkit.benchmarks.base import Loaded
from evalkit.benchmarks.json_files import Text, validated
from evalkit.benchmarks.layout import Checked, compare_names, entries, heading, listed, pictures_by_stem, undecodable
from evalkit.benchmarks.spec import read_spec
from evalkit.content import content, read_yaml
from evalkit.errors import DataError, ProblemsError
from evalkit.nouns import Case, Name, Noun, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from evalkit.benchmarks.spec import BenchmarkSpec

WORLD_FILE = "world.json"


class Story(Noun):
    """One story of a prompt file."""

    subject: Text
    style: str = ""
    settings: tuple[Text, ...] = Field(min_length=2)
    """What is particular to each picture: at least two, since the subject is compared between them."""

    @property
    def identity(self) -> str:
        """The identity prompt: style, where there is one, and subject."""
        return f"{self.style} {self.subject}".strip()


StoryFile = dict[Annotated[Name, Field(max_length=100)], list[Story]]


class Stories:
    """The loader. `data` is a folder with one prompt file, and pictures of the identities in `references/` where there are."""

    @property
    def spec(self) -> BenchmarkSpec:
        """The declaration."""
        return read_spec("stories")

    def load(self, data: Path, protocol: str) -> Loaded:
        """A case for each picture of each story, stories in the order of the file.

        `references/DOMAIN_INDEX.png` shows a story's subject to methods that need a picture; all stories have one or
        none. With a `world.json` the data are the embedded world's, and `real_image` renders what a prompt asks for.
        `official_name` is `DOMAIN_INDEX/PROMPT` for the first seed, as 1Prompt1Story writes samples.

        Raises: DataError, ProblemsError (see Benchmark.load); UsageError for a protocol that the spec does not have.
        """
        name = self.spec.protocol(protocol).name
        stories = read_stories(prompt_file(data, self.spec))
        references, problems = _references(data, stories)
        problems += undecodable(data, (Checked(r.path, r.mask) for r in references.values()))
        if problems:
            raise ProblemsError(heading(data, self.spec), problems)
        cases = tuple(_cases(stories, references))
        if not (data / WORLD_FILE).exists():
            return Loaded(self.spec, name, cases, data, lambda _case, _seed: None, _official_name)
        from evalkit.sandbox.scenes import SceneWorld

        world = SceneWorld(data)

        def real_image(case: Case, seed: int) -> NDArray[np.uint8] | None:
            return world.picture(case.case_id, seed)

        return Loaded(self.spec, name, cases, data, real_image, _official_name, world.version)

    def fetch(self, folder: Path) -> Path:
        """The stories that travel with evalkit; nothing is brought from anywhere and `folder` stays as it is."""
        return content("benchmarks", self.spec.name, str(self.spec.shipped))

    def embed(self, folder: Path) -> Path:
        """Writes the embedded world's stories into a folder of its version in `folder`. Raises: RunError."""
        from evalkit.sandbox.stories import embed_stories

        return embed_stories(folder)


STORIES = Stories()


def prompt_file(data: Path, spec: BenchmarkSpec) -> Path:
    """The one `.yaml` in the folder. Raises: DataError for no folder or another number of such files."""
    found = [path for path in entries(data) if path.suffix in (".yaml", ".yml")]
    if len(found) != 1:
        told = listed(path.name for path in found) if data.is_dir() else "no folder"
        raise DataError(
            f"wanted one prompt file (.yaml) of {spec.title} in {str(data)!r}, found {told}; {spec.source.get}"
        )
    return found[0]


def read_stories(path: Path) -> StoryFile:
    """A prompt file in ConsiStory+'s form: domain to stories, each with `subject`, `style` and `settings`.

    Raises: DataError for a file that is no YAML or has no story, ProblemsError for everything that is not of that form.
    """
    stories, problems = validated(read_yaml(path), StoryFile, lambda where, told: f"{where}: {told}")
    if problems:
        raise ProblemsError(f"{path}: wanted domains of stories with subject, style and settings", problems)
    if stories is None or not any(stories.values()):
        raise DataError(f"{path}: wanted stories, found none; write one or take evalkit's own")
    return stories


def _set_id(domain: str, index: int) -> str:
    return f"{domain}_{index}"


def _references(data: Path, stories: StoryFile) -> tuple[dict[str, Reference], list[str]]:
    """By set; empty where the folder has no `references`. And a line for each problem."""
    told = {_set_id(domain, index): story for domain, listed in stories.items() for index, story in enumerate(listed)}
    if not (data / "references").is_dir():
        return {}, []
    pictures, problems = pictures_by_stem(data / "references", "references")
    problems += compare_names("references", [*told], pictures)
    masks, lines = pictures_by_stem(data / "masks", "masks")
    problems += compare_names("masks", [*told], {*masks, *told})
    found = {
        name: Reference(
            path=f"references/{pictures[name].name}",
            subject=name,
            label=story.subject.partition(" ")[2] or story.subject,
            mask=f"masks/{masks[name].name}" if name in masks else None,
        )
        for name, story in told.items()
        if name in pictures
    }
    return found, problems + lines


def _cases(stories: StoryFile, references: Mapping[str, Reference]) -> Iterator[Case]:
    for domain, listed_stories in stories.items():
        for index, story in enumerate(listed_stories):
            name = _set_id(domain, index)
            shown = (references[name],) if name in references else ()
            for picture, setting in enumerate(story.settings):
                yield Case(
                    case_id=f"{name}.p{picture}",
                    prompt=f"{story.identity} {setting}",
                    subjects=(name,),
                    references=shown,
                    targets=shown,
                    category=domain,
                    tags=("styled" if story.style else "plain",),
                    prompt_index=picture,
                    texts={"identity_prompt": story.identity, "own_prompt": setting},
                    set_id=name,
                )


def _official_name(case: Case, seed: int) -> str | None:
    return f"{case.set_id}/{case.prompt}" if seed == 0 else None
