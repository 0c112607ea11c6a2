"""One key for one product model, however sellers spell it: what the grouper of listings compares.

A key merges spellings, never models: everything that is not on a list of noise stays in it, so that Pro,
a digit or a capacity that is a part of the model tells two keys apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Final

from rapidfuzz import process
from rapidfuzz.distance import OSA

from service import model_memory, model_tokens, model_words
from service.model_tokens import MAX_CODE_LETTERS, Token

NORMALIZER_VERSION: Final = "1"

_MAX_PASSES = 4
_SAYING = frozenset({"brand", "family", "critical"})  # of a brand's name: «Galaxy», «Redmi», «Viking»
_FUZZY_FROM = {0: 0, 1: 7, 2: 11}  # edits -> shortest brand: «Samsng» is one, «Nokian» and «Martini» are none
_YEAR = re.compile(r"\s*(?:,\s*(?:19|20)\d\d|(?:19|20)\d\d\s*г(?:\.|ода?)?)\s*$")  # «Ford Focus, 2013»


def model_key(model: str, *, brand: str | None = None, category: str | None = None) -> str | None:
    """Return the canonical key of a model, brand first where it is known; None if no model is named.

    A pure function of its arguments: same key in every process, and the key of a key is the key.
    """
    kind = model_words.clean(category or "")
    key = _key(model_words.clean(model), model_words.clean(brand or ""), kind)
    for _ in range(_MAX_PASSES):  # what one reading joined («bt» from «boot») the next may read otherwise
        settled = _key(key, "", kind) if key else None
        if settled == key:
            break
        key = settled
    return key


def same_model(a: str, b: str) -> bool:
    """Tell whether two texts name one model."""
    key = model_key(a)
    return key is not None and key == model_key(b)


def canonical_brand(text: str) -> str | None:
    """Return the brand a text means, misspelled or not; an unknown one in its one spelling; None if none."""
    return _brand(model_words.clean(text))


def implied_brand(model: str) -> str | None:
    """Return the brand that a model names or that its series belongs to, or None."""
    return _brand_of(model_tokens.read(model_words.clean(model)))


@lru_cache(maxsize=2**13)
def _key(model: str, brand: str, category: str) -> str | None:
    """Return the key after one reading of cleaned texts."""
    if model_memory.is_a(category, "cars"):
        model = _YEAR.sub("", model) or model
    named = model_tokens.read(brand)
    given = _known_brand(brand, named)
    tokens = [token for token in named if given and token.kind in _SAYING] + model_tokens.read(model)
    owner = given or _brand_of(tokens)
    fillers = _fillers(tokens, owner) | {owner}
    tokens = model_memory.less_variants(
        [token for token in tokens if token.text not in fillers], owner=owner, category=category
    )
    own = _codes(tokens)
    prefix = [] if given else _prefix(_codes(named), own)  # an unknown brand leads as any first word does
    own = _less(own, prefix)
    if not own:
        return None
    leading = [Token(text=owner, kind="brand")] if owner else []
    return _joined(_rewritten([*leading, *prefix, *own], category=category))


def _known_brand(text: str, tokens: Sequence[Token]) -> str | None:
    """Return the listed brand that a cleaned text means, or None."""
    if not tokens:
        return None
    together = "".join(token.text for token in tokens)
    whole = model_words.find(together)
    return (whole.brand if whole else None) or _brand_of(tokens) or _nearest_brand("".join(text.split()))


def _brand(text: str) -> str | None:
    """Return the brand of a cleaned text."""
    tokens = model_tokens.read(text)
    return _known_brand(text, tokens) or " ".join(token.text for token in _codes(tokens)) or None


def _brand_of(tokens: Sequence[Token]) -> str | None:
    """Return the first brand named, a maker of parts only for want of another, else that of a series."""
    parts = model_words.data()["parts"]["brands"]
    named = [token.text for token in tokens if token.kind == "brand"]
    series = [token.entry.brand for token in tokens if token.kind == "family" and token.entry]
    found = [*(name for name in named if name not in parts), *series, *named]
    return found[0] if found else None


@lru_cache(maxsize=2**12)
def _nearest_brand(text: str) -> str | None:
    """Return the one listed brand within an edit or two of a misspelled one."""
    text = model_words.romanise(text)
    known = _brands()
    near = process.extract(text, list(known), scorer=OSA.distance, score_cutoff=2, limit=None)
    found = {
        known[word]
        for word, edits, _ in near
        if word[0] == text[0] and len(word) >= _FUZZY_FROM[round(edits)]
    }
    return found.pop() if len(found) == 1 else None


@cache
def _brands() -> dict[str, str]:
    """Return every listed spelling of a brand and the brand."""
    return dict(model_words.brands())


def _prefix(named: Sequence[Token], tokens: Sequence[Token]) -> list[Token]:
    """Return what an unknown brand adds to a model that does not say it; a brand has a letter at least."""
    if not any(char.isalpha() for token in named for char in token.text):
        return []
    texts = [token.text for token in tokens]
    short = all(len(token.text) <= MAX_CODE_LETTERS + 1 for token in named)  # «V7 V7N3C5»: it is in the code
    if short and all(
        token.text not in texts and any(token.text in text for text in texts) for token in named
    ):
        return []
    return list({token.text: token for token in named}.values())


def _less(tokens: Sequence[Token], prefix: Sequence[Token]) -> list[Token]:
    """Return a model's tokens without an unknown brand that they repeat."""
    found = list(tokens)
    for repeated in prefix:
        same = next((token for token in found if token.text == repeated.text), None)
        if same is None:
            return list(tokens)
        found.remove(same)
    return found


