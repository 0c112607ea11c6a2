"""What a sentence may not say, in the spellings people really use, and the ordinary text that must pass."""

import gzip
import json
import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.guards import REASONS, Repetition, find
from service.sentences import SentenceSplitter

LISTINGS = Path(__file__).parents[3] / "shared" / "data" / "listings"

PHONES = [
    "+7 926 123-45-67",
    "8(926)123 45 67",
    "89261234567",
    "7 926 1234567",
    "9261234567",
    "926-123-45-67",
    "926 123 45 67",
    "тел 8.926.123.45.67",
    "8_926_123_45_67",
    "8*926*123*45*67",
    "8/926/123/45/67",
    "8 926 123 45 67",
    "8\u200b926\u200b123\u200b45\u200b67",
    "(495) 123-45-67",
    "495-123-45-67",
    "8-800-555-35-35",
    "8 800 5553535",
    "тел. 12-34-56",
    "звоните 2345678",
    "телефон: 123-45-67",
    "моб 1234567",
    "номер 123456",
    "восемь девятьсот двадцать шесть сто двадцать три сорок пять шестьдесят семь",
    "восемь девять два шесть один два три четыре пять шесть семь",
    "восемь девять два шесть",
    "8 девятьсот 26 сто 23 сорок пять 67",
    "8-9О5-l23-45-67",
    "8926ЗЗ34567",
    "８９２６１２３４５６７",
    "⁸⁹²⁶¹²³⁴⁵⁶⁷",
    "⑧⑨②⑥①②③④⑤⑥⑦",
    "8️⃣9️⃣2️⃣6️⃣1️⃣2️⃣3️⃣4️⃣5️⃣6️⃣7️⃣",
    "8 9 2 6 1 2 3 4 5 6 7",
    "9 2 6 1 2 3 4 5 6 7",
    "плюс семь 926 123 45 67",
    "+375 29 123-45-67",
    "+380 67 123 45 67",
    "+7 701 123 45 67",
    "8 701 123 45 67",
    "+7(926)1234567",
    "8926 123 45 67",
    "8 926 1234567",
    "8-926-12-34-567",
    "8 – 926 – 123 – 45 – 67",
    "8 (код 926) 123-45-67",
    "8|926|123|45|67",
    "8 92 61 23 45 67",
    "89 26 12 34 567",
    "плюс семь девятьсот шестнадцать",
    "8.9.2.6.1.2.3.4.5.6.7",
    "8 926 ООО 12 34",
    "+998 90 123 45 67",
    "8девять26 123 45 67",
    "Телефон для связи 89261234567",
    "(4922) 12-34-56",
    "8 (4922) 12-34-56",
    "375291234567",
    "📞8🔹926🔹123🔹45🔹67",
]

NOT_PHONES = [
    "Цена 1 200 000 ₽",
    "374x246x36.8 мм",
    "Артикул 119036-087-411",
    "Blaser 119040-114-571 L",
    "2015-2017",
    "80-86 см",
    "Артикул 4601234567890",
    "IMEI 351234567890123",
    "12.05.2017 в 10:30",
    "8.03.2017 10:00",
    "1920x1080",
    "пробег 100 000 км",
    "OEM 8450006670",
    "8450006670",
    "размеры 92 98 104 110 116 122",
    "размеры 8 10 12 14 16 18",
    "7 8 9 10 11 12 13",
    "40 42 44 46 48 50",
    "42,44,46,48,50,52",
    "28;25;19;16",
    "Цены 4000 4500 50",
    "1000-1500руб, 1500-2500руб",
    "16/64/128Гб",
    "Режим с 10-00 до 18-00",
    "5990 11990 12990 17990",
    "1 200 000 – 9 500 000",
    "Телефон Samsung 12345",
    "Звоните, цена 15000 руб",
    "Рост 110-116, 5-6 лет, 2 шт",
    "10 000, 20 000, 30 000",
    "двести пятьдесят тысяч рублей",
    "два или три раза, пять шесть штук",
    "600х200х300; 600х100х300; 600х300х300",
    "ГОСТ 12345-2017, 220 В, 50 Гц",
    "VIN XTA210930Y2700000",
    "код 123456",
    "Автобусы 8, 9, 10, 12, 15, 20",
    "2 кв. 2017 года 45 м2 9/10 этаж",
    "в 90-е годы, 8 марта 2017",
]

