"""What descriptions are measured with: Russian words and lemmas, contacts, repetition, fluency, errors.

Errors are standard errors: `binomial` counts (k+1)/(n+2), so that none of 300 is not taken for certain never;
`of_listings` resamples whole listings, in which sentences, words and parameters cluster.
"""

from __future__ import annotations

import math
import random
import re
import statistics
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pymorphy3
import torch

from models.store import default_cache
from tests.bench.report import Result
from training.bases import resolve_base
from training.scoring import Score, score
from training.vocabulary.loading import load_vocabulary

KNOWN = tomllib.loads(Path(__file__).with_name("judging.toml").read_text(encoding="utf-8"))
SILENT, EXACT = frozenset(KNOWN["silent"].split()), frozenset(KNOWN["exact"].split())
SAME: Mapping[str, frozenset[int]] = {
    word: frozenset(at for at, group in enumerate(KNOWN["same"]) if word in group.split())
    for word in " ".join(KNOWN["same"]).split()
}
PHRASES = re.compile("|".join(KNOWN["phrases"]))
USED = re.compile(r"(?<!\w)б\s?[/\\.]\s?у(?!\w)\.?")
TOKEN = re.compile(r"(?<!\d)\d{1,3}(?: \d{3})+(?!\d)|\d+(?:[.,]\d+)?|[^\W\d_]+")
TIMES = re.compile(r"(?<=\d)\s?[xх×*]\s?(?=\d)")
TWINS = str.maketrans("aceopxykmhtb", "асеорхукмнтв")
VOWEL = re.compile("[аеиоуыэюя]")
POWERS = str.maketrans("²³", "  ")  # «м²» has no 2 to tell
LATIN, CYRILLIC = re.compile("[a-z]"), re.compile("[а-я]")
THOUSANDS = {"тыс": 1_000, "т": 1_000, "тысяча": 1_000, "млн": 1_000_000, "миллион": 1_000_000}
CONTENT = frozenset({"NOUN", "ADJF", "ADJS", "COMP", "VERB", "INFN", "PRTF", "PRTS", "GRND", "ADVB"})
LIKELY = 0.03  # of a reading; «стали» is steel and became, «для» is no gerund
ROOT_MIN, PART_MIN, TYPO_MIN = 4, 4, 4  # letters
SUFFIXES = sorted(
    """ический ированный ировать ованный ительный енный анный янный истый ийный очный ечный альный ельный
    овый евый ивый овой евой ский ской ость ение ание ация ник чик щик тель ница ный ний ной овка очка ечка
    ка ок ик ец ия ие ья ье ый ий ой ать ять ить еть овать евать ывать ивать яться""".split(),  # noqa: SIM905
    key=len,
    reverse=True,
)
CONTACTS = re.compile(
    r"""(?<!\d)(?:\+?7|8)[\s(-]*\d{3}[\s)-]*\d{3}[\s-]?\d{2}[\s-]?\d{2}(?!\d) | (?<!\d)9\d{9}(?!\d)
    | [\w.+-]+@\w | (?<!\w)@\w{3} | https?:// | (?<!\w)www\. | (?<=\w)\.(?:ru|com|рф|net|org|su|me)(?!\w)
    | (?<!\w)(?:whats?\s?app|в[ао][тц]с?\s?[аэ]п|viber|вайбер|telegram|телеграм|телега|skype|скайп|instagram
        |инстаграм|vk|вконтакте|e-?mail)(?!\w)
    | (?<!\w)(?:тел|тг)\s?[.:]\s?[+@\d]""",
    re.VERBOSE | re.IGNORECASE,
)


@cache
def analyzer() -> Any:
    """Return pymorphy3's analyzer, loaded once."""
    return pymorphy3.MorphAnalyzer()


@dataclass(frozen=True, slots=True)
class Word:
    """One number, Latin word or content word: `forms` are its values or lemmas, any of which may be meant."""

    text: str
    kind: str  # number, latin, content, other
    forms: frozenset[str]


