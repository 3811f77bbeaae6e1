"""What a crawl may reach. The addresses are those of OWASP's SSRF cheat sheet and RFC 6890."""

import pytest

from twin.stores.addresses import AddressGuard, RefusedAddressError, host_and_port

NOT_PUBLIC = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.3.4", "192.168.1.1",
    "169.254.169.254",  # the metadata service of the large clouds
    "100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "fe80::1", "fd00:ec2::254",
    "::ffff:127.0.0.1", "2002:7f00:0001::",
    "192.0.0.192", "168.63.129.16",  # Oracle's, and what Azure's machines ask
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "::7f00:1", "fec0::1",
]  # fmt: skip


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_that_are_not_public_are_refused_literally_and_resolved(address: str) -> None:
    guard = AddressGuard(())
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(RefusedAddressError, match="allow_private"):
        guard.check_url(f"http://{host}/latest/meta-data")
    with pytest.raises(RefusedAddressError, match="not public"):
        guard.check_resolved("innocent.example", address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111", "64:ff9b::5db8:d70e"])
def test_public_addresses_pass(address: str) -> None:
    guard = AddressGuard(())
    guard.check_url(f"http://[{address}]/" if ":" in address else f"https://{address}/")
    guard.check_resolved("example.org", address)


def test_only_the_named_port_of_an_allowed_host_passes() -> None:
    guard = AddressGuard(["127.0.0.1:8099", "intranet:80", "[::1]:8000"])
    for url in ("http://127.0.0.1:8099/x", "http://intranet/", "http://[::1]:8000/"):
        guard.check_url(url)
    guard.check_resolved("intranet", "10.1.2.3")
    for url in ("http://127.0.0.1:27017/", "http://intranet:9000/", "http://127.0.0.2:8099/"):
        with pytest.raises(RefusedAddressError):
            guard.check_url(url)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.org/", "gopher://x/", "http://", "http://x:99999/"]
)
def test_only_http_urls_have_a_host_and_port(url: str) -> None:
    with pytest.raises(RefusedAddressError):
        host_and_port(url)


def test_default_ports() -> None:
    assert host_and_port("https://Example.org/a") == ("example.org", 443)
    assert host_and_port("http://example.org:8080") == ("example.org", 8080)
