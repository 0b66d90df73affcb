from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from evalkit.errors import MediaError
from evalkit.media import held_by, plain_answer, read_answer, text_sha256

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "data", "answer"),
    [
        ("a.txt", " Ein blauer Becher – ja.\r\n".encode(), "Ein blauer Becher – ja."),
        ("bom.txt", b"\xef\xbb\xbfyes", "yes"),
        ("empty.txt", b"", ""),
        ("a.json", b'"No."', "No."),
        ("pair.json", rb'"\ud83d\ude00"', "\U0001f600"),
        ("b.json", b'{"answer": "yes ", "other": 3}', "yes"),
    ],
)
def test_an_answer(tmp_path: Path, name: str, data: bytes, answer: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert read_answer(path) == answer == plain_answer(answer)
    assert held_by(path, "text").pixels_sha256 == text_sha256(answer)


@pytest.mark.parametrize(
    ("name", "data", "reason", "told"),
    [
        ("a.txt", b"caf\xe9", "not_an_answer", "byte 3 is no UTF-8"),
        ("a.json", b"{", "not_an_answer", "it is no JSON"),
        ("a.json", rb'"a\ud800b"', "not_an_answer", r"its text holds \ud800, half a character"),
        ("a.json", rb'{"answer": "\udc00\ud83d"}', "not_an_answer", r"its text holds \udc00"),
        ("a.json", b'{"answer": "No.", "answer": "Yes."}', "not_an_answer", "the key 'answer' stands twice"),
        ("a.json", b"[" * 100_000, "not_an_answer", "it is no JSON"),
        ("a.json", b"[1]", "not_an_answer", "it holds no text but list"),
        ("a.json", b'{"text": "yes"}', "not_an_answer", "an object with the keys ['text']"),
        ("a.json", b"", "empty_file", "0 bytes"),
        ("a.txt", b"a" * (2**20 + 1), "too_large", "1048577 bytes"),
    ],
)
def test_what_is_none(tmp_path: Path, name: str, data: bytes, reason: str, told: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(MediaError) as raised:
        read_answer(path)
    assert raised.value.reason == reason
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)
