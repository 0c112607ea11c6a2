"""What stands beside a number and says what it is: a word that calls, a label, a unit, a link around it."""

from __future__ import annotations

import re
from typing import Final

_CALL: Final = re.compile(
    r"""(?:
        (?<![а-яa-z])(?:тел | телеф | телефон[а-я]* | моб | мобил[а-я]* | сот | сотов[а-я]* | факс
        | [тдрс]/[тф] | [тф](?=[.:])
          | tel | phone | ph | mob | call | whats?app | ватс?ап[а-я]* | вотс?ап[а-я]* | вацап[а-я]*
          | viber | вайбер[а-я]*
          | telegram | телеграмм? | звон[а-я]* | позвон[а-я]* | перезвон[а-я]* | набер[а-я]*
          | набир[а-я]* | смс | sms
          | контакт[а-я]* | связ[а-я]* | по\ номеру | мой\ номер
          | номера?м?\ ?(?:тел[а-я.]*|моб[а-я.]*))[.)]?
        | [☎📞📱✆☏])
      [\s.:,№()!+/-]*
      (?:(?:по|на|номеру?|ном|мне|дом|раб|моб|гор|тел|для|связи|связь|справок|это|такой|мой|наш|городской
      |домашний
          |рабочий|мобильный|сотовый|телефону?|фон|в\ [а-я-]{3,20}|салона|магазина|офиса|мастера
          |хозяина|хозяйки|владельца|продавца|менеджера)[.)]?[\s.:,№()+-]*){0,3}\Z""",
    re.VERBOSE,
)
_LABEL: Final = re.compile(
    r"""(?:
        (?<![а-яa-z])(?:арт|мод|инв|кат|полис[а-я]*(?:\s[а-я]{3})?)\.?
        | (?<![а-яa-z])(?:артикул[а-я]* | код | imei\d? | еимей | isbn | issn | vin | вин | oem
        | [sp]/?n | id | ид | инн | огрн(?:ип)?
          | кпп | бик | окпо | октмо | окато | оквэд | снилс | штрих[а-я-]* | каталож[а-я]*
          | каталог[а-я]* | серийн[а-я]*
          | кадастр[а-я]* | парт | gtin | ean | upc | barcode | asin | sku | лот | модель | model
          | part | заказа? | накладн[а-я]*
          | трек[а-я-]* | договор[а-я]* | лиценз[а-я]* | сертифик[а-я]* | деклар[а-я]* | патент[а-я]*
          | объявлени[а-я]* | объект[а-я]*
          | гост | ту | чек | заявк[а-я]* | [рк]/?с | билет[а-я]* | рейс[а-я]* | базе | детали | iccid
          | order | track
          | item | ref)
        | \#)
      [\s:;№#=(-]{0,4}
      (?:(?:товара|номер[а-я]*|ном|изделия|детали|объекта|объявления|продукта|заказа|no
      |number)[.]?[\s:;№#=(-]{0,4}){0,2}\Z""",
    re.VERBOSE,
)
_AMOUNT: Final = re.compile(
    r"""[\s.]*(?:₽|\$|€|%|°|(?:руб|рублей|р|тыс|тр|т\.р|км|шт|мм|см|кг|гр|мл|м2|м3|об|вт|w|гц|мач|mah|dpi
    |мп|гб|мб|gb|mb|грн|тенге
        |долл|байт[а-я]*|секунд[а-я]*|лет|год[а-я]*|г|usd|rub|eur)(?![а-яa-z]))""",
    re.VERBOSE,
)
_CALLERS: Final = r"(?:tel|phone|mob|call|whatsapp|viber|wa|tg|telegram|sms|ph|inn|card|visa)"
_CODE_BEFORE: Final = re.compile(rf"(?<![a-z])(?!{_CALLERS}\Z)[a-z]{{1,24}}[_-]?\Z|_\Z")
_CODE_AFTER: Final = re.compile(rf"_|(?!{_CALLERS}(?![a-z0-9]))[a-z]")
_LINK: Final = re.compile(r"(?:://|www\.|[a-z0-9]\.(?:ru|com|рф|net|org|su|by|ua|kz)/)\S*\Z")


def called(before: str) -> bool:
    """Tell whether the words before a number are those that come before a telephone."""
    return bool(_CALL.search(before))


def labelled(before: str) -> bool:
    """Tell whether the words before a number name it as nobody's: an article, an order, a code."""
    return bool(_LABEL.search(before))


def measured(folded: str, end: int) -> bool:
    """Tell whether a unit or a currency follows."""
    return bool(_AMOUNT.match(folded, end))


def in_code(before: str) -> bool:
    """Tell whether Latin letters are glued to the number's beginning, or it lies in a link."""
    last = before[-1:]
    return (("a" <= last <= "z" or last == "_") and bool(_CODE_BEFORE.search(before))) or (
        "/" in before and bool(_LINK.search(before))
    )


def goes_on_as_code(folded: str, end: int) -> bool:
    """Tell whether Latin letters are glued to the number's end."""
    return bool(_CODE_AFTER.match(folded, end))
