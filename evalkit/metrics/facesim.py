"""FaceSim: how much the people in a sample look like those of its references to a face recogniser.

The cosine between face embeddings, of the largest face in each reference and one of the sample's, rescaled so that a
floor is 0; then a mean over references, or over subjects a mix of the mean and the least.

Source: franciszzj/OpenS2V-Nexus (ef17513), `eval/get_facesim.py`; arctanxarc/UniCTokens (9f7a80c), `sync_r1_grpo/utils.py`;
ID-Crafter, the face reward (equation 7), of which there is no public code. Deviations: FaceNet's embeddings in place
of OpenS2V's and ID-Crafter's recognisers in the variants that do not name another, which do not pad a picture without a face
and search it again, as OpenS2V does, either; ID-Crafter does not say which face is whose, here the most alike.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from evalkit.content import content
from evalkit.errors import UsageError
from evalkit.features.spec import FeatureRequest
from evalkit.metrics.base import Bound, Item, Metric, Outcome, Unscorable
from evalkit.metrics.cosine import cosine
from evalkit.metrics.frames import seen
from evalkit.nouns import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float32]

FOUND = 5
"""Numbers after a face's embedding: where it is, and how probable."""


def face_similarity(
    faces: ArrayLike, references: ArrayLike, *, matching: Literal["largest", "best"] = "largest", floor: float = 0.0
) -> NDArray[np.float64]:
    """How much the person of each reference is in a picture; not symmetric.

    faces: embeddings [N, D] of the picture's faces, the largest first; references: [R, D]. `largest` compares the first
    face, `best` the most alike of all, which may be one face for several references. Returns [R]: (cos - floor) /
    (1 - floor), at least 0; 1 for the same embedding, NaN without a face and where an embedding is zero.

    Raises: UsageError for other shapes, an unknown matching or a floor outside [-1, 1).

    Example:
        >>> face_similarity([[1.0, 0.0], [0.6, 0.8]], [[0.0, 1.0], [0.8, 0.6]], matching="best").round(2).tolist()
        [0.8, 0.96]
    """
    import numpy as np

    ours, theirs = np.asarray(faces, np.float64), np.asarray(references, np.float64)
    if ours.ndim != 2 or theirs.ndim != 2 or ours.shape[1] != theirs.shape[1]:
        raise UsageError(
            f"wanted faces [N, D] and references [R, D], found {list(ours.shape)} and {list(theirs.shape)}"
        )
    if matching not in ("largest", "best"):
        raise UsageError(f"wanted matching 'largest' or 'best', found {matching!r}")
    if not -1 <= floor < 1:
        raise UsageError(f"wanted a floor in [-1, 1), found {floor!r}")
    if not len(ours):
        return np.full(len(theirs), np.nan)
    compared = ours if matching == "best" else ours[:1]
    nearest = cosine(compared[:, None], theirs).max(0)
    return np.asarray(np.maximum((nearest - floor) / (1 - floor), 0.0))


def mean_and_least(similarities: ArrayLike, *, min_share: float = 0.5) -> NDArray[np.float64]:
    """ID-Crafter's mix over the subjects of a picture, so that one whose identity is lost shows.

    similarities: [..., S] of each subject. Returns [...]: (1 - min_share) * mean + min_share * least, in the range of the
    similarities; NaN where one of them is, or there is none.

    Raises: UsageError for a share outside [0, 1].

    Example:
        >>> mean_and_least([0.9, 0.5]).round(2).item()
        0.6
    """
    import numpy as np

    values = np.asarray(similarities, np.float64)
    if not 0 <= min_share <= 1:
        raise UsageError(f"wanted a share of the least subject in [0, 1], found {min_share!r}")
    if not values.shape[-1]:
        return np.full(values.shape[:-1], np.nan)
    return np.asarray((1 - min_share) * values.mean(-1) + min_share * values.min(-1))