DROPPED = {
    "contact_email": [
        "Пишите на ivan.petrov@mail.ru",
        "почта ivan собака мейл точка ру",
        "ivan(at)mail.ru",
        "ivan [at] yandex . ru",
        "ivan собака gmail точка com",
        "ivan@яндекс.ру",
        "e-mail: ivan",
        "ivan @ mail . ru",
        "иван@почта.рф",
    ],
    "contact_link": [
        "Смотрите https://site.ru",
        "www.avito.ru/moscow",
        "Мой сайт avito.ru",
        "магазин.рф",
        "сайт . ру",
        "avito точка ру",
        "shop.me здесь",
        "bit.ly/2abc",
        "goo.gl/xyz",
        "vk.com/id123",
        "http: //a.b",
        "instashop.store",
        "сайт avito точка com",
        "clck.ru/abc",
    ],
    "contact_messenger": [
        "Пишите в телеграм",
        "есть тг",
        "мой tg",
        "Пишите @ivan_petrov",
        "WhatsApp на связи",
        "ватсап",
        "вотсап",
        "вацап",
        "вотс ап",
        "вотсапп",
        "Ватс-апп",
        "viber",
        "вайбер",
        "Скайп",
        "skype",
        "instagram",
        "инстаграм",
        "в инсте",
        "icq 12",
        "одноклассники",
        "ВКонтакте",
        "пишите в ВК",
        "в Signal",
        "мессенджер MAX",
        "Пишите в MAX",
        "WhatsApр",
        "тeлегрaм",
        "В а й б е р",
        "т.е.л.е.г.р.а.м",
        "воцап",
        "телегу напишите в телегу",
        "в контакте",
        "Telegram: ivan",
        "в0тсап",
    ],
    "refusal": [
        "Как языковая модель, я не могу",
        "Как ИИ, я создан помогать",
        "Я всего лишь искусственный интеллект",
        "Я не могу помочь с этим",
        "К сожалению, я не могу создать описание",
        "Извините, но я не умею",
        "У меня нет доступа к фото",
        "As an AI language model",
        "I'm sorry, but",
        "Не могу предоставить такую информацию",
        "Вот описание товара:",
        "Конечно! Вот описание",
        "Конечно, вот текст объявления",
        "Надеюсь, это поможет",
        "Если у вас есть вопросы, я буду рад помочь",
        "Я — языковая модель",
        "Вот вариант описания",
        "У меня нет возможности увидеть фото",
    ],
    "prompt_leftover": [
        "### Ответ",
        "```",
        "<|im_end|>",
        "[INST] Диван",
        "{{title}}",
        "Название: Диван",
        "Заголовок: Диван",
        "Категория: Мебель",
        "Параметры: цвет",
        "Описание: Диван новый",
        "Объявление:",
        "Цена: 500",
        "Пример 1",
        "Пример 2: Диван",
        "Ответ: Диван",
        "Задание",
        "user: привет",
        "assistant: да",
        "Система: ты",
        "**Диван** новый",
        "# Диван",
        "<b>Диван</b>",
        "Диван<br>новый",
        "<end_of_turn>",
        "Название объявления: [ваше имя]",
        "</s>",
        "Напиши описание товара",
    ],
    "prohibited": [
        "Охуенный диван",
        "хуйня",
        "Заебись диван",
        "пиздатый",
        "блядь",
        "мудак",
        "Продам мефедрон",
        "гашиш",
        "поддельные документы",
        "хуевый",
        "ёбаный",
        "п*здец",
        "х@й",
        "бл*ть",
        "Хуи",
        "поддельный паспорт",
        "наебали",
        "xуй",
        "6лядь",
        "пидорас",
    ],
    "not_russian": [
        "This is a great phone with a big screen.",
        "Это 很好 диван",
        "ძალიან კარგი",
        "это кvарtира",
        "Це дуже гарний дім з їдальнею",
        "جميل",
        "The condition is very good",
        "ввпрстлкжщ диван",
        "абвгдежзиклмнопрстуфхцчшщъыь",
    ],
    "repetition": [
        "очень очень очень очень хороший",
        "хороший диван и стул хороший диван и стул хороший диван и стул",
        "Длииииинный",
        "хорошохорошохорошохорошо",
        "Отлично!!!!!!!!!!!!!!!",
        "синий, синий, синий, синий",
    ],
    "too_short": [
        "А.",
        ")",
        "",
        ".",
        "42.",
        "L.",
        "...",
    ],
}

ORDINARY = [
    "Торг.",
    "Скипидар живичный, бутылка.",
    "Не надо страхуй, застрахуй и подстрахуй.",
    "Цена 3 рубля за употребление и потребление.",
    "Хулиган и мандарин, команда, сукно, барсука.",
    "Сука породы хаски и кобель.",
    "Плохую, сухую, тихую, глухую, лихую.",
    "Учебник, хлеб, небо, ребёнок, себе, тебе, мебель, серебро, колебания.",
    "Мебель для учебы, гребля, потребность, погреб, Себастьян.",
    "Героиня романа, бляха на ремне, мандаринка.",
    "Звоните, если есть вопросы.",
    "Не могу пользоваться, поэтому продаю.",
    "К сожалению, размер не подошёл.",
    "Есть Wi-Fi и Bluetooth 4.2.",
    "Экран 15.6 дюйма.",
    "Хорошее.Продам.",
    "Цена 1 200 000 ₽.",
    "Apple iPhone 13 Pro 256 GB.",
    "Размеры 374x246x36.8 мм.",
    "Артикул 119036-087-411.",
    "Собака ищет дом, щенки лайки.",
    "Подойдёт на 80-86 см.",
    "Продам тележку и телегу.",
    "Зимние шины Nokian Hakkapeliitta 5.",
    "Вообще не пользовались!!!",
    "Вот такой диван.",
    "Высота 40 см, ширина 50 см, глубина 60 см.",
    "Куртка Nike, размер M.",
    "Запчасти для ВАЗ 2107.",
    "Максимальная скорость 25 км/ч, max мощность 250 Вт.",
    "Как новый, без царапин.",
    "Комплект: телефон, зарядка, коробка.",
    "Состояние хорошее, б/у.",
    "Автомобиль 2015-2017 года, пробег 100 000 км.",
    "Достопримечательностями рядом.",
    "Вкладыши, вкус, вклад, Вконце.",
    "Выбери, либерти, кибер, сибирь.",
    "Вацлав и Ваза, ватин, ватрушка, вотчина.",
    "Инстинкт, инструмент, инстанция.",
    "Худи, художник, хурма, худой, хутор.",
    "Ящик, яблоки, говядина, жёлудь.",
    "Себестоимость ниже, тебя ждёт.",
    "Не бит, не крашен.",
    "Игра Max Payne 3 для PC.",
    "Рубашка 100% хлопок.",
    "Термос на 0,5 л.",
    "Система полного привода.",
    "Тон кожи, тонкий.",
    "Мудрый, мудрость, дрожжи, шлюпка.",
    "Срочно, сразу, страна, сравнить.",
]


