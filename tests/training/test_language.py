import pickle
import socket

import pytest
from datatrove.data import Document

from training.cleaning.language import Language
from training.cleaning.profiles import load_profiles

PROFILES = load_profiles({})
SHORT = ("listings", "reviews", "dialogues")

# Universal Declaration of Human Rights, article 1.
DECLARATION = {
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и "
    "совестью и должны поступать в отношении друг друга в духе братства.",
    "uk": "Всі люди народжуються вільними і рівними у своїй гідності та правах. Вони наділені розумом і "
    "совістю і повинні діяти у відношенні один до одного в дусі братерства.",
    "be": "Усе людзі нараджаюцца свабоднымі і роўнымі ў сваёй годнасці і правах. Яны надзелены розумам і "
    "сумленнем і павінны ставіцца адзін да аднаго ў духу брацтва.",
    "bg": "Всички хора се раждат свободни и равни по достойнство и права. Те са надарени с разум и съвест и"
    " следва да се отнасят помежду си в дух на братство.",
    "sr": "Сва људска бића рађају се слободна и једнака у достојанству и правима. Она су обдарена разумом и"
    " свешћу и треба једни према другима да поступају у духу братства.",
    "mk": "Сите човечки суштества се раѓаат слободни и еднакви по достоинство и права. Тие се обдарени со "
    "разум и совест и треба да се однесуваат еден кон друг во духот на општо човечката припадност.",
    "kk": "Барлық адамдар тумысынан азат және қадір-қасиеті мен құқықтары тең болып дүниеге келеді. "
    "Адамдарға ақыл-парасат, ар-ождан берілген, сондықтан олар бір-бірімен туыстық қарым-қатынас "
    "жасаулары тиіс.",
    "en": "All human beings are born free and equal in dignity and rights. They are endowed with reason and"
    " conscience and should act towards one another in a spirit of brotherhood.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und "
    "Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
    "zh": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
}
FOREIGN = sorted(DECLARATION.keys() - {"ru"})


def judged(text, profile):
    document = Document(text=text, id="", metadata={"profile": profile})
    return Language(PROFILES).filter(document), document.metadata


@pytest.mark.parametrize(
    "text",
    [
        "Продам велосипед Stels Navigator",
        "Соски Avent",
        "Блузка",
        "Зимний пуховик",
        "Б/У",
        "iPhone 7 128Gb",
        "Nike Air Max 90",
        "Видеокарта Palit GeForce GTX 1050 Ti StormX 4096Mb, коробка, чек",
        "Кроссовки Adidas Originals Superstar, р-р 42, цена 3500 р.",
        "Фанера ФСФ 2440х1220х18мм - 273 листа(новые)-2460,00руб/лист",
    ],
)
def test_a_listing_full_of_names_and_numbers_is_russian(text):
    assert judged(text, "listings")[0] is True


@pytest.mark.parametrize(
    "text",
    [
        "Девушка! Вас в детстве дергали за косички?\nВо-первых, я не девушка, а парень!",
        "Кого позовем?\nНу, Маньку, Аньку, Таньку...\nНе-е! Таньку - не надо!\nА нафига нам лишний рот?!",
        "Папа дома?\nДа.",
        "Крутооооо, ребенок в восторге",
    ],
)
@pytest.mark.parametrize("profile", ["reviews", "dialogues"])
def test_colloquial_russian_stays_russian(text, profile):
    assert judged(text, profile)[0] is True


@pytest.mark.parametrize("language", FOREIGN)
@pytest.mark.parametrize("profile", [*SHORT, "prose", "documentation", "web"])
def test_other_languages_are_dropped_by_every_profile(language, profile):
    verdict, _ = judged(DECLARATION[language], profile)
    assert verdict == (False, "language")


@pytest.mark.parametrize("profile", [*SHORT, "prose", "documentation", "web"])
def test_russian_is_kept_with_its_score(profile):
    verdict, metadata = judged(DECLARATION["ru"], profile)
    assert verdict is True
    assert metadata["language"] == "ru"
    assert metadata["language_score"] > 0.95


@pytest.mark.parametrize(
    "text",
    [
        "Продам велосипед, стан відмінний",
        "Продава се колело в отлично състояние, малко карано",
        "Велосипед сатылады, жағдайы өте жақсы",
        "Selling a mountain bike in excellent condition",
        "Fahrrad in gutem Zustand zu verkaufen",
    ],
)
def test_a_short_foreign_listing_is_dropped(text):
    assert judged(text, "listings")[0] == (False, "language")


def test_a_text_that_is_mostly_code_is_documentation_but_not_web():
    text = "Функция возвращает длину строки.\n" + "size_t length = strlen(buffer); return length;\n" * 3
    assert judged(text, "documentation")[0] is True
    assert judged(text, "web")[0] == (False, "language")


def test_russian_before_the_reform_of_1918_is_russian():
    text = "Всѣ счастливыя семьи похожи другъ на друга, каждая несчастливая семья несчастлива по-своему. " * 2
    assert judged(text + "Въ Россіи, въ исторіи, и всѣ въ унынiи.", "prose")[0] is True


def test_the_english_profile_keeps_english_alone():
    assert judged(DECLARATION["en"], "english")[0] is True
    for language in ("ru", "de"):
        assert judged(DECLARATION[language], "english")[0] == (False, "language")


def test_the_middle_and_the_end_of_a_long_text_are_looked_at():
    assert judged(DECLARATION["ru"] * 10 + DECLARATION["uk"] * 30, "web")[0] == (False, "language")


def test_an_empty_text_and_one_without_letters_are_no_reason_to_fail():
    for text in ("", "12 990", "👍👍", "\n"):
        assert judged(text, "listings")[0] is True


def test_it_works_offline_and_in_a_worker(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    step = pickle.loads(pickle.dumps(Language(PROFILES)))
    assert step.filter(Document(text=DECLARATION["ru"], id="", metadata={"profile": "web"})) is True
