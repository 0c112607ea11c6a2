"""What a review praises and blames: aspects that stand in its words, each with a side that is witnessed.

An aspect is a thing («пульт») or a property («ярко» is of «яркость») named in a clause. Its side is decided
by witnesses that stand for so many points each: the words of judgement beside it, the heading it stands
under, the review's rating, and the model, which is asked about the clause where the others leave it open.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from service import lexicon
from service.letters import fold
from service.morphology import form
from service.tasks.clauses import WORD, Clause, Word, absent, clauses, judgement, misses
from service.tasks.reviews import Review

# Of 635 real clauses that these words judge under «Достоинства» 615 were praise, most others complaints put
# there by mistake; words of blame are right in two of three where there is neither heading nor rating. The
# default model tells praise from blame in 51 of 57 clauses.
PRAISE, BLAME, WEAK = 3, 2, 1
LABEL, LISTED, MODEL, RATING = 2, 3, 2, 1
ENOUGH = 2  # points for a side to stand
CERTAIN = 3  # points at which the model is not asked
SHORT = 4  # words; of a clause that is an item of a list under a heading: «Достоинства: дизайн, цвет»
ASPECTS_PER_CLAUSE = 3
ASKED_CHARS = 200  # of a clause; the longest real ones have 160
_REVIEWS = lexicon.read("reviews.toml")
_NOT_ASPECTS = frozenset(_REVIEWS["not_aspects"]["words"])
_CHILDREN = "впечатление детей"
_YIELDING = frozenset({_CHILDREN, "исправность"})  # to things, as in «пульт не рабочий»
_OF_KIND = {"seller": "продавец", "service": "исправность"}  # «работает до ночи» praises no café
_STARS = frozenset(_REVIEWS["not_aspects"]["stars"])
# After these a noun tells where, when and for whom: «на потолке», «для ребёнка»; not «с пультом», «по цене».
_PLACING = frozenset(_REVIEWS["not_aspects"]["after"])


@dataclass(frozen=True, slots=True)
class Named:
    """An aspect as a clause names it: its group or lemma, and whether in the plural."""

    key: str
    plural: bool
    missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A clause that judges the aspects it names; `points` are those of all witnesses but the model.

    It keeps no words of the clause: those of 10,000 reviews cost the garbage collector 0.2 s at a time.
    """

    start: int  # of the clause in the review's text
    folded: str
    text: str
    named: tuple[Named, ...]
    points: int
    judged: bool  # by words of judgement, not by its place or the stars alone
    may_praise: bool
    may_blame: bool

    @property
    def certain(self) -> bool:
        """Whether code alone decides."""
        return abs(self.points) >= CERTAIN

    @property
    def open(self) -> bool:
        """Whether the model has to be asked: its word can decide."""
        return not self.certain and self.side(1) != self.side(-1)

    def side(self, vote: int) -> int:
        """Return 1, -1 or 0 with the model's vote (0 where it was not asked or said neither)."""
        total = self.points + MODEL * vote
        if total >= ENOUGH and self.may_praise:
            return 1
        return -1 if total <= -ENOUGH and self.may_blame else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A review as code reads it."""

    review: Review
    claims: tuple[Claim, ...]
    contradictory: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What the reviews are about; its own words are no aspects of it."""

    kind: str
    words: frozenset[str]

    @classmethod
    def of(cls, kind: str, name: str) -> Subject:
        """Index a subject."""
        words = (fold(word).lower() for word in WORD.findall(name))
        return cls(kind=kind, words=frozenset(form(word).lemma for word in words))


def read(review: Review, *, subject: Subject) -> Reading:
    """Find the claims of a review."""
    found = clauses(review.own)
    claims = (_claim(clause, review, subject) for clause in found)
    return Reading(
        review=review,
        claims=tuple(claim for claim in claims if claim is not None),
        contradictory=_contradicts(review.rating, found),
    )


def _contradicts(rating: int | None, found: Sequence[Clause]) -> bool:
    """Tell five stars with nothing but complaints, or one or two with nothing but praise."""
    praise = any(clause.mood.value > 0 or clause.mood.mixed for clause in found)
    blame = any((clause.mood.value < 0 and not clause.mood.weak) or clause.mood.mixed for clause in found)
    if rating == 5:
        return blame and not praise
    return rating in (1, 2) and praise and not blame


