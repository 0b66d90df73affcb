"""Masks of samples that the user gives: found by the samples' names, checked all at once, part of what a score is of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from evalkit.cli import main
from evalkit.engine.sample_masks import read_sample_masks
from evalkit.errors import DataError, ProblemsError
from evalkit.features.pictures import Pictures
from evalkit.features.spec import ImageContent
from evalkit.metrics.base import Bound, Item, Outcome, Unscorable
from evalkit.nouns import Case, Reference, Sample, State
from evalkit.registry import METRICS, load
from evalkit.runs.folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Mapping

SIDE = 12
LEFT = np.arange(SIDE)[None] < np.full((SIDE, 1), 6)


def sample(case_id: str, path: str) -> Sample:
    return Sample(
        case_id=case_id, seed=0, state="made", path=path, pixels_sha256="0" * 64, width=SIDE, height=SIDE,
        case_sha256="1" * 64, method="m", method_version="1",
    )  # fmt: skip


SAMPLES = {(name, 0): sample(name, f"{name}/seed_0.png") for name in ("a", "b", "c")}


def read(folder: Path, samples: Mapping[tuple[str, int], Sample] = SAMPLES) -> Any:
    return read_sample_masks(folder, samples, [*samples], names=None, pictures=Pictures())


def write(path: Path, mask: Any = LEFT) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(mask, np.uint8) * 255).save(path)


def test_a_mask_goes_by_its_sample_s_name(tmp_path: Path) -> None:
    write(tmp_path / "a" / "seed_0.png")
    write(tmp_path / "b" / "seed_0.bmp", ~LEFT)
    write(tmp_path / "spare.png")
    found = read(tmp_path)
    assert {pair: content.path.name for pair, content in found.contents.items()} == {
        ("a", 0): "seed_0.png",
        ("b", 0): "seed_0.bmp",
    }
    assert found.contents["a", 0].sha256 != found.contents["b", 0].sha256
    assert found.told == (
        "1 samples have no mask, first: c/seed_0",
        "1 masks are of no sample asked for, first: spare",
    )


def test_names_are_those_below_the_folder_of_the_samples(tmp_path: Path) -> None:
    write(tmp_path / "masks" / "a.png")
    given = {("a", 0): sample("a", str(tmp_path / "elsewhere" / "0001.jpg"))}
    names = {("a", 0): Path("a.jpg")}
    found = read_sample_masks(tmp_path / "masks", given, [*given], names=names, pictures=Pictures())
    assert [*found.contents] == [("a", 0)]
    assert found.told == ()


def test_every_bad_mask_is_told_at_once(tmp_path: Path) -> None:
    write(tmp_path / "a" / "seed_0.png", np.ones((SIDE, SIDE + 1), bool))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "seed_0.png").write_bytes(b"no picture")
    cut = np.zeros((SIDE, SIDE, 4), np.uint8)
    cut[:, :6] = 255
    (tmp_path / "c").mkdir()
    Image.fromarray(cut).save(tmp_path / "c" / "seed_0.png")
    with pytest.raises(ProblemsError) as raised:
        read(tmp_path)
    told = str(raised.value)
    assert "is 12 x 13 (height x width), wanted 12 x 12" in told
    assert "cannot decode" in told
    assert "found a cut-out with transparency; draw it so" in told
    for name in ("a", "b", "c"):
        write(tmp_path / name / "seed_0.png")
    write(tmp_path / "a" / "seed_0.bmp")
    with pytest.raises(ProblemsError, match=r"2 masks of one sample: a/seed_0\.bmp, a/seed_0\.png; leave one"):
        read(tmp_path)


def test_a_folder_without_any_of_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^wanted a folder for --sample-masks, found nothing at "):
        read(tmp_path / "gone")
    write(tmp_path / "other.png")
    with pytest.raises(DataError, match=r"^wanted masks named as their samples, such as a/seed_0\.png, found none in "):
        read(tmp_path)


def item(tmp_path: Path, **changes: Any) -> Item:
    write(tmp_path / "target.png")
    target = Reference(path="t.png", subject="dog", label="toy dog")
    case = Case(
        case_id="dog.p0", prompt="a dog", subjects=("dog",), references=(), targets=(target,), category="animal",
        prompt_index=0,
    )  # fmt: skip
    given = {"target_masks": (tmp_path / "target.png",), "target_labels": ("toy dog",)} | changes
    picture = ImageContent("f" * 64, tmp_path / "s.png")
    return Item(case, 0, picture, (ImageContent("0" * 64, tmp_path / "t.png"),), **given)


def outcome(tmp_path: Path, mask: Any) -> Outcome:
    metric = load(METRICS, "si_iou")
    card = metric.card.variant("given")
    (found,) = metric.score([item(tmp_path)], Bound("given", card, card.extractor), [[np.asarray(mask, np.float32)]])
    return found  # type: ignore[no-any-return]


def test_an_outline_is_compared_wherever_it_stands(tmp_path: Path) -> None:
    assert outcome(tmp_path, LEFT).value == 1.0
    moved = np.zeros((48, 48), bool)
    moved[20:44, 30:42] = True
    assert outcome(tmp_path, moved).value == 1.0
    moved[20:32, 30:36] = False
    assert outcome(tmp_path, moved).value == pytest.approx(0.75)


@pytest.mark.parametrize(("name", "variant"), [("si_iou", "given"), ("sdino", "given"), ("vsm", "given")])
def test_a_sample_whose_mask_is_missing_or_empty(name: str, variant: str, tmp_path: Path) -> None:
    metric = load(METRICS, name)
    card = metric.card.variant(variant)
    bound = Bound(variant, card, card.extractor, card.beside)
    with pytest.raises(Unscorable) as raised:
        metric.requests(item(tmp_path), bound)
    assert raised.value.state is State.MASK_MISSING
    assert raised.value.reason == "dog.p0: no mask of its sample s.png; give a folder with --sample-masks"
    one = item(tmp_path, sample_mask=ImageContent("e" * 64, tmp_path / "m.png"))
    requests = metric.requests(one, bound)
    maps = [np.ones((SIDE, SIDE, 3), np.float32)] * (len(requests) - 1)
    (found,) = metric.score([one], bound, [[*maps, np.zeros((SIDE, SIDE), np.float32)]])
    assert found == Outcome(State.NO_SUBJECT, reason="dog.p0: no pixel of s.png is in its mask")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three samples of somebody's method in a folder, and a mask of each that covers its left half."""
    root = tmp_path_factory.mktemp("given")
    asked = ["--method", "real_images", "--bench", "dreambench_pp", "--profile", "sandbox", "--limit", "3"]
    assert main(["generate", *asked, "--out", str(root / "run")]) == 0
    for path in sorted((root / "run" / "samples").rglob("*.png")):
        name = path.relative_to(root / "run" / "samples")
        (root / "samples" / name).parent.mkdir(parents=True)
        (root / "samples" / name).write_bytes(path.read_bytes())
        write(root / "masks" / name, np.arange(96)[None] < np.full((96, 1), 48))
    return root


