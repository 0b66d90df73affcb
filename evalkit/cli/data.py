"""`evalkit data`: what data benchmarks need, bring them here, and check that they are whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evalkit.cli.options import AsJson, Data
from evalkit.errors import Collector, DataError, PluginError, UsageError
from evalkit.registry import BENCHMARKS, blamed, load, names

if TYPE_CHECKING:
    from evalkit.benchmarks.base import Benchmark
    from evalkit.benchmarks.verify import Verified

BenchmarkName = Annotated[str, typer.Argument(metavar="BENCHMARK", help="Its name; `evalkit list benchmarks`.")]

app = typer.Typer(
    help="What data benchmarks need, bring them here, and check them.",
    invoke_without_command=True, rich_markup_mode=None,
)  # fmt: skip


@app.callback()
def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit


@app.command("list")
def list_(as_json: AsJson = False) -> int:
    """Show what data each benchmark needs, what of it is here, and its licence."""
    from evalkit.cli.output import print_table

    rows, broken = [], Collector()
    for name in names(BENCHMARKS):
        with broken:
            rows.append(_row(load(BENCHMARKS, name)))
    if as_json:
        print(json.dumps(rows, allow_nan=False))
    else:
        shown = [(r["benchmark"], r["needs"], r["here"] or r["unfinished"] or "-", r["licence"]) for r in rows]
        print_table(("benchmark", "needs", "here", "licence"), shown)
    if broken.errors:
        raise PluginError("\n".join(map(str, broken.errors)))
    return 0


@app.command("fetch")
def fetch(
    name: BenchmarkName,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Where to; where runs look by themselves if not given.")
    ] = None,
    accept: Annotated[
        str | None, typer.Option("--accept", metavar="LICENCE", help="Accept the data's licence, by its name.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Take only what is on this machine; as HF_HUB_OFFLINE=1.")
    ] = False,
) -> int:
    """Bring a benchmark's data here, verified and whole or not at all; an interrupted fetch is gone on with.

    Source, licence and size are shown first. The same as --fetch of `evalkit run`.
    """
    from evalkit.benchmarks.obtain import data_home, obtain

    benchmark: Benchmark = load(BENCHMARKS, name)
    path = obtain(benchmark, to, accepted=accept, offline=offline)
    print(path)
    if path != data_home(benchmark.spec) and benchmark.spec.shipped is None:
        print(f"use: evalkit run --bench {name} --data {path}")
    return 0


@app.command("verify")
def verify(
    name: BenchmarkName,
    data: Data = None,
    world: Annotated[
        bool, typer.Option("--world", help="The embedded world's counterpart; it is drawn where it is not there.")
    ] = False,
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Keep the hashes of a copy in which nothing is wrong, for later; runs take it then."
        ),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Check layout, counts, every reference and the bytes of data; exit code 1 where something is wrong.

    Bytes are held to the published hashes that evalkit knows, to those kept by a fetch or by --write, and of the embedded
    world to a new drawing. All problems are in one report.
    """
    from evalkit.benchmarks.manifest import holds_manifest, read_manifest, write_manifest
    from evalkit.benchmarks.verify import verify as check

    benchmark: Benchmark = load(BENCHMARKS, name)
    folder = _folder(benchmark, data, world=world)
    if write and (world or benchmark.spec.shipped is not None) and data is None:
        raise UsageError("wanted --write for data of yours, found evalkit's own, which it can make again; leave it out")
    found = check(benchmark, folder)
    written = write and found.whole
    if written:
        kept = read_manifest(folder).accepted if holds_manifest(folder) else None
        write_manifest(folder, benchmark.spec, accepted=kept)
    if as_json:
        print(json.dumps(found.to_dict() | {"written": written}, allow_nan=False))
    else:
        _print(found, written=written)
    return 0 if found.whole else 1


def _row(benchmark: Benchmark) -> dict[str, Any]:
    from evalkit.benchmarks.obtain import at_hand, data_home, unfinished

    spec = benchmark.spec
    here = at_hand(benchmark)
    if spec.shipped is not None:
        needs = "nothing: it travels with evalkit"
    else:
        size = f", {spec.source.size}" if spec.source.size is not None else ""
        needs = f"{f'hub {spec.source.hub}' if spec.source.hub is not None else spec.source.get}{size}"
    return {
        "benchmark": spec.name, "needs": needs, "here": None if here is None else str(here),
        "unfinished": f"unfinished in {data_home(spec)}" if unfinished(spec) is not None else None,
        "licence": spec.source.licence, "accept": spec.source.accept,
    }  # fmt: skip


def _folder(benchmark: Benchmark, data: Path | None, *, world: bool) -> Path:
    from evalkit.benchmarks.obtain import at_hand, data_home
    from evalkit.paths import cache_root

    spec = benchmark.spec
    if world and data is not None:
        raise UsageError("wanted --world or --data, found both; leave one out")
    if world:
        with blamed(f"the benchmark {spec.name!r}, drawing its world,"):
            return benchmark.embed(cache_root() / "world" / spec.name)
    here = data or at_hand(benchmark) or data_home(spec)
    if not here.is_dir():
        found = "a file" if here.exists() else "nothing"
        raise DataError(
            f"wanted data of {spec.name} to verify, found {found} at {str(here)!r}; `evalkit data fetch {spec.name}` "
            f"brings them, --data DIR takes a copy{', --world the embedded world' if spec.sandbox else ''}"
        )
    return here


def _print(found: Verified, *, written: bool) -> None:
    print(f"{found.benchmark}: {found.folder}")
    if found.cases:
        print(f"cases: {', '.join(f'{name} {count}' for name, count in found.cases.items())}")
    held = (
        (found.references, "references decoded"), (found.hashed, "files held to the manifest"),
        (found.pinned, "files held to the published hashes"), (found.drawn, "files held to a new drawing"),
    )  # fmt: skip
    print("; ".join(f"{count} {what}" for count, what in held if count) or "no reference, no known hash")
    for line in found.notes:
        print(f"note: {line}")
    for line in found.problems:
        print(f"! {line}")
    if written:
        print("manifest written")
    print("whole" if found.whole else f"not whole: {len(found.problems)} problem{'s' * (len(found.problems) != 1)}")
