"""Gives metrics the features they asked for, each computed once.

For every chunk of work the requests of all metrics are pooled and looked up in the cache; what is missing is decoded
once, prepared once for each distinct preprocessing on background threads, and run through each backbone in batches of
one fixed shape.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evalkit.errors import MediaError, WeightsError
from evalkit.features.cache import CacheKey
from evalkit.features.extractor import Answerer, Watcher
from evalkit.features.forward import padded_forward, pictures_of, text_of
from evalkit.features.pictures import Pictures
from evalkit.features.spec import ClipContent, FeatureRequest, ImageContent, QuestionContent
from evalkit.features.weights import NO_WEIGHTS
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from evalkit.features.cache import FeatureCache
    from evalkit.features.extractor import Extractor
    from evalkit.features.forward import Row
    from evalkit.features.spec import Content, ExtractorSpec

    Array = NDArray[np.float32]


class Missing(NamedTuple):
    """Why there is no feature."""

    state: State
    reason: str
    picture: ImageContent | None = None
    """Which picture could not be decoded, where that is why."""


FeatureView = dict[FeatureRequest, "Array | Missing"]
"""The features of one chunk of work."""


class FeatureService:
    """A cache, extractors loaded when first needed, and loader threads.

    `fingerprint(spec)` must not load the model; `load(spec)` does, and is called only when a feature is not cached.
    Either may raise WeightsError, which becomes the state `weights_missing` of what was asked.
    """

    def __init__(
        self,
        cache: FeatureCache,
        pictures: Pictures,
        *,
        fingerprint: Callable[[ExtractorSpec], str],
        load: Callable[[ExtractorSpec], Extractor],
        threads: int = 2,
    ) -> None:
        self.cache, self.pictures = cache, pictures
        self.extracted: Counter[str] = Counter()
        """Rows that went through each model, padding left out."""
        self._fingerprint, self._load = fingerprint, load
        self._extractors: dict[ExtractorSpec, Extractor | Missing] = {}
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="evalkit-load")
        self._prepared: dict[tuple[str, str], Future[dict[str, Array]]] = {}
        self._ahead: deque[list[tuple[str, str]]] = deque(maxlen=2)
        self._lock = threading.RLock()

    def close(self) -> None:
        """Stops the loader threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def ahead(self, requests: Iterable[FeatureRequest]) -> None:
        """Starts decoding and preparing in the background what a later `features` call with these requests needs."""
        _, wanted = self._look_up(requests)
        # While these are prepared, the call before may still be in use; what the one before that left is not.
        if len(self._ahead) == self._ahead.maxlen:
            self._forget(self._ahead[0])
        self._ahead.append(self._prepare(wanted))

    def features(self, requests: Iterable[FeatureRequest]) -> FeatureView:
        """Every requested feature, from the cache or computed now; what cannot be had is a Missing."""
        found, wanted = self._look_up(requests)
        used = self._prepare(wanted)
        loaded: dict[int, tuple[Extractor, list[FeatureRequest]]] = {}
        for spec, pending in wanted.items():
            extractor = self._extractor(spec)
            if isinstance(extractor, Missing):
                found |= dict.fromkeys(pending, extractor)
            else:  # specs that differ in text alone are one backbone
                loaded.setdefault(id(extractor), (extractor, []))[1].extend(pending)
        for extractor, pending in loaded.values():
            found |= self._compute(extractor, pending)
        self._forget(used)
        return found

    def _forget(self, keys: Iterable[tuple[str, str]]) -> None:
        with self._lock:
            for key in keys:
                self._prepared.pop(key, None)

    def _look_up(
        self, requests: Iterable[FeatureRequest]
    ) -> tuple[FeatureView, dict[ExtractorSpec, list[FeatureRequest]]]:
        found: FeatureView = {}
        wanted: dict[ExtractorSpec, list[FeatureRequest]] = defaultdict(list)
        with self._lock:
            for request in dict.fromkeys(requests):
                key = self._key(request)
                hit = key if isinstance(key, Missing) else self.cache.get(key)
                if hit is None:
                    wanted[request.spec].append(request)
                else:
                    found[request] = hit
        return found, dict(wanted)

    def _key(self, request: FeatureRequest) -> CacheKey | Missing:
        try:
            # How a backbone reads text cannot change what it sees in pictures.
            textless = text_of(request.content) is None and not isinstance(request.content, QuestionContent)
            spec = _without_text(request.spec) if textless else request.spec
            return CacheKey(self._fingerprint(spec), request.output, request.content.key)
        except WeightsError as error:
            return Missing(State.WEIGHTS_MISSING, str(error))

    def _extractor(self, spec: ExtractorSpec) -> Extractor | Missing:
        with self._lock:
            if spec not in self._extractors:
                try:
                    self._extractors[spec] = self._load(spec)
                except WeightsError as error:
                    self._extractors[spec] = Missing(State.WEIGHTS_MISSING, str(error))
                except Exception as error:  # as in `_forward`
                    self._extractors[spec] = _failed(spec, error)
            return self._extractors[spec]

    def _prepare(self, wanted: Mapping[ExtractorSpec, Sequence[FeatureRequest]]) -> list[tuple[str, str]]:
        """Submits one task a picture for all the preprocessings it needs; returns the (preprocessing, picture) keys."""
        needs: dict[ImageContent, dict[str, Extractor]] = defaultdict(dict)
        for spec, requests in wanted.items():
            extractor = self._extractor(spec)
            if not isinstance(extractor, Missing):
                for picture in (picture for request in requests for picture in pictures_of(request.content)):
                    needs[picture][extractor.preprocess_key] = extractor
        with self._lock:
            for picture, by_key in needs.items():
                new = {k: e for k, e in by_key.items() if (k, picture.key) not in self._prepared}
                if new:
                    task = self._pool.submit(self._prepare_one, picture, new)
                    self._prepared |= {(k, picture.key): task for k in new}
        return [(key, picture.key) for picture, by_key in needs.items() for key in by_key]

    def _prepare_one(self, picture: ImageContent, extractors: Mapping[str, Extractor]) -> dict[str, Array]:
        pixels = self.pictures.pixels(picture)
        return {key: extractor.prepare(pixels) for key, extractor in extractors.items()}

    def _compute(self, extractor: Extractor, requests: Sequence[FeatureRequest]) -> FeatureView:
        """Runs the backbone once for each distinct content, whatever asks and by whatever path it is known."""
        found = self._answered(extractor, requests) | self._watched(extractor, requests)
        asked: dict[type, dict[str, list[FeatureRequest]]] = defaultdict(lambda: defaultdict(list))
        inputs: dict[str, Row] = {}
        for request in (request for request in requests if request not in found):
            content = request.content
            ready = inputs.get(content.key) or self._input(extractor, content)
            if isinstance(ready, Missing):
                found[request] = ready
            else:
                inputs[content.key] = ready
                asked[type(content)][content.key].append(request)
        for by_key in asked.values():
            keys = list(by_key)
            for start in range(0, len(keys), extractor.forward_batch):
                batch = keys[start : start + extractor.forward_batch]
                found |= self._forward(extractor, [inputs[key] for key in batch], [by_key[key] for key in batch])
        return found

    def _answered(self, extractor: Extractor, requests: Sequence[FeatureRequest]) -> FeatureView:
        """Asks the questions among the requests, each once, and keeps the answers in the cache."""
        asked: dict[QuestionContent, list[FeatureRequest]] = defaultdict(list)
        for request in requests:
            if isinstance(request.content, QuestionContent):
                asked[request.content].append(request)
        try:
            if asked and not isinstance(extractor, Answerer):
                raise TypeError("wanted a judge to ask, found a backbone that answers no questions")
            answers = extractor.answer([*asked], self.pictures.pixels) if isinstance(extractor, Answerer) else []
        except Exception as error:  # as in `_forward`
            return {request: _failed(extractor.spec, error) for same in asked.values() for request in same}
        found: FeatureView = {}
        for answer, same in zip(answers, asked.values(), strict=True):
            rows = answer if isinstance(answer, Missing) else {name: array[None] for name, array in answer.items()}
            found |= {r: rows if isinstance(rows, Missing) else self._kept(extractor, r, rows, 0) for r in same}
        return found

    def _watched(self, extractor: Extractor, requests: Sequence[FeatureRequest]) -> FeatureView:
        """Shows the extractor the clips among the requests, each once, and keeps what it makes of them in the cache."""
        asked: dict[str, list[FeatureRequest]] = defaultdict(list)
        found: FeatureView = {}
        for request in requests:
            if isinstance(request.content, ClipContent):
                asked[request.content.key].append(request)
        for same in asked.values():
            clip = same[0].content
            assert isinstance(clip, ClipContent)
            try:
                if not isinstance(extractor, Watcher):
                    raise TypeError("wanted a backbone that looks at clips, found one that reads single pictures")
                outputs = {name: array[None] for name, array in extractor.watch(self.pictures.frames(clip)).items()}
            except MediaError as error:
                found |= dict.fromkeys(same, Missing(State.DECODE_ERROR, str(error)))
            except Exception as error:  # as in `_forward`
                found |= dict.fromkeys(same, _failed(extractor.spec, error))
            else:
                self.extracted[extractor.spec.model] += 1
                found |= {request: self._kept(extractor, request, outputs, 0) for request in same}
        return found

    def _forward(
        self, extractor: Extractor, inputs: Sequence[Row], asked: Sequence[list[FeatureRequest]]
    ) -> FeatureView:
        """One forward pass, its outputs kept in the cache; `asked[i]` are the requests that `inputs[i]` answers."""
        try:
            outputs = padded_forward(extractor, inputs)
        except Exception as error:  # a backbone's code: its failure is a state of what asked, not the end of the run
            return {request: _failed(extractor.spec, error) for requests in asked for request in requests}
        self.extracted[extractor.spec.model] += len(inputs)
        answers = ((request, row) for row, requests in enumerate(asked) for request in requests)
        return {request: self._kept(extractor, request, outputs, row) for request, row in answers}

    def _kept(
        self, extractor: Extractor, request: FeatureRequest, outputs: Mapping[str, Array], row: int
    ) -> Array | Missing:
        try:
            array = np.array(outputs[request.output][row], dtype=np.float32)
        except Exception as error:  # as in `_forward`; an output that one metric invents is no other metric's trouble
            return _failed(extractor.spec, error)
        key = self._key(request)
        if not isinstance(key, Missing):
            self.cache.put(key, array)
        return array

    def _ready(self, extractor: Extractor, picture: ImageContent) -> Array:
        """The prepared picture: made ahead, or now where it was forgotten or could not be made from another path."""
        task = self._prepared.get((extractor.preprocess_key, picture.key))
        if task is not None:
            with contextlib.suppress(MediaError):  # equal pixels under another path, which is gone
                return task.result()[extractor.preprocess_key]
        return self._prepare_one(picture, {extractor.preprocess_key: extractor})[extractor.preprocess_key]

    def _input(self, extractor: Extractor, content: Content) -> Row | Missing:
        picture: ImageContent | None = None
        text = text_of(content)
        try:
            if text is not None and (problem := extractor.text_problem(text)) is not None:
                return Missing(State.TEXT_TOO_LONG, problem)
            prepared = []
            for picture in pictures_of(content):
                prepared.append(self._ready(extractor, picture))
            return (*prepared, *([] if text is None else [text]))
        except MediaError as error:
            return Missing(State.DECODE_ERROR, str(error), picture and picture.whole)
        except Exception as error:  # as in `_forward`
            return _failed(extractor.spec, error)


@cache
def _without_text(spec: ExtractorSpec) -> ExtractorSpec:
    return spec.model_copy(update={"text": None})


def _failed(spec: ExtractorSpec, error: Exception) -> Missing:
    name = spec.family if spec.model == NO_WEIGHTS else spec.model
    return Missing(State.EXTRACTOR_ERROR, f"{name}: {type(error).__name__}: {error}")
