"""A request's photos, inline or by address: decoded, looked at; what reached the prompt, what not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from service.captions import Look
from service.errors import Draining, InvalidRequest
from service.eyes import UNAVAILABLE
from service.fetching import CannotFetch, Fetcher
from service.photos import BadPhoto, Decoder, Pixels, from_base64
from service.shapes.describe import Photo
from service.sightings import Contradiction, Seen

BAD_PHOTOS: Final = "photos cannot be used, see errors"
UNSURE: Final = "nothing_recognised"


class Eyes(Protocol):
    """What looks at photos (service/eyes.py)."""

    async def look(self, photos: Sequence[Pixels]) -> Sequence[Look]:
        """Return what is on each photo, in their order; never raises."""
        ...

    def merged(
        self, looks: Sequence[Look], *, title: str, category: str | None, params: Mapping[str, str]
    ) -> Seen:
        """Return one caption for all of a listing's photos."""
        ...

    async def close(self) -> None:
        """End what runs."""
        ...


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What came of a request's photos; indexes are those of the request.

    `caption` is what all of them show together and the seller does not deny.
    """

    caption: str | None = None
    contradictions: Sequence[Contradiction] = ()
    looks: Mapping[int, Look] = field(default_factory=dict)
    skipped: Mapping[int, str] = field(default_factory=dict)  # and the code of the reason


NOTHING: Final = Shown()


class Sight:
    """Photos in, what is on them out; without `eyes` they are checked all the same."""

    def __init__(self, decoder: Decoder, fetcher: Fetcher, eyes: Eyes | None = None) -> None:
        self._decoder = decoder
        self._fetcher = fetcher
        self._eyes = eyes

    async def look(
        self, photos: Sequence[Photo], *, title: str, category: str | None, params: Mapping[str, str]
    ) -> Shown:
        """Look at all photos of a listing side by side.

        Raises:
            InvalidRequest: photos whose bytes are no usable picture, each with its index.
            Draining: the service is shutting down.

        """
        found = await asyncio.gather(*map(self._pixels, photos))
        if bad := {index: one for index, one in enumerate(found) if isinstance(one, BadPhoto)}:
            if any(error.code == "closed" for error in bad.values()):
                raise Draining
            raise InvalidRequest(BAD_PHOTOS, errors=[_fault(photos[at], at, bad[at]) for at in bad])
        skipped = {index: one.code for index, one in enumerate(found) if isinstance(one, CannotFetch)}
        pixels = {index: one for index, one in enumerate(found) if isinstance(one, Pixels)}
        if self._eyes is None or not pixels:
            return Shown(skipped=skipped | dict.fromkeys(pixels, UNAVAILABLE))
        looks = dict(zip(pixels, await self._eyes.look([*pixels.values()]), strict=True))
        skipped |= {at: look.reason or UNSURE for at, look in looks.items() if look.text is None}
        seen = self._eyes.merged([*looks.values()], title=title, category=category, params=params)
        return Shown(
            caption=seen.text,
            contradictions=seen.contradictions,
            looks={at: look for at, look in looks.items() if at not in skipped},
            skipped=skipped,
        )

    async def close(self) -> None:
        """End running work with clear errors."""
        await self._fetcher.close()
        await self._decoder.close()
        if self._eyes:
            await self._eyes.close()

    async def _pixels(self, photo: Photo) -> Pixels | BadPhoto | CannotFetch:
        try:
            if photo.url is not None:
                data = await self._fetcher.fetch(photo.url)
            else:
                assert photo.base64 is not None, "the shape sees to it"
                data = await asyncio.to_thread(from_base64, photo.base64, limits=self._decoder.limits)
            return await self._decoder.decode(data)
        except (BadPhoto, CannotFetch) as error:
            return error


def _fault(photo: Photo, index: int, error: BadPhoto) -> dict[str, Any]:
    place = "base64" if photo.url is None else "url"
    return {"loc": ["body", "photos", index, place], "msg": error.detail, "code": error.code}
