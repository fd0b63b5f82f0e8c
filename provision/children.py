"""Runs the programs that set-up needs, with their output as progress and their last words as the reason of a failure."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

OUTPUT_LINES_KEPT = 40
LINE_CHARACTERS_MAX = 100

Say = Callable[[str], None]


class ChildFailed(Exception):
    """A program ended with another code than 0; `lines` are its last words."""

    def __init__(self, command: str, code: int, lines: Sequence[str]) -> None:
        super().__init__(f"{command} ended with code {code}")
        self.lines = lines

    def reason(self, *marks: str) -> str:
        """The first line with one of the marks, else the last one."""
        marked = [line for line in self.lines if any(mark in line for mark in marks)]
        return (marked or list(self.lines[-1:]) or [str(self)])[0]


def run_child(
    command: Sequence[str | Path], *, say: Say, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> None:
    """Run to the end, each line of output given to `say`; raises ChildFailed."""
    kept: list[str] = []
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as child:
        assert child.stdout is not None
        for raw in child.stdout:
            line = raw.strip()
            if line:
                kept = [*kept[1 - OUTPUT_LINES_KEPT :], line]
                say(line[:LINE_CHARACTERS_MAX])
    if child.returncode != 0:
        raise ChildFailed(Path(command[0]).name, child.returncode, kept)
