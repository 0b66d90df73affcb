from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.benchmarks.base import Loaded
from evalkit.benchmarks.dreambench import DREAMBENCH, PROMPT_FILE
from evalkit.benchmarks.dreambench_facts import DreamBenchFacts
from evalkit.benchmarks.spec import read_spec
from evalkit.errors import DataError, ProblemsError, UsageError
from evalkit.media import decode_image
from tests import fake_hub
from tests.unit.benchmark_samples import dreambench_facts, write_dreambench

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "dreambench_uno.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dreambench(tmp_path_factory.mktemp("dreambench") / "dataset")


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "dataset"))


def problems_of(data: Path) -> tuple[str, ...]:
    with pytest.raises(ProblemsError) as caught:
        DREAMBENCH.load(data, "uno_single")
    assert caught.value.heading == f"{str(data)!r} is not a whole copy of DreamBench"
    return caught.value.problems


def lines(loaded: Loaded) -> list[list[str]]:
    return [[case.prompt, *(shot.path for shot in case.references)] for case in loaded.cases]


def sha256(rows: list[list[str]]) -> str:
    return hashlib.sha256("\n".join("\t".join(row) for row in rows).encode()).hexdigest()


def test_facts_of_the_published_data() -> None:
    facts = dreambench_facts()
    assert len(facts.classes) == len(facts.pairs) == 30
    assert (len(facts.live), len(set(facts.classes.values()))) == (9, 15)
    assert sum(facts.photographs.values()) == 158
    assert set(facts.photographs.values()) == {4, 5, 6}
    assert Counter(facts.pair_kind(*pair) for pair in facts.pairs) == dict.fromkeys(
        ("object_object", "live_live", "live_object"), 10
    )


@pytest.mark.parametrize("protocol", ["uno_single", "uno_multi"])
def test_uno_lists(whole: Path, protocol: str) -> None:
    found, golden = lines(DREAMBENCH.load(whole, protocol)), GOLDEN["lists"][protocol]
    assert {index: found[int(index)] for index in golden["examples"]} == golden["examples"]
    assert sha256([row[1:] for row in found]) == golden["references"]
    assert sha256([row for i, row in enumerate(found) if i % 25 in GOLDEN["prompts_hashed"]]) == golden["lines"]


def test_uno_single_case(whole: Path) -> None:
    loaded = DREAMBENCH.load(whole, "uno_single")
    case = loaded.cases[14 * 25 + 7]
    assert (case.case_id, case.prompt, case.prompt_index) == ("dog6.p07", "a dog at live place 7", 7)
    assert case.subjects == ("dog6",)
    assert case.references == case.targets
    assert (case.references[0].path, case.references[0].label) == ("dog6/02.jpg", "dog")
    assert Counter(c.category for c in loaded.cases) == {"live": 225, "object": 525}
    assert (len(loaded.cases), len(loaded.subjects), loaded.world) == (750, 30, None)


def test_uno_multi_case(whole: Path) -> None:
    loaded = DREAMBENCH.load(whole, "uno_multi")
    case = loaded.cases[10 * 25 + 7]
    assert (case.case_id, case.subjects, case.category) == ("cat.dog.p07", ("cat", "dog"), "live_live")
    assert [(shot.subject, shot.label) for shot in case.targets] == [("cat", "cat"), ("dog", "dog")]
    assert len({c.case_id for c in loaded.cases}) == 750
    assert loaded.real_image(case, 0) is None


def test_dreambooth_case(whole: Path) -> None:
    loaded = DREAMBENCH.load(whole, "dreambooth")
    case = loaded.cases[0]
    assert [shot.path for shot in case.targets] == [f"backpack/0{i}.jpg" for i in range(6)]
    assert case.references == case.targets
    assert sum(len(c.targets) for c in loaded.cases) * loaded.spec.protocol("dreambooth").seeds == 158 * 25 * 4


def test_real_image_is_another_photograph(whole: Path) -> None:
    loaded = DREAMBENCH.load(whole, "uno_single")
    case = loaded.cases[17 * 25 + 1]
    others = [decode_image(whole / "duck_toy" / f"{n}.jpg").pixels for n in ("00", "02", "03")]
    assert case.targets[0].path == "duck_toy/01.jpg"
    for seed in range(4):
        pixels = loaded.real_image(case, seed)
        assert pixels is not None
        assert np.array_equal(pixels, others[(1 + seed) % 3])


def test_real_image_where_all_photographs_are_targets(whole: Path) -> None:
    loaded = DREAMBENCH.load(whole, "dreambooth")
    case = loaded.cases[17 * 25 + 3]
    pixels = loaded.real_image(case, 2)
    assert pixels is not None
    assert np.array_equal(pixels, decode_image(whole / "duck_toy" / "01.jpg").pixels)


@pytest.mark.parametrize(
    ("protocol", "name"), [("uno_single", "357_2"), ("uno_multi", "357_2"), ("dreambooth", "dog6/7/2")]
)
def test_official_name(whole: Path, protocol: str, name: str) -> None:
    loaded = DREAMBENCH.load(whole, protocol)
    assert loaded.official_name(loaded.cases[14 * 25 + 7], 2) == name


