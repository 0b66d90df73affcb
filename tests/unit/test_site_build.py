"""Building a site: what is written, what is refused, and that an old site stays until the new one is whole."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from evalkit.cli import main
from evalkit.errors import UsageError
from evalkit.leaderboard.site import build as building
from evalkit.leaderboard.site.build import build
from evalkit.leaderboard.site.model import Leaderboard
from evalkit.leaderboard.site.pages import POLICY
from evalkit.leaderboard.site.repository import FILES, init
from evalkit.leaderboard.site.serve import server
from tests.unit.scored_runs import PROMPTS, SUBJECTS, values, write_run

if TYPE_CHECKING:
    from pathlib import Path

BOARD = "boards/dreambench_pp-extended-sandbox"
HOSTILE = "<script>alert(1)</script>\"'&"


def run(path: Path, method: str, mean: float = 0.0, *, seed: int = 0, pictures: bool = True) -> Path:
    """A scored run with a small picture for each sample."""
    made = write_run(
        path, {"clip_t": values(mean, seed=seed), "lpips": values(mean, seed=seed + 50)}, method=method, pixels=method
    )
    if pictures:
        for subject in range(SUBJECTS):
            for prompt in range(PROMPTS):
                to = made / "samples" / f"s{subject:02d}.p{prompt}" / "seed_0.png"
                to.parent.mkdir(parents=True)
                Image.fromarray(np.full((8, 8, 3), 10 * subject, np.uint8)).save(to)
    return made


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    return [run(tmp_path / "a", "alpha", 2.0), run(tmp_path / "b", HOSTILE, seed=1)]


def test_every_page_is_there_strict_and_refers_to_what_is_there(tmp_path: Path, two: list[Path]) -> None:
    made = build(two, tmp_path / "site", resamples=199)
    pages = list(made.path.rglob("*.html"))
    boards = ("index", "tradeoffs", "categories", "cases", "matrix-clip_t")
    wanted = {f"{BOARD}/{name}.html" for name in boards}
    wanted |= {"index.html", "about.html", "audit.html", "methods/alpha.html", "metrics/clip_t.html"}
    wanted |= {"benchmarks/dreambench_pp.html"}
    assert wanted <= {str(page.relative_to(made.path)) for page in pages}
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert POLICY.replace("'", "&#39;") in text
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", text), (
            f"{page} holds code or style of its own"
        )
        assert "<script>alert" not in text
        for address in map(unescape, re.findall(r'(?:href|src)="([^"#]*)', text)):
            if address and not address.startswith(("https://", "http://")):
                assert (page.parent / address).resolve().is_file(), f"{page}: {address} is not there"
        assert len(text) < 1_000_000


def test_the_machine_readable_form_is_whole_and_follows_its_schema(tmp_path: Path, two: list[Path]) -> None:
    made = build(two, tmp_path / "site", title="T", resamples=199)
    told = Leaderboard.read((made.path / "leaderboard.json").read_text(encoding="utf-8"), where="x")
    assert told == made.leaderboard
    assert told.title == "T"
    schema = json.loads((made.path / "leaderboard.schema.json").read_text(encoding="utf-8"))
    assert set(schema["properties"]) == set(Leaderboard.model_fields)
    exports = {path.suffix for path in (made.path / "exports").iterdir()}
    assert exports == {".csv", ".json", ".md", ".tex", ".bib"}


def test_equal_runs_give_equal_files(tmp_path: Path, two: list[Path]) -> None:
    first, second = (build(two, tmp_path / name, resamples=199).path for name in ("x", "y"))
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
    assert [f for f in files if (first / f).read_bytes() != (second / f).read_bytes()] == []


def test_pictures_are_copied_small_and_originals_by_choice(tmp_path: Path, two: list[Path]) -> None:
    small = build(two, tmp_path / "s", resamples=199)
    assert len(list((small.path / "media/small").rglob("*.webp"))) == 2 * SUBJECTS * PROMPTS
    assert not (small.path / "media/full").exists()
    copied = build(two, tmp_path / "c", originals="copy", resamples=199)
    assert len(list((copied.path / "media/full").rglob("*.png"))) == 2 * SUBJECTS * PROMPTS
    linked = build(two, tmp_path / "l", originals="link", resamples=199)
    data = (linked.path / "data/dreambench_pp-extended-sandbox/run-alpha.js").read_text(encoding="utf-8")
    link = json.loads(
        data.removeprefix('evalkit.take("dreambench_pp-extended-sandbox/run-alpha",').removesuffix(");\n")
    )["full"][0]
    assert (linked.path / link).resolve().is_file()


def test_a_hash_that_is_none_names_no_file_elsewhere(tmp_path: Path) -> None:
    made = write_run(tmp_path / "a", {"clip_t": values(0.0)}, method="m", pixels="../../../outside/")
    (made / "samples/s00.p0").mkdir(parents=True)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(made / "samples/s00.p0/seed_0.png")
    site = build([made], tmp_path / "deep/er/site", resamples=199).path
    assert len(list((site / "media/small").rglob("*.webp"))) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "deep"]


def test_missing_pictures_are_said_and_do_not_stop_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = build([run(tmp_path / "a", "gone", pictures=False)], tmp_path / "site", resamples=199)
    assert made.missing == SUBJECTS * PROMPTS
    assert "pictures or clips are gone or cannot be shown, first:" in capsys.readouterr().err


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, two: list[Path]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match="found something else in .*nothing of it was touched"):
        build(two, tmp_path / "mine", resamples=199)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(UsageError, match="wanted a folder for --out, found a file"):
        build(two, tmp_path / "mine/thesis.txt", resamples=199)


def test_a_site_is_replaced_only_by_a_whole_one(
    tmp_path: Path, two: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = build(two[:1], tmp_path / "site", resamples=199).path
    before = (site / "leaderboard.json").read_bytes()

    def fail(*_told: object, **_more: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(building, "write_pages", fail)
    with pytest.raises(OSError, match="no space"):
        build(two, site, resamples=199)
    assert (site / "leaderboard.json").read_bytes() == before
    monkeypatch.undo()
    build(two, site, resamples=199)
    assert len(json.loads((site / "leaderboard.json").read_text(encoding="utf-8"))["boards"][0]["rows"]) == 2
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_training_curves_are_drawn_and_damaged_ones_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = run(tmp_path / "a", "alpha")
    for stage, text in (
        ("stage_1", "epoch,reward,kl,vsm,vsm_missing\n1,0.1,0,0.5,0\n2,0.3,0.1,0.6,0\n"),
        ("stage_2", "epoch\nx\n"),
    ):
        (made / "train" / stage).mkdir(parents=True)
        (made / "train" / stage / "curves.csv").write_text(text, encoding="utf-8")
    site = build([made], tmp_path / "site", resamples=199).path
    page = (site / "methods/alpha.html").read_text(encoding="utf-8")
    assert "Training: stage_1" in page
    assert all(f'aria-label="{name}"' in page for name in ("reward", "kl", "vsm"))
    assert "stage_2" not in page
    assert "curves.csv: not shown" in capsys.readouterr().err


def test_the_command_says_what_it_wrote(tmp_path: Path, two: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["leaderboard", "build", *map(str, two), "--out", str(tmp_path / "site"), "--resamples", "199"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "dreambench_pp/extended, sandbox: 2 runs, 2 metrics" in out
    assert f"site: {tmp_path / 'site/index.html'}" in out
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["boards"] == ["dreambench_pp-extended-sandbox"]
    assert told["missing"] == 0


def test_only_a_site_is_served(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"wanted the folder of a site, found no index\.html"):
        server(tmp_path, 0)


def test_a_repository_is_begun_in_an_empty_folder_alone(tmp_path: Path) -> None:
    import yaml

    made = init(tmp_path / "repo")
    assert sorted(str(path.relative_to(tmp_path / "repo")) for path in made) == sorted(FILES.values())
    workflow = yaml.safe_load((tmp_path / "repo/.github/workflows/leaderboard.yml").read_text(encoding="utf-8"))
    assert set(workflow["jobs"]) == {"verify", "publish"}
    with pytest.raises(UsageError, match="wanted a new or empty folder"):
        init(tmp_path / "repo")
