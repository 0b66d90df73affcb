"""The nouns: the same words in code, on the command line, in JSON and on pages."""

from evalkit.nouns.base import FileSafeId, Name, Noun, ProtocolName, digest
from evalkit.nouns.case import Case, Medium, Reference
from evalkit.nouns.protocol import MetricChoice, Profile, Protocol
from evalkit.nouns.sample import Sample
from evalkit.nouns.score import Score, State
from evalkit.nouns.signature import Signature

__all__ = [
    "Case",
    "FileSafeId",
    "Medium",
    "MetricChoice",
    "Name",
    "Noun",
    "Profile",
    "Protocol",
    "ProtocolName",
    "Reference",
    "Sample",
    "Score",
    "Signature",
    "State",
    "digest",
]
