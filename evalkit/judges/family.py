"""Vision-language judges, served (OpenAI-compatible) or local, asked to rate samples by a metric's rubric."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from evalkit.errors import UsageError, WeightsError
from evalkit.features.base import Fingerprint
from evalkit.features.weights import SERVED, WeightsSource, find_weights
from evalkit.files import sha256_file
from evalkit.judges.judge import Judge
from evalkit.judges.local import LONGEST_REPLY, load_local
from evalkit.judges.prompts import read_prompts
from evalkit.judges.server import Server
from evalkit.judges.settings import LOCAL, JudgeSettings, host, read_settings
from evalkit.judges.shown import show_rule
from evalkit.judges.store import ReplyStore
from evalkit.nouns import digest
from evalkit.paths import cache_root

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.features.spec import ExtractorSpec
    from evalkit.judges.talk import JudgeModel

CODE_VERSION = 1
STORE = "judges"
_SMALL = (".json", ".jinja", ".txt", ".model")


def describe(spec: ExtractorSpec, _weights: WeightsSource) -> Fingerprint:
    """What `load` would give scores of: model, server or weights, rubrics, and how pictures are shown.

    Raises: WeightsError where no judge is set up or a local one's weights are not at hand; UsageError for a setting or a
    spec that does not fit; DataError for rubrics that cannot be read.
    """
    settings = read_settings()
    prompts, rule = read_prompts(spec.text, settings.prompts), show_rule(spec.preprocess)
    parts = _model_parts(spec, settings) | {"pre": rule.id, "text": prompts.id}
    told = parts | {"prompts": prompts.sha256, "code": str(CODE_VERSION)}
    return Fingerprint(digest(told), tuple(parts.items()))


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> Judge:
    """The judge that the environment names. Raises as `describe`, and JudgeError for a local model that does not load."""
    settings = read_settings()
    described, rule = describe(spec, weights), show_rule(spec.preprocess)
    model: JudgeModel
    if (local := _local(settings)) is not None:
        model = _loaded(local, spec.dtype, device)
    else:
        model = _server(settings, _served(spec, settings), spec.preprocess)
    prompts = read_prompts(spec.text, settings.prompts)
    return Judge(spec, described, model, prompts=prompts, rule=rule, store=reply_store(cache_root() / STORE))


@cache
def reply_store(root: Path) -> ReplyStore:
    """The store below `root`: one for all judges of a process, so that equal questions wait for each other."""
    return ReplyStore(root)


def _model_parts(spec: ExtractorSpec, settings: JudgeSettings) -> dict[str, str]:
    if (local := _local(settings)) is not None:
        weights = find_weights(local)
        named = {"backbone": weights.label, "weights": digest([weights.sha256, _beside(weights)])[:12]}
        return named | {"dtype": f"{spec.dtype}_{LONGEST_REPLY}"}
    return {"backbone": f"{_served(spec, settings)}@{host(_url(spec, settings))}", "weights": "served"}


def _beside(weights: WeightsSource) -> list[list[str]]:
    """The small files of a local model that can change a reply: configurations, tokenizer, chat template."""
    files = (path for path in sorted(weights.folder.iterdir()) if path.suffix in _SMALL)
    return [[path.name, sha256_file(path)] for path in files]


def _local(settings: JudgeSettings) -> str | None:
    """The local model's folder or hub id, None for a served judge."""
    named = settings.model or ""
    return named.removeprefix(LOCAL) if named.startswith(LOCAL) else None


def _served(spec: ExtractorSpec, settings: JudgeSettings) -> str:
    if not spec.model.startswith(SERVED):
        raise UsageError(f"wanted a model like '{SERVED}NAME' for a judge, found {spec.model!r}")
    return settings.model or spec.model.removeprefix(SERVED)


def _url(spec: ExtractorSpec, settings: JudgeSettings) -> str:
    if settings.url is None:
        raise WeightsError(
            f"wanted a judge ({_served(spec, settings)} or one of yours), found none set up; EVALKIT_JUDGE_URL names an "
            f"OpenAI-compatible server and EVALKIT_JUDGE_KEY your key, or EVALKIT_JUDGE_MODEL={LOCAL}FOLDER a model that "
            "runs here (docs/judges.md)"
        )
    return settings.url


@cache
def _server(settings: JudgeSettings, model: str, rule: str) -> Server:
    """One client a server and model, whatever it is asked: the rate limit is the server's."""
    assert settings.url is not None
    return Server(
        settings.url,
        model,
        show_rule(rule),
        key=settings.key,
        rate=settings.rate,
        workers=settings.workers,
        timeout_s=settings.timeout_s,
    )


@cache
def _loaded(model: str, dtype: str, device: str) -> JudgeModel:
    return load_local(find_weights(model), dtype, device=device)
