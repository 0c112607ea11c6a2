"""Cut streamed text into sentences as soon as each is certainly over, so that it can be checked and shown.

A boundary is decided by the text alone, never by how it was cut into pieces: what follows the full stop is
awaited first. Newlines always end a sentence; list marks («- », «• », «1. ») in front of one are removed.
"""

from __future__ import annotations

import re

from service import lexicon

_BEFORE = frozenset(lexicon.read("lexicon.toml")["abbreviations"]["before"])
_AFTER = frozenset(lexicon.read("lexicon.toml")["abbreviations"]["after"])
_CANDIDATE = re.compile(r"\n|[.!?…]+|\){2,}|[:;]-?\)+")
_AHEAD = re.compile(
    r"""(?P<mark>[.!?…]+|\){2,}|[:;]-?\)+)
        (?P<close>[»"”’'\])]*(?:[^\S\n]+\)+)?)
        (?P<gap>[^\S\n]*)
        (?P<open>[«"„“(\[*•—–-]*[^\S\n]*)
        (?P<next>.)?""",
    re.VERBOSE | re.DOTALL,
)
_WORD_BEFORE = re.compile(r"[^\W\d_]+(?:[-.][^\W\d_]+)*$")
_NUMBER_BEFORE = re.compile(r"\d[\s-]*$")
_LIST_NUMBER = re.compile(r"\s*\d{1,2}$")
_LIST_MARK = re.compile(r"\A\s*(?:(?:[-–—•*·▪►●]+\s+|\d{1,2}[.)]\s+(?=[^\W\d_]))\s*)*")
_COMPLETE = re.compile(r"""(?:[.!?…][»"”’'\])\s]*|\){2,})$""")
_QUOTE_REACH = 120  # characters; a quote or bracket left open longer than this was never closed


class SentenceSplitter:
    """Feed pieces of text, take whole sentences; after `flush` it starts anew."""

    def __init__(self) -> None:
        self._text = ""
        self._scanned = 0
        self._waiting = False  # a mark was met, what follows it was not

    def feed(self, text: str) -> list[str]:
        """Add a piece of text and return the sentences that are now certainly complete."""
        more_of_the_same = self._waiting and not text.strip(self._text[-1:])  # «......» decides nothing yet
        self._text += text
        if more_of_the_same:
            return []
        done: list[str] = []
        start = 0
        while found := _CANDIDATE.search(self._text, self._scanned):
            decided = self._decide(found, start=start)
            self._waiting = decided is None
            if decided is None:
                self._scanned = found.start()
                break
            ends, self._scanned = decided
            if ends:
                done.append(_strip(self._text[start : self._scanned]))
                start = self._scanned
        else:
            # The beginning of a smiley is no candidate yet but may become one.
            self._scanned = max(self._scanned, len(self._text.rstrip(":;-)")))
        self._text = self._text[start:]
        self._scanned -= start
        return [sentence for sentence in done if sentence]

    def flush(self) -> list[str]:
        """Return what is left, complete or not."""
        rest = _strip(self._text)
        self._text, self._scanned, self._waiting = "", 0, False
        return [rest] if rest else []

    def _decide(self, found: re.Match[str], *, start: int) -> tuple[bool, int] | None:
        """Return whether the sentence ends at the mark and where to go on from; None: wait for more."""
        if found[0] == "\n":
            return True, found.end()
        ahead = _AHEAD.match(self._text, found.start())
        assert ahead is not None
        if ahead["next"] is None:
            return None
        if ahead["next"] == "\n" or _ends(self._text[start : found.start()], ahead):
            return True, ahead.end("close")
        return False, ahead.end("mark")


def _ends(before: str, ahead: re.Match[str]) -> bool:
    """Tell whether the mark after `before` closes a sentence, given what follows it."""
    mark, following = ahead["mark"], ahead["next"]
    if _open_quote(before + ahead["close"]):
        return False
    if not ahead["gap"]:
        return _ends_unspaced(before, ahead)
    if mark[0] in "):;":
        return following.isupper()
    if mark[-1] in "!?":
        return not (following.islower() and (ahead["close"] or "." in mark))
    if len(mark) > 1 or mark == "…":
        return not following.islower()
    return _full_stop(before, ahead)


def _full_stop(before: str, ahead: re.Match[str]) -> bool:
    """Tell a full stop from the dot of an abbreviation, an initial or a list number."""
    following, in_quotes = ahead["next"], bool(ahead["open"])
    if _LIST_NUMBER.match(before) or (before[-1:].isdigit() and following.isdigit()):
        return False
    word = _WORD_BEFORE.search(before)
    if word is None:
        return not following.islower()
    name = word[0].lower()
    measured = bool(_NUMBER_BEFORE.search(before[: word.start()]))
    if name in _BEFORE and not measured:
        return False
    if name in _AFTER and (measured or len(name) > 1):
        return following.isupper()
    if len(name) == 1:  # «А. С. Пушкин», «г. Казань», but «размер L. Новое», «б/у. Торг»
        return following.isupper() and (measured or name.isascii() or before.endswith("/" + word[0]))
    if following.islower() and not in_quotes:
        # Shortenings end in a consonant («пласт. окна»), whole words as a rule do not («новое. продам»).
        return len(name) > 2 and name[-1] in "аеёиоуыэюяьй" and not ahead["close"]
    return True


def _ends_unspaced(before: str, ahead: re.Match[str]) -> bool:
    """Tell whether «хорошее.Продам» lacks a space: a lower-case word, then a Cyrillic capital."""
    following = ahead["next"]
    if not ("А" <= following <= "Я" or following == "Ё") or ahead["open"] or ahead["mark"][0] in ":;)":
        return False
    if ahead["mark"][-1] in "!?":
        return True
    word = _WORD_BEFORE.search(before)
    if word is None:
        return before[-1:].isdigit()
    return bool(
        len(word[0]) > 2
        and word[0][-1].islower()
        and not {word[0].lower(), word[0].lower().rpartition(".")[2]} & (_BEFORE | _AFTER)
    )


def _open_quote(before: str) -> bool:
    """Tell whether a quote or bracket stands open near the end of the text."""
    for left, right in ("«»", "()"):
        opened = before.rfind(left)
        if opened > before.rfind(right) and len(before) - opened < _QUOTE_REACH:
            return True
    return False


def _strip(text: str) -> str:
    """Remove the list mark and the white space around a sentence."""
    return _LIST_MARK.sub("", text).strip()


def is_complete(sentence: str) -> bool:
    """Tell whether the sentence ends as one: `.`, `!`, `?` or `…`, closing quotes and smileys allowed."""
    return bool(_COMPLETE.search(sentence))