def _fillers(tokens: Sequence[Token], owner: str | None) -> set[str]:
    """Return the words that add nothing beside these brands and series."""
    lists = model_words.data()
    makers = {token.entry.brand for token in tokens if token.kind == "family" and token.entry} | {owner}
    found = {word for maker in makers if maker for word in lists["fillers"].get(maker, ())}
    return found | {part for part in lists["parts"]["brands"] if part != owner}


def _codes(tokens: Sequence[Token]) -> list[Token]:
    """Join letters to their numbers: «WH 1000 XM4» and «WH-1000XM4» are wh1000, xm4."""
    found: list[Token] = []
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else None
        after = tokens[index + 1] if index + 1 < len(tokens) else None
        last = found[-1] if found else None
        if token.kind == "letters":
            ahead = after is not None and after.kind == "digits"
            if last and model_tokens.trails(token, before=before, after=after):
                found[-1] = last._replace(text=last.text + token.text)
            else:
                found.append(token._replace(kind="code" if ahead else "word"))
        elif token.kind == "digits" and before and before.kind == "letters" and last and last.kind == "code":
            joins = (
                not last.text[-1].isdigit()
                and last.text[0].isalpha()
                and not any(map(str.isdigit, last.text))
            )
            if joins:
                found[-1] = last._replace(text=last.text + token.text)
            else:
                found.append(token._replace(kind="code"))
        else:
            found.append(token._replace(kind="code") if token.kind in {"digits", "capacity"} else token)
    return found


def _rewritten(tokens: list[Token], *, category: str) -> list[Token]:
    """Apply the rules for what a series is short for: «Samsung A51» is a Galaxy, «iPhone X» is the 10."""
    texts = {token.text for token in tokens}
    for rule in model_words.data()["rewrites"]:
        if not texts.issuperset(rule["has"]) or not texts.isdisjoint(rule.get("unless", ())):
            continue
        if "category" in rule and not model_memory.is_a(category, rule["category"]):
            continue
        if "code" in rule and not any(re.fullmatch(rule["code"], text) for text in texts):
            continue
        tokens = [token for token in tokens if token.text not in rule.get("drop", ())]
        tokens += [_written(text) for text in rule.get("add", ())]
        texts = {token.text for token in tokens}
    return tokens


def _written(text: str) -> Token:
    """Return the token that a rule adds."""
    entry = model_words.find(text)
    return Token(text=text, kind=entry.kind if entry else "code", entry=entry)


def _joined(tokens: Sequence[Token]) -> str | None:
    """Return the key: brand, series, words, codes, what tells models apart. None if nothing but a brand."""
    owned = bool(tokens) and tokens[0].kind == "brand"
    if owned and len(tokens) == 1:
        return None
    texts: list[str] = []
    for token in _apart(sorted(tokens, key=lambda token: _place(token, owned=owned))):
        if (token.kind == "code" and token.text.isdigit()) or token.text not in texts:  # «Mazda 3 3»
            texts.append(token.text)
    return " ".join(texts)


def _apart(tokens: Sequence[Token]) -> list[Token]:
    """Move short words that sorting put before a number, lest they read as its code: «s», «22» is no s22."""
    first = next((index for index, token in enumerate(tokens) if token.kind == "code"), len(tokens))
    if first == len(tokens) or not tokens[first].text[0].isdigit():
        return list(tokens)
    short = first
    while short and _is_short(tokens[short - 1]):
        short -= 1
    if short and tokens[short - 1].kind == "word":
        return [*tokens[: short - 1], *tokens[short:first], tokens[short - 1], *tokens[first:]]
    if tokens[-1].kind == "critical":
        return [*tokens[:short], *tokens[first:], *tokens[short:first]]
    return list(tokens)


def _is_short(token: Token) -> bool:
    """Tell whether a word could be read as the letters of a code."""
    return token.kind == "word" and token.entry is None and model_words.is_code(token.text)


def _place(token: Token, *, owned: bool) -> tuple[int, int, str]:
    """Return where a token stands in a key.

    Words that no list has are sorted behind a known brand, short ones first; else they keep their order, for
    the first of them may be a brand.
    """
    rank = token.entry.rank if token.entry else 0
    if token.kind == "code":
        return 5, int(token.text[0].isdigit()), token.text
    if token.kind != "word":
        return {"brand": 0, "family": 2, "critical": 6}[token.kind], rank, ""
    if token.entry or not owned:
        return 3 if token.entry else 1, rank, ""
    return 4, int(not model_words.is_code(token.text)), token.text
