"""One spelling for every text: composed letters, plain line ends and spaces, nothing that cannot be seen."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from datatrove.pipeline.formatters.base import BaseFormatter

LINE_ENDS: Final = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
SPACES: Final = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")  # no-break and of odd widths
# Controls, soft hyphens, zero-width and direction marks, byte order marks, tags. The joiner stays after an
# emoji, whose parts it holds together.
UNSEEN: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b\u200c\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
    "|(?<![\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])\u200d"
)
BLANK_LINES: Final = re.compile("\n{4,}")  # more than two of them


class Normalised(BaseFormatter):
    """Bring each text into the normal spelling."""

    name = "Normalised"

    def format(self, text: str) -> str:
        """Return the text normalised."""
        return normalised(text)


def normalised(text: str) -> str:
    """Return the text in Unicode's composed form without what cannot be seen; twice is as once.

    Line ends of any kind become newlines, odd spaces plain ones; lines lose the spaces at their end, never
    the indentation; of many blank lines two stay, none at the start and the end.
    """
    lines = text.split("\n")
    if not all(map(str.isprintable, lines)):  # three times as fast as to look for what follows
        lines = UNSEEN.sub("", SPACES.sub(" ", LINE_ENDS.sub("\n", text))).split("\n")
    text = unicodedata.normalize("NFC", "\n".join([line.rstrip() for line in lines]).strip("\n"))
    return BLANK_LINES.sub("\n\n\n", text) if "\n\n\n\n" in text else text
