"""Which words are e-mail addresses and handles of messengers, disguised ones included.

An `@` or the word that stands for it is looked up first; only there are the name before and the host after
read, so a text without either costs one search. «собака» is an animal unless a name stands before it and a
host after.
"""

from __future__ import annotations

import re
from typing import Final

Place = tuple[str, int, int]

_TLD: Final = (
    "ru|рф|su|com|net|org|by|ua|kz|info|biz|me|io|pro|online|site|store|shop|edu|de|uk|us|eu|tv|name|москва|онлайн"
    "|сайт|бел|рус|укр|ру|ком|бай|уа|юа|кз"
)
_WORD: Final = r"[a-zа-я0-9](?:[a-zа-я0-9_-]{0,61}[a-zа-я0-9])?"
# Read where they stand for @: in brackets, or as a word between a name and a host.
_AT_WORD: Final = re.compile(
    r"""[(\[{<*«"]\s?(?:at|a|ат|а|эт|dog|@)\s?[)\]}>*»"] | с[оа]бак[аи] | собачк[аи]
      | \b(?:at|dog)\b(?=\ (?:[a-z0-9-]+\ ?[(\[{]?dot\b | (?:g?mail|yandex|ya|bk|list|inbox|rambler)\.))""",
    re.VERBOSE,
)
_BRACKETED_AT: Final = r"[(\[{<*«\"] ?(?:at|a|ат|а|эт|dog|@) ?[)\]}>*»\"]"
_AT_HINTS: Final = [re.compile(hint) for hint in ("собак", "сабак", "собачк", " at ", " dog ", _BRACKETED_AT)]
_NAME: Final = re.compile(r"(?:[a-z0-9][a-z0-9._%+'-]{0,63}|[а-я0-9][а-я0-9._+-]{0,63})$")
_SAID: Final = r"\s(?:точка|тчк|dot|тире|дефис|минус|(?:нижнее )?подчеркивание)\s"
_SAID_NAME: Final = re.compile(
    rf"(?:[a-zа-я0-9]{{1,32}}{_SAID}){{0,2}}(?:[a-z0-9][a-z0-9._+-]{{0,63}}|[а-я0-9][а-я0-9._+-]{{0,63}})$"
)
_HOST: Final = re.compile(
    rf"(?:[a-z0-9-]{{1,63}}\.)+[a-z]{{2,24}}(?![a-z0-9])|(?:{_WORD}\.)+(?:{_TLD})(?![а-яa-z0-9])"
)
_AROUND: Final = ' _-([{<*«")]}>»'
_DOT: Final = r"(?:\s?\.|\s\.\s|\s?[(\[{<]\s?(?:dot|точка|тчк|\.)\s?[)\]}>]\s?|[\s-](?:dot|точка|тчк)[\s-])"
_SPACED_HOST: Final = re.compile(rf"(?:{_WORD}{_DOT}){{1,3}}(?:{_TLD})(?![а-яa-z0-9])")
_MAILER: Final = re.compile(
    r"(?:g?mail|яндекс|yandex|г?мейл|г?маил|г?майл|джимейл|рамблер|rambler|inbox|инбокс|icloud|аутлук|outlook|хотмейл"
    r"|hotmail|мэйл)(?![а-яa-z0-9])"
)
_FILE: Final = re.compile(
    r".*\.(?:png|jpe?g|gif|svg|webp|js|ts|css|py|php|service|target|socket|so|conf|git)$"
)
_MAIL_WORD: Final = re.compile(
    r"(?:почт[а-я]*|мыло|мыла|e-?mail|имейл|емейл|емайл|майл|мейл|адрес[а-я]*)[\s:.,-]*"
    r"(?:моя|мой|на|для связи|эл)?[\s:.-]*$"
)
_USER_OF: Final = re.compile(r"[a-z+]://[^\s/]*$")

