from __future__ import annotations

import sys

import pytest

from evalkit.progress import progress, warn

Capture = pytest.CaptureFixture[str]


def test_a_warning_is_one_line_on_stderr(capsys: Capture) -> None:
    warn("the cache is full")
    assert capsys.readouterr() == ("", "evalkit: the cache is full\n")


def test_a_pipe_sees_no_progress(capsys: Capture) -> None:
    with progress("score", 3) as advance:
        advance()
        advance(2)
    assert capsys.readouterr() == ("", "")


def pretend_terminal(patch: pytest.MonkeyPatch) -> None:
    """Makes stderr, as the test has it now, say that it is a terminal."""
    patch.setattr(sys.stderr, "isatty", lambda: True)
    patch.setenv("TERM", "xterm")
    patch.setenv("COLUMNS", "120")


def test_a_terminal_sees_what_is_done_on_stderr_alone(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_terminal(monkeypatch)
    with progress("score", 9, done=4, unit="samples") as advance:
        advance(2)
        advance()
    found = capsys.readouterr()
    assert found.out == ""
    assert "score" in found.err
    assert "7/9" in found.err


def test_nothing_to_do_shows_nothing(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_terminal(monkeypatch)
    with progress("score", 4, done=4) as advance:
        advance(0)
    assert capsys.readouterr() == ("", "")


def test_an_error_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_terminal(monkeypatch)
    with pytest.raises(ZeroDivisionError), progress("score", 4):
        raise ZeroDivisionError
