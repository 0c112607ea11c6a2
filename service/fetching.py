"""A photo by its address, from allowed public hosts only: the service fetches nothing that lies inside."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Callable, Collection
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

Address: TypeAlias = IPv4Address | IPv6Address

MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TYPES = frozenset({"image/jpeg", "image/jpg", "image/pjpeg", "image/png", "image/webp"})
_HEADERS = {
    "Accept": "image/jpeg, image/png, image/webp",
    "Accept-Encoding": "identity",  # a compressed answer could be a bomb
    "User-Agent": "listing-photos",
}
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(
    r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)"
)  # a host that ends so is an IPv4 address to some parser
_UNICAST = ip_network("2000::/3")  # the only part of IPv6 that is handed out
_NAT64 = ip_network("64:ff9b::/96")
_INSIDE = (  # what `is_global` lets through, at least in Python 3.11
    ip_network("168.63.129.16/32"),  # Azure's own services, seen from a virtual machine
    ip_network("192.0.0.0/24"),  # IETF assignments; Oracle's metadata
    ip_network("192.88.99.0/24"),  # relays of 6to4, withdrawn
    ip_network("2001::/23"),  # IETF assignments, Teredo among them
    ip_network("3fff::/20"),  # documentation
)


class CannotFetch(Exception):
    """The photo was not fetched; `code` is stable, the message names no host or address.

    Codes: bad_url, scheme_not_allowed, credentials_in_url, host_not_allowed, port_not_allowed,
    address_not_public, insecure_redirect, too_many_redirects, status_N (the host answered N), not_an_image,
    encoded, too_large, timeout, tls_failed, unreachable, closed.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def is_public(address: Address) -> bool:
    """Tell whether an address, and any IPv4 address inside it, belongs to the public internet."""
    if any(address in network for network in _INSIDE):
        return False
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    if address.scope_id is not None:
        return False
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour is not None and not is_public(address.sixtofour):
        return False
    return address in _UNICAST and address.is_global and not address.is_multicast


