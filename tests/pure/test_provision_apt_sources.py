"""Reading the machine's apt sources, so that the private tree comes from the mirror that the machine uses already."""

from hypothesis import given
from hypothesis import strategies as st

from provision.apt_sources import AptSource, parse_deb822, parse_one_line_style, render_deb822, sources_of_suite

DEB822 = """\
# the machine's mirror
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
Enabled: no
URIs: http://elsewhere.example/debian
Suites: bookworm
Components: main
"""

hosts = st.from_regex(r"https?://[a-z]{1,8}\.example/[a-z]{1,8}", fullmatch=True)
words = st.from_regex(r"[a-z][a-z-]{0,10}", fullmatch=True)
sources = st.builds(
    AptSource,
    uri=hosts,
    suites=st.lists(words, min_size=1, max_size=3).map(tuple),
    components=st.lists(words, min_size=1, max_size=3).map(tuple),
    signed_by=st.none() | st.just("/usr/share/keyrings/debian-archive-keyring.gpg"),
)


@given(st.lists(sources, max_size=5))
def test_what_is_written_reads_back_the_same(given_sources: list[AptSource]):
    assert list(parse_deb822(render_deb822(given_sources))) == given_sources


def test_disabled_stanzas_are_left_out():
    uris = [source.uri for source in parse_deb822(DEB822)]
    assert uris == ["http://mirror.example/debian", "http://mirror.example/debian-security"]


def test_a_key_inside_the_stanza_keeps_its_lines():
    text = "Types: deb\nURIs: http://m.example/debian\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN\n .\n abc\n"
    (source,) = parse_deb822(text)
    assert source.signed_by == "-----BEGIN\n.\nabc"
    assert next(parse_deb822(render_deb822([source]))).signed_by == source.signed_by


def test_one_line_style_knows_options_and_comments():
    text = "\n".join(
        [
            "# deb http://old.example/debian bookworm main",
            "deb-src http://mirror.example/debian bookworm main",
            "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib # the mirror",
            "deb [ trusted=yes ] http://mirror.example/debian bookworm-security main",
        ]
    )
    assert list(parse_one_line_style(text)) == [
        AptSource("http://mirror.example/debian", ("bookworm",), ("main", "contrib"), "/k.gpg"),
        AptSource("http://mirror.example/debian", ("bookworm-security",), ("main",)),
    ]


def test_the_wanted_suite_comes_from_the_same_mirrors_with_its_security_updates():
    found = sources_of_suite(list(parse_deb822(DEB822)), machine_suite="bookworm", wanted_suite="trixie")
    assert [(source.uri, source.suites, source.components) for source in found] == [
        ("http://mirror.example/debian", ("trixie",), ("main",)),
        ("http://mirror.example/debian-security", ("trixie-security",), ("main",)),
    ]


def test_a_machine_without_a_main_archive_gives_nothing():
    third_party = [AptSource("http://vendor.example/apt", ("bookworm",), ("vendor",))]
    assert sources_of_suite(third_party, machine_suite="bookworm", wanted_suite="trixie") == []
