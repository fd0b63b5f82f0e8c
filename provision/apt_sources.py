"""Reads the machine's own apt sources, to learn which mirrors it uses (pure: text in, values out)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AptSource:
    """One binary archive of the machine: where it is, which suites and components it gives, and what signs it."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str | None = None


def parse_deb822(text: str) -> Iterator[AptSource]:
    """The sources of a `.sources` file, man page sources.list(5); disabled stanzas and deb-src are left out."""
    for stanza in _stanzas(text):
        if stanza.get("enabled", "yes").lower() in {"no", "false", "0"} or "deb" not in stanza.get("types", "").split():
            continue
        for uri in stanza.get("uris", "").split():
            yield AptSource(
                uri=uri.rstrip("/"),
                suites=tuple(stanza.get("suites", "").split()),
                components=tuple(stanza.get("components", "").split()),
                signed_by=stanza.get("signed-by", "").strip() or None,
            )


def _stanzas(text: str) -> Iterator[Mapping[str, str]]:
    fields: dict[str, str] = {}
    name = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0].isspace():
            fields[name] = fields.get(name, "") + "\n" + line.strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()


def parse_one_line_style(text: str) -> Iterator[AptSource]:
    """The sources of a `.list` file; options other than signed-by do not matter here."""
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if not words or words[0] != "deb":
            continue
        words, signed_by = _without_options(words[1:])
        if len(words) >= 2:
            yield AptSource(words[0].rstrip("/"), (words[1],), tuple(words[2:]), signed_by)


def _without_options(words: Sequence[str]) -> tuple[list[str], str | None]:
    if not words or not words[0].startswith("["):
        return list(words), None
    joined = " ".join(words)
    options, _, rest = joined[1:].partition("]")
    signed_by = next((o.split("=", 1)[1] for o in options.split() if o.lower().startswith("signed-by=")), None)
    return rest.split(), signed_by


def sources_of_suite(sources: Sequence[AptSource], *, machine_suite: str, wanted_suite: str) -> list[AptSource]:
    """The same mirrors with another Debian suite: the main archive and, where there is one, its security archive.

    From one on this disk apt copies the packages, where of `file:` it would only say where they are.
    """
    kinds = {machine_suite: wanted_suite, f"{machine_suite}-security": f"{wanted_suite}-security"}
    found: dict[str, AptSource] = {}
    for source in sources:
        for suite in source.suites:
            if suite in kinds and "main" in source.components and kinds[suite] not in found:
                uri = f"copy:{source.uri[5:]}" if source.uri.startswith("file:") else source.uri
                found[kinds[suite]] = AptSource(uri, (kinds[suite],), ("main",), source.signed_by)
    return list(found.values()) if wanted_suite in found else []


def render_deb822(sources: Sequence[AptSource]) -> str:
    """A `.sources` file that names exactly these archives."""
    stanzas: list[str] = []
    for source in sources:
        lines = [
            "Types: deb",
            f"URIs: {source.uri}",
            f"Suites: {' '.join(source.suites)}",
            f"Components: {' '.join(source.components)}",
        ]
        if source.signed_by:
            lines.append("Signed-By: " + source.signed_by.replace("\n", "\n "))
        stanzas.append("\n".join(lines) + "\n")
    return "\n".join(stanzas)
