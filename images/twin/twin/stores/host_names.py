"""Whether a host's name does not exist at all, or only cannot be looked up for the moment."""

import socket

#: What a resolver answers of a name that is not there (RFC 1035's NXDOMAIN), or that has no
#: address. `EAI_AGAIN` is none of them: the name server is away, and another time it may answer.
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


def is_unknown(error: OSError) -> bool:
    """Whether a failed look-up says that there is no such name, so that trying again is no use."""
    return isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME


def has_no_address(host: str) -> bool:
    """Look a name up once more, to learn what a library's error does not say: see `is_unknown`."""
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return isinstance(error, UnicodeError) or is_unknown(error)
    return False


def unknown_host_of(error: BaseException) -> str | None:
    """The host that there is not, if that is at the bottom of an error; "" if none says its name.

    Clients wrap a failed look-up several times; aiohttp's error knows the host.
    """
    host, cause = "", error.__cause__ or error.__context__
    chain = [error]
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    for one in chain:
        host = host or str(getattr(one, "host", "") or "")
    return host if any(isinstance(one, OSError) and is_unknown(one) for one in chain) else None


def no_such_host(host: str) -> str:
    """For people."""
    return f"there is no host {host or 'of this name'}: is its name spelled right?"
