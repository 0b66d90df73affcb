"""Building a site: what is written, what is refused, and that an old site stays until the new one is whole."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from evalkit.cli import main
from evalkit.errors import ProblemsError, UsageError
from evalkit.leaderboard.site import build as building
from evalkit.leaderboard.site.build import build
from evalkit.leaderboard.site.curves import curves
from evalkit.leaderboard.site.data import case_data
from evalkit.leaderboard.site.media import Media, Shown
from evalkit.leaderboard.site.model import Leaderboard
from evalkit.leaderboard.site.pages import POLICY
from evalkit.leaderboard.site.repository import FILES, init
from evalkit.leaderboard.site.serve import server
from evalkit.media import encode_mp4, pixel_sha256, text_sha256
from evalkit.nouns import MetricChoice, Reference
from evalkit.runs.cases import RunCase
from evalkit.runs.folder import RunFolder
from tests.unit.scored_runs import PROMPTS, SUBJECTS, case, values, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.leaderboard.site.media import Originals

BOARD = "boards/dreambench_pp-extended-sandbox"
HOSTILE = "<script>alert(1)</script>\"'&"


def draw(to: Path, shade: int) -> str:
    """A small picture of one shade; returns the hash of its pixels."""
    to.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((8, 8, 3), shade, np.uint8)
    Image.fromarray(pixels).save(to, "PNG")
    return pixel_sha256(pixels)


def media(folder: Path, originals: Originals = "none") -> Media:
    """What writes below `folder`/site."""
    return Media(folder / "site", folder / "cache", originals, at=folder / "site")


def run(path: Path, method: str, mean: float = 0.0, *, seed: int = 0, pictures: bool = True) -> Path:
    """A scored run with a small picture for each sample."""
    made = write_run(
        path, {"clip_t": values(mean, seed=seed), "lpips": values(mean, seed=seed + 50)}, method=method, pixels=method
    )
    if pictures:
        for subject in range(SUBJECTS):
            for prompt in range(PROMPTS):
                draw(made / "samples" / f"s{subject:02d}.p{prompt}" / "seed_0.png", 10 * subject)
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
    assert len(list((small.path / "media/small").rglob("*.webp"))) == SUBJECTS  # as many as differ
    assert not (small.path / "media/full").exists()
    copied = build(two, tmp_path / "c", originals="copy", resamples=199)
    assert len(list((copied.path / "media/full").rglob("*.png"))) == SUBJECTS
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


def test_a_page_that_is_a_picture_too_is_copied_under_the_picture_s_ending(tmp_path: Path) -> None:
    page = tmp_path / "run/c/seed_0.html"
    sha256 = draw(page, 7)
    page.write_bytes(page.read_bytes() + HOSTILE.encode())
    held = media(tmp_path, "copy")
    assert held.show(held.shelf(tmp_path / "run"), "c/seed_0.html", sha256).full == (
        f"media/full/{sha256[:2]}/{sha256[:24]}.png"
    )
    assert list((tmp_path / "site").rglob("*.html")) == []
    linked = media(tmp_path, "link")
    assert linked.show(linked.shelf(tmp_path / "run"), "c/seed_0.html", sha256).full is None


@pytest.mark.parametrize("originals", ["none", "copy", "link"])
def test_what_is_no_picture_is_never_shown_nor_copied(tmp_path: Path, originals: Originals) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/x.png").write_text(HOSTILE, encoding="utf-8")
    (tmp_path / "run/y.mp4").write_text("#EXTM3U\n/etc/passwd", encoding="utf-8")
    (tmp_path / "run/drawn.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\nshowpage\n")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "run/huge.png")
    held = media(tmp_path, originals)
    shelf = held.shelf(tmp_path / "run")
    names = ("x.png", "y.mp4", "drawn.png", "huge.png", "none.png", "nul\0.png", "")
    assert [held.show(shelf, name, "0" * 64) for name in names] == [Shown()] * len(names)
    assert len(held.missing) == len(names)
    assert [path for path in (tmp_path / "site").rglob("*") if path.is_file()] == []


def test_no_path_of_a_run_leads_out_of_its_folder(tmp_path: Path) -> None:
    sha256 = draw(tmp_path / "mine/secret.png", 9)
    (tmp_path / "mine/secret.txt").write_text("word", encoding="utf-8")
    (tmp_path / "run").mkdir()
    held = media(tmp_path, "copy")
    shelf = held.shelf(tmp_path / "run")
    for name in ("secret.png", "secret.txt"):
        for path in (str(tmp_path / "mine" / name), f"../mine/{name}", f"x/../../mine/{name}", f"..\\mine\\{name}"):
            for content in (sha256, text_sha256("word")):
                assert held.show(shelf, path, content) == Shown()
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("link", ["a.png", "b/a.png", "b/c/a.png"])
def test_what_a_link_leads_to_is_shown_only_where_the_run_knows_it(tmp_path: Path, link: str) -> None:
    """At the file, and at a folder above it."""
    sha256 = draw(tmp_path / "mine/c/a.png", 9)
    draw(tmp_path / "mine/a.png", 9)
    at = tmp_path / "run" / link.partition("/")[0]
    at.parent.mkdir()
    at.symlink_to(tmp_path / "mine" / ("" if "/" in link else "a.png"))
    held = media(tmp_path)
    shelf = held.shelf(tmp_path / "run")
    assert held.show(shelf, link, "0" * 64) == Shown()
    assert held.show(shelf, link, sha256).small is not None


def test_somebody_s_samples_are_shown_from_their_folder_as_they_were_scored(tmp_path: Path) -> None:
    sha256 = draw(tmp_path / "theirs/a.png", 9)
    draw(tmp_path / "theirs/changed.png", 10)
    (tmp_path / "theirs/note.txt").write_text("an answer", encoding="utf-8")
    outside = draw(tmp_path / "else.png", 11)
    held = media(tmp_path)
    shelf = held.shelf(tmp_path / "theirs", own=False)
    assert held.show(shelf, str(tmp_path / "theirs/a.png"), sha256).small is not None
    assert held.show(shelf, str(tmp_path / "theirs/note.txt"), text_sha256("an answer")).answer == "an answer"
    assert held.show(shelf, str(tmp_path / "theirs/note.txt"), sha256) == Shown()
    assert held.show(shelf, str(tmp_path / "theirs/changed.png"), sha256) == Shown()
    assert held.show(shelf, str(tmp_path / "theirs/../else.png"), outside) == Shown()
    assert held.show(shelf, "a.png", sha256) == Shown()


def test_a_run_s_word_for_a_hash_puts_no_picture_in_another_s_place(tmp_path: Path) -> None:
    honest = draw(tmp_path / "b/x.png", 200)
    draw(tmp_path / "a/x.png", 1)
    first = media(tmp_path)
    false = first.show(first.shelf(tmp_path / "a"), "x.png", honest).small
    true = first.show(first.shelf(tmp_path / "b"), "x.png", honest).small
    assert false != true
    assert honest[:24] in str(true)
    first.keep()
    again = Media(tmp_path / "again", tmp_path / "cache", "none", at=tmp_path / "again")
    assert again.show(again.shelf(tmp_path / "b"), "x.png", honest).small == true
    with Image.open(tmp_path / "again" / str(true)) as shown:
        assert np.asarray(shown.convert("L")).mean() == pytest.approx(200, abs=2)


def test_what_was_decoded_before_is_known_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path / "run/x.png", 30)
    first = media(tmp_path)
    before = first.show(first.shelf(tmp_path / "run"), "x.png", None)
    first.keep()
    with monkeypatch.context() as patch:
        patch.delattr("evalkit.leaderboard.site.media.decode_image")
        again = Media(tmp_path / "again", tmp_path / "cache", "none", at=tmp_path / "again")
        assert again.show(again.shelf(tmp_path / "run"), "x.png", None) == before
    Image.fromarray(np.full((9, 8, 3), 90, np.uint8)).save(tmp_path / "run/x.png")
    changed = Media(tmp_path / "changed", tmp_path / "cache", "none", at=tmp_path / "changed")
    assert changed.show(changed.shelf(tmp_path / "run"), "x.png", None).small not in (None, before.small)


def test_clips_have_a_first_frame_and_a_copy_and_long_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/x.mkv").write_bytes(encode_mp4(np.full((3, 15, 17, 3), 90, np.uint8), 8))
    held = media(tmp_path)
    shown = held.show(held.shelf(tmp_path / "run"), "x.mkv", None)
    assert (tmp_path / "site" / str(shown.small)).suffix == ".webp"
    assert (tmp_path / "site" / str(shown.full)).read_bytes()[4:8] == b"ftyp"
    monkeypatch.setattr("evalkit.media.video.decode_video.__kwdefaults__", {"max_bytes": 1000, "name": None})
    bounded = Media(tmp_path / "s", tmp_path / "c", "none", at=tmp_path / "s")
    assert bounded.show(bounded.shelf(tmp_path / "run"), "x.mkv", None) == Shown()


def test_references_are_taken_from_the_data_folder_alone(tmp_path: Path) -> None:
    draw(tmp_path / "secret.png", 5)
    (tmp_path / "data").mkdir()
    picture = Reference(path="../secret.png", subject="s", label="dog")
    told = case(0, 0).model_copy(update={"references": (picture,), "targets": ()})
    held = RunCase.of(told, {"../secret.png": "0" * 64})
    shown = case_data({held.case_id: held}, media(tmp_path), tmp_path / "data")
    assert shown["cases"][0]["references"] == [{"label": "dog", "picture": None}]


def test_the_cases_are_those_that_the_runs_share_and_others_are_not_shown_under_their_name(tmp_path: Path) -> None:
    """A run with another prompt under a case's name, given last, changes no word of the board."""
    two = [run(tmp_path / name, name, seed=k, pictures=False) for k, name in enumerate("ab")]
    other = write_run(tmp_path / "c", {"clip_t": values(), "lpips": values()}, method="c", prompt="a cat")
    site = build([*two, other], tmp_path / "site", resamples=199).path
    assert {told["prompt"] for told in data(site, "cases")["cases"]} == {"a dog"}
    shown = data(site, "run-c")
    assert set(shown["scores"]["clip_t"]) == {None}
    assert set(shown["why"].values()) == {"the run's case of this name has another prompt or other references"}


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("order", ["clip_t", "lpips", "more"], "'more' in one of them alone"),
        ("order", ["clip_t", "clip_t"], "names a metric twice"),
        ("scales", {}, "wanted `scales` of the metrics of `order`"),
        ("directions", {"clip_t": "up", "lpips": "lower"}, "'higher' or 'lower'"),
        ("in_domain", ["vsm"], "wanted `in_domain` out of `order`"),
        ("method", "beta", "wanted a table of the run"),
        ("protocol", "zzz", "wanted a table of the run"),
        ("extra", 1, "extra is not a known key"),
    ],
)
def test_a_table_that_is_none_is_refused_by_name(tmp_path: Path, key: str, value: object, told: str) -> None:
    made = run(tmp_path / "a", "alpha", pictures=False)
    summary = made / "summary.json"
    summary.write_text(json.dumps({**json.loads(summary.read_text(encoding="utf-8")), key: value}), encoding="utf-8")
    with pytest.raises(ProblemsError, match=r"these runs cannot be shown \(1 problem\)") as found:
        build([made], tmp_path / "site", resamples=199)
    assert told in str(found.value)
    assert str(made) in str(found.value)


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ({"value": float("nan")}, "finite"),
        ({"n_scored": 10**9, "n_cases": 10**9}, "at most the run's"),
        ({"n_scored": -1}, "counts of clip_t"),
        ({"states": {"zzz": 1}}, "wanted a state"),
    ],
)
def test_a_cell_that_is_none_is_refused(tmp_path: Path, cell: dict[str, object], told: str) -> None:
    made = run(tmp_path / "a", "alpha", pictures=False)
    summary = made / "summary.json"
    held = json.loads(summary.read_text(encoding="utf-8"))
    held["scores"]["clip_t"] |= cell
    summary.write_text(json.dumps(held), encoding="utf-8")
    with pytest.raises(ProblemsError, match=told):
        build([made], tmp_path / "site", resamples=199)


