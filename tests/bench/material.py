"""The listing that the fake-engine benchmarks describe, the answers to it, and a card to serve them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from models.card import CARDS, fingerprint

PROBE_IDS = [1, 2, 3]  # what the benchmark's engine answers to /tokenize, whatever the text
MAX_TOKENS = 512
_TOKEN = re.compile(r"\s?\S{1,4}")  # 3.1-3.9 characters a token is what Gemma 3 makes of listings

PARAMS = {
    "Вид велосипеда": "горный",
    "Диаметр колёс": "26 дюймов",
    "Цвет рамы": "синий",
    "Материал рамы": "алюминий",
    "Размер рамы": "18 дюймов",
    "Вилка": "пружинная, ход 80 мм",
    "Число скоростей": "21",
    "Передний переключатель": "Shimano Tourney",
    "Задний переключатель": "Shimano Altus",
    "Тормоза": "дисковые механические",
    "Обода": "двойные, алюминиевые",
    "Покрышки": "Kenda, ширина 2,1 дюйма",
    "Седло": "Selle Royal, мягкое",
    "Руль": "изогнутый, ширина 640 мм",
    "Вынос руля": "регулируемый, 90 мм",
    "Педали": "пластиковые с отражателями",
    "Цепь": "KMC, новая",
    "Кассета": "7 звёзд, 14–28 зубьев",
    "Вес": "15,2 кг",
    "Нагрузка": "до 110 кг",
    "Рост велосипедиста": "от 165 до 180 см",
    "Год выпуска": "2019",
    "Состояние": "б/у, исправен",
    "Пробег": "1200 км",
    "Комплект": "насос, звонок, багажник",
    "Причина продажи": "переезд в другой город",
    "Хранение": "тёплая кладовая",
    "Обслуживание": "весной заменены тросы и колодки",
    "Документы": "чек и паспорт изделия",
    "Осмотр": "по вечерам у метро Сокол",
}
FEW = dict(list(PARAMS.items())[:5])
INTRO = "Продаю горный велосипед Stels Navigator 500."


def answer(params: dict[str, str]) -> str:
    """Return a description whose every sentence passes all guards: one sentence for each parameter."""
    return " ".join([INTRO, *(f"{label} — {text}." for label, text in params.items())])


SHORT = f"{INTRO} Цвет рамы — синий."
LONG = answer(PARAMS)  # 31 sentences, 947 characters


def tokens(text: str) -> list[str]:
    """Cut a text into pieces of about a token each."""
    return _TOKEN.findall(text)


def listing(params: dict[str, str], *, stream: bool = False) -> dict[str, Any]:
    """Return the body of a POST /describe."""
    return {
        "title": "Велосипед Stels Navigator 500",
        "category": "Велосипеды",
        "params": params,
        "price": 8500,
        "stream": stream,
    }


def write_card(path: Path) -> None:
    """Write a copy of the default card that the benchmark's engine serves; its name is the file's."""
    text = (CARDS / "gemma3-270m.toml").read_text(encoding="utf-8")
    for key, value in (
        ("name", f'"{path.stem}"'),
        ("tokenizer_fingerprint", f'"{fingerprint(PROBE_IDS)}"'),
        ("max_tokens", str(MAX_TOKENS)),
        ("attempts", "1"),
    ):
        # The first that comes is the card's own, or that of [tasks.describe].
        text, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text, count=1)
        assert count == 1, f"the default card no longer says {key}"
    path.write_text(text, encoding="utf-8")