def test_the_folder_above(whole: Path) -> None:
    assert DREAMBENCH.load(whole.parent, "uno_single").root == whole.parent / "dataset"


def test_files_of_the_system_do_not_matter(copy: Path) -> None:
    for name in (".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "README.md", "references_and_licenses.txt"):
        (copy / name).write_bytes(b"x")
    assert len(DREAMBENCH.load(copy, "uno_single").cases) == 750


def test_an_unknown_protocol(whole: Path) -> None:
    told = "wanted a protocol of dreambench, found 'uno', which is none; did you mean 'uno_multi'"
    with pytest.raises(UsageError, match=told):
        DREAMBENCH.load(whole, "uno")


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        DREAMBENCH.load(tmp_path / "none", "uno_single")
    assert str(caught.value) == (
        f"wanted the folder of DreamBench, found nothing at {str(tmp_path / 'none')!r}; "
        "`evalkit data fetch dreambench` where the hub can be reached, or clone https://github.com/google/dreambooth and "
        "give its folder `dataset` as --data"
    )


def test_another_layout(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (problem,) = problems_of(tmp_path)
    assert problem.startswith(
        "wanted 'prompts_and_classes.txt' in it or in its 'dataset', found 'cat'; the layout is: prompts_and_classes.txt and"
    )


def test_every_problem_at_once(copy: Path) -> None:
    shutil.rmtree(copy / "vase")
    (copy / "cat9").mkdir()
    (copy / "notes.md").write_text("x")
    (copy / "cat" / "00.jpg").write_bytes(b"no picture")
    (copy / "dog" / "04.jpg").unlink()
    (copy / "dog" / "about.txt").write_text("x")
    shutil.copy(copy / "can" / "01.jpg", copy / "can" / "01.png")
    text = (copy / PROMPT_FILE).read_text().replace("dog2,dog", "dog2,cat").replace("candle,candle", "candles,candle")
    (copy / PROMPT_FILE).write_text(
        text.replace("'a {0} {1} wearing a red hat'.format(unique_token, class_token),\n", "")
    )
    assert problems_of(copy) == (
        "prompts_and_classes.txt, class table: missing 'candle'; fetch the data again",
        "prompts_and_classes.txt, class table: found 'candles' beside the 30 wanted; take them out",
        "prompts_and_classes.txt, class table: wanted class 'dog' for 'dog2', found 'cat'",
        "prompts_and_classes.txt: wanted 25 live prompts, found 24; fetch it again",
        "subject folders: missing 'vase'; fetch the data again",
        "subject folders: found 'cat9' beside the 30 wanted; take them out",
        "wanted subject folders and prompts_and_classes.txt, found the files 'notes.md' too; move them out",
        "can: wanted one picture numbered 01, found '01.jpg' and '01.png'; keep one",
        "dog: wanted pictures only, found the file 'about.txt'; move it out",
        "photographs of dog: missing '04'; fetch the data again",
        "cannot decode 'cat/00.jpg': it is no picture that evalkit knows (it begins with b'no pictu'); "
        "give a PNG, JPEG, WebP, BMP, TIFF or one-frame GIF",
    )


def test_a_line_of_the_prompt_file(copy: Path) -> None:
    text = (copy / PROMPT_FILE).read_text().replace("'a {0} {1} in the jungle'", "'a thing'", 1)
    (copy / PROMPT_FILE).write_text(text)
    assert problems_of(copy) == (
        "prompts_and_classes.txt, line 40: wanted one '{0} {1}' (token, class) in the prompt, found 'a thing'",
        "prompts_and_classes.txt: wanted 25 object prompts, found 24; fetch it again",
    )


def test_a_prompt_file_that_is_no_text(copy: Path) -> None:
    (copy / PROMPT_FILE).write_bytes(b"Classes\n\xff")
    told = "prompts_and_classes.txt: wanted text in UTF-8, found byte 0xff at position 8; save it again as UTF-8"
    assert problems_of(copy)[0] == told


def test_fetched_as_the_hub_has_it(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = fake_hub.install(monkeypatch, tmp_path / "hub")
    hub.publish("google/dreambooth", {f"dataset/{name}": data for name, data in fake_hub.files_in(whole).items()})
    for _ in range(2):
        assert DREAMBENCH.fetch(tmp_path / "data") == tmp_path / "data"
    assert len(DREAMBENCH.load(tmp_path / "data", "dreambooth").cases) == 750
    assert [call.patterns for call in hub.calls if not call.dry_run] == [("dataset/**",)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"live": ["cat", "lion"]}, r"subjects of 'classes', which differs for \['lion'\]"),
        ({"pairs": [["cat", "lion"]]}, r"subjects of 'classes', which differs for \['lion'\]"),
        ({"chosen": {**dict.fromkeys(dreambench_facts().classes, "00"), "cat": "07"}}, r"does not exist for \['cat'\]"),
    ],
)
def test_facts_that_contradict_each_other(change: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        DreamBenchFacts.read({**read_spec("dreambench").facts, **change}, where="spec")
