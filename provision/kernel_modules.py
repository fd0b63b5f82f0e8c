"""Which kernel modules a module needs, read from the modules themselves (Debian's packages ship no modules.dep)."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


def needed_by(module: bytes) -> list[str]:
    """The names in the module's `depends=` field, with underscores."""
    match = _DEPENDS.search(module)
    return [_plain(name) for name in match.group(1).decode().split(",") if name] if match else []


def _plain(name: str) -> str:
    return name.replace("-", "_")


def load_order(modules: Path, *, wanted: Sequence[str]) -> list[Path]:
    """The files of the wanted modules and all that they need, each after what it needs; built-in ones are left out."""
    files = {_plain(path.stem): path for path in modules.rglob("*.ko")}
    return [files[name] for name in ordered(wanted, needs={name: needed_by(_read(files, name)) for name in files})]


def _read(files: Mapping[str, Path], name: str) -> bytes:
    return files[name].read_bytes()


def ordered(wanted: Sequence[str], *, needs: Mapping[str, Sequence[str]]) -> list[str]:
    """The wanted names that `needs` knows and all that they need, needed ones first, none twice."""
    order: list[str] = []
    open_names: set[str] = set()

    def visit(name: str) -> None:
        assert name not in open_names, f"{name} needs itself"
        if name in order or name not in needs:
            return
        open_names.add(name)
        for needed in needs[name]:
            visit(needed)
        open_names.remove(name)
        order.append(name)

    for name in wanted:
        visit(name)
    return order
