"""Titles as sellers type them: terse or chatty, abbreviated, in capitals, with errors of typing."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from training.made.choosing import speaks
from training.made.grammar import agree, inflect, noun
from training.made.listing import Deal, Fact

_ROWS: Final = ("йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю")
_NEAR: Final = {
    letter: row[max(0, at - 1) : at] + row[at + 1 : at + 2] for row in _ROWS for at, letter in enumerate(row)
}
_SHORT_STATES: Final[Mapping[str, tuple[str, ...]]] = {
    "отличное": (
        "отл. состояние",
        "сост. отл.",
        "отличное состояние",
        "в отличном состоянии",
        "сост. отличное",
    ),
    "хорошее": ("хор. состояние", "сост. хор.", "в хорошем состоянии", "хорошее состояние"),
    "новое": ("нов.", "новое состояние"),
    "б/у": ("б/у", "бу", "Б/У", "(б/у)"),
    "рабочее": ("рабочее состояние", "в рабочем состоянии"),
}
_STATES: Final = ("{} состояние", "состояние {}")
_VERBS: Final[Mapping[Deal, tuple[str, ...]]] = {
    "sale": ("Продам", "Продаю", "Продается", "Продаётся"),
    "wanted": ("Куплю",),
    "free": ("Отдам даром", "Отдам бесплатно", "Отдаю даром"),
    "rent": ("Сдам", "Сдаю", "Сдам в аренду", "Сдается"),
    "service": ("Предлагаю", "Выполню"),
    "work": ("Требуется", "Вакансия:", "Ищем", "Срочно требуется"),
}
_VERB_SHARE: Final[Mapping[Deal, float]] = {
    "sale": 0.15, "wanted": 1, "free": 1, "rent": 0.5, "service": 0.0, "work": 0.3,
}  # fmt: skip
_NOISE: Final = ("срочно", "торг", "недорого", "дёшево", "срочно!!!", "!", "!!!")
_ABBREVIATED: Final[Mapping[str, str]] = {
    "велосипед": "вел.", "детский": "дет.", "детская": "дет.", "детские": "дет.", "женский": "жен.",
    "женская": "жен.", "женские": "жен.", "мужской": "муж.", "мужская": "муж.", "мужские": "муж.",
    "новый": "нов.", "новая": "нов.", "новые": "нов.", "комплект": "компл.",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Title:
    """A typed title; `said` has the words without errors, `facts` the keys of the facts that it tells."""

    text: str
    said: str
    brand: str
    model: str
    verb: bool
    facts: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    kind: str  # "verb" | "word" | "brand" | "model" | "spec" | "noise"


def type_title(
    name: str,
    *,
    head: str,
    plural: bool,
    brand: str,
    model: str,
    facts: Sequence[Fact],
    deal: Deal,
    rng: random.Random,
) -> Title:
    """Return a title of these parts; `name` may be empty, facts are those that go into the title."""
    verb = rng.choice(_VERBS[deal]) if rng.random() < _VERB_SHARE[deal] else ""
    case = (
        "accs"
        if verb and verb.split()[0] not in {"Продается", "Продаётся", "Сдается", "Вакансия:"}
        else "nomn"
    )
    if verb.endswith("ребуется"):
        case = "nomn"
    pieces, told = _named(name, head, plural, case, facts, rng)
    owner = [_Piece(brand, "brand")] * bool(brand) + [_Piece(model, "model")] * bool(model)
    pieces = [*owner, *pieces] if owner and not verb and rng.random() < 0.1 else [*pieces, *owner]
    for fact in facts:
        if fact.key not in told and (spec := _spec(fact, rng)):
            pieces.append(_Piece(spec, "spec"))
            told.add(fact.key)
    if verb:
        pieces.insert(0, _Piece(verb, "verb"))
    said = " ".join(piece.text for piece in pieces)
    if deal == "sale" and rng.random() < 0.05:
        pieces.append(_Piece(rng.choice(_NOISE), "noise"))
    return _typed(pieces, said, verb=bool(verb), told=frozenset(told), rng=rng)


def _named(
    name: str, head: str, plural: bool, case: str, facts: Sequence[Fact], rng: random.Random
) -> tuple[list[_Piece], set[str]]:
    """Return the thing with the adjectives that stand by it, and their keys."""
    if not name:
        return [], set()
    beside = noun(head, plural=plural)
    bent = inflect(name, case, head=head, plural=plural)
    if bent is None:
        case, bent = "nomn", name
    before: list[str] = []
    behind: list[str] = []
    told: set[str] = set()
    for fact in facts:
        adjective = fact.value if fact.param and fact.param.kind else special_adjective(fact)
        like = agree(adjective, beside, case) if adjective and beside else None
        if like and not set(like.split()) & set(bent.split()):
            (before if rng.random() < 0.5 else behind).append(like)
            told.add(fact.key)
        elif like:
            told.add(fact.key)
    return [_Piece(" ".join([*before, bent, *behind]), "word")], told


def special_adjective(fact: Fact) -> str:
    """Return the adjective that says the fact's value before the thing, or nothing."""
    special = fact.param.special.get(fact.value) if fact.param else None
    return special.adjective if special else ""


