"""What a command's words mean: benchmark, protocol, profile, data and cases, every mistake reported at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, cast, get_args

from evalkit.benchmarks.obtain import at_hand, obtain, unfinished
from evalkit.engine.columns import check_media, choices, variant_specs
from evalkit.engine.targets import Targets
from evalkit.errors import Collector, DataError, PluginError, UsageError
from evalkit.features.pictures import Pictures
from evalkit.features.profiles import ProfileChoice, choose_profile
from evalkit.media.known import KnownPixels
from evalkit.methods.find import find_method
from evalkit.paths import cache_root
from evalkit.progress import warn
from evalkit.registry import BENCHMARKS, blamed, load, unknown
from evalkit.runs.cases import RunCase

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.benchmarks.base import Benchmark, Loaded
    from evalkit.features.profiles import Resolved
    from evalkit.methods.base import Method
    from evalkit.nouns import Case, MetricChoice, Protocol

_GOLDEN_RATIO = (5**0.5 - 1) / 2
_CAUTION = "; small embedded models: not comparable with published numbers"


@dataclass(frozen=True)
class Request:
    """A user's words, as given."""

    bench: str
    """`NAME` or `NAME/PROTOCOL`."""
    protocol: str | None = None
    data: Path | None = None
    profile: str = "auto"
    seeds: int | None = None
    limit: int | None = None
    metrics: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    """The method's own settings, each `NAME=VALUE`."""
    train: bool = False
    train_data: Path | None = None
    sample_masks: Path | None = None
    """Masks of the samples, named as they are."""
    out: Path | None = None
    resume: bool = True
    fetch: bool = False


@dataclass(frozen=True)
class Setting:
    """What they mean."""

    request: Request
    protocol: Protocol
    profile: Resolved
    choices: tuple[MetricChoice, ...]
    benchmark: Loaded
    data: Path | None
    """The benchmark's data folder, None for the embedded world."""
    expected: tuple[tuple[Case, int], ...]
    """Every (case, seed) of this run, in the benchmark's order."""
    seeds: tuple[int, ...]
    targets: Targets
    pictures: Pictures
    method: Method | None = None
    """The method asked for, with its options."""

    @cached_property
    def cases(self) -> tuple[RunCase, ...]:
        """The distinct cases of `expected`, with the digests of what their samples depend on."""
        pixels = self.targets.pixels()
        distinct = {case.case_id: case for case, _ in self.expected}
        return tuple(RunCase.of(case, pixels) for case in distinct.values())

    @cached_property
    def case_sha256(self) -> dict[str, str]:
        """Digest of each case by its id."""
        return {case.case_id: case.sha256 for case in self.cases}


def prepare(request: Request, *, method: str | None = None) -> Setting:
    """Checks every word of the request, and the method's name where one is given, then loads the benchmark.

    Raises UsageError with all words that do not fit, DataError and ProblemsError for the data.
    """
    name, _, within = request.bench.partition("/")
    problems = Collector()
    benchmark: Benchmark | None = None
    chosen: tuple[MetricChoice, ...] = ()
    maker: Method | None = None
    if method is not None:
        with problems:
            maker = _configured(method, request)
    with problems:
        _check_profile(request.profile)
    with problems:
        _check_data(request.data)
    with problems:
        benchmark = load(BENCHMARKS, name)
    with problems:
        wanted = _one_protocol(within, request.protocol)
        if benchmark is not None:
            chosen = choices(benchmark.spec.protocol(wanted).metrics, request.metrics)
    problems.raise_usage("the command does not fit")
    assert benchmark is not None
    return replace(_load(request, benchmark, benchmark.spec.protocol(wanted), chosen), method=maker)


def _configured(name: str, request: Request) -> Method:
    """The method with its options. Raises UsageError for a method, an option or a training that does not exist."""
    method = find_method(name)
    options = {}
    for text in request.options:
        key, equals, value = text.partition("=")
        if not (key and equals) or key in options:
            told = "the same twice" if key in options else f"{text!r}"
            raise UsageError(
                f"wanted --set NAME=VALUE, found {told}; `evalkit describe method {name}` lists its options"
            )
        options[key] = value
    method = method.configured(options)
    if request.train and not method.info.trains:
        raise UsageError(f"wanted a method that can be trained, found {name!r}, which cannot; leave out --train")
    if request.train_data is not None and not request.train:
        raise UsageError("wanted --train beside --train-data, found none; add it or leave out the data")
    return method