def _claim(clause: Clause, review: Review, subject: Subject) -> Claim | None:
    mood, weak, rating = clause.mood.value, clause.mood.weak, review.rating
    judged = mood != 0 or clause.mood.mixed
    witnessed = clause.label != 0 or rating is not None
    if not (judged or clause.label or (rating or 5) <= 3 or (witnessed and misses(clause))):
        return None
    named = () if clause.mood.unreal else tuple(_named(clause, subject))
    if not judged:  # «купила ребёнку» under «Достоинства» praises nothing
        named = tuple(one for one in named if one.key != _CHILDREN)
    if not named:
        return None
    if not judged and any(one.missing for one in named):
        mood, weak, judged = -1, True, True
    stars = 0 if rating is None else (rating > 3) - (rating < 3)
    listed = not judged and len(clause.words) <= SHORT
    points = mood * (WEAK if weak else PRAISE if mood > 0 else BLAME)
    points += clause.label * (LISTED if listed else LABEL) + RATING * stars
    mixed = clause.mood.mixed and witnessed
    may_praise = mood > 0 or mixed or (clause.label > 0 and listed)
    may_blame = (mood < 0 and (witnessed or not weak)) or mixed or clause.label < 0 or (rating or 5) <= 3
    claim = Claim(
        start=clause.words[0].start,
        folded=clause.folded,
        text=review.text[clause.words[0].start : clause.words[-1].end][:ASKED_CHARS],
        named=named,
        points=points,
        judged=judged,
        may_praise=may_praise,
        may_blame=may_blame,
    )
    return claim if claim.open or claim.side(0) else None


def _named(clause: Clause, subject: Subject) -> Iterator[Named]:
    """Yield the things that a clause names, or else the properties."""
    things: dict[str, Named] = {}
    properties: dict[str, Named] = {}
    words = clause.words
    for at, word in enumerate(words):
        group = _group(word.text)
        if group is None and judgement(word.text):
            continue
        reading = form(word.text)
        if group is not None:
            if group == _OF_KIND.get(subject.kind):
                continue
            placed = at > 0 and words[at - 1].text in _PLACING
            kind = things if reading.noun and not placed and group not in _YIELDING else properties
            kind.setdefault(group, Named(group, plural=False, missing=absent(words, at)))
        elif len(word.text) > 2 and _is_thing(words, at, subject):
            missing = absent(words, at)
            things.setdefault(reading.lemma, Named(reading.lemma, plural=reading.plural, missing=missing))
    yield from list((things or properties).values())[:ASPECTS_PER_CLAUSE]


def _is_thing(words: Sequence[Word], at: int, subject: Subject) -> bool:
    """Tell whether a noun may be what the clause is about."""
    reading = form(words[at].text)
    if not reading.noun or reading.animate or reading.lemma in _NOT_ASPECTS or reading.lemma in subject.words:
        return False
    before = words[at - 1].text if at else ""
    if reading.lemma == "звезда" and any(word.text in _STARS for word in words[max(0, at - 2) : at]):
        return False  # of the rating
    if before in _PLACING or (at > 1 and words[at - 2].text in _PLACING and not form(before).noun):
        return False
    if before in ("с", "со", "по"):
        return True
    if at and form(before).noun and reading.genitive:
        return False  # «пульт управления», «мерцание звёзд»
    return reading.subject or (reading.genitive and absent(words, at))


@lru_cache(maxsize=2**16)
def _group(word: str) -> str | None:
    names, terms = _groups()
    entries = terms.entries_of(word)
    return names[entries[0]] if entries else None


@cache
def _groups() -> tuple[dict[str, str], lexicon.Terms]:
    names = {entry: name for name, entries in _REVIEWS["aspects"].items() for entry in entries}
    return names, lexicon.Terms(names)


_SMALL = re.compile(r"(?:очк|ечк|ичк|енк|ышк|ишк)[аои]$|(?:очек|ечек|чик|ик|ок)$")


def diminutives(keys: Collection[str]) -> dict[str, str]:
    """Return small form -> word, where both are among the keys: «звездочка» -> «звезда»."""
    by_root = {_root(key): key for key in sorted(keys) if not _SMALL.search(key)}
    found = {}
    for key in keys:
        root = _SMALL.sub("", key)
        if root != key and len(root) > 2:
            base = by_root.get(root) or by_root.get(root + "к")
            if base is not None:
                found[key] = base
    return found


def _root(key: str) -> str:
    return key.rstrip("аяоеыиь") if len(key) > 3 else key


def is_group(key: str) -> bool:
    """Tell a name of the lexicon from a lemma."""
    return key in _REVIEWS["aspects"]
