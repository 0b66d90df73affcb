"""Whatever stands in a benchmark's files, a loader gives cases or says what is wrong; it never fails by itself."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.benchmarks.dream_vbench import read_actions
from evalkit.benchmarks.opens2v_layout import OpenS2VFacts, cases_of, read_entries
from evalkit.benchmarks.stories import STORIES
from evalkit.errors import DataError, ProblemsError

if TYPE_CHECKING:
    from collections.abc import Callable

JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12),
    st.sampled_from(["", " ", "\0", "../x", "/etc/passwd", "a" * 300, "x\ny"]),
    st.lists(st.text(max_size=3), max_size=5), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip
ENTRY = {"img_paths": ["Images/a.png"], "prompt": "A cup.", "class_label": ["Cup"], "synthesis_flag": "wrong"}
FACTS = OpenS2VFacts.read({"domains": {"open": {"file": "open.json", "counts": {"cup": 2}}}}, where="test")
STORY = {"subject": "a cat", "style": "", "settings": ["on a hill", "in a hat"]}


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in JSON-like data."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(place for key, one in inner for place in places(one, (*here, key)))]


@st.composite
def changed(draw: Callable[[st.SearchStrategy[Any]], Any], whole: Any) -> Any:
    """`whole` with one to three values replaced, taken out or set beside."""
    data = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places(data)))
        if not place:
            return draw(JUNK)
        holder = data
        for key in place[:-1]:
            holder = holder[key]
        how = draw(st.integers(0, 2))
        if how == 0:
            holder[place[-1]] = draw(JUNK)
        elif how == 1:
            del holder[place[-1]]
        elif isinstance(holder, dict):
            holder[draw(st.text(max_size=8))] = draw(JUNK)
        else:
            holder.append(draw(JUNK))
    return data


@given(changed({"cup_1": ENTRY, "cup_2": ENTRY}))
@settings(max_examples=150, deadline=None)
def test_entries_of_videos(data: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "open.json").write_text(json.dumps(data), encoding="utf-8")
        entries, problems = read_entries(Path(folder), FACTS.domains["open"])
    assert len(cases_of(entries)) == len(entries)
    assert all("\n" not in line for line in problems)
    assert problems or len(entries) == 2


@given(changed({"animals": [STORY, STORY], "people": [STORY]}))
@settings(max_examples=150, deadline=None)
def test_stories(data: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "mine.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
        try:
            cases = STORIES.load(Path(folder), "clip").cases
        except (DataError, ProblemsError):
            return
    assert len({case.case_id for case in cases}) == len(cases) > 0


@given(changed([{"subjects": ["cat"], "prompt": "x"}, {"subjects": ["cat", "dog"], "prompt": "y"}]))
@settings(max_examples=150, deadline=None)
def test_prompts_of_motion(data: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prompts.json"
        path.write_text(json.dumps(data), encoding="utf-8")
        try:
            actions = read_actions(path)
        except (DataError, ProblemsError):
            return
    assert all(1 <= len(action.subjects) <= 2 and action.prompt.strip() for action in actions)
