"""Reads definition files and says, by file, entry and field, what is wrong with them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, cast

import yaml
from pydantic import ValidationError

from collectors.definitions.model import DefinitionFile, Entry
from foundation.errors import Invalid

OWN = FilePath(__file__).parent
FILES_MAX = 100
FILE_BYTES_MAX = 1 << 20
EVENT_TYPES_KEPT_MAX = 10_000
PROBLEMS_SHOWN_MAX = 20


class DefinitionsInvalid(Invalid):
    """Definition files that cannot be used; one line a fault."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems[:PROBLEMS_SHOWN_MAX]), field="definitions")
        self.problems = tuple(problems)


@dataclass(slots=True)
class Catalogue:
    """All entries, found by event type; what was found is kept, for a bounded number of types."""

    entries: tuple[Entry, ...]
    exchanges: tuple[str, ...]
    _by_type: dict[str, tuple[Entry, ...]] = field(default_factory=dict[str, tuple[Entry, ...]], init=False)

    def entries_for(self, event_type: str) -> tuple[Entry, ...]:
        """Return the entries that make something of an event; none for events that nobody meters."""
        known = self._by_type.get(event_type)
        if known is None:
            known = tuple(entry for entry in self.entries if entry.is_for(event_type))
            if len(self._by_type) < EVENT_TYPES_KEPT_MAX:
                self._by_type[event_type] = known
        return known


def load_catalogue(folder: FilePath | None = None) -> Catalogue:
    """Read our own definitions and those of an operator's folder, whose entries replace ours of the same name.

    Raises DefinitionsInvalid.
    """
    read = read_files(sorted(OWN.glob("*.yaml")))
    if folder is not None:
        if not folder.is_dir():
            raise DefinitionsInvalid([f"{folder}: there is no such folder; name one that has *.yaml files in it"])
        read += read_files(definition_files(folder))
    entries = {entry.name: entry for file in read for entry in file.entries}
    return Catalogue(tuple(entries.values()), tuple(dict.fromkeys(file.exchange for file in read)))


def definition_files(path: FilePath) -> list[FilePath]:
    """Return a folder's definition files in order of name, or the file itself."""
    if path.is_dir():
        return sorted(one for one in path.iterdir() if one.suffix in {".yaml", ".yml"})
    return [path]


def read_files(paths: Sequence[FilePath]) -> list[DefinitionFile]:
    """Read files; raises DefinitionsInvalid with the faults of all of them."""
    if len(paths) > FILES_MAX:
        raise DefinitionsInvalid([f"{paths[0].parent}: at most {FILES_MAX} definition files"])
    read: list[DefinitionFile] = []
    problems: list[str] = []
    for path in paths:
        try:
            read.append(read_file(path))
        except DefinitionsInvalid as error:
            problems.extend(error.problems)
    if problems:
        raise DefinitionsInvalid(problems)
    return read


def read_file(path: FilePath) -> DefinitionFile:
    """Read one file; raises DefinitionsInvalid with all its faults."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise DefinitionsInvalid([f"{path}: larger than {FILE_BYTES_MAX >> 20} MiB"])
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DefinitionsInvalid([f"{path}: {error.strerror}"]) from error
    except (yaml.YAMLError, ValueError) as error:
        raise DefinitionsInvalid([f"{path}: not YAML: {' '.join(str(error).split())}"]) from error
    try:
        file = DefinitionFile.model_validate(document)
    except ValidationError as error:
        raise DefinitionsInvalid([describe(path, document, fault) for fault in error.errors()]) from error
    twice = duplicates(entry.name for entry in file.entries)
    if twice:
        raise DefinitionsInvalid([f"{path}: entry {name}: there are two of this name" for name in twice])
    return file


def describe(path: FilePath, document: object, fault: Any) -> str:
    """Say one fault: the file, the entry by its name or place, the field, and what it takes."""
    place = list(fault["loc"])
    where = ""
    if len(place) >= 2 and place[0] == "entries" and isinstance(place[1], int):
        where = f" entry {name_of(document, place[1])}:"
        place = place[2:]
    shown = ".".join(str(step) for step in place)
    said = str(fault["msg"]).removeprefix("Value error, ")
    return f"{path}:{where} {shown + ': ' if shown else ''}{said}"


def name_of(document: object, place: int) -> str:
    """Return the name of an entry, or which one it is."""
    entries: Any = cast("dict[str, Any]", document)["entries"]
    entry: Any = entries[place]
    name: Any = cast("dict[str, Any]", entry).get("name") if isinstance(entry, dict) else None
    return str(name) if name else f"number {place + 1}"


def duplicates(names: Iterable[str]) -> list[str]:
    """Return the names that come more than once."""
    seen: set[str] = set()
    twice: list[str] = []
    for name in names:
        if name in seen:
            twice.append(name)
        seen.add(name)
    return twice
