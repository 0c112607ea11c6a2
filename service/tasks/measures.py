"""Sizes, weights, voltages and capacities: what looks like a piece of a name in a listing and is none."""

from __future__ import annotations

import re
from dataclasses import dataclass

from service.letters import fold

_MEASURE = re.compile(
    r"(?:[\d.,/xх×*+-]*\d[\d.,]*)?\s?(?:gb|tb|mb|гб|тб|мб|гиг[а-я]*|g|мм|см|дм|м|м2|кг|гр?|мг|л|мл|k?вт|квт|w|k?ватт|mah|ма[чh]|"
    r"ач|дюйм[а-я]*|д|шт|штук|mp|мп|мпикс|hz|гц|ghz|ггц|v|в|вольт|а|об|руб[а-я.]*|₽|р|rub|тр|т\.р|год[а-я]*|г\.?в?|лет|"
    r"мес[а-я.]*|дн|ч|час[а-я]*|мин|км|ккал|%|°|градус[а-я]*|размер[а-я]*|ядер|скорост[а-я]*|cm|kg|ml|ah|wh|mhz|khz|"
    r"kw|kva|ква|мгц|кгц|ампер|а/ч|атм|бар|\")\.?|[2-9]\d00k",  # the last is the colour of a lamp
    re.IGNORECASE,
)
_NO_WATTS = re.compile(r"\d{3}[1-9]w")  # «8296W»
_MEMORY = re.compile(r"\d{1,2}[/+]\d{2,4}")  # «8/256»
_UNIT = re.compile(
    r"gb|tb|mb|гб|тб|мб|гиг[а-я]*|мм|см|кг|мл|вт|квт|w|mah|мач|дюйм[а-я]*|шт|руб[а-я.]*|hz|гц|inch|v|ah|ач|cm|kg|ml|"
    r"mhz|ghz|ггц|мгц"
)
_LONE = re.compile(r"[a-z]+")
_SIZED = re.compile(r"р(?:аз|азм|азмер)?\.?\d{2,3}(?:[-/]\d{2,3})?")
_SIZE = re.compile(r"\d{0,2}x{0,4}[sml]|xxs|(?:xs|s|m|l|xl)/(?:s|m|l|xl|xxl)|\d{2}(?:[-/]\d{2,3})?|[34]\dр?")
_VOLTS = re.compile(  # of batteries and mains; «IF 80V» is a water heater of 80 litres
    r"1\.5|3|3\.[367]|4|5|6|7\.4|9|10\.8|11\.1|12|14|14\.4|16|18|19|19\.5|2[01458]|36|40|48|60|72|1[12]0|127|2[234]0|380|400"
)
_MAYBE = re.compile(r"[345]g|\d{2,4}[wv]|\d{1,4}в")
# Of Soviet and Russian names, in capitals: «Мечта 15М», «Сайга 20С»; not the letters of the commonest units.
_MODIFIED = re.compile(r"\d{1,4}[БЕЖЗИКМНПСТУФЦЧШЯ]")
_CODE = re.compile(r"\d{1,4}[БЕЖЗИНПУФЦШЯ]")  # less what may be metres, rooms, pieces: a name by itself

_STORAGE = re.compile(
    r"\b(?:ssd|hdd|nvme|флешк|флэш|накопител|жестк[а-я]* диск|карт[а-я]* памяти|microsd|micro sd)"
)
_CLOTHES = re.compile(
    r"\b(?:одежд|обув|куртк|футболк|рубаш|брюк|плать|юбк|джинс|перчат|костюм|пуховик|толстовк|шорт|свитер|пальто|"
    r"блуз|кофт|майк|жилет|ботин|сапог|кроссов|туфл|комбинез|шапк|белье)"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What kind of goods it is, as far as it decides what a name is."""

    storage: bool  # the capacity is the model: «970 EVO Plus 1TB»
    clothes: bool  # the last letter is a size: «Blaser 119042 L»

    @classmethod
    def of(cls, text: str) -> Kind:
        """Tell it from title and category."""
        lower = fold(text).lower()
        return cls(storage=bool(_STORAGE.search(lower)), clothes=bool(_CLOTHES.search(lower)))


def is_measure(word: str) -> bool:
    """Tell «256gb», «12v» and, in Cyrillic, a unit by itself; `word` is folded and lower."""
    return bool(_MEASURE.fullmatch(word)) and not is_lone_unit(word) and not _NO_WATTS.fullmatch(word)


def is_lone_unit(word: str) -> bool:
    """Tell a Latin unit without its number: behind one it is a measure, else the W of «W 2043» or ML."""
    return bool(_LONE.fullmatch(word) and _MEASURE.fullmatch(word))


def is_size(word: str, kind: Kind) -> bool:
    """Tell a size, or a memory, by itself."""
    sized = _SIZED.fullmatch(word) or (kind.clothes and _SIZE.fullmatch(word))
    return bool(sized or _MEMORY.fullmatch(word))


def is_measured(number: str, unit: str) -> bool:
    """Tell a number and its unit with a blank between; «Stels Miss 6000 V» is a bicycle."""
    return bool(_UNIT.fullmatch(unit) and (unit != "v" or _VOLTS.fullmatch(number)))


def may_end_a_name(word: str, written: str, *, shouted: bool) -> bool:
    """Tell a measure by its look that behind a name may be its end: «IF 80V», «A52 5G», «Мечта 15М»."""
    if _MAYBE.fullmatch(word):
        return not (word[-1] in "vв" and _VOLTS.fullmatch(word[:-1]))
    return not shouted and bool(_MODIFIED.fullmatch(written))


def is_code(written: str) -> bool:
    """Tell a number with a capital that no unit has: «8П»."""
    return bool(_CODE.fullmatch(written))