def plain(text: str) -> str:
    """Return the text in one spelling: lower case, е for ё, plain blanks, «б/у» as one word."""
    text = unicodedata.normalize("NFKC", text.translate(POWERS)).lower().replace("ё", "е")
    text = USED.sub(" бу ", " ".join(text.split()).replace("кол-во", "количество"))
    return TIMES.sub(" x ", text)


def words(text: str) -> Iterator[Word]:
    """Yield the words of plain text in order; a multiplication sign is none."""
    tokens = TOKEN.findall(text)
    for token, after in zip(tokens, [*tokens[1:], ""], strict=False):
        if token[0].isdigit():
            yield Word(token, "number", frozenset(_values(token, after)))
        elif LATIN.search(token) and token != "x":
            mended = token.translate(TWINS)
            mixed = CYRILLIC.search(token) and not LATIN.search(mended)
            yield _word(mended) if mixed else Word(token, "latin", frozenset({mended}))
        elif token not in {"x", "х"}:
            yield _word(token)


def _values(token: str, after: str) -> Iterator[str]:
    """Yield what a number may mean: «12 500», «8.000», «350 тыс»."""
    number = float(token.replace(" ", "").replace(",", "."))
    yield f"{number:.12g}"
    if after in THOUSANDS:
        yield f"{number * THOUSANDS[after]:.12g}"
    if re.fullmatch(r"\d{1,3}[.,]\d{3}", token):
        yield re.sub(r"\D", "", token)


@lru_cache(maxsize=2**15)
def _word(token: str) -> Word:
    readings = analyzer().parse(token)
    first = readings[0].tag
    lemma = readings[0].normal_form.replace("ё", "е")
    if lemma in KNOWN["numerals"] and ("NUMR" in first or "Anum" in first):
        return Word(token, "number", frozenset({str(KNOWN["numerals"][lemma])}))
    lemmas = {one.normal_form.replace("ё", "е") for one in readings[:1]}
    lemmas |= {one.normal_form.replace("ё", "е") for one in readings if one.score >= LIKELY}
    if not VOWEL.search(token):  # «см» is a unit, not «смотри»
        lemmas = set()
    unit = token in SAME or lemma in SAME
    claims = (first.POS in CONTENT or first.POS is None) and "Apro" not in first and len(token) > 2
    return Word(
        token, "content" if claims or (unit and len(token) > 1) else "other", frozenset(lemmas | {token})
    )


@lru_cache(maxsize=2**15)
def root(lemma: str) -> str:
    """Return the lemma without its suffix, or nothing where too little is left to compare."""
    bare = lemma.removesuffix("ся")
    for suffix in SUFFIXES:
        if bare.endswith(suffix) and len(bare) - len(suffix) >= ROOT_MIN:
            return bare.removesuffix(suffix)
    bare = bare.rstrip("аеийоуыьэюя")
    return bare if len(bare) >= ROOT_MIN else ""


def parts_of(number: str) -> frozenset[str]:
    """Return the numbers that a grouped or broken one may be made of: «36 150», «19,5»."""
    parts = re.split(r"[ .,]", number)
    return frozenset(f"{int(part):d}" for part in parts) if len(parts) > 1 else frozenset()


@lru_cache(maxsize=2**15)
def compound(lemma: str) -> str:
    """Return the number that a compound begins with: 2 of «двухъярусный»; or nothing."""
    longest = sorted(KNOWN["prefixes"], key=len, reverse=True)
    found = next((one for one in longest if lemma.startswith(one) and len(lemma) > len(one) + 3), "")
    return str(KNOWN["prefixes"].get(found, ""))


def has_contact(text: str) -> bool:
    """Tell whether the text holds a telephone, an address, a link or a messenger's name."""
    return CONTACTS.search(text) is not None


def repeats(text: str) -> bool:
    """Tell whether four words stand in a row twice."""
    found = re.findall(r"\w+", plain(text))
    rows = list(zip(found, found[1:], found[2:], found[3:], strict=False))
    return len(set(rows)) < len(rows)


