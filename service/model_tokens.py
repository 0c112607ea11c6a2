"""The words and numbers of a product's name, one token each, however a seller spaced and hyphenated them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Literal, NamedTuple

from service import model_words
from service.model_words import Entry

MAX_TOKENS = 40
MAX_LETTERS = 40  # of a word
MAX_CODE_LETTERS = 3  # «WH-1000» and «DDF453 RFE» are codes, «Elna 5200» is a word and a number
MAX_PHRASE_WORDS = 3

_ATOM = re.compile(r"[^\W\d_]+|\d+(?:\.\d+|,\d{1,2}(?!\d))*")
_ROMAN = {"ii": 2, "iii": 3, "iv": 4, "vi": 6, "vii": 7, "viii": 8, "ix": 9, "xi": 11, "xii": 12, "xiii": 13}
_ROMAN_GLUED = frozenset({"ii", "iii"})  # «A7III»; the others stand in codes too: «M6IV»
_GRAM = frozenset({"g", "г"})
_GRAM_SIZES = frozenset({"16", "32", "64", "128", "256", "512"})  # «128g»; 5g is a network
_LETTER_S = "с"  # also the preposition; «айфон 6 с плюс», «самсунг с21»

Kind = Literal["digits", "letters", "capacity", "brand", "family", "critical", "word", "code"]


class Token(NamedTuple):  # ten are made for a key, and a frozen dataclass takes three times as long
    """A piece of a name. `gap` is what stood before it; empty if nothing did."""

    text: str
    kind: Kind
    gap: str = " "
    entry: Entry | None = None


def read(text: str) -> list[Token]:
    """Return the tokens of a cleaned lower-case text; noise is left out."""
    hints, rules = _spellings()
    for index in sorted({index for hint, index in hints if hint in text}):
        pattern, spelling = rules[index]
        text = pattern.sub(spelling, text)
    return list(_resolve(_atoms(model_words.one_script(text))))[:MAX_TOKENS]


@cache
def _spellings() -> tuple[list[tuple[str, int]], list[tuple[re.Pattern[str], str]]]:
    """Return hint and number of each rule, since twenty searches cost more than all the rest; the rules."""
    rules = model_words.data()["spellings"]
    hints = [(hint, index) for index, rule in enumerate(rules) for hint in rule["hints"]]
    return hints, [(re.compile(rule["find"]), rule["put"]) for rule in rules]


def _atoms(text: str) -> list[Token]:
    """Return runs of letters and runs of digits."""
    found: list[Token] = []
    end = 0
    for match in _ATOM.finditer(text):
        gap, end = text[end : match.start()], match.end()
        if match[0][0].isdigit():
            found.append(Token(text=match[0].replace(",", "."), kind="digits", gap=gap))
        else:
            found.append(Token(text=match[0][:MAX_LETTERS], kind="letters", gap=gap))
    return found


def _resolve(atoms: Sequence[Token]) -> Iterator[Token]:
    """Yield what each atom is: a listed word, a capacity, a number, or letters that nobody lists."""
    index, changed = 0, False  # whether something was left out before the next token
    while index < len(atoms):
        taken, tokens = _read_at(atoms, index)
        for token in tokens:
            yield token._replace(gap=" ") if changed and not token.gap else token
            changed = False
        changed = changed or not tokens
        index += taken


def _read_at(atoms: Sequence[Token], index: int) -> tuple[int, list[Token]]:
    """Return how many atoms one reading takes, and its tokens."""
    atom = atoms[index]
    following = atoms[index + 1] if index + 1 < len(atoms) else None
    if atom.kind == "digits":
        return _number(atom, following, atoms[index + 2] if index + 2 < len(atoms) else None)
    before = atoms[index - 1] if index else None
    for num in range(min(MAX_PHRASE_WORDS, _run_of_letters(atoms, index)), 0, -1):
        words = tuple(one.text for one in atoms[index : index + num])
        entry = model_words.find_phrase(words) if num > 1 else model_words.find(words[0])
        if entry and not (num == 1 and _within_code(atom, before, following)):
            return num, _listed(entry, gap=atom.gap)
    if split := model_words.family_within(atom.text):
        parts = [atom._replace(text=part, gap=gap) for part, gap in zip(split, (atom.gap, " "), strict=True)]
        return 1, [token for part in parts for token in _read_at([part], 0)[1]]
    return _unlisted(atoms, index, before=before, following=following)


def trails(letters: Token, *, before: Token | None, after: Token | None) -> bool:
    """Tell whether letters belong to the number before them.

    They lead the number behind them, unless they stand closer to the one before: «9X 5», «9 X5».
    """
    if before is None or before.kind != "digits":
        return False
    ahead = after is not None and after.kind == "digits"
    return not (ahead and after is not None and (letters.gap or not after.gap))


def _run_of_letters(atoms: Sequence[Token], index: int) -> int:
    """Return how many letter atoms stand in a row, as far as a phrase may reach."""
    num = 0
    while num < MAX_PHRASE_WORDS and index + num < len(atoms) and atoms[index + num].kind == "letters":
        num += 1
    return num


def _number(atom: Token, following: Token | None, beyond: Token | None) -> tuple[int, list[Token]]:
    """Read a number with its unit, which leads no code of its own: «31181 тб0200»."""
    leads = beyond is not None and beyond.kind == "digits" and not beyond.gap
    if following is None or following.kind != "letters" or leads:
        return 1, [atom]
    unit = model_words.units().get(following.text)
    if following.text in _GRAM and atom.text in _GRAM_SIZES:
        unit = "gb"
    if unit in {"gb", "tb", "mb"}:
        return 2, [atom._replace(text=_capacity(atom.text, unit), kind="capacity")]
    if unit and model_words.is_cyrillic(following.text):
        return 2, [atom, following._replace(text=unit)]
    return 1, [atom]


def _capacity(value: str, unit: str) -> str:
    """Return one spelling of a capacity: 1024 GB is 1 TB."""
    while value.isdigit() and int(value[:9]) >= 1024 and int(value[:9]) % 1024 == 0 and unit != "tb":
        value, unit = str(int(value[:9]) // 1024), {"mb": "gb", "gb": "tb"}[unit]
    return value + unit


def _listed(entry: Entry, *, gap: str) -> list[Token]:
    """Return the tokens of a listed word; «promax» is two."""
    if entry.kind != "critical" or " " not in entry.text:
        return [Token(text=entry.text, kind=entry.kind, gap=gap, entry=entry)]
    parts = [model_words.find(part) for part in entry.text.split()]
    return [Token(text=part.text, kind=part.kind, gap=gap, entry=part) for part in parts if part]


def _within_code(atom: Token, before: Token | None, following: Token | None) -> bool:
    """Tell whether letters are glued between two numbers, as in «8gt2»."""
    glued = bool(before and before.kind == "digits" and not atom.gap)
    return glued and bool(following and following.kind == "digits" and not following.gap)


def _unlisted(
    atoms: Sequence[Token], index: int, *, before: Token | None, following: Token | None
) -> tuple[int, list[Token]]:
    """Read letters that no list has: a Roman number, noise, a part of a code, or a name."""
    atom = atoms[index]
    word = atom.text
    touching = before is not None and before.kind == "digits" and not atom.gap
    leading = following is not None and following.kind == "digits"
    ahead = bool(following and leading and not following.gap)
    if word in _ROMAN and (not touching or word in _ROMAN_GLUED) and not ahead:
        return 1, [Token(text=str(_ROMAN[word]), kind="digits")]
    if word == _LETTER_S and before and _is_letter_s(before, following):
        return 1, [atom._replace(text=_code_letters(atoms, index))]
    twin = len(word) == 1 and model_words.looks_latin(word) is not None
    if not touching and not (leading and twin) and model_words.is_noise(word):
        return 1, []
    spelled = model_words.spelled(word)
    if len(word) > MAX_CODE_LETTERS or not model_words.is_code(spelled):
        return 1, [atom._replace(text=spelled, kind="word")]
    taken, letters = 1, _code_letters(atoms, index)
    while _hyphened(atoms, index + taken) and len(letters) < MAX_CODE_LETTERS:
        letters += _code_letters(atoms, index + taken)
        taken += 1
    return taken, [atom._replace(text=letters)]


def _is_letter_s(before: Token, following: Token | None) -> bool:
    """Tell the letter of «6 с плюс», «5 с» and «с21» from the preposition."""
    if following and following.kind == "digits":
        return True
    critical = following and (found := model_words.find(following.text)) and found.kind == "critical"
    return before.kind == "digits" and (following is None or bool(critical))


def _hyphened(atoms: Sequence[Token], index: int) -> bool:
    """Tell whether one or two letters hang on the former ones by a hyphen: «X-T30», «RS-X»."""
    if index >= len(atoms) or atoms[index].gap != "-":
        return False
    atom = atoms[index]
    return (
        atom.kind == "letters" and len(atom.text) < MAX_CODE_LETTERS and model_words.find(atom.text) is None
    )


def _code_letters(atoms: Sequence[Token], index: int) -> str:
    """Return letters of a code in Latin: by their look, but «самсунг с21» by sound."""
    word = atoms[index].text
    if word == _LETTER_S and any(_writes_s(atom.text) for atom in atoms[:index]):
        return "s"
    return model_words.looks_latin(word) or model_words.romanise(word)


@lru_cache(maxsize=2**12)
def _writes_s(word: str) -> bool:
    """Tell whether a word is Russian for a series whose letter S sellers write in Russian too."""
    entry = model_words.find(word) if model_words.is_cyrillic(word) else None
    return entry is not None and entry.brand in {"apple", "samsung"}
