"""Whole copies of the benchmarks' layouts with tiny pictures of one colour each, made from the specs' facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from evalkit.benchmarks.dreambench_facts import DreamBenchFacts
from evalkit.benchmarks.dreambench_pp_layout import DreamBenchPPFacts
from evalkit.benchmarks.spec import read_spec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Published templates, so that published prompts can be compared; the others are made up.
PUBLISHED = {
    "object": {0: "in the jungle", 10: "with a wheat field in the background", 20: "red", 24: "cube shaped"},
    "live": {0: "in the jungle", 10: "wearing a red hat", 20: "red", 24: "cube shaped"},
}


def dreambench_facts() -> DreamBenchFacts:
    return DreamBenchFacts.read(read_spec("dreambench").facts, where="spec")


def dreambench_pp_facts() -> DreamBenchPPFacts:
    return DreamBenchPPFacts.read(read_spec("dreambench_pp").facts, where="spec")


def templates(kind: str) -> list[str]:
    """25 templates of one kind: 20 places or outfits, then five properties."""
    texts = [PUBLISHED[kind].get(i, f"at {kind} place {i}" if i < 20 else f"property{i}") for i in range(25)]
    return [f"a {{0}} {{1}} {text}" for text in texts[:20]] + [f"a {text} {{0}} {{1}}" for text in texts[20:]]


def prompt_file(classes: Mapping[str, str]) -> str:
    lines = [
        "Classes",
        "",
        "subject_name,class",
        *(f"{subject},{word}" for subject, word in classes.items()),
        "",
        "Prompts",
    ]
    for kind, title in (("object", "Object Prompts"), ("live", "Live Subject Prompts")):
        quoted = [f"'{text}'.format(unique_token, class_token)" for text in templates(kind)]
        lines += ["", title, "", "prompt_list = [", ",\n".join(quoted), "]"]
    return "\n".join(lines) + "\n"


def write_picture(path: Path, index: int, size: tuple[int, int] = (8, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (index * 7 % 256, index * 53 % 256, index // 7 * 31 % 256)).save(path)


def write_dreambench(root: Path) -> Path:
    facts = dreambench_facts()
    shots = [(subject, number) for subject in facts.classes for number in facts.numbers(subject)]
    for index, (subject, number) in enumerate(shots):
        write_picture(root / subject / f"{number}.jpg", index)
    (root / "prompts_and_classes.txt").write_text(prompt_file(facts.classes))
    return root


def write_dreambench_pp(root: Path) -> Path:
    """The published counts; subject words hold a capital and a space, and in one case what a file name should not."""
    for category, fact in dreambench_pp_facts().categories.items():
        for index in range(fact.subjects):
            place = f"{fact.folder}/{index:02d}"
            write_picture(root / "images" / f"{place}.jpg", index)
            words = 'Café: "Bob\'s"' if place == "object/03" else f"Old {category}"
            caption = root / "captions" / f"{place}.txt"
            caption.parent.mkdir(parents=True, exist_ok=True)
            caption.write_text(
                "\n".join([words, *(f"{category} {index} prompt {k}" for k in range(9))]) + "\n", "utf-8"
            )
    return root