def _load(request: Request, benchmark: Benchmark, protocol: Protocol, chosen: tuple[MetricChoice, ...]) -> Setting:
    profile = choose_profile(cast("ProfileChoice", request.profile), variant_specs(chosen), fetch=request.fetch)
    warn(f"profile {profile.profile}: {profile.why}{_CAUTION if profile.profile == 'sandbox' else ''}")
    with blamed(f"the benchmark {benchmark.spec.name!r}, looking for its data,"):
        folder = _data_folder(request, benchmark, profile)
    with blamed(f"the benchmark {benchmark.spec.name!r}, reading {str(folder)!r},"):
        loaded = benchmark.load(folder, protocol.name)
    _check_cases(loaded)
    check_media(chosen, loaded.cases, benchmark.spec.name)
    cases = _limited(loaded.cases, request.limit)
    seeds = range(request.seeds or protocol.seeds)
    pictures = Pictures()
    return Setting(
        request=request,
        protocol=protocol,
        profile=profile,
        choices=chosen,
        benchmark=loaded,
        data=folder if request.data is not None or loaded.world is None else None,
        expected=tuple((case, seed) for case in cases for seed in seeds),
        seeds=tuple(seeds),
        targets=Targets(cases, loaded.root, pictures, KnownPixels(cache_root() / "pixels")),
        pictures=pictures,
    )


def _data_folder(request: Request, benchmark: Benchmark, profile: Resolved) -> Path:
    spec = benchmark.spec
    if request.data is not None:
        return request.data
    if profile.profile == "sandbox" and spec.sandbox:
        return benchmark.embed(cache_root() / "world" / spec.name)
    if request.fetch:
        return obtain(benchmark)
    here = at_hand(benchmark)
    if here is not None:
        return here
    begun = unfinished(spec)
    if begun is not None:
        raise DataError(f"{spec.name} needs its data whole: {begun}")
    hub = f"--fetch brings it from the hub ({spec.source.hub}), " if spec.source.hub else ""
    world = ", --profile sandbox uses the embedded world" if spec.sandbox else ""
    raise DataError(f"{spec.name} needs its data: {hub}--data DIR takes a copy{world}. {spec.source.get}")


def _check_cases(loaded: Loaded) -> None:
    """Raises PluginError where a benchmark gives no cases, or two of one id: samples and scores are kept by id."""
    counted = Counter(case.case_id for case in loaded.cases)
    if not counted:
        raise PluginError(
            f"the benchmark {loaded.spec.name!r}: wanted cases for the protocol {loaded.protocol!r}, found none in "
            f"{str(loaded.root)!r}; its loader must say what is wrong with such data"
        )
    media, told = {case.medium for case in loaded.cases}, (loaded.spec.medium, *loaded.spec.beside)
    if not media <= set(told):
        raise PluginError(
            f"the benchmark {loaded.spec.name!r}: wanted cases of its media ({' and '.join(told)}), found "
            f"{' and '.join(sorted(media))}; mend its loader or its spec"
        )
    if twice := [case_id for case_id, count in counted.items() if count > 1]:
        raise PluginError(
            f"the benchmark {loaded.spec.name!r}: wanted each case id once, found {twice[0]!r} {counted[twice[0]]} times"
            f"{f' and {len(twice) - 1} more such ids' if len(twice) > 1 else ''}; mend its loader"
        )


def _limited(cases: tuple[Case, ...], limit: int | None) -> tuple[Case, ...]:
    """The first `limit` cases of a fixed order that spreads over the benchmark; a larger limit contains a smaller one.

    Cases of one set stay together: of benchmarks with sets, whole ones are taken while they fit, at least one.
    """
    if limit is None or limit >= len(cases):
        return cases
    sets: dict[str, list[int]] = {}
    for index, case in enumerate(cases):
        sets.setdefault(f"set {case.set_id}" if case.set_id is not None else f"case {case.case_id}", []).append(index)
    groups = [*sets.values()]
    taken: list[int] = []
    for number in sorted(range(len(groups)), key=lambda index: (index * _GOLDEN_RATIO) % 1.0):
        if taken and len(taken) + len(groups[number]) > limit:
            break
        taken += groups[number]
    return tuple(cases[index] for index in sorted(taken))


def _one_protocol(within: str, option: str | None) -> str | None:
    if within and option and within != option:
        raise UsageError(
            f"wanted one protocol, found {within!r} in --bench and {option!r} in --protocol; leave one out"
        )
    return option or within or None


def _check_profile(profile: str) -> None:
    if profile not in get_args(ProfileChoice):
        raise UsageError(unknown("profile", profile, list(get_args(ProfileChoice)), "evalkit run --help"))


def _check_data(data: Path | None) -> None:
    if data is not None and not data.is_dir():
        raise DataError(
            f"wanted a data folder for --data, found {'a file' if data.exists() else 'nothing'} at {str(data)!r}; "
            "give --data the folder where the benchmark's data lies now"
        )
