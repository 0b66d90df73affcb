"""What a method yields is held to its contract before it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.media import lone_surrogate

if TYPE_CHECKING:
    from evalkit.methods.base import Made
    from evalkit.nouns import Medium

_NEEDS: dict[Medium, str] = {"image": "pixels", "video": "clip", "text": "text"}


def problem(made: Made) -> str | None:
    """Why there is no sample to write, None where there is one of the medium of its case."""
    given = [name for name in _NEEDS.values() if getattr(made, name) is not None]
    medium = made.job.case.medium
    if not given:
        return made.reason or "the method gave no reason"
    if given != [_NEEDS[medium]]:
        return f"wanted {_NEEDS[medium]} for a case of medium {medium!r}, found {' and '.join(given)}"
    if medium == "text":
        return _text_problem(made.text)
    if medium == "image":
        return _array_problem(made.pixels, "pixels uint8 [H, W, 3]", 3)
    if isinstance(made.fps, bool) or not isinstance(made.fps, int | float) or not 0 < made.fps < float("inf"):
        return f"wanted the frames a second of a clip, found {made.fps!r}"
    return _array_problem(made.clip, "a clip uint8 [T, H, W, 3]", 4)


def _text_problem(text: Any) -> str | None:
    if not isinstance(text, str):
        return f"wanted text from the method, found {type(text).__name__}"
    lone = lone_surrogate(text)
    return None if lone is None else f"wanted text that UTF-8 can hold, found {lone}, half a character"


def _array_problem(array: Any, wanted: str, ndim: int) -> str | None:
    shape, dtype = tuple(getattr(array, "shape", ())), getattr(array, "dtype", None)
    if dtype != "uint8" or len(shape) != ndim or shape[-1] != 3 or 0 in shape:
        return f"wanted {wanted} from the method, found {dtype} {list(shape)}"
    return None


def size_of(made: Made) -> int:
    """Bytes of the sample in memory."""
    return sum(int(getattr(array, "nbytes", 0)) for array in (made.pixels, made.clip))
