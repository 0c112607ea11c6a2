"""What two engines are asked before an export counts: Russian listings to continue, chats to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

Conversation: TypeAlias = list[dict[str, str]]

TEXTS: Final = (
    "Продам велосипед Stels Navigator 500, состояние",
    "Диван угловой, ткань — велюр. Самовывоз, цена",
    "Отзыв о чехле: Плюсы: плотный. Минусы:",
    "Сдаётся 2-к квартира, 54 м², 5/9 эт.,",
)
CHATS: Final[tuple[Conversation, ...]] = (
    [{"role": "user", "content": "Опиши объявление: смартфон Samsung Galaxy A51, 128 ГБ, б/у, 9 000 ₽"}],
    [{"role": "user", "content": "Здравствуйте! Куртка ещё продаётся?"}],
    [
        {"role": "system", "content": "Отвечай одним предложением."},
        {"role": "user", "content": "Какие размеры у дивана?"},
    ],
    [
        {"role": "user", "content": "Торг уместен?"},
        {"role": "assistant", "content": "Небольшой, при осмотре."},
        {"role": "user", "content": "Где можно посмотреть?"},
    ],
)
NAMES: Final = (*TEXTS, *(chat[-1]["content"] for chat in CHATS))
NUM_TOKENS: Final = 32  # of an answer
CONTEXT: Final = 512  # room for the longest chat and its answer in any vocabulary


@dataclass(frozen=True, slots=True)
class Answer:
    """A prompt, its greedy answer, and per token of it the runner-up and how far behind it was, in nats."""

    prompt: list[int]
    answer: list[int]
    runners_up: list[int]
    leads: list[float]