_LINK: Final = re.compile(
    r"""(?:t\.me/(?:joinchat/)? | telegram\.me/ | wa\.me/ | whatsapp\.com/(?:send/?\?phone=)? | viber\.click/
          | vk\.com/(?:im\?sel=)? | vk\.me/ | vkontakte\.ru/ | ok\.ru/profile/ | instagram\.com/
          | facebook\.com/ | fb\.com/ | (?<![a-z])m\.me/)\+?[a-z0-9_.%-]{2,64}
      | (?:viber|tg|skype|whatsapp|tel)://?[^\s,;]{3,64} | skype:[a-z0-9_.,-]{3,32}""",
    re.VERBOSE,
)
_SCHEME: Final = re.compile(r"(?:https?://)?(?:(?:www|m|api|chat|web)\.)?$")
_HANDLE: Final = re.compile(r"@[a-z_][a-z0-9_.]{2,31}(?![a-z0-9_@./]*@)(?!/)")
_MESSENGER: Final = re.compile(
    r"""(?:телег(?:рам+)?[а-я]* | telegram | (?<![а-яa-z])(?:тг|tg|вк|vk|тгк|insta|инст[аеу]?|личк[ауе]|лс)
          | инстаграм+[а-я]* | instagram | whats?app | ватсап[а-я]* | viber | вайбер[а-я]* | skype
          | скайп[а-я]*
          | пиши(?:те)? | написать | контакт[а-я]* | связ[а-я]* | ник[а-я]{0,2} | discord
          | дискорд[а-я]*)[^@\n]{0,24}$""",
    re.VERBOSE,
)
_NICK: Final = re.compile(r"[:=-] ?(?P<nick>[a-z][a-z0-9_.-]{3,31})(?![а-яa-z@/(])")
_NICK_OWNER: Final = re.compile(
    r"(?<![а-яa-z])(?:тг|tg|телега|телеграм+|telegram|skype|скайп|инстаграм+|instagram|инста|insta|discord|дискорд)"
    r"\s?(?:ник|логин|id)?(?: -)?\s?$"
)


def mails(folded: str) -> list[Place]:
    """Return the places of e-mail addresses."""
    signs = re.finditer("@", folded)
    places = [_plain(folded, at) or _disguised(folded, at) for at in signs]
    for hint in _AT_HINTS:
        for seen in hint.finditer(folded):
            starts = range(max(0, seen.start() - 2), seen.start() + 2)
            word = next((match for start in starts if (match := _AT_WORD.match(folded, start))), None)
            places.append(_disguised(folded, word) if word else None)
    return [("email", *place) for place in places if place]


def handles(folded: str) -> list[Place]:
    """Return the places of links to a person's messenger and of nicknames that are plainly a contact."""
    found: list[Place] = []
    if "/" in folded or "skype:" in folded:
        for match in _LINK.finditer(folded):
            scheme = _SCHEME.search(folded, max(0, match.start() - 16), match.start())
            start = scheme.start() if scheme else match.start()
            if not start or not (folded[start - 1].isalnum() or folded[start - 1] in "./-"):
                found.append(("messenger", start, _end(match)))
    if "@" in folded:
        for match in _HANDLE.finditer(folded):
            before = folded[max(0, match.start() - 40) : match.start()]
            if not re.search(r"[a-z0-9а-я.]$", before) and _MESSENGER.search(before):
                found.append(("messenger", match.start(), _end(match)))
    return found + [
        ("messenger", match.start("nick"), _end(match))
        for match in _NICK.finditer(folded)
        if _NICK_OWNER.search(folded, max(0, match.start() - 24), match.start() + (match[0][0] == "-"))
    ]


def _plain(folded: str, at: re.Match[str]) -> tuple[int, int] | None:
    """Return the place of name@host.tld."""
    host = _HOST.match(folded, at.end())
    name = _NAME.search(folded, max(0, at.start() - 64), at.start())
    if not host or not name or _FILE.fullmatch(host[0]) or _logs_in(folded, name):
        return None
    return name.start(), host.end()


def _disguised(folded: str, at: re.Match[str]) -> tuple[int, int] | None:
    """Return the place of a name, a sign or word for @ and a host, with blanks or words for dots between."""
    stop = at.start()
    while stop and folded[stop - 1] in _AROUND:
        stop -= 1
    name = _SAID_NAME.search(folded, max(0, stop - 72), stop)
    if not name:
        return None
    after = at.end()
    if at[0] == "@" and (_logs_in(folded, name) or (name[0][0] > "z" and stop < at.start())):
        return None
    while folded[after : after + 1] and folded[after] in _AROUND:
        after += 1
    host = _SPACED_HOST.match(folded, after)
    if host and _FILE.fullmatch(host[0]):
        return None
    if not host and (at[0] != "@" or _MAIL_WORD.search(folded, max(0, name.start() - 30), name.start())):
        host = _MAILER.match(folded, after)
    return (name.start(), host.end()) if host else None


def _logs_in(folded: str, name: re.Match[str]) -> bool:
    """Tell whether the name is the user in an address of a repository or a server."""
    return name[0] == "git" or bool(_USER_OF.search(folded, max(0, name.start() - 48), name.start()))


def _end(match: re.Match[str]) -> int:
    return match.end() - len(match[0]) + len(match[0].rstrip("._-,"))
