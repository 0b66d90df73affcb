"""Against the published photographs and UNO's own lists, where a copy lies beside the project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.benchmarks.dreambench import DREAMBENCH
from evalkit.benchmarks.dreambench_prompts import parse_prompt_file
from evalkit.benchmarks.layout import read_lines

SHARED = Path(__file__).parents[3] / "shared" / "data" / "dreambench"
PREFIX = "./dreambooth/dataset/"

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the DreamBooth data in ../shared/data/dreambench")


@pytest.mark.parametrize(
    ("protocol", "file"), [("uno_single", "dreambench_singleip.json"), ("uno_multi", "dreambench_multiip.json")]
)
def test_derived_cases_are_unos_lists(protocol: str, file: str) -> None:
    published = json.loads((SHARED / file).read_text(encoding="utf-8"))
    loaded = DREAMBENCH.load(SHARED / "dataset", protocol)
    derived = [
        {"prompt": case.prompt, "image_paths": [PREFIX + shot.path for shot in case.references]}
        for case in loaded.cases
    ]
    assert derived == published


def test_dreambooth_has_every_photograph() -> None:
    loaded = DREAMBENCH.load(SHARED, "dreambooth")
    photographs = {shot.path for case in loaded.cases for shot in case.targets}
    assert photographs == {str(path.relative_to(loaded.root)) for path in loaded.root.glob("*/*.jpg")}
    assert (len(loaded.cases), len(photographs)) == (750, 158)


def test_what_the_data_card_says_of_the_prompts() -> None:
    phrases = parse_prompt_file(read_lines(SHARED / "dataset" / "prompts_and_classes.txt", "prompts")).phrases
    shared = [index for index in range(25) if phrases["live"][index] == phrases["object"][index]]
    assert shared == [*range(10), *range(20, 25)]
    cases = DREAMBENCH.load(SHARED, "uno_single").cases
    assert len({case.prompt for case in cases}) == 375