@pytest.mark.parametrize("name", ["summary.json", "run.json"])
def test_endless_depth_and_length_are_refused(tmp_path: Path, name: str) -> None:
    deep, long = (run(tmp_path / method, method, pictures=False) for method in ("alpha", "beta"))
    (deep / name).write_text("[" * 200_000, encoding="utf-8")
    (long / "summary.json").write_text(" " * (16 * 2**20 + 1), encoding="utf-8")
    with pytest.raises(ProblemsError, match=r"\(2 problems\)") as found:
        build([deep, long], tmp_path / "site", resamples=199)
    assert "the limit is 16777216" in str(found.value)


@pytest.mark.parametrize(("key", "value"), [("benchmark", "zzz"), ("protocol", "zzz"), ("metric", "zzz@a")])
def test_a_run_of_what_is_not_installed_is_refused_by_name(tmp_path: Path, key: str, value: str) -> None:
    made = run(tmp_path / "a", "alpha", pictures=False)
    record = RunFolder.read(made).record
    if key == "benchmark":
        record = record.model_copy(update={"identity": record.identity.model_copy(update={key: value})})
    elif key == "protocol":
        record = record.model_copy(update={"request": record.request.model_copy(update={key: value})})
    else:
        metrics = (MetricChoice.parse(value), *record.request.metrics[1:])
        record = record.model_copy(update={"request": record.request.model_copy(update={"metrics": metrics})})
    (made / "run.json").write_text(record.text(), encoding="utf-8")
    summary = json.loads((made / "summary.json").read_text(encoding="utf-8"))
    summary |= {"request": record.request.digest()} | ({key: value} if key in summary else {})
    (made / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    with pytest.raises(ProblemsError, match="zzz") as found:
        build([made], tmp_path / "site", resamples=199)
    assert str(made) in str(found.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("epoch,reward\n1\n", "wanted 2 values in each row, found another number in row 1"),
        ("epoch,reward\n1,2,3\n", "wanted 2 values in each row"),
        ("epoch,reward\n1," + "9" * 140_000 + "\n", "field larger than field limit"),
        ("epoch,reward\ninf,1\n", "wanted a finite epoch in each row"),
        ("epoch,reward\n1,x\n", "wanted a number, found 'x'"),
        ("epoch\n" + "1\n" * 50_001, "wanted at most 50000 rows"),
        ("reward\n1\n", "wanted a column 'epoch'"),
        ("epoch,reward\n1,\0\n", "wanted a"),
    ],
)
def test_curves_that_are_none_are_said_and_not_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage/curves.csv").write_text(text, encoding="utf-8")
    assert curves(tmp_path) == []
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e308", "-1e400", ""])
def test_values_beyond_any_drawing_are_gaps(tmp_path: Path, value: str) -> None:
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage/curves.csv").write_text(f"epoch,reward\n1,0.5\n2,{value}\n3,0.7\n4,-1e29\n", encoding="utf-8")
    ((_, ((name, drawn),)),) = curves(tmp_path)
    (line,) = re.findall(r'class="line s0" d="M([^"]*)"', str(drawn))
    assert (name, line.count("L")) == ("reward", 2)