class Fetcher:
    """Fetches from `allowed_hosts` (`img.example.ru`, or `*.example.ru` for all names below); none: nothing.

    `timeout_s` bounds all of a fetch, name lookups and redirects included. Every fetch looks the name up once
    a hop and connects to the very addresses that were checked. Needs no running loop to be made.
    """

    def __init__(
        self,
        allowed_hosts: Collection[str],
        *,
        max_bytes: int = 10 * 2**20,
        connect_timeout_s: float = 3.0,
        timeout_s: float = 10.0,
        ports: Collection[int] = (80, 443),
        ssl_context: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
        is_public: Callable[[Address], bool] = is_public,
    ) -> None:
        self._hosts = frozenset(_host_of(host) for host in allowed_hosts if not host.startswith("*."))
        self._suffixes = tuple("." + _host_of(host[2:]) for host in allowed_hosts if host.startswith("*."))
        self._max_bytes = max_bytes
        self._connect_timeout_s = connect_timeout_s
        self._timeout_s = timeout_s
        self._ports = frozenset(ports)
        self._ssl_context = ssl_context
        self._resolver = resolver
        self._is_public = is_public
        self._session: aiohttp.ClientSession | None = None
        self._running: set[aiohttp.ClientResponse] = set()
        self._closed = False

    async def fetch(self, url: str) -> bytes:
        """Return the body, or raise `CannotFetch`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._follow(self._checked(url))
        except TimeoutError:
            raise CannotFetch("timeout", "The photo's host did not answer in time") from None
        except aiohttp.ClientSSLError as error:
            raise CannotFetch("tls_failed", "The photo's host could not be verified over TLS") from error
        except (aiohttp.ClientError, OSError) as error:
            raise CannotFetch("unreachable", "The photo's host was not reached or broke off") from error

    async def close(self) -> None:
        """Close all connections; running fetches end with `CannotFetch`."""
        self._closed = True
        for response in self._running:
            response.close()  # closing the session alone would leave the reader waiting
        if self._session is not None:
            await self._session.close()

    async def _follow(self, url: URL) -> bytes:
        """Fetch, following redirects by hand: each is checked like the first address."""
        for _ in range(1 + MAX_REDIRECTS):
            response = await self._started().get(url, allow_redirects=False)
            self._running.add(response)
            try:
                location = response.headers.get("Location")
                if response.status not in _REDIRECTS or location is None:
                    return await self._body(response)
            finally:
                self._running.discard(response)
                response.close()
            url = self._checked(location, base=url)
        raise CannotFetch("too_many_redirects", f"At most {MAX_REDIRECTS} redirects are followed")

    def _checked(self, text: str, *, base: URL | None = None) -> URL:
        """Parse an address, once for the check and for the connection, or refuse it."""
        if any(letter <= " " or letter in "\\\x7f" for letter in text):
            raise CannotFetch("bad_url", "The address holds spaces, backslashes or control characters")
        try:
            url = URL(text) if base is None else base.join(URL(text))
            port = url.port
        except (ValueError, IndexError):  # yarl 1.25 raises IndexError for "http://[]@/"
            raise CannotFetch("bad_url", "This is no address of a photo on the web") from None
        if url.scheme not in {"http", "https"}:
            raise CannotFetch("scheme_not_allowed", "Only http and https are allowed")
        if base is not None and base.scheme == "https" and url.scheme == "http":
            raise CannotFetch("insecure_redirect", "A redirect from https to http is not followed")
        if "@" in url.raw_authority:
            raise CannotFetch("credentials_in_url", "User names and passwords in an address are not allowed")
        try:
            host = _host_of(url.raw_host or "")
        except ValueError:
            raise CannotFetch("host_not_allowed", "Photos are fetched from hosts by name only") from None
        if host not in self._hosts and not host.endswith(self._suffixes):
            raise CannotFetch("host_not_allowed", "Photos are not fetched from this host")
        if port not in self._ports:
            raise CannotFetch("port_not_allowed", "Photos are not fetched from this port")
        return url.with_host(host).with_fragment(None)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        """Read the answer's body as far as it is allowed to go."""
        if response.status != 200:
            raise CannotFetch(f"status_{response.status}", f"The photo's host answered {response.status}")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise CannotFetch("encoded", "The photo's host sent a compressed body")
        if "Content-Type" in response.headers and response.content_type.lower() not in _TYPES:
            raise CannotFetch("not_an_image", "The photo's host sent no JPEG, PNG or WebP")
        body = bytearray()
        if (response.content_length or 0) > self._max_bytes:
            raise self._too_large()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._max_bytes:
                raise self._too_large()
        return bytes(body)

    def _too_large(self) -> CannotFetch:
        return CannotFetch("too_large", f"The photo has more than {self._max_bytes} bytes")

    def _started(self) -> aiohttp.ClientSession:
        if self._closed:
            raise CannotFetch("closed", "The service is shutting down")
        if self._session is None:
            resolver = _PublicOnly(self._resolver or aiohttp.DefaultResolver(), is_public=self._is_public)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=resolver,
                    use_dns_cache=False,
                    force_close=True,  # a connection serves the one fetch that its address was checked for
                    ssl=self._ssl_context or True,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_HEADERS,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout_s),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


class _PublicOnly(AbstractResolver):
    """Lets a name through only if all its addresses are public; aiohttp connects to what is returned."""

    def __init__(self, resolver: AbstractResolver, *, is_public: Callable[[Address], bool]) -> None:
        self._resolver = resolver
        self._is_public = is_public

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = [answer["host"] for answer in await self._resolver.resolve(host, port, family=family)]
        if not addresses:
            raise OSError("the name has no address")
        return [self._checked(address, host=host, port=port) for address in addresses]

    async def close(self) -> None:
        await self._resolver.close()

    def _checked(self, text: str, *, host: str, port: int) -> ResolveResult:
        try:
            address = ip_address(text)
            public = self._is_public(address)
        except ValueError:
            public = False
        if not public:
            raise CannotFetch("address_not_public", "The photo's host is not on the public internet")
        return ResolveResult(
            hostname=host,
            host=str(address),
            port=port,
            family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
            proto=socket.IPPROTO_TCP,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )


def _host_of(name: str) -> str:
    """Return a host's name in lower-case ASCII (IDNA) without a trailing dot, or raise ValueError.

    An IP address in any spelling (decimal, octal, hexadecimal, short, IPv6) is no name.
    """
    host = (URL.build(scheme="https", host=name).raw_host or "").lower().removesuffix(".")
    if len(host) > 253 or _HOST.fullmatch(host) is None or _NUMBER.fullmatch(host):
        raise ValueError("not a host's name")
    return host
