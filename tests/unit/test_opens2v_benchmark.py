"""OpenS2V-Eval's loader on a synthetic copy of the layout, and on the authors' files where they are at hand."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.benchmarks.binding import find_samples
from evalkit.benchmarks.opens2v import OPENS2V
from evalkit.benchmarks.opens2v_layout import OpenS2VFacts, cases_of, read_entries, shared_units
from evalkit.benchmarks.spec import BenchmarkSpec
from evalkit.errors import ProblemsError
from evalkit.media import write_image
from tests import fake_hub

if TYPE_CHECKING:
    from evalkit.benchmarks.base import Loaded

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "opens2v"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="OpenS2V-Eval's files are not beside this checkout")
COUNTS = {"singleobj": 2, "singleface": 1, "multihuman": 2}
DOMAINS = {
    "open": {"file": "Open-Domain_Eval.json", "counts": COUNTS},
    "single": {"file": "Single-Domain_Eval.json", "counts": {"singleobj": 2, "singleface": 1}},
    "human": {"file": "Human-Domain_Eval.json", "counts": {"singleface": 1}},
}
FIRST = "Images/singleobj/cup/1.png"


def entry(*paths: str, flag: str = "wrong", **changes: Any) -> dict[str, Any]:
    labels = ["Woman" if "woman" in path else "Man" if "man" in path else "Cup" for path in paths]
    told = {"img_paths": list(paths), "prompt": "A cup is lifted.", "synthesis_flag": flag, "class_label": labels}
    return told | changes


def entries() -> dict[str, dict[str, Any]]:
    return {
        "singleobj_1": entry(FIRST),
        "singleobj_2": entry("Images/singleobj/cup/2.png", flag="Wrong"),
        "singleface_1": entry("Images/singleface/crop_woman/1.png"),
        "multihuman_1": entry("Images/multihuman/man/1.png", "Images/multihuman/woman/1.png", flag="True"),
        "multihuman_2": entry("Images/multihuman/man/2.png", "Images/multihuman/woman/1.png", flag="True"),
    }


@pytest.fixture
def spec(monkeypatch: pytest.MonkeyPatch) -> BenchmarkSpec:
    """The spec with the small copy's counts."""
    small = OPENS2V.spec.model_copy(update={"facts": {"domains": DOMAINS}})
    monkeypatch.setattr("evalkit.benchmarks.opens2v.read_spec", lambda _name: small)
    return small


def wrote(root: Path, told: dict[str, Any] | None = None, *, pictures: bool = True) -> Path:
    """A folder in the layout, with `told` for the open domain."""
    found = entries() if told is None else told
    for domain in DOMAINS.values():
        kept = {k: v for k, v in found.items() if k.partition("_")[0] in domain["counts"] or domain is DOMAINS["open"]}
        root.mkdir(exist_ok=True)
        (root / str(domain["file"])).write_text(json.dumps(kept), encoding="utf-8")
    for number, path in enumerate(p for one in entries().values() for p in one["img_paths"]):
        if pictures:
            write_image(root / path, np.full((8, 10, 3), number, np.uint8))
    return root


def loaded(root: Path, protocol: str = "v1.1") -> Loaded:
    return OPENS2V.load(root, protocol)


@pytest.mark.usefixtures("spec")
def test_a_case_for_each_entry(tmp_path: Path) -> None:
    found = loaded(wrote(tmp_path))
    assert [case.case_id for case in found.cases] == [*entries()]
    case = found.cases[3]
    assert (case.medium, case.category, case.tags) == ("video", "multihuman", ("synthesis",))
    assert [(r.path, r.subject, r.label) for r in case.references] == [
        ("Images/multihuman/man/1.png", "Images/multihuman/man/1", "Man"),
        ("Images/multihuman/woman/1.png", "Images/multihuman/woman/1", "Woman"),
    ]
    assert case.targets == case.references
    assert [found.cases[n].tags for n in (0, 1)] == [("real",), ("real",)]
    assert found.real_clip(case, 0) is None
    assert found.official_name(case, 0) == "multihuman_1"
    assert found.official_name(case, 1) is None


@pytest.mark.usefixtures("spec")
def test_cases_that_share_a_picture_are_one_unit(tmp_path: Path) -> None:
    found = {case.case_id: case for case in loaded(wrote(tmp_path)).cases}
    assert found["multihuman_2"].subjects == found["multihuman_1"].subjects == ("multihuman_1",)
    assert [found[f"multihuman_{n}"].prompt_index for n in (1, 2)] == [0, 1]
    assert len({case.subjects for case in found.values()}) == 4


@pytest.mark.usefixtures("spec")
@pytest.mark.parametrize(
    ("protocol", "cases"), [("extended", 5), ("v1.0", 5), ("v1.1_single", 3), ("v1.0_single", 3), ("v1.1_human", 1)]
)
def test_a_protocol_is_of_a_domain(tmp_path: Path, protocol: str, cases: int) -> None:
    assert len(loaded(wrote(tmp_path), protocol).cases) == cases


@pytest.mark.usefixtures("spec")
def test_the_folder_above_is_taken_too(tmp_path: Path) -> None:
    wrote(tmp_path / "OpenS2V-Eval")
    assert loaded(tmp_path).root == tmp_path / "OpenS2V-Eval"


@pytest.mark.usefixtures("spec")
def test_without_any_picture_the_cases_load_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(loaded(wrote(tmp_path, pictures=False)).cases) == 5
    assert "holds no Images/: what compares with references has no value" in capsys.readouterr().err


