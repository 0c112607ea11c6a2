import gzip
import json
import pickle
import random
import time
from pathlib import Path

import pytest
from datatrove.data import Document
from datatrove.pipeline.filters.gopher_repetition_filter import GopherRepetitionFilter
from hypothesis import given
from hypothesis import strategies as st

from training.cleaning.normal import Normalised, normalised
from training.cleaning.profiles import load_profiles
from training.cleaning.quality import Quality, Words
from training.cleaning.repetition import FastRepetition

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
PROFILES = load_profiles({})

ARTICLE = (
    "Город стоит на высоком берегу реки, и весной вода подходит к самым огородам. Старые купеческие "
    "дома на главной улице давно отданы под музей, библиотеку и школу. По утрам сюда приезжают автобусы "
    "с туристами, которые фотографируют резные наличники и покупают мёд у бабушек возле рынка. После "
    "обеда становится тихо. Мальчишки удят с моста плотву, а за ними с забора наблюдает рыжий кот. "
    "Вечером на набережной играет оркестр, и даже те, кто спешил домой, останавливаются послушать. "
    "Говорят, что когда-то здесь был порт, но пристань сгорела сто лет назад, и с тех пор пароходы "
    "проходят мимо, только гудят для порядка."
)


def judged(text, profile):
    return Quality(PROFILES).filter(Document(text=text, id="", metadata={"profile": profile}))


def test_a_web_page_of_sentences_is_kept():
    assert judged(ARTICLE, "web") is True


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Коротко.", "too_short"),
        ("слово " * 200_000, "too_long"),
        ("12345 " * 100, "no_letters"),
        ("Главная\nНовости\nКонтакты\nО нас\nКаталог\nДоставка\n" * 9, "line_punct_ratio"),
        ("\n".join(f"- пункт {n} в списке и на сайте." for n in range(40)), "gopher_too_many_bullets"),
        (ARTICLE + "\n" + " ".join(["купить диван недорого в Москве."] * 60), "top_2_gram"),
        (" ".join(f"{n} и {n + 1} на {n}." for n in range(99)), "gopher_below_avg_threshold"),
    ],
)
def test_the_web_profile_drops_what_is_no_text(text, reason):
    assert judged(text, "web") == (False, reason)


@pytest.mark.parametrize(
    ("text", "profile"),
    [
        ("Платье 44-46", "listings"),
        ("Продам кресло от0-25кг", "listings"),
        ("!!! СКАЖИТЕ ГДЕ ДЕШЕВЛЕ, СДЕЛАЕМ СКИДКУ !!!", "listings"),
        ("Шины R16 205/55\n\n4 шт., износ 10%, 12000 р.", "listings"),
        ("Крутооооо!!!!!", "reviews"),
        ("Достоинства: тёплый свет\nНедостатки: нет", "reviews"),
        ("Папа дома?\nДа, спит. А кто его спрашивает?", "dialogues"),
        ("— Вы уходите?\n— Да... Мне пора.\n— Но почему?..\n— Так надо, прощайте...\n" * 3, "prose"),
        ("Возвращает длину строки.\nstrlen($string): int\n" + ARTICLE[:200], "documentation"),
    ],
)
def test_short_and_odd_texts_are_good_of_their_kind(text, profile):
    assert judged(text, profile) is True


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Стул", "too_short"),
        ("8 999 123-45-67", "no_letters"),
        ("т. 8 999 123-45-67, 8 999 765-43-21", "few_letters"),
        ("продам ааааааааааааааааааааааааааа", "repeated_character"),
        ("купить диван купить " * 8, "repeated_word"),
        ("Продам гараж\n" * 5, "dup_line_frac"),
    ],
)
def test_listings_drop_what_says_nothing(text, reason):
    assert judged(text, "listings") == (False, reason)


def test_a_huge_text_is_dropped_before_anything_slow():
    text = "слово и дело. " * 2_000_000
    begun = time.perf_counter()
    assert judged(text, "web") == (False, "too_long")
    assert time.perf_counter() - begun < 1


def test_filters_reach_a_worker():
    step = pickle.loads(pickle.dumps(Quality(PROFILES)))
    assert step.filter(Document(text=ARTICLE, id="", metadata={"profile": "web"})) is True


STRICT = (
    [(2, 0.05), (3, 0.04), (4, 0.03)],
    [(5, 0.05), (6, 0.04), (7, 0.03), (8, 0.02), (9, 0.01), (10, 0.005)],
)
SETTINGS = [
    {"top_n_grams": STRICT[0], "dup_n_grams": STRICT[1]},
    {"top_n_grams": (), "dup_n_grams": STRICT[1]},
    {"top_n_grams": [(3, 0.05)], "dup_n_grams": (), "dup_para_frac": 0, "dup_line_frac": 0},
    {},
]


def assert_same_verdict(text, settings):
    words = Words()
    document = Document(text=text, id="")
    theirs = GopherRepetitionFilter(language=words, **settings).filter(document)
    assert FastRepetition(language=words, **settings).filter(document) == theirs


@given(
    st.lists(
        st.sampled_from(["да", "нет", "кот", "дом", "река", "\n", "\n\n", ","]), min_size=1, max_size=60
    ),
    st.sampled_from(SETTINGS),
)
def test_the_fast_repetition_filter_says_what_datatrove_says(words, settings):
    assert_same_verdict(" ".join(words), settings)


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_fast_repetition_filter_says_it_of_real_texts_too(settings):
    path = DATA / "corpus" / "docs_php.jsonl.gz"
    if not path.exists():
        pytest.skip(f"the real documents are not at {path}")
    with gzip.open(path) as file:
        texts = [json.loads(line)["text"] for line in file]
    for text in random.Random(1).sample(texts, 150):
        assert_same_verdict(text, settings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ufeffодин\r\nдва\rтри\u2028четыре\x0bпять", "один\nдва\nтри\nчетыре\nпять"),
        ("и\u0306 е\u0308", "й ё"),
        ("пере\xadнос, не\u200bвидимый, \x07зво\u2060нок", "перенос, невидимый, звонок"),
        ("12\u202f990\xa0₽", "12 990 ₽"),
        ("def f():\n\treturn 1   \n    # да\t\n", "def f():\n\treturn 1\n    # да"),
        ("\n\nа\n\n\n\n\n\nб\n\n\nв\n \n", "а\n\n\nб\n\n\nв"),
        ("👨\u200d👩\u200d👧 и ❤\ufe0f\u200d🔥", "👨\u200d👩\u200d👧 и ❤\ufe0f\u200d🔥"),
        ("а\u200dб", "аб"),
        ("", ""),
    ],
)
def test_a_text_is_brought_into_its_normal_spelling(text, expected):
    assert normalised(text) == expected
    (document,) = Normalised().run([Document(text=text, id="")])
    assert document.text == expected


@given(st.text(st.characters() | st.sampled_from("\n\r\t \xa0\u200b\u200d\xad\u0306и👨\u2028"), max_size=60))
def test_normal_twice_is_normal_once(text):
    assert normalised(normalised(text)) == normalised(text)