def over_frames(similarities: ArrayLike, *, variant: Literal["official", "corrected"] = "corrected") -> float:
    """FaceSim of one video.

    similarities: [T] of its frames, NaN where a frame shows no face; such frames are left out. `official` also leaves out
    frames of exactly 0, faces that are nothing alike, and is 0 where no frame is left (OpenS2V's code, for the recogniser
    that enters its totals); `corrected` counts them, and is NaN where no frame shows a face.

    Raises: UsageError for another shape or an unknown variant.

    Example:
        >>> over_frames([0.8, 0.0, float("nan")]), over_frames([0.8, 0.0, float("nan")], variant="official")
        (0.4, 0.8)
    """
    import numpy as np

    values = np.asarray(similarities, np.float64)
    if values.ndim != 1:
        raise UsageError(f"wanted one similarity a frame [T], found {list(values.shape)}")
    if variant not in ("official", "corrected"):
        raise UsageError(f"wanted variant 'official' or 'corrected', found {variant!r}")
    left = values[~np.isnan(values)]
    if variant == "official":
        left = left[left != 0]
    if len(left):
        return float(left.mean())
    return 0.0 if variant == "official" else float("nan")


class FaceSimilarity(Metric):
    """FaceSim as a plugin.

    Variant parameters `matching` and `floor`, as of `face_similarity`; `faceless_sample` is `no_face` for the state or
    `zero`; with `min_share`, as of `mean_and_least`, the value is over subjects, else it is the mean over references. Of
    clips: `frames` as of `seen`, `over` the variant of `over_frames`; with `labels` only the first target that is called so
    is compared.
    """

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """The faces of the sample, or of the frames that the variant looks at, and of the targets that it compares with."""
        item.need_targets()
        compared = (item.targets[place] for place in _compared(item, bound))
        return [FeatureRequest(bound.extractor, picture, "faces") for picture in (*seen(item, bound), *compared)]

    def score(self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[Array]]) -> list[Outcome]:
        """References without a face are left out; a subject without any is no person that can be compared."""
        return [self._one(item, bound, row) for item, row in zip(items, features, strict=True)]

    def _one(self, item: Item, bound: Bound, row: Sequence[Array]) -> Outcome:
        import numpy as np

        params, places, found_in = bound.card.params, _compared(item, bound), [array[:, :-FOUND] for array in row]
        shots, references = found_in[: len(row) - len(places)], found_in[len(row) - len(places) :]
        subjects = [item.target_subjects[place] if item.target_subjects else "" for place in places]
        known = [(subject, found[0]) for subject, found in zip(subjects, references, strict=True) if len(found)]
        if not known:
            names = ", ".join(target.path.name for target in item.targets)
            return Outcome(State.NO_FACE, reason=f"{item.case.case_id}: no face in its targets: {names}")
        share = params.get("min_share")
        weight = len(known) if share is None else 1
        faces_of = np.stack([face for _, face in known])
        values = [
            _of_picture(
                face_similarity(faces, faces_of, matching=params["matching"], floor=params["floor"]), known, share
            )
            for faces in shots
        ]
        value = values[0] if item.clip is None else over_frames(values, variant=params["over"])
        if math.isnan(value) and not any(len(faces) for faces in shots):
            if params["faceless_sample"] == "zero":
                return Outcome.scored(0.0, weight=weight)
            what = "the sample" if item.clip is None else "any frame of"
            return Outcome(State.NO_FACE, reason=f"no face in {what} {item.sample.path.name}")
        found = Outcome.scored(bound.card.scale * value, weight=weight)
        faceless = len(references) - len(known)
        if not faceless or found.state is not State.SCORED:
            return found
        with_face = len({subject for subject, _ in known})
        people = "" if share is None else f"; subjects with one: {with_face} of {len(set(subjects))}"
        return found._replace(reason=f"targets without a face: {faceless} of {len(references)}{people}")


def _compared(item: Item, bound: Bound) -> list[int]:
    """Which targets count: all, or with the variant parameter `labels` the first that is one of these things."""
    labels = bound.card.params.get("labels")
    if labels is None:
        return [*range(len(item.targets))]
    found = [place for place, label in enumerate(item.target_labels) if label in labels]
    if not found:
        raise Unscorable(
            State.REFERENCE_MISSING, f"{item.case.case_id}: none of its targets is a {' or '.join(labels)}"
        )
    return found[:1]


def _of_picture(similarity: NDArray[np.float64], known: Sequence[tuple[str, Array]], share: float | None) -> float:
    """The mean over references, or over subjects as of `mean_and_least`; NaN without a face."""
    if share is None:
        return math.fsum(similarity) / len(known)
    by_subject: dict[str, list[float]] = {}
    for (subject, _), value in zip(known, similarity.tolist(), strict=True):
        by_subject.setdefault(subject, []).append(value)
    return mean_and_least([math.fsum(values) / len(values) for values in by_subject.values()], min_share=share).item()


FACESIM = FaceSimilarity(content("metrics", "facesim", "card.yaml"))
