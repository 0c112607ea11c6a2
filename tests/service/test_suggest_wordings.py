"""Every prepared wording of a reply passes the service's own checks wherever a chat is offered its intent."""

from __future__ import annotations

import pytest

from models.intents import intents
from service import lexicon
from service.shapes.suggest_replies import Role
from service.tasks.replies import Checker, tidy_reply
from service.tasks.stated import Stated
from service.tasks.suggest_replies import plan
from service.tasks.thread import Turn, read

TITLES = ["Велосипед Stels Navigator 500", "Куплю монеты", "Ремонт стиральных машин", "iPhone 7 128 ГБ"]
PREPARED = lexicon.read("replies.toml")["prepared"]
SAID: dict[Role, list[str]] = {
    "seller": [
        "ещё актуально?", "торг есть?", "отдадите за 500?", "куплю за 7000 сегодня", "где смотреть?",
        "когда можно забрать?", "отправите сдэком?", "какой размер?", "какое состояние?", "здравствуйте",
        "можно вопрос?", "обменяете на самокат?", "как оплата?", "отложите до субботы", "почему продаёте?",
        "документы и чек есть?", "дайте номер для связи", "ещё фото есть?", "подумаю и отпишусь", "беру!",
        "сколько стоит?", "чем отличается от пятисотого?", "спасибо, подожду ответа", "фото сбоку пришлите",
    ],
    "buyer": [
        "", "Здравствуйте! Да, продаю", "Уточню и напишу", "Торга нет", "Цена окончательная", "Пишите здесь",
        "Когда вам удобно забрать?", "Хорошее, есть пара царапин", "Самовывоз, метро Сокол", "Есть вопросы?",
        "Спасибо за интерес", "Какой размер нужен?", "Позвоните мне",
    ],
}  # fmt: skip


def faults(role: Role, said: str, *, title: str, price: str) -> dict[tuple[str, str], str | None]:
    """The fault of each prepared wording of each intent that the chat is offered."""
    turns = [Turn(own=False, text=said)] if said else []
    thread = read(turns, role=role)
    stated = Stated.of(title=title, params={}, price=price, description="", own=[])
    checker = Checker(role=role, thread=thread, stated=stated, turns=turns)
    offered = plan(role, thread, title=title) if thread.abstained is None else ()
    wordings = [(intent, text) for intent in offered for text in PREPARED[role].get(intent, ())]
    return {
        (intent, text): checker.fault(tidy_reply(text, cut=False), intent=intent) for intent, text in wordings
    }


@pytest.mark.parametrize("price", ["8 500 ₽", ""])
@pytest.mark.parametrize(("role", "said"), [(role, said) for role, row in SAID.items() for said in row])
def test_every_wording_that_is_offered_passes_the_checks(role: Role, said: str, price: str) -> None:
    """«covered» is the chat's: what the listing or the other side has answered is rightly not asked."""
    for title in TITLES:
        found = faults(role, said, title=title, price=price)
        assert not {key: fault for key, fault in found.items() if fault not in (None, "covered")}


@pytest.mark.parametrize("role", ["seller", "buyer"])
def test_every_wording_is_shown_in_some_chat(role: Role) -> None:
    passed = {
        key
        for said in SAID[role]
        for title in TITLES
        for key, fault in faults(role, said, title=title, price="").items()
        if fault is None
    }
    assert passed == {(intent, text) for intent, row in PREPARED[role].items() for text in row}


@pytest.mark.parametrize("role", ["seller", "buyer"])
def test_every_intent_but_the_listings_answer_has_wordings(role: Role) -> None:
    assert {*intents(role)} - {"answer"} == {*PREPARED[role]}
    assert all(len(set(row)) > 1 for row in PREPARED[role].values())


@pytest.mark.parametrize("reply", ["Что вам показать на видео?", "Вам показать деталь на фото?"])
def test_showing_in_a_picture_is_no_meeting(reply: str) -> None:
    turns = [Turn(own=False, text="какое состояние?")]
    stated = Stated.of(title=TITLES[0], params={}, price="", description="", own=[])
    checker = Checker(role="seller", thread=read(turns, role="seller"), stated=stated, turns=turns)
    assert checker.fault(reply, intent="ask_photo") is None


@pytest.mark.parametrize(
    ("said", "intent", "reply"),
    [
        ("какой размер?", "ask_photo", "Когда вам показать?"),
        ("ещё фото есть?", "ask_photo", "Когда вам удобно посмотреть фото и забрать?"),
        ("ещё актуально?", "ask_need", "Какая цена вам нужна?"),
    ],
)
def test_a_sellers_question_still_keeps_to_its_intent(said: str, intent: str, reply: str) -> None:
    turns = [Turn(own=False, text=said)]
    stated = Stated.of(title=TITLES[0], params={}, price="", description="", own=[])
    checker = Checker(role="seller", thread=read(turns, role="seller"), stated=stated, turns=turns)
    assert checker.fault(reply, intent=intent) is not None