def test_missing_pictures_are_said_and_do_not_stop_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = build([run(tmp_path / "a", "gone", pictures=False)], tmp_path / "site", resamples=199)
    assert made.missing == SUBJECTS * PROMPTS
    assert "pictures or clips are gone or cannot be shown, first:" in capsys.readouterr().err


def data(site: Path, name: str) -> dict[str, Any]:
    """What a script of the board's is given."""
    board = BOARD.removeprefix("boards/")
    text = (site / "data" / board / f"{name}.js").read_text(encoding="utf-8")
    told: dict[str, Any] = json.loads(text.removeprefix(f'evalkit.take("{board}/{name}",').removesuffix(");\n"))
    return told


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


@pytest.mark.parametrize("lost", ["parts", "count"])
def test_a_table_without_its_scores_is_refused_by_path(tmp_path: Path, lost: str) -> None:
    made = write_run(tmp_path / "a", {"clip_t": values(0.0)}, method="m")
    if lost == "parts":
        for part in (made / "store" / "scores").iterdir():
            part.unlink()
    else:
        told = json.loads((made / "summary.json").read_text(encoding="utf-8"))
        told["scores"]["clip_t"]["n_scored"] -= 1
        (made / "summary.json").write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(ProblemsError) as error:
        build([made], tmp_path / "site", resamples=199)
    assert str(made) in str(error.value)
    assert f"`evalkit score {made}` makes them whole" in str(error.value)
    assert not (tmp_path / "site").exists()
