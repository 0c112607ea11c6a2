"""Which addresses a photo may come from: names on the list whose every address is public, at every hop."""

from ipaddress import ip_address

import pytest

from service.fetching import Fetcher, is_public
from tests.service.photo_hosts import PHOTO, Dns, Host, code_of, fetching, raw_host


@pytest.fixture
async def host():
    async with Host().running() as host:
        yield host


PUBLIC = [
    "8.8.8.8",
    "77.88.55.242",
    "2a02:6b8::2:242",
    "2606:4700::1111",
    "64:ff9b::808:808",
    "::ffff:8.8.8.8",
    "2002:808:808::1",
]

INSIDE = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("100.64.0.1", "100.100.100.200", "169.254.169.254", "168.63.129.16", "192.0.0.192", "192.0.2.1"),
    *("198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *(
        "192.88.99.1",
        "::",
        "::1",
        "::127.0.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
    ),
    *("ff02::1", "ff0e::1", "2001:db8::1", "3fff::1", "5f00::1", "100::1", "2001::1", "2001:0:7f00:1::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
    *("64:ff9b:1::808:808", "2002:a00:1::1", "2002:7f00:1::1", "2606:4700::1111%eth0"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_address_of_the_internet_is_public(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", INSIDE)
def test_address_inside_is_not_public(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", INSIDE)
async def test_name_of_an_address_inside_is_refused(address):
    dns = Dns({"img.example.ru": [["8.8.8.8", address]]})
    async with fetching(80, resolver=dns, is_public=is_public) as fetcher:
        assert await code_of(fetcher, "http://img.example.ru/photo.jpg") == "address_not_public"


NOT_ALLOWED_HOSTS = [
    *("127.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.1", "0"),
    *("１２７.0.0.1", "127。0。0。1", "127.0.0.1.", "[::1]", "[::]", "[fc00::1]", "[fe80::1]"),
    *("[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "169.254.169.254", "10.0.0.1", "8.8.8.8", "[2606::1]"),
    *("evil.example", "cdn.example", "evilcdn.example", "img.example.ru.evil.example", "img.example.ru.."),
    *("img.example.ru%2eevil", "ximg.example.ru", "-.cdn.example", f"{'a' * 64}.cdn.example"),
]


@pytest.mark.parametrize("name", NOT_ALLOWED_HOSTS)
async def test_host_that_is_not_allowed_is_not_even_looked_up(name):
    dns = Dns({})
    async with fetching(80, resolver=dns) as fetcher:
        assert await code_of(fetcher, f"http://{name}/photo.jpg") == "host_not_allowed"
    assert dns.num_lookups == 0


@pytest.mark.parametrize(
    ("code", "address"),
    [
        ("host_not_allowed", "http://evil.example:{port}/#@img.example.ru"),
        ("address_not_public", "http://localhost:{port}/"),
        ("address_not_public", "http://half.cdn.example:{port}/"),
        ("address_not_public", "http://strange.cdn.example:{port}/"),
        ("credentials_in_url", "http://user:secret@img.example.ru:{port}/"),
        ("credentials_in_url", "http://evil.example@img.example.ru:{port}/"),
        ("port_not_allowed", "http://img.example.ru:22/"),
        ("port_not_allowed", "http://img.example.ru/"),
        ("scheme_not_allowed", "file:///etc/passwd"),
        ("scheme_not_allowed", "ftp://img.example.ru/x"),
        ("scheme_not_allowed", "gopher://img.example.ru:{port}/x"),
        ("scheme_not_allowed", "data:image/png;base64,AAAA"),
        ("scheme_not_allowed", "//img.example.ru/x"),
        ("scheme_not_allowed", ""),
        ("bad_url", "http://img.example.ru:99999999/"),
        ("bad_url", "http://img.example.ru:{port}/a b"),
        ("bad_url", "http://img.example.ru:{port}/\r\nX: y"),
        ("bad_url", "http://img.example.ru\\@evil.example:{port}/"),
        ("bad_url", "http://[::1/"),
        ("bad_url", "http://[]@/"),
    ],
)
async def test_bad_address_is_refused_before_any_request(host, code, address):
    async with fetching(host.port) as fetcher:
        assert await code_of(fetcher, address.format(port=host.port)) == code
    assert not host.requests


async def test_without_allowed_hosts_nothing_is_fetched(host):
    async with fetching(host.port, allowed=[]) as fetcher:
        assert await code_of(fetcher, f"http://img.example.ru:{host.port}/photo.jpg") == "host_not_allowed"


@pytest.mark.parametrize(
    "name", ["127.0.0.1", "*.1", "*", "", "a b", "[::1]", "*.*.ru", "https://img.example.ru"]
)
async def test_what_is_no_name_cannot_be_allowed(name):
    with pytest.raises(ValueError, match=r".+"):
        Fetcher([name])


@pytest.mark.parametrize(
    ("code", "location"),
    [
        ("host_not_allowed", "http://169.254.169.254/latest/meta-data/"),
        ("host_not_allowed", "http://127.0.0.1:{port}/photo.jpg"),
        ("host_not_allowed", "http://evil.example:{port}/"),
        ("address_not_public", "http://inside.cdn.example:{port}/"),
        ("scheme_not_allowed", "file:///etc/passwd"),
        ("port_not_allowed", "http://img.example.ru:6379/"),
        ("credentials_in_url", "http://user@img.example.ru:{port}/"),
        ("bad_url", "http://img.example.ru:{port}\\@evil.example/"),
    ],
)
async def test_redirect_is_checked_like_the_first_address(host, code, location):
    answer = f"HTTP/1.1 302 Found\r\nLocation: {location.format(port=host.port)}\r\nContent-Length: 0\r\n\r\n"
    async with raw_host(answer.encode()) as port, fetching(host.port, port) as fetcher:
        assert await code_of(fetcher, f"http://img.example.ru:{port}/") == code
    assert not host.requests


async def test_name_that_changes_its_address_is_looked_up_once_a_fetch(host):
    dns = Dns({"img.example.ru": [["127.0.0.1"], ["10.0.0.1"], ["127.0.0.1"]]})
    url = f"http://img.example.ru:{host.port}/photo.jpg"
    async with fetching(host.port, resolver=dns) as fetcher:
        assert await fetcher.fetch(url) == PHOTO
        assert dns.num_lookups == 1
        assert await code_of(fetcher, url) == "address_not_public"
        assert len(host.requests) == 1
        assert await fetcher.fetch(url) == PHOTO


async def test_name_that_changes_its_address_during_a_redirect_is_refused(host):
    dns = Dns({"img.example.ru": [["127.0.0.1"], ["169.254.169.254"]]})
    async with fetching(host.port, resolver=dns) as fetcher:
        url = f"http://img.example.ru:{host.port}/302?to=/photo.jpg"
        assert await code_of(fetcher, url) == "address_not_public"
    assert len(host.requests) == 1
