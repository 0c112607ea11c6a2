"""What a photo's worker does: checks the header of hostile bytes, decodes them, keeps nothing but pixels.

Runs as a process of its own (`serve`), which `service.photos` starts and kills; knows no event loop.
"""

from __future__ import annotations

import importlib
import io
import json
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from PIL import ExifTags, Image, ImageOps, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

FORMATS = (
    JpegImagePlugin.JpegImageFile.format,
    PngImagePlugin.PngImageFile.format,
    WebPImagePlugin.WebPImageFile.format,
)
_OTHER_FORMATS = (b"GIF8", b"BM", b"II*\0", b"MM\0*", b"8BPS", b"\0\0\1\0", b"\0\0\0\x0cjP", b"\xff\x0a")
_WEBP_BYTES = 16  # a pixel: two canvases, their copy as bytes, the image (measured: 190 MB for 12 MP)
_SPARE = 128 * 2**20  # bytes a worker may take beyond the photo's own: the interpreter, the file, buffers
_ABANDONED_S = 120  # a worker whose parent died in the middle of a photo ends itself
_STRIP_PIXELS = 2**20  # converted at once: a whole photo in RGBA would double the memory


class BadPhoto(Exception):
    """The photo cannot be used; `code` is stable, the message says what is wrong and what is allowed.

    Codes: not_base64, too_large, not_an_image, unsupported_format, truncated, animated, too_small,
    too_many_pixels, timeout, crashed, closed.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a photo may be: sizes in bytes, sides in pixels; the short side is shrunk to `short_side`."""

    max_bytes: int = 10 * 2**20
    max_pixels: int = 40_000_000
    max_side: int = 20_000
    min_side: int = 16
    max_memory_bytes: int = 200 * 2**20  # of the decoding itself: 40 MP of JPEG or PNG, 12 MP of WebP
    short_side: int = 288


Shrink: TypeAlias = Callable[[Image.Image, Limits], Image.Image]


def opened(data: bytes, limits: Limits) -> tuple[Image.Image, int]:
    """Check the header only; return the image, not yet decoded, and the bytes its decoding will take."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, MemoryError):
        raise BadPhoto("too_many_pixels", f"The photo has more than {limits.max_pixels} pixels") from None
    except Exception:  # whatever a parser says of hostile bytes
        raise _unreadable(data) from None
    width, height = image.size
    if min(width, height) < limits.min_side:
        raise BadPhoto("too_small", f"The photo is {width}x{height}; a side has at least {limits.min_side}")
    if max(width, height) > limits.max_side or width * height > limits.max_pixels:
        allowed = f"{limits.max_pixels} pixels and {limits.max_side} a side"
        raise BadPhoto("too_many_pixels", f"The photo is {width}x{height}; at most {allowed} are allowed")
    # MPO is a still JPEG with extra pictures (a depth or gain map of a telephone); only the first is read
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise BadPhoto("animated", "The photo is an animation; only still pictures are allowed")
    coefficients = _coefficients(image, data)
    image.draft(None, (2 * limits.short_side, 2 * limits.short_side))  # JPEG only: decodes at 1/2, 1/4, 1/8
    memory = coefficients + _memory(image, limits)
    if memory > limits.max_memory_bytes:
        raise BadPhoto(
            "too_many_pixels", f"The photo of {width}x{height} takes too much memory as {image.format}"
        )
    return image, memory


def shrunk(image: Image.Image, limits: Limits) -> Image.Image:
    """Decode: return an upright RGB image on white whose short side is at most `short_side`."""
    image.load()
    factor = _factor(image, limits)
    width, height = image.size[0] / factor, image.size[1] / factor
    small = _flattened(image, factor)
    scale = limits.short_side / min(width, height)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = small.resize(size, Image.Resampling.LANCZOS, box=(0, 0, width, height))
    with suppress(Exception):  # a broken EXIF block costs the orientation, not the photo
        small.getexif()[ExifTags.Base.Orientation] = image.getexif().get(ExifTags.Base.Orientation, 1)
    return ImageOps.exif_transpose(small)


def _factor(image: Image.Image, limits: Limits) -> int:
    """Return by how much a box filter may reduce and leave twice the short side to the better filter."""
    return max(1, min(image.size) // (2 * limits.short_side))


def _memory(image: Image.Image, limits: Limits) -> int:
    """Return the bytes of the decoded image and of its reduced copy."""
    pixels = image.size[0] * image.size[1]
    narrow = {"1": 1, "L": 1, "P": 1, "I;16": 2}
    each = _WEBP_BYTES if image.format == "WEBP" else narrow.get(image.mode, 4)
    return pixels * each + 4 * pixels // _factor(image, limits) ** 2


def _coefficients(image: Image.Image, data: bytes) -> int:
    """Return the bytes of a whole JPEG's coefficients, which are all kept if it has more than one scan."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile) or image.fp is None:
        return 0
    # the plugin stops behind the first start of scan; in an MPO it has moved on, a thumbnail may count there
    if data.find(b"\xff\xda", 0 if image.format == "MPO" else image.fp.tell()) < 0:
        return 0
    largest = max(horizontal * vertical for _, horizontal, vertical, _ in image.layer)
    samples = sum(horizontal * vertical for _, horizontal, vertical, _ in image.layer) / largest
    return int(2 * samples * image.size[0] * image.size[1])


