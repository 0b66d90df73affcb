"""DreamBench's cases: subjects crossed with the prompts of their kind, and pairs of subjects as UNO lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.nouns import Case, Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from evalkit.benchmarks.dreambench_facts import DreamBenchFacts
    from evalkit.benchmarks.dreambench_prompts import Phrase


@dataclass(frozen=True)
class DreamBenchData:
    """A whole copy of the data."""

    facts: DreamBenchFacts
    phrases: Mapping[str, Sequence[Phrase]]
    """The prompts of live subjects and of objects, by `live` and `object`."""
    photographs: Mapping[str, tuple[Reference, ...]]
    """Every photograph of each subject, by number."""

    def chosen(self, subject: str) -> Reference:
        """The one photograph that UNO's lists show of the subject."""
        return self.photographs[subject][self.facts.numbers(subject).index(self.facts.chosen[subject])]


def dreambooth_cases(data: DreamBenchData) -> Iterator[Case]:
    """Each subject with each prompt of its kind; references and targets are all of its photographs."""
    return _single(data, lambda subject: data.photographs[subject])


def uno_single_cases(data: DreamBenchData) -> Iterator[Case]:
    """The same prompts; the reference and only target is the chosen photograph. Order and text of UNO's list."""
    return _single(data, lambda subject: (data.chosen(subject),))


def uno_multi_cases(data: DreamBenchData) -> Iterator[Case]:
    """Each pair with each prompt of its first subject's kind, one photograph of each. Order and text of UNO's list."""
    facts = data.facts
    for first, second in facts.pairs:
        kind = facts.pair_kind(first, second)
        shown = data.chosen(first), data.chosen(second)
        for index, phrase in enumerate(data.phrases[facts.kind(first)]):
            yield Case(
                case_id=f"{first}.{second}.p{index:02d}",
                prompt=pair_prompt(facts, first, second, index, phrase),
                subjects=(first, second),
                references=shown,
                targets=shown,
                category=kind,
                prompt_index=index,
            )


def pair_prompt(facts: DreamBenchFacts, first: str, second: str, index: int, phrase: Phrase) -> str:
    """The prompt for two subjects; the grammar of class words is left as it comes ("a glasses", "a cat and a cat")."""
    phrasing = facts.phrasing
    beside = index >= phrasing.beside_from[facts.pair_kind(first, second)]
    words = {"first": facts.classes[first], "second": facts.classes[second]}
    template = phrasing.beside if beside else phrasing.together
    return template.format(before=phrase.before, after=phrase.after, **words)


def _single(data: DreamBenchData, shown: Callable[[str], tuple[Reference, ...]]) -> Iterator[Case]:
    for subject, word in data.facts.classes.items():
        kind = data.facts.kind(subject)
        for index, phrase in enumerate(data.phrases[kind]):
            yield Case(
                case_id=f"{subject}.p{index:02d}",
                prompt=phrase.of(word),
                subjects=(subject,),
                references=shown(subject),
                targets=shown(subject),
                category=kind,
                prompt_index=index,
            )