def _spec(fact: Fact, rng: random.Random) -> str:
    if fact.key == "kit":
        bent = [inflect(part, "ablt") for part in fact.several]
        if None not in bent and rng.random() < 0.6:
            return "с " + " и ".join(part for part in bent if part)
        return "+ " + rng.choice((" + ", ", ")).join(fact.several)
    if fact.key == "defects":
        return rng.choice(("({})", "есть {}", "дефект: {}", "{}")).format(", ".join(fact.several))
    if fact.key == "condition":
        short = _SHORT_STATES.get(fact.value, ())
        if short and (fact.in_card or "б" in fact.value[:1]) and rng.random() < 0.7:
            return rng.choice(short)
        return rng.choice(_STATES).format(fact.value)
    if fact.param is None or fact.param.kind:
        return ""
    if not fact.param.told:
        return fact.value if len(fact.value) < 25 and speaks(fact) else ""
    template = "{value}" if fact.value.startswith("без ") else rng.choice(fact.param.told)
    return (
        template.replace("{value}", fact.value)
        if "{value:" not in template and "{thing" not in template
        else ""
    )


def _typed(pieces: list[_Piece], said: str, *, verb: bool, told: frozenset[str], rng: random.Random) -> Title:
    """Type the pieces on a keyboard: letters' case, errors, spaces."""
    style = rng.choices(("plain", "lower", "upper", "title"), (0.72, 0.15, 0.08, 0.05))[0]
    wrong = rng.randrange(len(pieces)) if len(said.split()) > 1 and rng.random() < 0.12 else -1
    yo = rng.random() < 0.75
    texts, brand, model = [], "", ""
    for at, piece in enumerate(pieces):
        text = piece.text
        if piece.kind == "word":
            if rng.random() < 0.06:
                text = " ".join(_ABBREVIATED.get(word, word) for word in text.split())
            if at == wrong:
                text = mistype(text, rng)
        text = _cased(text, style if piece.kind != "spec" or style != "title" else "plain")
        if at == 0 and style == "plain":
            text = text[0].upper() + text[1:] if piece.kind not in {"brand", "model"} else text
        if yo and piece.kind not in {"brand", "model"}:
            text = text.replace("ё", "е").replace("Ё", "Е")
        brand = text if piece.kind == "brand" else brand
        model = text if piece.kind == "model" else model
        texts.append(text)
    title = _spaced(texts, [piece.kind for piece in pieces], rng)
    return Title(text=title, said=said, brand=brand, model=model, verb=verb, facts=told)


def _cased(text: str, style: str) -> str:
    if style == "lower":
        return text.lower()
    if style == "upper":
        return text.upper()
    if style == "title":
        return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))
    return text


def _spaced(texts: Sequence[str], kinds: Sequence[str], rng: random.Random) -> str:
    between = rng.choices((" ", ", ", ". ", ",", " / ", "  "), (0.4, 0.4, 0.06, 0.06, 0.03, 0.05))[0]
    title = texts[0]
    for text, kind in zip(texts[1:], kinds[1:], strict=True):
        gap = between if kind == "spec" and not text.startswith(("с ", "+", "(", "в ")) else " "
        if gap == "," and title[-1:].isdigit() and text[:1].isdigit():
            gap = ", "  # «SP550,2.5"» is another number
        title += ("" if text.startswith("!") else gap) + text
    dotted = rng.random() < 0.02 and not any(map(str.isdigit, title))
    title = title.replace(" ", ".") if dotted else title
    return title + "." if rng.random() < 0.04 else title


def mistype(text: str, rng: random.Random) -> str:
    """Return the text with one error in a word of five letters or more: swapped, doubled, lost, near."""
    words = text.split(" ")
    places = [at for at, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    if not places:
        return text
    at = rng.choice(places)
    word = words[at]
    spot = rng.randrange(1, len(word) - 1)
    match rng.randrange(4):
        case 0:
            new = word[:spot] + word[spot + 1] + word[spot] + word[spot + 2 :]
        case 1:
            new = word[:spot] + word[spot] + word[spot:]
        case 2:
            new = word[:spot] + word[spot + 1 :]
        case _:
            new = word[:spot] + rng.choice(_NEAR.get(word[spot], word[spot])) + word[spot + 1 :]
    return " ".join([*words[:at], new, *words[at + 1 :]])
