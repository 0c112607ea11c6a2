"""A photo becomes pixels and nothing else; a hostile one costs its own answer, some memory and no more."""

import base64
import hashlib
import io
import random
import re

import pytest
import pytest_asyncio
from PIL import Image, PngImagePlugin

from service.photos import BadPhoto, Decoder, Limits, from_base64
from tests.service import photo_bombs as bombs
from tests.service.photo_bombs import corners, plain, saved

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decoder():
    decoder = Decoder()
    yield decoder
    await decoder.close()


def image_of(pixels):
    assert len(pixels.rgb) == 3 * pixels.width * pixels.height
    return Image.frombytes("RGB", (pixels.width, pixels.height), pixels.rgb)


async def code_of(decoder, data):
    with pytest.raises(BadPhoto) as caught:
        await decoder.decode(data)
    assert re.fullmatch(r"[ -~]{20,150}", caught.value.detail)
    return caught.value.code


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_photo_is_shrunk_to_the_short_side(decoder, kind):
    data = saved(corners((1600, 1200)), kind)
    pixels = await decoder.decode(data)
    assert (pixels.width, pixels.height) == (384, 288)
    assert pixels.sha256 == hashlib.sha256(data).hexdigest()
    expected = corners((1600, 1200)).resize((384, 288), Image.Resampling.LANCZOS)
    differences = [abs(a - b) for a, b in zip(pixels.rgb, expected.tobytes(), strict=True)]
    assert sum(differences) / len(differences) < 2


async def test_small_photo_is_not_enlarged(decoder):
    pixels = await decoder.decode(saved(plain((20, 400)), "PNG"))
    assert (pixels.width, pixels.height) == (20, 400)
    assert image_of(pixels).getpixel((3, 3)) == (200, 30, 30)


@pytest.mark.parametrize("name", bombs.REFUSED)
async def test_bad_photo_is_refused_with_its_code(decoder, name):
    code, data = bombs.REFUSED[name]
    assert await code_of(decoder, data) == code


async def test_too_many_bytes_are_refused(decoder):
    assert await code_of(decoder, bytes(10 * 2**20 + 1)) == "too_large"


STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_orientation_is_applied(decoder, orientation, kind):
    stored = corners() if orientation == 1 else corners().transpose(STORED_AS[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = image_of(await decoder.decode(saved(stored, kind, exif=exif)))
    assert image.size == (96, 64)
    red, blue, white = (image.getpixel(at) for at in ((10, 10), (80, 10), (10, 50)))
    assert red[0] > 240 > 30 > red[2]
    assert blue[2] > 240 > 30 > blue[0]
    assert min(white) > 240


@pytest.mark.parametrize(
    ("image", "kind", "expected"),
    [
        (plain(color=(0, 255, 255, 0), mode="CMYK"), "JPEG", (255, 0, 0)),
        (plain(color=90, mode="L"), "JPEG", (90, 90, 90)),
        (plain(color=1, mode="1"), "PNG", (255, 255, 255)),
        (plain(color=90 * 257, mode="I;16"), "PNG", (90, 90, 90)),
        (plain(color=(10, 20, 30, 0), mode="RGBA"), "PNG", (255, 255, 255)),
        (plain(color=(0, 0, 0, 128), mode="RGBA"), "WEBP", (127, 127, 127)),
        (plain(color=(0, 128), mode="LA"), "PNG", (127, 127, 127)),
    ],
)
async def test_every_kind_of_pixel_becomes_rgb_on_white(decoder, image, kind, expected):
    found = image_of(await decoder.decode(saved(image, kind))).getpixel((30, 30))
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= 2


async def test_palette_with_transparency_becomes_rgb_on_white(decoder):
    image = plain(color=1, mode="P")
    image.putpalette([0, 0, 0, 0, 200, 0])
    image.paste(0, (0, 0, 32, 64))
    found = image_of(await decoder.decode(saved(image, "PNG", transparency=0)))
    assert (found.getpixel((5, 5)), found.getpixel((60, 5))) == ((255, 255, 255), (0, 200, 0))


async def test_nothing_of_the_metadata_leaves(decoder):
    exif = Image.Exif()
    exif[0x010F] = "SECRET-MAKER"
    exif.get_ifd(0x8825).update({1: "N", 2: (55.0, 45.0, 7.0), 3: "E", 4: (37.0, 36.0, 56.0)})
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "SECRET-COMMENT", zip=True)
    jpeg = saved(plain(), "JPEG", exif=exif, comment=b"SECRET-COMMENT", quality=100, subsampling=0)
    assert Image.open(io.BytesIO(jpeg)).getexif().get_ifd(0x8825)
    for bare, data in (
        (saved(plain(), "JPEG", quality=100, subsampling=0), jpeg),
        (saved(plain(), "PNG"), saved(plain(), "PNG", pnginfo=text, exif=exif)),
        (saved(plain(), "WEBP"), saved(plain(), "WEBP", exif=exif, xmp=b"SECRET-XMP")),
    ):
        pixels = await decoder.decode(data)
        assert b"SECRET" in data or b"Comment" in data
        assert pixels.rgb == (await decoder.decode(bare)).rgb
        assert vars(pixels).keys() == {"width", "height", "rgb", "sha256"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_photo_with_any_bytes_changed_is_decoded_or_refused(decoder, kind):
    chance = random.Random(0)
    photo = saved(Image.effect_noise((64, 48), 50).convert("RGB"), kind, exif=Image.Exif())
    for _ in range(60):
        data = bytearray(photo)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(chance.choice([40, len(data)]))] = chance.randrange(256)
        try:
            image_of(await decoder.decode(bytes(data)))
        except BadPhoto as error:
            assert error.code not in {"timeout", "crashed"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_what_hangs_behind_a_photo_does_not_leave(decoder, kind):
    photo = saved(corners(), kind)
    for tail in (bombs.zipped(), b"<script>alert(1)</script>"):
        assert (await decoder.decode(photo + tail)).rgb == (await decoder.decode(photo)).rgb


async def test_broken_exif_costs_the_orientation_only(decoder):
    pixels = await decoder.decode(saved(corners(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffgarbage"))
    assert (pixels.width, pixels.height) == (96, 64)


async def test_telephone_photo_with_a_second_picture_inside_is_no_animation(decoder):
    data = saved(corners(), "MPO", save_all=True, append_images=[plain((32, 32))])
    assert Image.open(io.BytesIO(data)).n_frames == 2
    pixels = await decoder.decode(data)
    assert (pixels.width, pixels.height) == (96, 64)


@pytest.mark.parametrize("prefix", ["", "data:image/jpeg;base64,", "DATA:IMAGE/PNG;BASE64,"])
async def test_base64_with_or_without_a_prefix_is_read(prefix):
    data = saved(plain(), "JPEG")
    assert from_base64(prefix + base64.b64encode(data).decode(), limits=Limits()) == data


@pytest.mark.parametrize(
    "text",
    ["фото", "abc", "ab=c", "YWJj\nYWJj", "YWJj YWJj", "data:text/html;base64,YWJj", "YW-_", "=", "YQ==YQ=="],
)
async def test_what_is_not_base64_is_refused(text):
    with pytest.raises(BadPhoto) as caught:
        from_base64(text, limits=Limits())
    assert caught.value.code == "not_base64"


async def test_base64_of_too_many_bytes_is_refused_unread():
    with pytest.raises(BadPhoto) as caught:
        from_base64("я" * 2000, limits=Limits(max_bytes=1000))
    assert caught.value.code == "too_large"


async def test_webp_that_would_take_too_much_memory_is_refused():
    decoder = Decoder(Limits(max_memory_bytes=2**20))
    assert await code_of(decoder, saved(plain((300, 300)), "WEBP")) == "too_many_pixels"
    assert (await decoder.decode(saved(plain((300, 300)), "JPEG"))).width == 288
    await decoder.close()
