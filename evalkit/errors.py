"""The one tree of errors. The CLI turns each into one line and its exit code; nothing else catches them wholesale."""

from __future__ import annotations

from collections.abc import Sequence


class EvalkitError(Exception):
    """Something a user can mend: the message says what was wanted, what was found, where, and what to do."""

    exit_code = 1


class UsageError(EvalkitError):
    """The command line or a function's arguments ask for something that does not exist or does not fit."""

    exit_code = 2


class ProblemsError(EvalkitError):
    """Several problems found in one pass, reported together.

    `problems` holds one line each; the message shows the first `shown` and counts the rest.
    """

    shown = 20

    def __init__(self, heading: str, problems: Sequence[str]) -> None:
        self.heading, self.problems = heading, tuple(problems)
        lines = [f"  - {p}" for p in self.problems[: self.shown]]
        if len(self.problems) > self.shown:
            lines.append(f"  ... and {len(self.problems) - self.shown} more")
        super().__init__(
            "\n".join([f"{heading} ({len(self.problems)} problem{'s' * (len(self.problems) != 1)}):", *lines])
        )


class UsageProblemsError(ProblemsError, UsageError):
    """Several things on one command line that do not exist or do not fit."""


class Collector:
    """Gathers errors, so that a user sees all of them at once.

    Example:
        >>> found = Collector()
        >>> with found:
        ...     raise UsageError("wanted a metric, found 'x'")
        >>> found.raise_usage("the command does not fit")
        Traceback (most recent call last):
        evalkit.errors.UsageError: wanted a metric, found 'x'
    """

    def __init__(self) -> None:
        self.errors: list[EvalkitError] = []

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, EvalkitError):
            self.errors.append(error)
            return True
        return False

    def raise_usage(self, heading: str) -> None:
        """Raises what was gathered: one as it is, several under the heading; nothing where there is none."""
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise UsageProblemsError(heading, [str(error) for error in self.errors])


class PluginError(EvalkitError):
    """A registered plugin cannot be loaded, or does not keep its contract."""


class DataError(EvalkitError):
    """A benchmark's or a user's files are missing, malformed or not where they should be."""


class MediaError(DataError):
    """A media file cannot be decoded safely. `reason` is the machine-readable state."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class WeightsError(EvalkitError):
    """Weights are not at hand, are gated, or are of another model."""


class JudgeError(EvalkitError):
    """A judge cannot be asked, refuses, or gives no reply."""


class MethodError(EvalkitError):
    """A method's own code failed while it made samples."""


class RunError(EvalkitError):
    """A run folder cannot be used: locked, of another run, damaged, or not writable."""