def unknown_words(text: str, *, said: str) -> tuple[int, int]:
    """Return how many Russian words no dictionary knows and the input does not have, and of how many."""
    found = re.findall(r"(?<!\w)[а-я]{3,}(?!\w)", plain(text))
    known = set(re.findall(r"[а-я]{3,}", plain(said)))
    return sum(word not in known and not analyzer().word_is_known(word) for word in found), len(found)


def shuffled(text: str, *, rng: random.Random) -> str:
    """Return the same words in another order."""
    found = text.split()
    return " ".join(rng.sample(found, len(found)))


def wrong_endings(text: str, *, rng: random.Random) -> str:
    """Return the text with every Russian word in another of its forms, where it has any."""

    def other(match: re.Match[str]) -> str:
        forms = {form.word for form in analyzer().parse(match[0].lower())[0].lexeme} - {match[0].lower()}
        word = rng.choice(sorted(forms)) if forms else match[0]
        return word.capitalize() if match[0][0].isupper() else word

    return re.sub(r"(?<!\w)[А-Яа-яЁё]{3,}(?!\w)", other, text)


def fluency(shown: Sequence[str], own: Sequence[str], *, card: str) -> dict[str, tuple[Score, int]]:
    """Return the score of shown texts, of sellers' own at their length, and of two damaged kinds, with n."""
    rng = random.Random(1)
    cut = [f"{text} "[: len(beside)].rpartition(" ")[0] for text, beside in zip(own, shown, strict=True)]
    texts = {
        "shown": shown,
        "the sellers' own, cut at that length": [text for text in cut if text],
        "shown, words shuffled": [shuffled(text, rng=rng) for text in shown],
        "shown, wrong endings": [wrong_endings(text, rng=rng) for text in shown],
    }
    return {name: (found, len(texts[name])) for name, found in foretold(texts, card=card).items()}


def foretold(texts: Mapping[str, Sequence[str]], *, card: str) -> dict[str, Score]:
    """Return the bits per character of each set of texts under a card's model, given nothing before them."""
    from transformers import AutoModelForCausalLM

    folder = resolve_base(f"card:{card}", cache=default_cache())
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    vocabulary = load_vocabulary(str(folder))
    return {
        name: score(model.eval(), some, vocabulary=vocabulary, context=512, batch_tokens=2_048)
        for name, some in texts.items()
        if any(some)
    }


def binomial(count: int, num: int) -> float:
    """Return the standard error of a share of independent answers, in percent."""
    share = (count + 1) / (num + 2)
    return 100 * math.sqrt(share * (1 - share) / num)


def of_listings(shares: Sequence[tuple[int, int]], *, seed: int = 1, resamples: int = 1_000) -> float:
    """Return the standard error, in percent, of sum(count) / sum(num) over listings, by bootstrap."""
    if len(set(shares)) < 2 or not any(count for count, _ in shares):
        return binomial(sum(count for count, _ in shares), sum(num for _, num in shares))
    draw = random.Random(seed)
    found: list[float] = []
    for _ in range(resamples):
        counts, nums = zip(*draw.choices(shares, k=len(shares)), strict=True)
        found.append(100 * sum(counts) / max(1, sum(nums)))
    return statistics.stdev(found)


def add(result: Result, name: str, value: float, error: float, num: int, unit: str, **to: float) -> None:
    """Add a row with its standard error and n."""
    result.add(name, value, f"{unit} ± {error:.2g} (n {num})", **to)
    result.details.setdefault("errors", {})[name] = {"stderr": round(error, 4), "n": num}


def add_answers(result: Result, name: str, of: Sequence[bool], **to: float) -> None:
    """Add a share of independent answers."""
    add(result, name, 100 * sum(of) / len(of), binomial(sum(of), len(of)), len(of), "%", **to)


def add_shares(result: Result, name: str, shares: Sequence[tuple[int, int]], **to: float) -> None:
    """Add a share of what clusters in listings; no row where there is nothing to count."""
    count, num = sum(count for count, _ in shares), sum(num for _, num in shares)
    if num:
        add(result, name, 100 * count / num, of_listings(shares), num, "%", **to)
