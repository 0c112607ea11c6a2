"""A vocabulary grown from the base's: its tokens that the texts use, then new merges of them.

Each kept token keeps its row of the embedding, so that the model reads as before wherever the new merges are
not met: Gemma 3 270M at 32,768 tokens begins at 1.9 bits a character on listings instead of 2.7 (LOG.md).
"""

from __future__ import annotations

import heapq
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from tokenizers import Tokenizer

from training.errors import TokenizerError
from training.vocabulary.huggingface import HuggingFaceVocabulary

# What is counted: a word or number with the space before it, signs, spaces. Merges are made inside of words.
_UNIT: Final = re.compile(r" ?[^\W\d_]+| ?\d+| ?(?:_|[^\w\s])+|\s+")
_WORD: Final = re.compile(r" ?[^\W\d_]{2,}")
_NEVER: Final = 2**60
Pair = tuple[str, str]


def count_units(texts: Iterable[str]) -> Counter[str]:
    """Count words, numbers, signs and spaces."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(_UNIT.findall(text))
    return counts


def grow_tokenizer(
    old: HuggingFaceVocabulary,
    units: Mapping[str, int],
    *,
    size: int,
    min_frequency: int,
    special: Sequence[str],
) -> Tokenizer:
    """Return a BPE of `size` tokens: `special`, bytes, old tokens met `min_frequency` times, new merges.

    The old tokenizer's merges go first and in their order, so that a text is cut as before and then glued.
    Fewer than `size` come back where the texts hold too little. Raises TokenizerError for a base that is no
    BPE.
    """
    state = json.loads(old.tokenizer.to_str())
    if state["model"]["type"] != "BPE":
        raise TokenizerError(f'{old.name}: is {state["model"]["type"]}; grow_from = "base" needs a BPE')
    spelled = {unit: [old.pieces[i].text for i in old.encode_surface(unit.encode())] for unit in units}
    merges = [_pair(merge) for merge in state["model"]["merges"]]
    kept = _kept(
        old, merges=merges, counts=_count(spelled, units), size=size - len(special), least=min_frequency
    )
    merges = [pair for pair in merges if kept.issuperset((*pair, "".join(pair)))]
    ids: dict[str, int] = state["model"]["vocab"]
    known = [*special, *sorted(kept, key=lambda text: ids[text])]
    cut = _tokenizer(state, tokens=known, merges=merges, special=special)
    words = {unit: count for unit, count in units.items() if _WORD.fullmatch(unit) and count >= min_frequency}
    again = HuggingFaceVocabulary(cut, name=old.name, roles={}, folder=None)
    parts = {word: [again.pieces[i].text for i in again.encode_surface(word.encode())] for word in words}
    new, glued = _merge_on(parts, words, known=set(known), wanted=size - len(known), least=min_frequency)
    return _tokenizer(state, tokens=[*known, *new], merges=[*merges, *glued], special=special)


def _pair(merge: Any) -> Pair:
    """Read a merge as files of either age write it: "a b" or ["a", "b"]."""
    first, second = merge.split(" ") if isinstance(merge, str) else merge
    return first, second


def _count(spelled: Mapping[str, Sequence[str]], units: Mapping[str, int]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for unit, tokens in spelled.items():
        for token in tokens:
            counts[token] += units[unit]
    return counts


def _kept(
    old: HuggingFaceVocabulary, *, merges: Sequence[Pair], counts: Counter[str], size: int, least: int
) -> set[str]:
    """Return the tokens to keep, the frequent first, each with what the merges make on the way."""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    kept = {piece.text for piece in old.pieces if piece.byte}
    kept |= {piece.text for piece in old.pieces if len(piece.text) == 1 and piece.text.isascii()}
    if len(kept) > size:
        raise TokenizerError(f"a vocabulary of {size:,} does not hold the {len(kept):,} bytes and letters")
    for token, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])):
        if count < least:
            break
        whole = kept | _made_on_the_way(token, ranks=ranks) if token not in kept else kept
        if len(whole) > size:
            break
        kept = whole
    return kept


def _made_on_the_way(token: str, *, ranks: Mapping[Pair, int]) -> set[str]:
    """Return the token, its characters and what lies between; nothing where merges do not lead to it."""
    parts = list(token)
    made = set(parts)
    while len(parts) > 1:
        rank, i = min((ranks.get(pair, _NEVER), i) for i, pair in enumerate(pairwise(parts)))
        if rank == _NEVER:
            return set()
        parts[i : i + 2] = ["".join(parts[i : i + 2])]
        made.add(parts[i])
    return made


def _merge_on(
    parts: dict[str, list[str]], counts: Mapping[str, int], *, known: set[str], wanted: int, least: int
) -> tuple[list[str], list[Pair]]:
    """Go on with byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909): the most frequent pair first.

    A merge may spell a token that is known already in another way; it costs no place.
    """
    frequencies: Counter[Pair] = Counter()
    places: defaultdict[Pair, set[str]] = defaultdict(set)
    for word, tokens in parts.items():
        _add(word, tokens, counts[word], frequencies=frequencies, places=places)
    heap = [(-count, pair) for pair, count in frequencies.items()]
    heapq.heapify(heap)
    new: list[str] = []
    merges: list[Pair] = []
    while len(new) < wanted and heap:
        count, pair = heapq.heappop(heap)
        if -count != frequencies[pair] or -count < least:  # an entry that later merges have changed
            continue
        token = "".join(pair)
        merges.append(pair)
        if token not in known:
            known.add(token)
            new.append(token)
        changed: set[Pair] = set()
        for word in sorted(places[pair]):
            before, parts[word] = parts[word], _glue(parts[word], pair)
            _add(word, before, -counts[word], frequencies=frequencies, places=places)
            _add(word, parts[word], counts[word], frequencies=frequencies, places=places)
            changed.update(pairwise(before), pairwise(parts[word]))
        for one in changed:
            if frequencies[one] >= least:
                heapq.heappush(heap, (-frequencies[one], one))
    return new, merges


def _add(
    word: str,
    tokens: Sequence[str],
    count: int,
    *,
    frequencies: Counter[Pair],
    places: defaultdict[Pair, set[str]],
) -> None:
    """Count the word's pairs in, or out again where `count` is negative."""
    for pair in pairwise(tokens):
        frequencies[pair] += count
        (places[pair].add if count > 0 else places[pair].discard)(word)


def _glue(tokens: Sequence[str], pair: Pair) -> list[str]:
    glued: list[str] = []
    for token in tokens:
        if glued and (glued[-1], token) == pair:
            glued[-1] += token
        else:
            glued.append(token)
    return glued


def _tokenizer(
    state: Mapping[str, Any], *, tokens: Sequence[str], merges: Sequence[Pair], special: Sequence[str]
) -> Tokenizer:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    content = {
        **state,
        "post_processor": None,
        "added_tokens": [{"id": i, "content": text, **flags} for i, text in enumerate(special)],
        "model": {
            **state["model"],
            "unk_token": None,  # bytes write everything
            "vocab": {text: i for i, text in enumerate(tokens)},
            "merges": [list(pair) for pair in merges],
        },
    }
    return Tokenizer.from_str(json.dumps(content))
