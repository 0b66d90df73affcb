"""The environment that sets a judge up, and the key that shows nowhere."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from evalkit.errors import DataError, UsageError, WeightsError
from evalkit.features.spec import ExtractorSpec
from evalkit.features.weights import SERVED, find_weights, weights_at_hand
from evalkit.judges.family import describe
from evalkit.judges.prompts import read_prompts
from evalkit.judges.settings import Key, read_settings
from evalkit.judges.shown import SHOW_RULES, show_rule

NAMES = ("URL", "KEY", "MODEL", "RATE", "WORKERS", "TIMEOUT", "PROMPTS")
SPEC = ExtractorSpec(family="judge", model="served:judge-1", preprocess="judge_512", text="prompt_following")


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(f"EVALKIT_JUDGE_{name}", raising=False)


def parts(spec: ExtractorSpec = SPEC) -> dict[str, str]:
    return dict(describe(spec, find_weights(spec.model)).parts)


def test_nothing_set_is_the_defaults() -> None:
    found = read_settings()
    assert (found.url, found.model, found.key, found.rate, found.prompts) == (None, None, None, None, None)
    assert (found.workers, found.timeout_s) == (8, 120.0)


def test_everything_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(NAMES, ("http://h:1/v1/", " k-1 ", "m", "30", "2", "1.5", "rubrics"), strict=True):
        monkeypatch.setenv(f"EVALKIT_JUDGE_{name}", value)
    found = read_settings()
    assert (found.url, found.model, found.rate, found.workers) == ("http://h:1/v1", "m", 30.0, 2)
    assert (found.timeout_s, found.prompts, found.key) == (1.5, Path("rubrics"), Key("k-1"))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("URL", "localhost:8000", "wanted EVALKIT_JUDGE_URL like 'https://host/v1', without '?' and '#', found 'localhost:8000'"),
        ("URL", "ftp://h/v1", "wanted EVALKIT_JUDGE_URL like 'https://host/v1'"),
        ("URL", "https://h/v1?key=hush", "wanted EVALKIT_JUDGE_URL like 'https://host/v1'"),
        ("URL", "https://me:hush@h/v1", "wanted EVALKIT_JUDGE_URL without a user or password in it"),
        ("KEY", "hush hush", "wanted EVALKIT_JUDGE_KEY of printable ASCII without spaces"),
        ("KEY", "hush\nX-Other: 1", "wanted EVALKIT_JUDGE_KEY of printable ASCII without spaces"),
        ("RATE", "0", "wanted a number above 0 in EVALKIT_JUDGE_RATE, found '0'"),
        ("TIMEOUT", "inf", "wanted a number above 0 in EVALKIT_JUDGE_TIMEOUT, found 'inf'"),
        ("TIMEOUT", "soon", "wanted a number above 0 in EVALKIT_JUDGE_TIMEOUT, found 'soon'"),
        ("WORKERS", "0", "wanted a whole number of at least 1 in EVALKIT_JUDGE_WORKERS, found '0'"),
        ("WORKERS", "many", "wanted a whole number of at least 1 in EVALKIT_JUDGE_WORKERS, found 'many'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_names_the_variable_and_never_a_secret(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(f"EVALKIT_JUDGE_{name}", value)
    with pytest.raises(UsageError) as raised:
        read_settings()
    assert str(raised.value).startswith(told)
    assert "hush" not in str(raised.value)


def test_a_key_has_no_readable_form() -> None:
    key = Key("hush")
    assert "hush" not in f"{key} {key!r} {vars(read_settings())}"
    with pytest.raises(TypeError, match="a key is not stored"):
        pickle.dumps(key)
    assert key != Key("other")
    assert key.redacted("no hush here") == "no <key> here"


def test_a_served_model_needs_nothing_on_this_machine() -> None:
    assert weights_at_hand(f"{SERVED}gpt") == find_weights(f"{SERVED}gpt")
    assert find_weights(f"{SERVED}gpt").files == ()


def test_no_judge_is_said_with_what_sets_one_up() -> None:
    with pytest.raises(WeightsError) as raised:
        parts()
    assert str(raised.value) == (
        "wanted a judge (judge-1 or one of yours), found none set up; EVALKIT_JUDGE_URL names an OpenAI-compatible server "
        "and EVALKIT_JUDGE_KEY your key, or EVALKIT_JUDGE_MODEL=local:FOLDER a model that runs here (docs/judges.md)"
    )


def test_the_signature_names_model_server_rubrics_and_picture_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_JUDGE_URL", "https://Judge.example:8000/v1")
    found = parts()
    prompts = read_prompts("prompt_following", None)
    assert found == {
        "backbone": "judge-1@judge.example:8000", "weights": "served", "pre": "judge_512_jpeg75_high", "text": prompts.id,
    }  # fmt: skip
    assert prompts.id == f"prompt_following-{prompts.sha256[:12]}"


def test_what_can_change_a_reply_changes_the_digest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EVALKIT_JUDGE_URL", "https://one/v1")
    digests = [describe(SPEC, find_weights(SPEC.model)).digest]
    for name in ("user_prompt_text_full.txt", "gpt_prompt_text_full.txt"):
        (tmp_path / name).write_text(f"{name}\n", encoding="utf-8")
    for name, value in (("KEY", "k"), ("RATE", "5"), ("TIMEOUT", "9"), ("WORKERS", "3")):
        monkeypatch.setenv(f"EVALKIT_JUDGE_{name}", value)
    assert describe(SPEC, find_weights(SPEC.model)).digest == digests[0]
    for name, value in (("MODEL", "judge-2"), ("URL", "https://two/v1"), ("PROMPTS", str(tmp_path))):
        monkeypatch.setenv(f"EVALKIT_JUDGE_{name}", value)
        digests.append(describe(SPEC, find_weights(SPEC.model)).digest)
    (tmp_path / "gpt_prompt_text_full.txt").write_text("other", encoding="utf-8")
    digests.append(describe(SPEC, find_weights(SPEC.model)).digest)
    assert len(set(digests)) == 5


def test_our_rubrics_state_the_form_that_is_read() -> None:
    for name, rubrics in (("concept_preservation", ("subject", "style")), ("prompt_following", ("text",))):
        texts = read_prompts(name, None).texts
        assert tuple(texts) == rubrics
        for rubric, acknowledgement in texts.values():
            assert "\nScore: NUMBER" in rubric
            assert [f"- {n}, " in rubric for n in range(6)] == [True] * 5 + [False]
            assert '"Score: "' in acknowledgement


def test_the_official_folder_is_read_by_its_names(tmp_path: Path) -> None:
    for kind in ("subject", "style"):
        for who in ("user", "gpt"):
            (tmp_path / f"{who}_prompt_{kind}_full.txt").write_text(f" {who} {kind} \n", encoding="utf-8")
    assert read_prompts("concept_preservation", tmp_path).texts == {
        "subject": ("user subject", "gpt subject"), "style": ("user style", "gpt style"),
    }  # fmt: skip


def test_rubrics_that_cannot_be_read_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"user_prompt_text_full\.txt', found No such file or directory; EVALKIT_JUDGE_PROMPTS"
    ):
        read_prompts("prompt_following", tmp_path)
    (tmp_path / "user_prompt_text_full.txt").write_text(" \n", encoding="utf-8")
    with pytest.raises(DataError, match=r"found an empty file; copy it again$"):
        read_prompts("prompt_following", tmp_path)
    (tmp_path / "user_prompt_text_full.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"found bytes that are no UTF-8; "):
        read_prompts("prompt_following", tmp_path)


def test_specs_that_do_not_fit_the_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_JUDGE_URL", "https://one/v1")
    for change, told in (
        ({"text": "clip"}, r"wanted the rubrics of a judged metric \(concept_preservation, prompt_following, .*\), found 'clip'"),
        ({"preprocess": "clip_hf"}, r"wanted a way of showing pictures to a judge \(judge_512, judge_long_512\), found 'clip_hf'"),
        ({"model": "none"}, r"wanted a model like 'served:NAME' for a judge, found 'none'"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=told):
            parts(SPEC.model_copy(update=change))
    assert SHOW_RULES == ("judge_512", "judge_long_512")
    assert show_rule("judge_512").id == "judge_512_jpeg75_high"
