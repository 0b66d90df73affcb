"""What a submission's table says, held against the protocol, the benchmark's cases, its own scores and its method."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from evalkit.engine.contract import RANGE_ROOM
from evalkit.engine.summary import summarise
from evalkit.engine.table import part_of
from evalkit.errors import UsageError
from evalkit.leaderboard.site.submitted import ROUNDING, Found, difference, formula
from evalkit.metrics.derived import DerivedMetric
from evalkit.registry import BENCHMARKS, METHODS, entries, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.leaderboard.site.submitted import Submitted
    from evalkit.methods.base import Method
    from evalkit.runs.record import RunIdentity


def protocol(held: Submitted) -> Found:
    """Everything that the protocol asks for was scored, by the names and for the seeds that it gives."""
    identity, asked = held.scored.run.record.identity, held.scored.run.record.request
    if identity.benchmark not in entries(BENCHMARKS):
        return Found("fail", f"no benchmark {identity.benchmark!r} is installed; install its plugin to judge this")
    wanted = load(BENCHMARKS, identity.benchmark).spec.protocol(asked.protocol)
    lacking = [str(choice) for choice in wanted.metrics if choice not in asked.metrics]
    if lacking:
        return Found("fail", f"{len(lacking)} metrics of the protocol were left out: {', '.join(lacking[:5])}")
    count = len(wanted.metrics)
    odd = [str(choice) for choice in asked.metrics[count:] if choice.label is not None or choice.where]
    if asked.metrics[:count] != wanted.metrics or odd:
        told = odd[0] if odd else "another order"
        return Found("fail", f"wanted the protocol's metrics, then others by their own names, found {told!a:.120}")
    if asked.seeds != tuple(range(len(asked.seeds))):
        return Found("fail", f"wanted the seeds from 0 on, found {', '.join(map(str, asked.seeds[:5]))}")
    if asked.limit is not None or len(asked.seeds) != wanted.seeds:
        many = f"{asked.limit} cases" if asked.limit is not None else f"{len(asked.seeds)} of {wanted.seeds} seeds"
        return Found("warn", f"{many} were asked for; it is shown apart from whole runs")
    return Found("pass", f"all {count} metrics of the protocol, all cases")


def cases(held: Submitted) -> Found:
    """The cases are the benchmark's: every word of them, their references, their targets, and the pixels of all."""
    if held.setting is None:
        return Found("skip", held.why_no_setting)
    mine = {case.case_id: case for case in held.setting.cases}
    theirs = {case.case_id: case for case in held.scored.run.requested}
    if set(mine) != set(theirs):
        both = len(set(mine) & set(theirs))
        return Found("fail", f"wanted the benchmark's {len(mine)} cases, found {len(theirs)}, {both} of them the same")
    changed = [name for name, case in mine.items() if case != theirs[name]]
    if changed:
        return Found(
            "fail", f"{len(changed)} cases have another prompt, other words or pictures, first: {changed[0]!r}"
        )
    world = held.scored.run.record.identity.world
    if world != held.setting.benchmark.world:
        return Found("fail", f"wanted data of the drawn world {held.setting.benchmark.world}, found {world!a:.80}")
    if held.scored.result.part != (part := part_of(held.setting)):
        return Found("fail", f"wanted a table of {part or 'all cases'}, found one of {held.scored.result.part!a:.80}")
    return Found("pass", f"{len(mine)} cases with the benchmark's prompts and pictures")


def columns(held: Submitted) -> Found:
    """The columns are those of the request, by their own names and in its order."""
    labels = [column.label for column in held.columns]
    for wanted, found in zip_longest(labels, held.scored.result.scores):
        if wanted != found:
            told = "none" if found is None else f"{found!a:.120}"
            return Found("fail", f"wanted the column {wanted or 'no further one'}, found {told}")
    return Found("pass", f"{len(labels)} columns, as the request names them")


def table(held: Submitted) -> Found:
    """Every number, state and total follows from the scores, and what is said of the columns from their cards."""
    result, labels = held.scored.result, [column.label for column in held.columns]
    wrong = [*_misdeclared(held), *_impossible(held)]
    if wrong:
        return Found("fail", "; ".join(wrong[:3]))
    again, left, totals = summarise(held.stored, held.expected, held.scores), [], 0
    for column in held.columns:
        if isinstance(column.metric, DerivedMetric):
            if formula(column, column.signature) != formula(column, held.signature(column.label)):
                left.append(column.label)
                continue
            totals += 1
        room = ROUNDING * column.bound.card.scale
        if told := difference(result.scores[column.label], again[column.label], room):
            wrong.append(f"{column.label} says {told} by its scores")
    if wrong:
        return Found("fail", "; ".join(wrong[:3]))
    told = f"{len(labels) - len(left)} numbers follow from their scores, {totals} of them totals of others"
    return Found("warn", f"{told}; not {', '.join(left)}, of another version") if left else Found("pass", told)


