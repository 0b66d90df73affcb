"""The tokenizer of the world's captions: CLIP's byte-level BPE, with merges that make each word of the vocabulary one token.

A word outside the vocabulary is not lost: it falls apart into pieces and bytes, as in CLIP.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

from evalkit.sandbox.world import words

END_OF_WORD = "</w>"
CONTEXT = 40


def learn_merges(vocabulary: tuple[str, ...]) -> list[tuple[str, str]]:
    """BPE merges, most frequent pair first (ties in alphabetical order), until every word is one token."""
    spelled = [[*word[:-1], word[-1] + END_OF_WORD] for word in vocabulary]
    merges: list[tuple[str, str]] = []
    while any(len(pieces) > 1 for pieces in spelled):
        pairs = Counter(pair for pieces in spelled for pair in pairwise(pieces))
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spelled = [_merge(pieces, best) for pieces in spelled]
    return merges


def _merge(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    for piece in pieces:
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return out


def write_tokenizer(folder: Path) -> dict[str, int]:
    """Save the tokenizer so that `CLIPTokenizer.from_pretrained(folder)` loads it; returns its vocabulary."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    alphabet = sorted(ByteLevel.alphabet())
    merges = learn_merges(words())
    tokens = [
        *alphabet,
        *(c + END_OF_WORD for c in alphabet),
        *(a + b for a, b in merges),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CONTEXT).save_pretrained(folder)
    return vocabulary
