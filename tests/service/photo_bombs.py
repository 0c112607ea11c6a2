"""Photos that tests send: good ones, bombs, other files under a photo's name; decodings that misbehave."""

from __future__ import annotations

import io
import os
import struct
import tempfile
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

from PIL import Image

from service.pixels import Limits, shrunk

STUCK, DEADLY = (64, 48), (48, 64)  # sizes at which `misbehaving` does


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the image as a file of that format."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def plain(size: tuple[int, int] = (64, 64), color: Any = (200, 30, 30), mode: str = "RGB") -> Image.Image:
    """Return an image of one colour."""
    return Image.new(mode, size, color)


def corners(size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Return an image whose upper left quarter is red and upper right quarter is blue, on white."""
    image = plain(size, "white")
    half = (size[0] // 2, size[1] // 2)
    image.paste((255, 0, 0), (0, 0, *half))
    image.paste((0, 0, 255), (half[0], 0, size[0], half[1]))
    return image


def png(width: int, height: int, *, depth: int = 8, color: int = 2) -> bytes:
    """Return a valid black PNG made row by row, whatever its size (colour type 0 grey, 2 RGB, 6 RGBA)."""
    channels = {0: 1, 2: 3, 6: 4}[color]
    rows = zlib.compressobj(1)
    row = bytes(1 + (width * depth * channels + 7) // 8)
    packed = b"".join(rows.compress(row * 100) for _ in range(height // 100))
    packed += rows.compress(row * (height % 100)) + rows.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    )


def gif(num_frames: int) -> bytes:
    """Return a GIF of many one-pixel frames."""
    frame = b"\x21\xf9\x04\0\0\0\0\0" + b"\x2c\0\0\0\0\1\0\1\0\0" + b"\x02\x02\x44\x01\0"
    return b"GIF89a\1\0\1\0\x80\0\0" + bytes(6) + frame * num_frames + b";"


def animation(kind: str) -> bytes:
    """Return three frames that differ."""
    frames = [plain(color=(shade, 0, 0)) for shade in (0, 100, 200)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:])


def zipped() -> bytes:
    """Return an archive to hang behind a photo."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("evil.html", "<script>alert(1)</script>")
    return file.getvalue()


REFUSED = {
    "nothing": ("not_an_image", b""),
    "text": ("not_an_image", b"\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82" * 100),
    "pdf": ("not_an_image", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"),
    "html": ("not_an_image", b"<!doctype html><img src=x onerror=alert(1)>"),
    "zip before a photo": ("not_an_image", zipped() + saved(plain(), "JPEG")),
    "svg": ("unsupported_format", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>'),
    "tiff": ("unsupported_format", saved(plain(), "TIFF")),
    "bmp": ("unsupported_format", saved(plain(), "BMP")),
    "gif of 10,000 frames": ("unsupported_format", gif(10_000)),
    "heic": ("unsupported_format", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)),
    "animated webp": ("animated", animation("WEBP")),
    "animated png": ("animated", animation("PNG")),
    "bomb of 900 MP": ("too_many_pixels", png(30_000, 30_000, depth=1, color=0)),
    "41 MP": ("too_many_pixels", png(8200, 5000, depth=1, color=0)),
    "long side": ("too_many_pixels", png(20, 60_000, color=0)),
    "1 x 60,000": ("too_small", png(1, 60_000, color=0)),
    "60,000 x 1": ("too_small", png(60_000, 1, color=0)),
    "half a jpeg": ("truncated", saved(Image.effect_noise((200, 200), 50), "JPEG")[:5000]),
    "half a png": ("truncated", saved(Image.effect_noise((200, 200), 50), "PNG")[:5000]),
    "half a webp": ("truncated", saved(Image.effect_noise((200, 200), 50), "WEBP")[:5000]),
    "start of a jpeg": ("truncated", saved(plain(), "JPEG")[:30]),
    "png of zeros": ("truncated", saved(plain(), "PNG")[:16] + bytes(200)),
}


def misbehaving(image: Image.Image, limits: Limits) -> Image.Image:
    """Hang at one size, end the process at another, decode all else slowly."""
    if image.size == STUCK:
        time.sleep(60)
    if image.size == DEADLY:
        os._exit(3)
    time.sleep(0.3)
    return shrunk(image, limits)


def dying_at_first(image: Image.Image, limits: Limits) -> Image.Image:
    """End the process for the first photo that its parent sends."""
    mark = Path(tempfile.gettempdir()) / f"died-{os.getppid()}"
    if not mark.exists():
        mark.touch()
        os._exit(3)
    mark.unlink()
    return shrunk(image, limits)


def starved(image: Image.Image, limits: Limits) -> Image.Image:
    """Take more memory than a worker has."""
    return Image.new("RGB", (20_000, 10_000), "white")
