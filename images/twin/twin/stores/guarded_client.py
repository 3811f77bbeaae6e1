"""Plain HTTP requests that reach no address which the guard refuses."""

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

from twin.stores.addresses import AddressGuard, host_and_port
from twin.stores.host_names import is_unknown, no_such_host

if TYPE_CHECKING:
    import httpcore


class UnansweredError(Exception):
    """A request that got no answer; the text says why."""


class UnknownHostError(Exception):
    """A host whose name does not exist; the text says which. Asking again is no use."""


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def resolved(guard: AddressGuard, host: str, port: int) -> str:
    """An address of a host that may be reached.

    Raises:
        RefusedAddressError: its addresses are not public, and it is no exception.
        UnknownHostError: there is no such name.
        UnansweredError: it cannot be looked up now.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # no name may look like this
        raise UnknownHostError(no_such_host(host)) from None
    except OSError as error:
        if is_unknown(error):
            raise UnknownHostError(no_such_host(host)) from None
        raise UnansweredError(f"{host} cannot be resolved: {error.strerror or error}") from None
    for _, _, _, _, address in found:
        guard.check_resolved(host, str(address[0]))
    return str(found[0][4][0])


def get(
    url: str,
    guard: AddressGuard,
    *,
    headers: Mapping[str, str],
    timeout_seconds: float,
    max_bytes: int,
) -> Answer:
    """Fetch a URL; redirects are answers, not followed.

    Raises:
        RefusedAddressError: it leads where the guard refuses to go.
        UnknownHostError: there is no such host.
        UnansweredError: no answer in time, or more than ``max_bytes`` of it.
    """
    import httpcore

    guard.check_url(url)
    extensions = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout_seconds)}
    try:
        with (
            _pool(url, guard) as pool,
            pool.stream(
                "GET", url, headers=list(headers.items()), extensions=extensions
            ) as response,
        ):
            return Answer(
                response.status,
                {
                    name.decode().lower(): value.decode("latin-1")
                    for name, value in response.headers
                },
                _limited(response.iter_stream(), max_bytes),
            )
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError,
            httpcore.ProxyError) as error:  # fmt: skip
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnansweredError(reason) from None


def _limited(chunks: Iterable[bytes], max_bytes: int) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > max_bytes:
            raise UnansweredError(f"answered with more than {max_bytes:,} bytes")
    return bytes(body)


def _pool(url: str, guard: AddressGuard) -> "httpcore.ConnectionPool":
    """Connections to the very address that was checked, or to the operator's proxy."""
    import httpcore

    host, port = host_and_port(url)
    proxy = getproxies().get(url.partition(":")[0])
    if proxy and not proxy_bypass(host) and not guard.allows(host, port):
        return httpcore.HTTPProxy(proxy)

    class GuardedBackend(httpcore.SyncBackend):
        def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> Any:
            return super().connect_tcp(resolved(guard, host, port), port, *args, **options)

    return httpcore.ConnectionPool(network_backend=GuardedBackend())