def _misdeclared(held: Submitted) -> Iterator[str]:
    """What the summary says of its columns that the cards do not."""
    result = held.scored.result
    for what, told, wanted in (
        ("scale", result.scales, {c.label: c.bound.card.scale for c in held.columns}),
        ("direction", result.directions, {c.label: c.metric.card.direction for c in held.columns}),
    ):
        if set(told) != set(wanted):
            yield f"wanted a {what} of each column, found {len(told)} for {len(wanted)}"
            continue
        yield from (
            f"{key} says the {what} {told[key]!a:.40}, its card {wanted[key]!r}"
            for key in wanted
            if told[key] != wanted[key]
        )
    for column in held.columns:
        signature = held.signature(column.label)
        for key in ("metric", "variant", "scale"):
            if signature.get(key) != column.signature.get(key):
                yield f"{column.label} is signed with the {key} {signature.get(key)!a:.80}, wanted {column.signature.get(key)}"


def _impossible(held: Submitted) -> Iterator[str]:
    """Scores that no run can have: outside the card's range, or of cases that the protocol leaves out."""
    for column in held.stored:
        card, scale = column.metric.card, column.bound.card.scale
        low, high = (None if end is None else end * scale for end in card.range)
        room = RANGE_ROOM * scale
        for case, seed in held.expected:
            score = held.scores.get((case.case_id, seed, str(column.signature)))
            if score is None or score.value is None:
                continue
            if (low is not None and score.value < low - room) or (high is not None and score.value > high + room):
                yield f"{column.label} has the score {score.value:g} of {case.case_id}, which its card rules out"
            elif not column.applies(case):
                yield f"{column.label} has a score of {case.case_id}, which the protocol leaves out of it"


def signatures(held: Submitted) -> Found:
    """The numbers were computed as this installation computes them."""
    told, unknown = [], []
    for column in held.columns:
        if column.lacking is not None:
            unknown.append(column.label)
        elif first := column.full_signature.first_difference(held.signature(column.label)):
            told.append(f"{column.label}: {first[0]} is {first[2] or 'nothing'!a:.80}, here {first[1] or 'nothing'}")
    if told:
        many = f"{len(told)} are computed otherwise here and will not be ranked beside such"
        return Found("warn", f"{many}: {'; '.join(told[:3])}")
    if unknown:
        return Found("skip", f"no weights here for {', '.join(unknown[:5])}, {len(unknown)} of {len(held.columns)}")
    return Found("pass", "every signature is this installation's")


def rewards(held: Submitted) -> Found:
    """What the method was trained on is told, and marked in the table."""
    record, result = held.scored.run.record, held.scored.result
    marked = tuple(c.label for c in held.columns if c.metric.card.family(c.choice.variant) in record.rewards)
    if marked != result.in_domain:
        told = f"wanted {list(marked)} in-domain, found {list(result.in_domain)!a:.120}"
        return Found("fail", f"{told}; run.json's rewards say so")
    identity = record.identity
    if identity.method not in entries(METHODS):
        return Found("skip", f"no method {identity.method!r} is installed; its rewards are its own word")
    info = _configured(identity).info
    if info.version != identity.method_version:
        told = f"made by version {identity.method_version!r}, here is {info.version!r}; its rewards are its own word"
        return Found("warn", told)
    silent = [family for family in info.rewards if family not in record.rewards]
    if silent:
        return Found("fail", f"{identity.method} is trained on {', '.join(silent)}, which run.json does not tell")
    return Found("pass", f"trained on {', '.join(info.rewards) or 'no metric'}, as its method declares")


def _configured(identity: RunIdentity) -> Method:
    """The installed method as the run says it was set, as it comes where it cannot be set so."""
    method: Method = load(METHODS, identity.method)
    options = {key: str(value) for key, value in identity.method_config.items() if key in method.info.options}
    try:
        return method.configured(options)
    except UsageError:
        return method