@pytest.mark.usefixtures("spec")
def test_every_problem_is_in_one_report(tmp_path: Path) -> None:
    told = entries()
    told["singleobj_1"] = entry("../outside.png")
    told["singleobj_2"] = entry(*["Images/singleobj/cup/2.png"] * 4)
    told["singleface_1"] = entry("Images/singleface/crop_woman/1.png", class_label=[], prompt=" ", flag="maybe")
    told["teapot"] = entry("Images/a.png")
    told["multihuman_1"].pop("prompt")
    told["multihuman_2"] = ["a", "list"]  # type: ignore[assignment]
    told["multihuman_3"] = entry("Images/multihuman/man/1.png")
    with pytest.raises(ProblemsError) as raised:
        loaded(wrote(tmp_path, told))
    problems = "\n".join(raised.value.problems)
    for wanted in (
        "'singleobj_1': wanted a path inside",
        "'singleobj_2': wanted 1 to 3 paths in img_paths, found ['Images",
        "'singleface_1': wanted a class_label for each of img_paths, found []",
        "'singleface_1': wanted a prompt, found ' '",
        "'singleface_1': wanted a synthesis_flag of 'true', 'wrong', 'false' in any case, found 'maybe'",
        "'teapot': wanted an id CATEGORY_NUMBER with a category of 'singleobj'",
        "'multihuman_1': keys: missing 'prompt'",
        "'multihuman_2': wanted an object, found list",
        "Open-Domain_Eval.json: wanted 2 entries of 'multihuman', found 3; fetch it again",
    ):
        assert wanted in problems


@pytest.mark.usefixtures("spec")
def test_an_id_or_a_key_that_stands_twice_is_told(tmp_path: Path) -> None:
    root = wrote(tmp_path)
    path = root / "Open-Domain_Eval.json"
    one = json.dumps(entry(FIRST))
    path.write_text(f'{{"singleobj_1": {one}, {path.read_text()[1:]}'.replace('"prompt"', '"prompt": "", "prompt"', 1))
    with pytest.raises(ProblemsError) as raised:
        loaded(root)
    assert raised.value.problems == (
        "Open-Domain_Eval.json: wanted each key once, found 'prompt' again in one object; keep one",
        "Open-Domain_Eval.json: wanted each key once, found 'singleobj_1' again in one object; keep one",
    )


@pytest.mark.usefixtures("spec")
def test_pictures_that_are_missing_or_damaged_are_told_beside_each_other(tmp_path: Path) -> None:
    root = wrote(tmp_path)
    (root / FIRST).unlink()
    (root / "Images/singleobj/cup/2.png").write_bytes(b"no picture")
    with pytest.raises(ProblemsError) as raised:
        loaded(root)
    assert [line.partition(":")[0] for line in raised.value.problems] == [
        "cannot decode 'Images/singleobj/cup/1.png'", "cannot decode 'Images/singleobj/cup/2.png'",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "wanted a mapping of ids to entries, found list"),
        ("{", "wanted JSON, found something else: Expecting property name"),
        (None, "wanted 'Open-Domain_Eval.json', found No such file or directory; fetch the data again"),
    ],
)
def test_a_file_that_holds_no_entries(tmp_path: Path, text: str | None, told: str) -> None:
    domain = OpenS2VFacts.read({"domains": DOMAINS}, where="test").domains["open"]
    if text is not None:
        (tmp_path / domain.file).write_text(text, encoding="utf-8")
    found, problems = read_entries(tmp_path, domain)
    assert found == ()
    assert told in problems[0]


@pytest.mark.usefixtures("spec")
def test_samples_are_named_after_their_case(tmp_path: Path) -> None:
    benchmark = loaded(wrote(tmp_path / "data"))
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("singleobj_1.mp4", "multihuman_2_1.webm", "singleobj_2.png"):
        (folder / name).write_bytes(b"")
    pairs = [(case, seed) for case in benchmark.cases for seed in (0, 1)]
    found = find_samples(folder, benchmark, pairs)
    assert {pair: path.name for pair, path in found.files.items()} == {
        ("singleobj_1", 0): "singleobj_1.mp4", ("multihuman_2", 1): "multihuman_2_1.webm",
    }  # fmt: skip


def test_fetch_brings_files_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = fake_hub.install(monkeypatch, tmp_path / "hub")
    names = [str(domain["file"]) for domain in DOMAINS.values()]
    hub.publish("BestWishYsh/OpenS2V-Eval", dict.fromkeys((*names, "Images/a/1.png", "README.md"), b"x"))
    for _ in range(2):
        assert OPENS2V.fetch(tmp_path / "data") == tmp_path / "data"
    assert [call.patterns for call in hub.calls] == [(*names, "Images/**")] * 2
    assert sorted(hub.brought) == sorted([*names, "Images/a/1.png"])


@needs_data
@pytest.mark.parametrize(
    ("protocol", "cases", "units", "pictures"),
    [("v1.1", 180, 178, {1: 90, 2: 40, 3: 50}), ("v1.1_human", 60, 59, {1: 60})],
)
def test_the_authors_files(protocol: str, cases: int, units: int, pictures: dict[int, int]) -> None:
    found = loaded(DATA, protocol)
    assert len(found.cases) == cases
    assert len(found.subjects) == units
    assert Counter(len(case.references) for case in found.cases) == pictures
    assert Counter(case.category for case in found.cases)["singleface"] == 30
    people = {r.label for case in found.cases if case.category in ("singlehuman", "singleface", "humanobj", "faceobj")
              for r in case.references if "man/" in r.path}  # fmt: skip
    assert people == {"Man", "Woman"}


@needs_data
def test_the_single_domain_is_part_of_the_open_one() -> None:
    whole = {case.case_id: case for case in loaded(DATA, "v1.1").cases}
    assert all(case == whole[case.case_id] for case in loaded(DATA, "v1.1_single").cases)


def test_units_of_nothing_shared() -> None:
    assert shared_units([]) == {}
    assert cases_of([]) == ()
