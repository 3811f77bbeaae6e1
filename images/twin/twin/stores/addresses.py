"""Which network addresses may be reached on an outsider's word: public ones, and named exceptions.

A page, a redirect, a sitemap or a caller's webhook is an outsider's text. Without this check it
could make a crawl or a replica ask a cloud's metadata service or a neighbour's admin page
(server-side request forgery, see the OWASP cheat sheet of that name). Names are checked after they
are resolved, on the very address that is then connected to, so a name that changes its address in
between gains nothing.
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}

#: What `ipaddress` takes for public, or did not always take for private.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # of protocols, and of a cloud's metadata (RFC 6890)
        "168.63.129.16/32",  # what the machines of Azure ask about themselves
        "::/96",  # IPv4 in its oldest dress (RFC 4291, 2.5.5.1)
        "64:ff9b:1::/48",  # gateways inside a network (RFC 8215)
        "fec0::/10",  # site-local (RFC 3879)
    )
)
_GATEWAY = ipaddress.IPv6Network("64:ff9b::/96")


class RefusedAddressError(Exception):
    """An address that must not be reached; its text says which and how to allow it."""


def host_and_port(url: str) -> tuple[str, int]:
    """Host (lower case, no brackets) and port of an http(s) URL.

    Raises:
        RefusedAddressError: another scheme, or no valid host and port.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise RefusedAddressError(f"{url}: not a URL") from None
    if parts.scheme not in DEFAULT_PORTS or not host:
        raise RefusedAddressError(f"{url}: only http and https are fetched")
    return host, port or DEFAULT_PORTS[parts.scheme]


class AddressGuard:
    """Refuses loopback, private, link-local and other addresses that are not public.

    Args:
        allowed: ``host:port`` of such addresses that may be reached all the same.
        exceptions: what lists those, in the words of a refusal.
    """

    def __init__(
        self, allowed: Iterable[str], exceptions: str = "the source's allow_private"
    ) -> None:
        self._exceptions = exceptions
        self._allowed = frozenset(entry.replace("[", "").replace("]", "") for entry in allowed)
        self.allowed_hosts = frozenset(entry.rpartition(":")[0] for entry in self._allowed)

    def check_url(self, url: str) -> None:
        """Check what can be told before a name is resolved.

        Raises:
            RefusedAddressError: a literal address that is not public, or a host of which
                other ports only are allowed.
        """
        host, port = host_and_port(url)
        if self.allows(host, port):
            return
        if host in self.allowed_hosts:
            raise self._refusal(f"{host}:{port}", "not the allowed port")
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return  # a name: `check_resolved` sees its address
        if not _is_public(address):
            raise self._refusal(f"{host}:{port}", "not a public address")

    def allows(self, host: str, port: int) -> bool:
        """Whether this host and port are a named exception."""
        return f"{host}:{port}" in self._allowed

    def check_resolved(self, host: str, address: str) -> None:
        """Check the address that a name resolved to.

        Raises:
            RefusedAddressError: it is not public, and the name is no exception.
        """
        if host in self.allowed_hosts:
            return  # its port was checked by `check_url`
        if not _is_public(ipaddress.ip_address(address)):
            raise self._refusal(host, f"resolves to {address}, which is not public")

    def _refusal(self, host: str, why: str) -> RefusedAddressError:
        return RefusedAddressError(
            f"{host} is refused: {why} ({self._exceptions} lists exceptions as host:port)"
        )


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or _translated(address)
        if inner is not None:
            return _is_public(inner)
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a gateway makes of one of its own IPv6 addresses (RFC 6052)."""
    if address not in _GATEWAY:
        return None
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
