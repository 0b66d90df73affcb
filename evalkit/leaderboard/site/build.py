"""Builds the site: collects runs, measures boards, writes pages beside the old site and swaps them in when all is done."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import evalkit
from evalkit.content import content
from evalkit.errors import DataError, EvalkitError, UsageError
from evalkit.files import atomic_write_bytes, atomic_write_text
from evalkit.leaderboard.site.collect import boards, collect, named
from evalkit.leaderboard.site.data import board_data, case_data, run_data, write_data
from evalkit.leaderboard.site.exports import to_bibtex, to_csv, to_latex, to_markdown
from evalkit.leaderboard.site.measure import Measured, measure
from evalkit.leaderboard.site.media import Media, Originals
from evalkit.leaderboard.site.model import Leaderboard
from evalkit.leaderboard.site.pages import Pages
from evalkit.leaderboard.site.printed_rows import with_reported
from evalkit.leaderboard.site.writing import write_pages
from evalkit.paths import cache_root
from evalkit.progress import progress, warn
from evalkit.registry import BENCHMARKS, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evalkit.leaderboard.site.collect import BoardKey, Entry
    from evalkit.leaderboard.site.model import Board
    from evalkit.runs.cases import RunCase

MARK = "leaderboard.json"
"""A folder that holds it is a site, and may be replaced by a newer one."""
RESAMPLES = 1999


class Built(NamedTuple):
    """What was written."""

    path: Path
    leaderboard: Leaderboard
    files: int
    bytes: int
    missing: int
    """Media that are gone or cannot be shown."""


def build(
    runs: Sequence[Path],
    out: Path,
    *,
    title: str = "evalkit leaderboard",
    originals: Originals = "none",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Built:
    """Writes the site of these runs to `out`, replacing the site there only when the new one is complete.

    Raises: UsageError for no run, one given twice, and a folder that holds something else than a site; ProblemsError
    naming each run that cannot be shown.
    """
    _check_free(out)
    entries = collect(runs)
    with _beside(out) as site, progress("leaderboard", len(entries) + 2, unit="steps") as advance:
        measured = [_measured(key, held, resamples, seed) for key, held in boards(entries).items()]
        advance()
        finished = [entry.finished for entry in entries if entry.finished]
        told = Leaderboard(
            evalkit=evalkit.__version__, title=title, newest=max(finished, default=None),
            boards=tuple(one.board for one in measured),
        )  # fmt: skip
        media = Media(site, cache_root() / "leaderboard" / "media", originals, at=out)
        bundle = _assets(site)
        for one in measured:
            held = [entry for entry in entries if entry.key.slug == one.board.slug]
            _board_files(site, told, one, held, media, advance)
        write_pages(Pages(site, told), measured, entries, media, unstyled=_own_styles(bundle))
        atomic_write_text(
            site / "leaderboard.schema.json", json.dumps(Leaderboard.model_json_schema(), indent=1) + "\n"
        )
        atomic_write_text(site / MARK, told.model_dump_json() + "\n")
        media.keep()
        advance()
        files = [path for path in site.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        _swap(site, out)
    if media.missing:
        warn(f"{len(media.missing)} pictures or clips are gone or cannot be shown, first: {media.missing[0]}")
    return Built(out, told, len(files), size, len(media.missing))


def _measured(key: BoardKey, entries: list[Entry], resamples: int, seed: int) -> Measured:
    found = measure(key, entries, resamples=resamples, seed=seed)
    return found._replace(board=with_reported(found.board))


def _board_files(
    site: Path, told: Leaderboard, one: Measured, entries: list[Entry], media: Media, advance: Callable[[], object]
) -> None:
    board = one.board
    write_data(site, f"{board.slug}/board", board_data(one))
    cases = _cases(board, entries)
    write_data(site, f"{board.slug}/cases", case_data(cases, media, _data_root(entries)))
    for entry in entries:
        with named(entry.scored.run.path):
            samples = run_data(entry, board, cases, media)
        write_data(site, f"{board.slug}/run-{entry.slug}", samples)
        advance()
    exports = site / "exports"
    exports.mkdir(exist_ok=True)
    for suffix, text in (
        ("csv", to_csv(board)), ("md", to_markdown(board)), ("tex", to_latex(board)), ("bib", to_bibtex(board, told)),
        ("json", board.model_dump_json() + "\n"),
    ):  # fmt: skip
        atomic_write_text(exports / f"{board.slug}.{suffix}", text)


def _cases(board: Board, entries: Sequence[Entry]) -> dict[str, RunCase]:
    """The cases that the board's runs share; of those that only other runs have, the first run's."""
    others = {row.slug for row in board.rows if row.other_cases is not None}
    found: dict[str, RunCase] = {}
    for entry in sorted(entries, key=lambda entry: entry.slug in others):
        for case in entry.scored.run.requested:
            found.setdefault(case.case_id, case)
    return found


def _data_root(entries: Sequence[Entry]) -> Path | None:
    """Where the references' files are: the data that a run names, or the embedded world drawn again; None if neither is."""
    key = entries[0].key
    benchmark = load(BENCHMARKS, key.benchmark)
    folders = dict.fromkeys(f for e in entries if (f := e.scored.run.record.data_folder) is not None)
    try:
        if folders:
            return next((b for f in folders if (b := benchmark.load(Path(f), key.protocol).root).is_dir()), None)
        embedded = benchmark.embed(cache_root() / "world" / key.benchmark)
        loaded = benchmark.load(embedded, key.protocol)
        return loaded.root if loaded.world == key.world else None
    except EvalkitError as error:
        warn(f"{key.benchmark}: pages show no references, for the data are not at hand: {str(error).splitlines()[0]}")
        return None


def _assets(site: Path) -> str:
    """Styles and scripts, and Plotly's own bundle as its package carries it, which is returned."""
    from plotly.offline import get_plotlyjs

    to = site / "assets"
    for file in sorted(content("leaderboard", "static").iterdir()):
        atomic_write_bytes(to / file.name, file.read_bytes())
    bundle: str = get_plotlyjs()
    atomic_write_text(to / "plotly.min.js", bundle)
    return bundle


def _own_styles(bundle: str) -> list[str]:
    """Ids of style elements that the bundle adds for its maps, unless an element of that id is there.

    No page has a map, and the pages' policy lets no script add styles.
    """
    return sorted(set(re.findall(r'getElementById\("([0-9a-f]{64})"\)', bundle)))


def _check_free(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"wanted a folder for --out, found a file at {str(out)!r}; give another")
    if any(out.iterdir()) and not _is_site(out):
        raise UsageError(
            f"wanted an empty folder or a site of evalkit's for --out, found something else in {str(out)!r}; give another, "
            "nothing of it was touched"
        )


def _is_site(folder: Path) -> bool:
    try:
        told = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and "evalkit" in told and "boards" in told


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A new folder on the same disk as `out`; gone again where building fails."""
    parent = out.resolve().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=parent))
    except OSError as error:
        raise DataError(f"cannot write beside {out}: {error.strerror}; give another --out") from error
    fresh.chmod(0o755)
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _swap(fresh: Path, out: Path) -> None:
    """Puts the new site where the old one is; the old one goes only when the new one stands."""
    target = out.resolve()
    old = fresh.with_name(fresh.name + ".old")
    if target.exists():
        target.rename(old)
    try:
        fresh.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
