"""How a benchmark's data come onto this machine, the one way that `evalkit data fetch` and `--fetch` take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.benchmarks.hub import hub_offline
from evalkit.benchmarks.manifest import holds_manifest, read_manifest, write_manifest
from evalkit.benchmarks.verify import verify
from evalkit.errors import DataError, PluginError, UsageError
from evalkit.paths import cache_root
from evalkit.progress import warn
from evalkit.registry import blamed

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.benchmarks.base import Benchmark
    from evalkit.benchmarks.spec import BenchmarkSpec


def data_home(spec: BenchmarkSpec) -> Path:
    """Where a benchmark's fetched data lie; benchmarks of the same data share it."""
    return cache_root() / "data" / (spec.data_of or spec.name)


def at_hand(benchmark: Benchmark) -> Path | None:
    """The folder of the data that a run takes without being told: shipped ones, or a fetch that was ended; else None."""
    spec, home = benchmark.spec, data_home(benchmark.spec)
    if holds_manifest(home):
        return home
    return benchmark.fetch(home) if spec.shipped is not None else None


def unfinished(spec: BenchmarkSpec) -> str | None:
    """What to say of a folder in the data's place that was never found whole; None where there is no such folder."""
    home = data_home(spec)
    if not home.is_dir() or holds_manifest(home):
        return None
    return (
        f"{str(home)!r} was never found whole: `evalkit data fetch {spec.name}` goes on with it, `evalkit data verify "
        f"{spec.name} --data {home}` says what it lacks, with --write it is taken as it is where it lacks nothing"
    )


def terms(spec: BenchmarkSpec) -> tuple[str, ...]:
    """Source, licence and size for people, one line each."""
    source = spec.source
    where = f"the hub dataset {source.hub}" if source.hub is not None else source.repository
    lines = [f"{spec.title} from {where}", f"licence: {source.licence}"]
    return (*lines, f"size: {source.size}") if source.size is not None else tuple(lines)


def check_accepted(spec: BenchmarkSpec, accepted: str | None) -> None:
    """Raises UsageError where the data need a licence accepted that was not, or another was named."""
    wanted = spec.source.accept
    if wanted is None and accepted is not None:
        raise UsageError(
            f"wanted no --accept, found {accepted!r}: {spec.title} asks for no licence to be accepted; leave it out"
        )
    if wanted is not None and accepted != wanted:
        found = "none" if accepted is None else repr(accepted)
        raise UsageError(
            f"{spec.title} is under {wanted}: read it, and to accept it type "
            f'`evalkit data fetch {spec.name} --accept "{wanted}"`; found {found} accepted'
        )


def obtain(
    benchmark: Benchmark, folder: Path | None = None, *, accepted: str | None = None, offline: bool = False
) -> Path:
    """The folder to load of a benchmark's data, fetched into `folder` (`data_home`) where they are not there.

    Says source, licence and size first. What was fetched is verified and then has its manifest written: a folder without
    one is no data for a run, however far a fetch came. `offline` takes only what is on this machine.

    Raises: UsageError for a licence that is to be accepted; DataError in one line saying what is missing and what to do;
    PluginError for a benchmark whose fetching fails.
    """
    spec = benchmark.spec
    folder = data_home(spec) if folder is None else folder
    if holds_manifest(folder):
        held = read_manifest(folder).benchmark
        if held != (spec.data_of or spec.name):
            raise DataError(
                f"wanted data of {spec.name} or nothing in {str(folder)!r}, found those of {held}; choose another"
            )
        return folder
    if spec.shipped is not None:
        return benchmark.fetch(folder)
    for line in terms(spec):
        warn(line)
    check_accepted(spec, accepted)
    with hub_offline(offline), blamed(f"the benchmark {spec.name!r}, fetching its data,"):
        path = benchmark.fetch(folder)
    if not path.is_dir():
        raise PluginError(
            f"the benchmark {spec.name!r}: wanted the folder of its data from `fetch`, found nothing at {str(path)!r}; "
            "mend its loader"
        )
    found = verify(benchmark, path)
    if found.problems:
        more = f" and {len(found.problems) - 1} more" if len(found.problems) > 1 else ""
        raise DataError(
            f"fetched {str(path)!r}, which is no whole copy of {spec.title}: {' '.join(found.problems[0].split()):.240}"
            f"{more}; `evalkit data verify {spec.name} --data {path}` says all, and once that is mended --write lets "
            f"runs take it; {spec.source.get}"
        )
    write_manifest(path, spec, accepted=accepted)
    return path
