"""What this machine's resolver can be asked, and a network in which it cannot."""

import shutil
import socket
import subprocess
import sys

import pytest

#: RFC 6761: never the name of a host.
UNKNOWN = "no-such-host.invalid"
#: In a network of its own without any interface, no name server can be asked.
ALONE = ("unshare", "--map-root-user", "--net", sys.executable)


def _answers_nxdomain() -> bool:
    """Whether there is a name server, which says of such a name that it is not there."""
    try:
        socket.getaddrinfo(UNKNOWN, None)
    except socket.gaierror as error:
        return error.errno == socket.EAI_NONAME
    return False


def _may_be_alone() -> bool:
    """Whether this user may make a network of its own."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*ALONE, "-c", ""], capture_output=True, check=False).returncode == 0


needs_a_name_server = pytest.mark.skipif(not _answers_nxdomain(), reason="no name server answers")
needs_a_network = pytest.mark.skipif(not _may_be_alone(), reason="no right to make a network")