def scored(root: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    capsys.readouterr()
    told = [
        "score",
        "--samples",
        root / "samples",
        "--name",
        "mine",
        "--bench",
        "dreambench_pp",
        "--profile",
        "sandbox",
    ]
    code = main([*map(str, [*told, "--limit", 3, *arguments]), "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code in (0, 3)
    return found


def test_given_masks_are_part_of_what_a_score_is_of(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--metric", "si_iou@given", "--metric", "sdino@given", "--out", tmp_path / "run"]
    without = scored(made, capsys, *asked)["scores"]["si_iou"]
    assert (without["n_scored"], without["states"]) == (0, {"mask_missing": 3})
    cell = scored(made, capsys, *asked, "--sample-masks", made / "masks")["scores"]["si_iou"]
    assert (cell["n_scored"], cell["states"]) == (3, {})
    first = inputs(tmp_path / "run")
    for path in (made / "masks").rglob("*.png"):
        write(path, np.arange(96)[None] < np.full((96, 1), 30))
        break
    assert main(["score", str(tmp_path / "run")]) in (0, 3)
    changed = {key for key, digest in inputs(tmp_path / "run").items() if digest != first[key]}
    assert {metric for _, metric in changed} == {"si_iou@given", "sdino@given"}
    assert len({case for case, _ in changed}) == 1


def test_a_folder_of_links_has_the_masks_of_the_links_names(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted(path for path in (made / "samples").rglob("*.png"))
    for number, path in enumerate(files):
        link = tmp_path / "samples" / path.relative_to(made / "samples")
        link.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{number}.png").write_bytes(path.read_bytes())
        link.symlink_to(tmp_path / f"{number}.png")
    asked = ["--metric", "si_iou@given", "--out", tmp_path / "run", "--sample-masks", made / "masks"]
    cell = scored(tmp_path, capsys, *asked)["scores"]["si_iou"]
    assert (cell["n_scored"], cell["states"]) == (len(files), {})
    assert main(["score", str(tmp_path / "run")]) in (0, 3)


def inputs(run: Path) -> dict[tuple[str, str], str]:
    return {(score.case_id, score.metric): score.inputs for score in RunFolder.read(run).scores.latest().values()}


def test_masks_that_nothing_reads_are_refused(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = ["--samples", made / "samples", "--name", "mine", "--bench", "dreambench_pp", "--profile", "sandbox"]
    code = main([*map(str, ["score", *told, "--sample-masks", made / "masks", "--out", tmp_path / "run"])])
    assert code != 0
    assert "wanted a metric that reads masks of samples beside --sample-masks, found none" in capsys.readouterr().err