def _flattened(image: Image.Image, factor: int) -> Image.Image:
    """Return the image in RGB, `factor` times smaller, made strip by strip."""
    width, height = image.size
    whole = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    rows = factor * max(1, _STRIP_PIXELS // (width * factor))
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(height, top + rows)))
        whole.paste(_on_white(strip).reduce(factor), (0, top // factor))
    return whole


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "I;16":
        return image.point(lambda value: value / 257 + 0.5).convert("L").convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _unreadable(data: bytes) -> BadPhoto:
    """Tell a damaged photo from another format and from what is no picture."""
    webp = data.startswith(b"RIFF") and data[8:12] == b"WEBP"
    if webp or data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
        return BadPhoto("truncated", "The photo is cut off or damaged")
    if data.startswith(_OTHER_FORMATS) or data[4:8] == b"ftyp" or b"<svg" in data[:1000].lower():
        return BadPhoto("unsupported_format", "The photo's format is not supported; send JPEG, PNG or WebP")
    return BadPhoto("not_an_image", "This is no picture; send JPEG, PNG or WebP")


def serve() -> None:
    """Be a worker: decode what stdin brings until it ends; arguments are the limits and the decoding."""
    limits = Limits(**json.loads(sys.argv[1]))
    module, name = sys.argv[2].split(":")
    shrink: Shrink = getattr(importlib.import_module(module), name)
    enough = limits.max_memory_bytes + _SPARE
    resource.setrlimit(resource.RLIMIT_DATA, (enough, enough))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # people's photos stay out of core files
    # Pillow warns above this number and refuses above twice as much, before it allocates anything
    Image.MAX_IMAGE_PIXELS = limits.max_pixels // 2
    PngImagePlugin.MAX_TEXT_MEMORY = limits.max_bytes
    while size := sys.stdin.buffer.read(4):
        signal.alarm(_ABANDONED_S)
        _serve_one(sys.stdin.buffer.read(int.from_bytes(size, "big")), limits, shrink)
        signal.alarm(0)


def _serve_one(data: bytes, limits: Limits, shrink: Shrink) -> None:
    reply: dict[str, Any]
    try:
        image, memory = opened(data, limits)
        _reply({"memory": memory})
        sys.stdin.buffer.read(1)  # the parent's leave to take so much memory
        small = shrink(image, limits)
        reply, rgb = {"width": small.width, "height": small.height}, small.tobytes()
    except BadPhoto as error:
        reply, rgb = {"code": error.code, "detail": error.detail}, b""
    except MemoryError:
        reply, rgb = {"code": "too_many_pixels", "detail": "The photo takes too much memory"}, b""
    except Exception:  # whatever a decoder says of hostile bytes
        reply, rgb = {"code": "truncated", "detail": "The photo is cut off or damaged"}, b""
    _reply(reply, rgb)


def _reply(reply: dict[str, Any], rgb: bytes = b"") -> None:
    sys.stdout.buffer.write(json.dumps(reply).encode() + b"\n" + rgb)
    sys.stdout.buffer.flush()
