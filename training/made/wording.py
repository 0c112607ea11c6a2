"""The ways to tell one fact: an adjective before the thing, words after it, a clause of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from training.made.extras import listed, tell_flaws, tell_kit
from training.made.grammar import ADJECTIVE, Noun, agree, inflect, lemma, lemmas, noun, turned
from training.made.listing import Fact, Listing
from training.made.sellers import special_adjective

_PLACE: Final = re.compile(r"\{(value|thing)(?::(\w+))?\}")
_PLURAL: Final = re.compile(r"[а-яё]{2,}[иы]")
_LONG_WORD: Final = re.compile(r"[^\W\d_]{4,}|(?<!\w)[А-ЯA-Z]{2,}(?!\w)")
_RUSSIAN_WORD: Final = re.compile(r"[а-яё]{4,}")
_ON_NUMBER: Final = re.compile(r"на \d")
_DIGIT: Final = re.compile(r"\d")
_BEFORE_TWO: Final = re.compile(r"(?<!\w)с (?=[сзшжщ][бвгджзклмнпрстфхцчшщъ]|все[йм]|мно)")
_QUESTIONS: Final = frozenset(
    ["кто", "где", "почему", "для", "что", "сколько", "кому", "как", "куда", "единица"]
)
_FREE: Final = frozenset(  # words that add nothing to what the card says
    lemmas(
        "составляет сделаны имеется есть внутри весит занимает длится находится работает установлен требуется"
        " нужен можно жить сдаётся работать предстоит кандидата всего даёт оформляем знанием носили виде"
        " выпуска расположение обстановки собрании рассчитана сторона изготовлен играть входит"
    )
)
_LIKE: Final = ("{thing} {value:like}", "{thing} — {value:like}")


@dataclass(frozen=True, slots=True)
class Subject:
    """The thing as this description calls it: `name` is nominative, "" if only brand and model are known."""

    name: str
    head: str
    plural: bool
    noun: Noun | None

    @classmethod
    def of(cls, listing: Listing) -> Subject:
        """Name the listing's thing properly if the card has the words, else as its seller does."""
        proper = lemmas(listing.name) <= lemmas(listing.thing) and backed(listing.thing, listing)
        other = noun(listing.thing_head, plural=not listing.plural)
        proper = proper and not (other and not noun(listing.thing_head, plural=listing.plural))
        name, head = (listing.thing, listing.thing_head) if proper else (listing.name, listing.head)
        name = turned(name, head=head, plural=listing.plural)
        beside = noun(head, plural=listing.plural)
        if beside is None and listing.plural and _PLURAL.fullmatch(head):
            beside = Noun(head, "", False)  # «кедики»: no dictionary has it, any adjective agrees with it
        return cls(name, head, listing.plural, beside)

    def named(self, case: str) -> str | None:
        """Return the whole name in a case; None if it cannot be inflected for sure."""
        return inflect(self.name, case, head=self.head, plural=self.plural)

    def headed(self, case: str) -> str | None:
        """Return the head noun alone in a case."""
        if case == "nomn":
            return self.head or None
        return inflect(self.head, case, head=self.head, plural=self.plural) if self.noun else None

    @property
    def person(self) -> bool:
        """Tell whether the card names who does the work: it is the massage that is sporting, not he."""
        return self.noun is not None and self.noun.animate


def adjective(fact: Fact, subject: Subject, case: str, *, listing: Listing) -> str | None:
    """Return the fact as an adjective that stands before the thing in this case."""
    word = fact.value if fact.param and fact.param.kind else special_adjective(fact)
    if not word or subject.noun is None or (subject.person and listing.deal == "service"):
        return None
    return agree(word, subject.noun, case) if backed(word, listing, told=fact.shown) else None


def after(fact: Fact, subject: Subject, listing: Listing) -> list[str]:
    """Return phrases that fit behind the thing and whose words the card has."""
    if fact.key == "kit":
        bent = [inflect(part, "ablt") for part in fact.several]
        phrases = (
            []
            if None in bent
            else [("со " if _needs_o(str(bent[0])) else "с ") + listed([str(one) for one in bent])]
        )
    elif fact.param is None:
        return []
    else:
        special = fact.param.special.get(fact.value)
        templates = special.after if special else fact.param.after
        phrases = list(_filled(templates, fact.value, subject))
    glued = (listing.model_typed or listing.brand_typed)[-1:].isdigit()  # «C40 на 128 ГБ» reads like a size
    taken = set(subject.name.split()) & {"для", "на"}  # «дисплей для телефона для iPhone»
    named = {lemma(word) for word in _LONG_WORD.findall(subject.name)}  # «дача с участком с участком 6 соток»
    phrases = [one for one in phrases if named.isdisjoint(map(lemma, _LONG_WORD.findall(one)))]
    told = [one for one in phrases if backed(one, listing, told=fact.shown)]
    return [one for one in told if not (glued and _ON_NUMBER.match(one)) and one.split()[0] not in taken]