def real_sentences() -> list[str]:
    """Sentences of sellers' own descriptions, which hold few contacts as the site removed most."""
    if not LISTINGS.is_dir():
        pytest.skip(f"no real listings: {LISTINGS.name} is not beside the repository")
    found = []
    for name in ("avito_2017_private_ads.jsonl.gz", "avito_seller_feeds.jsonl.gz"):
        with gzip.open(LISTINGS / name, "rt", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                splitter = SentenceSplitter()
                text = json.loads(line).get("description") or ""
                found += splitter.feed(text) + splitter.flush()
    return found


@pytest.mark.parametrize("text", PHONES)
def test_phone_in_any_spelling_is_dropped(text):
    assert find(text) == "contact_phone"
    assert find(f"Удобный диван в гостиную, {text}") == "contact_phone"


@pytest.mark.parametrize("text", NOT_PHONES)
def test_sizes_prices_dates_and_articles_are_no_phones(text):
    assert find(f"Удобный диван: {text}") != "contact_phone"


@given(
    digits=st.text("0123456789", min_size=9, max_size=9),
    prefix=st.sampled_from(["8", "+7", "7"]),
    separators=st.lists(
        st.sampled_from(["", " ", "-", ".", "\u00a0", "\u200b", "—", "_", "*", "/"]), min_size=4, max_size=4
    ),
)
def test_mobile_number_with_any_separators_is_dropped(digits, prefix, separators):
    groups = ["9" + digits[:2], digits[2:5], digits[5:7], digits[7:]]
    text = prefix + "".join(separator + group for separator, group in zip(separators, groups, strict=True))
    assert find(f"Хороший стол, {text}") == "contact_phone"


@pytest.mark.parametrize(
    ("reason", "text"), [(reason, text) for reason, texts in DROPPED.items() for text in texts]
)
def test_forbidden_sentence_is_dropped_for_its_reason(reason, text):
    assert find(text) == reason


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_sentence_passes(text):
    assert find(text) is None


def test_every_reason_is_told_in_one_line():
    assert set(DROPPED) | {"contact_phone"} == set(REASONS)
    assert all(meaning and "\n" not in meaning for meaning in REASONS.values())


@given(st.text(max_size=300))
def test_any_text_at_all_gets_an_answer(text):
    assert find(text) in {None, *REASONS}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("Комбинезон в хорошем состоянии.", "Хорошее состояние комбинезона!"),
        ("Подойдёт для дома и дачи.", "Подойдёт для дачи и для дома."),
        ("Торг.", "Торг!"),
    ],
)
def test_sentence_that_says_nothing_new_is_seen(earlier, later):
    repetition = Repetition()
    assert not repetition.seen(earlier)
    assert repetition.seen(later)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [("Размер 42.", "Размер 44."), ("Диван новый.", "Диван новый, цвет синий."), ("Торг.", "Обмен.")],
)
def test_sentence_that_adds_something_is_not_seen(earlier, later):
    repetition = Repetition()
    assert not repetition.seen(earlier)
    assert not repetition.seen(later)


def test_few_sentences_of_real_sellers_are_dropped_and_each_check_is_cheap():
    sentences = real_sentences()
    random.Random(0).shuffle(sentences)
    sentences = sentences[:3000]
    for sentence in sentences:
        find(sentence)  # warms the caches of words
    began = time.perf_counter()
    reasons = [find(sentence) for sentence in sentences]
    per_sentence_ms = (time.perf_counter() - began) * 1000 / len(sentences)
    dropped = [reason for reason in reasons if reason not in {None, "contact_messenger", "too_short"}]
    assert len(dropped) < 0.01 * len(sentences), dropped
    assert sum(reason is not None for reason in reasons) < 0.03 * len(sentences)
    assert per_sentence_ms < 1.0
