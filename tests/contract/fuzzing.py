"""Nonsense put into good bodies: every place inside one, and the body with another value there."""

import copy
from collections.abc import Iterator
from typing import Any


def places_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """List every place inside a body, the whole of it too."""
    yield path
    if isinstance(value, dict | list):
        pairs: list[tuple[Any, Any]] = list(value.items() if isinstance(value, dict) else enumerate(value))  # pyright: ignore[reportUnknownArgumentType]
        for key, inner in pairs:
            yield from places_of(inner, (*path, key))


def with_change(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return the body with another value at a place."""
    if not path:
        return value
    changed = copy.deepcopy(body)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed
