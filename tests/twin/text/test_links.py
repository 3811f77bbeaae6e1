import pytest

from twin.text.links import defang, host_of, hosts_in

ALLOWED = frozenset({"ann.example", "localhost"})


@pytest.mark.parametrize(
    "text",
    [
        "see https://ann.example/posts?a=1#b.",
        "see https://blog.ann.example, or HTTP://ANN.EXAMPLE/x",
        "[pods](https://ann.example/pods) and <https://ann.example>",
        "curl http://localhost:8000/v1/answers",
        "www.ann.example",
        "no address: a//b, c:\\d, 1/2, e.g., www.",
        "AT&amp;T &lt;b&gt;",
        "data: javascript: a word before a colon",
    ],
)
def test_what_leads_to_allowed_hosts_or_nowhere_stays(text):
    assert defang(text, ALLOWED) == (text, 0)


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("see https://evil.example/x.", "see hxxps[:]//evil[.]example/x."),
        ("HTTP://EVIL.EXAMPLE", "hxxp[:]//EVIL[.]EXAMPLE"),
        ("![a](https://evil.example/i.png?q=1)", "![a](hxxps[:]//evil[.]example/i.png?q=1)"),
        ("https://ann.example@evil.example/", "hxxps[:]//ann[.]example@evil[.]example/"),
        ("https://ann.example.evil.example", "hxxps[:]//ann[.]example[.]evil[.]example"),
        ("https://notann.example", "hxxps[:]//notann[.]example"),
        ("[x](//evil.example)", "[x](hxxps[:]//evil[.]example)"),
        ("[x](javascript:alert(1))", "[x](javascript[:]alert(1))"),
        ("[x](&#104;ttps://evil.example)", "[x](hxxps[:]//evil[.]example)"),
        ("www.evil.example", "www[.]evil[.]example"),
        ("ftp://evil.example", "fxp[:]//evil[.]example"),
        ("https://[evil", "hxxps[:]//[evil"),
        ("https://\u0435vil.example", "hxxps[:]//\u0435vil[.]example"),
    ],
)
def test_other_addresses_lead_nowhere(text, harmless):
    cleaned, count = defang(text, ALLOWED)
    assert (cleaned, count) == (harmless, 1)
    assert not hosts_in(cleaned)


def test_hosts_are_read_as_browsers_do():
    assert hosts_in("https://A.example/x, http://b.example:80. ftp://c.example") == {
        "a.example", "b.example", "c.example",
    }  # fmt: skip
    assert host_of("https://user:pass@d.example./") == "d.example"
    assert host_of("https://[::1]/") == "::1"
    assert host_of("https://[bad") == host_of("nothing") == ""