def clauses(fact: Fact, subject: Subject, listing: Listing) -> list[str]:
    """Return whole clauses that tell the fact: no capital, no full stop."""
    if fact.key == "defects":
        return tell_flaws(fact, listing)
    if fact.key == "kit":
        return tell_kit(fact, listing, subject.headed("ablt"))
    if fact.key == "class" or (fact.param and fact.param.path):
        return []  # a shelf of the shop: the first sentence has named the thing
    special = fact.param.special.get(fact.value) if fact.param else None
    templates = (special.clauses if special else ()) or (fact.param.clauses if fact.param else ())
    found = list(_filled(templates, fact.value, subject))
    if not found and fact.param and fact.param.kind and not (subject.person and listing.deal == "service"):
        found = list(_filled(_LIKE, fact.value, subject))
    told = _safest(found, fact, listing)
    return [one for one in told if not _repeats(one)] or [shown(fact)]


def _repeats(clause: str) -> bool:
    """Tell whether a clause says a word twice: «скоростей — 18 скоростей»."""
    words = [lemma(word) for word in _LONG_WORD.findall(clause)]
    return len(set(words)) < len(words)


def _safest(found: list[str], fact: Fact, listing: Listing) -> list[str]:
    """Keep clauses in the card's own words; without any take the label, or the value as it stands."""
    if own := [clause for clause in found if backed(clause, listing, told=fact.shown)]:
        return own
    label = fact.label or (fact.param.labels[0] if fact.param and not found else "")
    own_words = not (fact.param and fact.param.kind) and backed(fact.value, listing)
    value = fact.value if own_words else shown(fact)  # «Ремонт: Требуется» is not «без ремонта»
    asks = bool(label) and label.split()[0].lower() in _QUESTIONS
    if label and (bare := _answered(_begun_small(label), fact)):
        return [bare]
    if asks and not own_words:
        return [value]
    if label and not (found and asks):
        return [_labelled(_begun_small(label).split(",")[0], value, fact)]
    several = len(fact.value.split()) > 1 and _RUSSIAN_WORD.search(fact.value)
    if found and several and not _DIGIT.search(fact.value):
        return [*found, fact.value]
    return found or [value]


def _labelled(label: str, value: str, fact: Fact) -> str:
    """Return «расцветка — кремовая» for «Кремовый», «стоимость за час» for «Стоимость за: за час»."""
    alike = _stem(fact.shown) == _stem(fact.value) and " " not in fact.shown
    if fact.param and fact.param.kind and alike and (beside := _label_noun(label)):
        value = agree(fact.value, beside) or value
    if label.split()[-1] == value.split()[0]:
        return f"{label} {value.partition(' ')[2]}"
    return f"{label} — {value}"


def _answered(label: str, fact: Fact) -> str:
    """Return «есть таймер», «таймера нет», «для девочки» for what needs no label; else nothing."""
    if fact.shown.lower() == "есть":
        return f"есть {label}"
    if fact.shown.lower() == "нет" and (bent := inflect(label, "gent")):
        return f"{bent} нет"
    return fact.value if fact.value.startswith("для ") else ""


def _label_noun(label: str) -> Noun | None:
    found = (noun(word, plural=False) for word in label.split() if not ADJECTIVE.fullmatch(word))
    return next((one for one in found if one), None)


def shown(fact: Fact) -> str:
    """Return what the form shows as it stands inside a sentence: a name keeps its capital."""
    return _begun_small(fact.shown) if fact.value[:1].islower() else fact.shown


def _begun_small(text: str) -> str:
    """Lower the first letter of a Russian word that is not an abbreviation."""
    return text[:1].lower() + text[1:] if re.match(r"[А-ЯЁ][а-яё\s]", text) else text


def _filled(templates: tuple[str, ...], value: str, subject: Subject) -> Iterator[str]:
    """Yield the templates that can be filled without a doubt."""
    for template in templates:
        parts = []
        for match in _PLACE.finditer(template):
            what, case = match[1], match[2] or ""
            if what == "thing":
                parts.append(subject.headed(case or "nomn"))
            elif case == "like":
                parts.append(agree(value, subject.noun) if subject.noun else None)
            else:
                parts.append(inflect(value, case) if case else value)
        if None not in parts:
            pieces = _PLACE.split(template)[:: _PLACE.groups + 1]
            filled = "".join(f"{text}{part}" for text, part in zip_longest(pieces, parts, fillvalue=""))
            yield _BEFORE_TWO.sub("со ", filled)


def backed(phrase: str, listing: Listing, *, told: str = "") -> bool:
    """Tell whether the card has every longer word of the phrase, in some form.

    `told`: what the form shows of this fact; a word that begins like one of its words is the same one.
    """
    own = {_stem(word) for word in _LONG_WORD.findall(told)}
    return all(
        lemma(word) in listing.known or lemma(word) in _FREE or _stem(word) in own
        for word in _LONG_WORD.findall(phrase)
    )


def _stem(word: str) -> str:
    return word[:5].lower().replace("ё", "е")


def _needs_o(word: str) -> bool:
    return _BEFORE_TWO.match(f"с {word}") is not None
