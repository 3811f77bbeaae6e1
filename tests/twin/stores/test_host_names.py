"""Names of hosts as the system's own resolver knows them, or does not."""

import subprocess

from tests.twin.resolver import ALONE, UNKNOWN, needs_a_name_server, needs_a_network
from twin.stores.host_names import has_no_address, is_unknown, no_such_host, unknown_host_of


@needs_a_name_server
def test_a_name_that_the_name_server_does_not_know() -> None:
    assert has_no_address(UNKNOWN)


def test_a_name_that_is_there() -> None:
    assert not has_no_address("localhost")
    assert not has_no_address("127.0.0.1")


def test_what_can_be_no_name() -> None:
    assert has_no_address("a" * 64 + ".example")


PROGRAM = f"""
import socket
from twin.stores.host_names import has_no_address, is_unknown
try:
    socket.getaddrinfo({UNKNOWN!r}, None)
except OSError as error:
    print(error.errno == socket.EAI_AGAIN, is_unknown(error))
print(has_no_address({UNKNOWN!r}))
"""


@needs_a_network
def test_a_name_server_that_is_away_says_nothing_of_the_name() -> None:
    done = subprocess.run([*ALONE, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "False", "False"], done.stderr


def test_other_errors_of_a_connection_are_none_of_these() -> None:
    assert not is_unknown(ConnectionRefusedError())
    assert unknown_host_of(ConnectionRefusedError()) is None


def test_a_host_without_a_name_is_told_too() -> None:
    assert no_such_host("") == "there is no host of this name: is its name spelled right?"
