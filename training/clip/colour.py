"""The colour of what lies in the middle of a photo, measured: the name nearest in CIE Lab by most pixels.

A photo of goods has the thing in its middle. What is told apart is what people name in one word; a thing of
several colours has none. Names are those of the bank of colours.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from PIL import Image

# sRGB of what people call by the name, several where a name is wide.
ANCHORS: Final[dict[str, tuple[tuple[int, int, int], ...]]] = {
    "чёрный": ((18, 18, 20), (45, 45, 48)),
    "белый": ((250, 250, 250), (222, 222, 224)),
    "серый": ((175, 175, 177), (140, 140, 142), (105, 105, 107), (78, 79, 82)),
    "красный": ((205, 30, 40), (160, 25, 35), (115, 25, 40)),
    "розовый": ((245, 175, 190), (230, 110, 150), (220, 155, 165)),
    "оранжевый": ((240, 130, 40), (215, 95, 35)),
    "жёлтый": ((245, 215, 60), (215, 175, 50), (240, 225, 130)),
    "зелёный": ((50, 135, 65), (30, 75, 50), (115, 125, 65), (80, 85, 55), (155, 205, 90)),
    "голубой": ((160, 200, 230), (95, 185, 205), (125, 165, 205)),
    "синий": ((40, 70, 160), (30, 40, 85), (65, 95, 140), (30, 35, 55)),
    "фиолетовый": ((115, 65, 150), (170, 140, 200), (75, 40, 90)),
    "коричневый": ((115, 75, 50), (75, 48, 35), (150, 105, 70)),
    "бежевый": ((225, 205, 175), (200, 178, 148), (235, 222, 200)),
}
MIDDLE: Final = 0.5  # of the width and of the height
SIDE: Final = 96  # pixels of the middle that are looked at: stripes stay stripes
LEAST: Final = 0.55  # of the weight: below it the thing has no one colour

LIGHT: Final = 0.6  # weight of lightness against hue: a dim red is red
BRIGHTEST: Final = 245  # what the brightest 2 % of a photo are taken for, most photos at home being dim
BRIGHTENED: Final = 1.4  # at most

_TO_XYZ: Final = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE: Final = np.array([0.9505, 1.0, 1.089])  # D65


def measure(image: Image.Image, *, least: float = LEAST) -> str | None:
    """Return the colour that at least `least` of the middle has, None if none does."""
    shares = colour_shares(image)
    name = max(shares, key=lambda one: shares[one])
    return name if shares[name] >= least else None


def colour_shares(image: Image.Image) -> dict[str, float]:
    """Return each colour's share of the middle, what is nearer to the centre counting more."""
    width, height = image.size
    left, top = width * (1 - MIDDLE) / 2, height * (1 - MIDDLE) / 2
    box = (left, top, width - left, height - top)
    middle = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX, box=box)
    light = BRIGHTEST / max(1.0, float(np.percentile(np.asarray(image.convert("L")), 98)))
    pixels = np.asarray(middle, dtype=np.float64).reshape(-1, 3) * min(BRIGHTENED, max(1.0, light))
    found = _lab(np.minimum(pixels, 255) / 255)
    names = [name for name, some in ANCHORS.items() for _ in some]
    anchors = _lab(np.array([one for some in ANCHORS.values() for one in some]) / 255)
    nearest = ((found[:, None] - anchors[None]) ** 2).sum(-1).argmin(1)
    weights = _weights()
    shares = dict.fromkeys(ANCHORS, 0.0)
    for at, name in enumerate(names):
        shares[name] += float(weights[nearest == at].sum())
    return shares


def _weights() -> Any:
    """Return a bell over the middle, which sums up to 1."""
    line = np.linspace(-1, 1, SIDE)
    bell = np.exp(-(line[:, None] ** 2 + line[None] ** 2)).reshape(-1)
    return bell / bell.sum()


def _lab(rgb: Any) -> Any:
    """Return CIE Lab (D65), L weighted, of sRGB in 0..1, rows of three (IEC 61966-2-1, CIE 15)."""
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    share = (linear @ _TO_XYZ.T) / _WHITE
    root = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.stack(
        [LIGHT * (116 * root[:, 1] - 16), 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])],
        axis=1,
    )
