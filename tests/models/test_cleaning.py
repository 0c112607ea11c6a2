"""Users' text in a prompt: honest text stays, what is invisible or speaks to the model goes."""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.cleaning import clean, oneline

TOKENS = [
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|eot_id|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<start_of_image>",
    "<bos>",
    "<eos>",
    "<pad>",
    "<unk>",
    "<mask>",
    "<s>",
    "</s>",
    "<unused0>",
    "<unused42>",
    "<extra_id_7>",
    "<0x0A>",
    "<BOS_TOKEN>",
    "<tool_call>",
    "</tool_call>",
    "<think>",
    "<fim_prefix>",
    "[INST]",
    "[/INST]",
    "[SYSTEM_PROMPT]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_CALLS]",
    "[MASK]",
    "[gMASK]",
    "<<SYS>>",
    "<</SYS>>",
    "<｜begin▁of▁sentence｜>",
    "<｜User｜>",
]
WRITINGS: list[Callable[[str], str]] = [
    str,
    str.upper,
    lambda token: " ".join([token[0], token[1:-1], token[-1]]),
    lambda token: token[:2] + "\u200b" + token[2:],
    lambda token: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in token),  # fullwidth
]


@pytest.mark.parametrize("token", TOKENS)
def test_special_token_is_gone_however_it_is_written(token: str) -> None:
    for write in WRITINGS:
        assert clean(f"Продам {write(token)} диван") == "Продам диван"
        assert clean(write(token)) == ""


@pytest.mark.parametrize("token", TOKENS)
def test_what_is_left_of_a_token_does_not_close_again(token: str) -> None:
    for place in range(1, len(token)):
        nested = token[:place] + token + token[place:]
        assert token not in clean(nested)
        assert token not in clean(token[:place] + nested + token[place:])


@pytest.mark.parametrize(
    "text",
    [
        "Продам диван-кровать «Аккордеон» 2,0×1,6 м, б/у (торг!) — 12 500 ₽",
        "iPhone 15 Pro Max 256GB <новый>",
        "Цена < 5000 и > 3000; a<b, c|d, [1], [x]",
        "<b>Срочно</b> <br>",
        "Размеры: 10<x<20 | цвет: ёлочный й Ё Й",
        "C++ / C#, 100% хлопок, №5, ½, м², 20 °C, e-mail_x",
        "Первый абзац.\n\nВторой:\n- раз\n- два",
        "🚲🔥",
        "s, bos, pad, unused1, INST",
        "«s» и [ s ]",
    ],
)
def test_honest_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        ("Ди\x00ван", "Диван"),
        ("\u202eДиван\u202c", "Диван"),
        ("Ди\u200b\u200d\ufeff\u00adван", "Диван"),
        ("\ue000Диван\U000f0001", "Диван"),
        ("\ud800Диван\udfff", "Диван"),
        ("Диван\U000e0041\U000e0100", "Диван"),
        ("и\u0306е\u0308", "йё"),
        ("и\u200b\u0306", "й"),
        ("  много   \u00a0 места\t\tздесь ", "много места здесь"),
        ("а \r\n\r\n\r\n \n б\u2028в", "а\n\nб\nв"),
        (" \u3164\u2800 ", ""),
    ],
)
def test_invisible_characters_go_and_white_space_is_plain(dirty: str, expected: str) -> None:
    assert clean(dirty) == expected


def test_no_control_or_format_character_of_unicode_is_kept() -> None:
    kept = [
        code
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp", "Zs"} and clean(chr(code))
    ]
    assert kept == []


pieces = st.sampled_from(
    [*TOKENS, *"<>[]|/ \n\t", "<s", "s>", "<|", "|>", "\u0306", "и", "\u200b", "im_start", "＜"]
)


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(pieces, max_size=30).map("".join)))
@example("<" * 20 + "s" + ">s" * 20 + ">")
@example("<\u0338s>")
def test_cleaning_twice_changes_nothing_and_leaves_no_token(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not any(token in cleaned for token in TOKENS)


@pytest.mark.parametrize("unit", ["<", "<|", "< ", "<tool_", "[\n", "\u200b", "<s", "<|a", "<start of "])
def test_hostile_text_takes_no_longer_than_honest_text(unit: str) -> None:
    started = time.perf_counter()
    clean(unit * 20_000 + "s>" * 20_000)
    assert time.perf_counter() - started < 1.0


def test_oneline_puts_a_text_on_one_line() -> None:
    assert oneline(" раз\n\nдва \t три ") == "раз два три"
    assert oneline(26) == "26"
