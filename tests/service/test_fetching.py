"""A photo is fetched from its host as far as it may go, whatever the host answers."""

import asyncio
import shutil
import time

import pytest

from tests.service.photo_hosts import MAX_BYTES, PHOTO, Host, certificate, code_of, fetching, raw_host


@pytest.fixture
async def host():
    async with Host().running() as host:
        yield host


@pytest.fixture
async def fetcher(host):
    async with fetching(host.port) as fetcher:
        yield fetcher


@pytest.mark.parametrize(
    "address",
    [
        "http://img.example.ru:{port}/photo.jpg",
        "HTTP://IMG.Example.RU.:{port}/photo.jpg",
        "http://a.cdn.example:{port}/png?width=100#top",
        "http://пример.рф:{port}/фото.jpg",
        "http://xn--e1afmkfd.xn--p1ai:{port}/x",
    ],
)
async def test_photo_of_an_allowed_host_is_fetched(fetcher, host, address):
    assert await fetcher.fetch(address.format(port=host.port)) == PHOTO


async def test_photo_of_exactly_the_limit_is_fetched(fetcher, host):
    assert len(await fetcher.fetch(f"http://img.example.ru:{host.port}/full")) == MAX_BYTES


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("status_404", "404"),
        ("status_206", "206"),
        ("status_302", "302"),
        ("status_500", "500"),
        ("not_an_image", "html"),
        ("not_an_image", "svg"),
        ("not_an_image", "gif"),
        ("encoded", "gzip"),
        ("too_large", "large"),
        ("too_large", "endless"),
        ("timeout", "slow"),
        ("timeout", "silent"),
    ],
)
async def test_bad_answer_is_refused_with_its_code(fetcher, host, code, path):
    began = time.monotonic()
    assert await code_of(fetcher, f"http://img.example.ru:{host.port}/{path}") == code
    assert time.monotonic() - began < 3


async def test_unknown_and_empty_names_and_closed_ports_are_unreachable(fetcher, host):
    for name in ("unknown", "empty"):
        assert await code_of(fetcher, f"http://{name}.cdn.example:{host.port}/") == "unreachable"
    async with raw_host(b"") as port:
        pass
    async with fetching(port) as fetcher:
        assert await code_of(fetcher, f"http://img.example.ru:{port}/") == "unreachable"


@pytest.mark.parametrize(
    ("code", "headers", "body"),
    [
        ("unreachable", "Content-Length: 5000", b"short"),
        ("unreachable", "Content-Length: 3", b"longer"),
        ("unreachable", "Content-Length: -5", b"short"),
        ("too_large", f"Content-Length: {10**15}", b"short"),
        ("too_large", "Connection: close", bytes(2 * MAX_BYTES)),
        ("unreachable", "Transfer-Encoding: chunked", b"ZZ\r\nno chunk\r\n"),
        ("unreachable", "X: " + "y" * 100_000, b""),
    ],
)
async def test_lie_about_the_body_is_refused(code, headers, body):
    answer = f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n".encode() + body
    async with raw_host(answer) as port, fetching(port) as fetcher:
        assert await code_of(fetcher, f"http://img.example.ru:{port}/") == code


async def test_body_of_an_untold_type_and_length_is_read_to_its_end():
    async with raw_host(b"HTTP/1.1 200 OK\r\n\r\n" + PHOTO) as port, fetching(port) as fetcher:
        assert await fetcher.fetch(f"http://img.example.ru:{port}/") == PHOTO


async def test_redirects_are_followed_three_times(fetcher, host):
    there = f"http://img.example.ru:{host.port}"
    assert await fetcher.fetch(f"{there}/301?to=photo.jpg") == PHOTO
    host.requests.clear()
    assert await fetcher.fetch(f"{there}/307?to=//a.cdn.example:{host.port}/photo.jpg") == PHOTO
    assert [name for name, _ in host.requests] == ["img.example.ru", "a.cdn.example"]
    host.requests.clear()
    assert await fetcher.fetch(f"{there}/countdown/3") == PHOTO
    assert await code_of(fetcher, f"{there}/countdown/4") == "too_many_redirects"
    assert await code_of(fetcher, f"{there}/loop") == "too_many_redirects"
    assert len(host.requests) == 4 + 4 + 4


async def test_nothing_of_the_environment_and_of_earlier_answers_is_sent(fetcher, host, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for _ in range(2):
        assert await fetcher.fetch(f"http://img.example.ru:{host.port}/photo.jpg") == PHOTO
    for headers in host.headers:
        assert headers.keys() == {"Host", "Accept", "Accept-Encoding", "User-Agent", "Connection"}
        assert headers["Accept-Encoding"] == "identity"


async def test_fetches_run_side_by_side_and_one_can_be_given_up(fetcher, host):
    slow = asyncio.create_task(fetcher.fetch(f"http://img.example.ru:{host.port}/slow"))
    urls = [f"http://img.example.ru:{host.port}/photo.jpg"] * 20
    assert await asyncio.gather(*map(fetcher.fetch, urls)) == [PHOTO] * 20
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert await fetcher.fetch(urls[0]) == PHOTO


async def test_closed_fetcher_fetches_nothing(fetcher, host):
    url = f"http://img.example.ru:{host.port}/slow"
    began = time.monotonic()
    running = asyncio.create_task(code_of(fetcher, url))
    await asyncio.sleep(0.2)
    await fetcher.close()
    assert await code_of(fetcher, url) == "closed"
    assert await running == "unreachable"
    assert time.monotonic() - began < 0.8


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
async def test_certificate_is_held_against_the_name_and_https_is_not_left(tmp_path):
    shown, trusted = certificate(tmp_path, "img.example.ru")
    async with Host().running(tls=shown) as host, Host().running() as plain:
        there = f"img.example.ru:{host.port}"
        async with fetching(host.port, plain.port, ssl_context=trusted) as fetcher:
            assert await fetcher.fetch(f"https://{there}/photo.jpg") == PHOTO
            assert await code_of(fetcher, f"https://a.cdn.example:{host.port}/photo.jpg") == "tls_failed"
            down = f"https://{there}/302?to=http://img.example.ru:{plain.port}/photo.jpg"
            assert await code_of(fetcher, down) == "insecure_redirect"
            up = f"http://img.example.ru:{plain.port}/302?to=https://{there}/photo.jpg"
            assert await fetcher.fetch(up) == PHOTO
        async with fetching(host.port) as fetcher:
            assert await code_of(fetcher, f"https://{there}/photo.jpg") == "tls_failed"
    assert [path for _, path in plain.requests] == ["/302"]


async def test_https_to_a_host_without_it_fails(fetcher, host):
    assert await code_of(fetcher, f"https://img.example.ru:{host.port}/photo.jpg") == "tls_failed"
