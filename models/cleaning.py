"""Users' text made fit to stand in a prompt: nothing invisible in it, and no special token of any model."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Printable by category, but they draw nothing: fillers, braille blank, variation selectors (these can
# carry a whole hidden text from one letter to the next).
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_SPACES: Final = re.compile(r" {2,}")
_AROUND_NEWLINE: Final = re.compile(r" *\n *")
_PARAGRAPHS: Final = re.compile(r"\n{3,}")

# Fullwidth and small forms, which some tokenizers fold into ASCII, and SentencePiece's word mark.
# One character each, so that a match in the folded text has its place in the real one.
_FOLDED: Final = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFF01, 0xFF5F)}
_FOLDED.update({0xFE64: "<", 0xFE65: ">", 0x2581: "_"})
_OPENING: Final = re.compile(r"[<\[\uff1c\ufe64\uff3b]")
_BRACKETS: Final = re.compile(r"[<>\[\]\uff1c\uff1e\ufe64\ufe65\uff3b\uff3d]")

_SPECIAL: Final = re.compile(
    r"""
      <\s*/?\s*\|[^<>|]{0,64}\|\s*>                                         # <|im_start|> <|eot_id|> …
    | <\s*<\s*/?\s*sys\s*>\s*>                                              # Llama 2
    | <\s*/?\s*(?:
          s | think | system | user | assistant | human | model
        | (?:bos|eos|pad|unk|mask|sep|cls)(?:_token)?
        | (?:start|end|begin)[\s_-]of[\s_-]\w{1,32} | (?:start|end)_\w{1,32}  # Gemma, DeepSeek, FunctionGemma
        | (?:unused|extra_id_|reserved_|special_|mask_)_?\w{0,32}\d+
        | (?:tool|fim|function|image)_\w{1,32}
        | 0x[0-9a-f]{2}                                                     # a byte of SentencePiece
      )\s*/?\s*>
    | \[\s*/?\s*(?:
          inst | system_prompt | available_tools | tool_\w{1,32} | img(?:_break|_end)? | think
        | pad | unk | cls | sep | bos | eos | [gs]?mask | control_\d+
      )\s*\]                                                                # Mistral, BERT, GLM
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PASSES: Final = 8  # honest text needs one; each further pass undoes one level of "<<s>s>"


def clean(text: str) -> str:
    """Return the text in NFC, without what cannot be seen and without look-alikes of special tokens.

    Spaces are single and newlines at most double; cleaning twice changes nothing. No input can put a
    special token together from what is left of others.
    """
    text = visible(str.__str__(text))
    if not _OPENING.search(text):
        return text
    for _ in range(_PASSES):
        kept = visible(_without_special_tokens(text))
        if kept == text:
            return text
        text = kept
    return visible(_BRACKETS.sub(" ", text))  # nested on purpose: not worth a quadratic number of passes


def oneline(value: object) -> str:
    """Write the value on one line."""
    return " ".join(str(value).split())


def visible(text: str) -> str:
    """Return the text without characters that draw nothing or turn it round; blanks are single."""
    if not text.isprintable() or _BLANK.search(text):
        text = text.replace("\r\n", "\n").translate(_CHARACTERS)
    text = unicodedata.normalize("NFC", text)
    if "  " in text:
        text = _SPACES.sub(" ", text)
    if "\n" in text:
        text = _PARAGRAPHS.sub("\n\n", _AROUND_NEWLINE.sub("\n", text))
    return text.strip(" \n")


def _without_special_tokens(text: str) -> str:
    pieces, end = [], 0
    for match in _SPECIAL.finditer(text.translate(_FOLDED)):
        pieces.append(text[end : match.start()])
        end = match.end()
    return " ".join([*pieces, text[end:]])


class _Characters(dict[int, str | None]):
    """What `str.translate` makes of each character, asked of unicodedata once."""

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        self[code] = replacement = self._replacement(character)
        return replacement

    @staticmethod
    def _replacement(character: str) -> str | None:
        category = unicodedata.category(character)
        if category in {"Zl", "Zp"} or character in "\n\r\v\f\x85":
            return "\n"
        if category == "Zs" or character == "\t":
            return " "
        return None if category in {"Cc", "Cf", "Co", "Cs"} or _BLANK.match(character) else character


_CHARACTERS: Final = _Characters()
