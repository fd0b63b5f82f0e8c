"""A note on disk of an orderly stop that the database could not be told of, to be told at the next start."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from collectors.spool import write_durably


@dataclass(frozen=True, slots=True)
class StopNote:
    """Which guests the stop ended, and when."""

    path: Path

    def write(self, ends: Mapping[UUID, datetime]) -> None:
        """Keep the note, durable when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {str(instance_id): ended_at.isoformat() for instance_id, ended_at in ends.items()}
        write_durably(self.path, json.dumps(content).encode())

    def read(self) -> dict[UUID, datetime] | None:
        """Read the note; None when there is none."""
        if not self.path.exists():
            return None
        noted: Mapping[str, str] = json.loads(self.path.read_text())
        return {UUID(instance_id): datetime.fromisoformat(ended_at) for instance_id, ended_at in noted.items()}

    def clear(self) -> None:
        """Throw the note away, once it is told."""
        self.path.unlink(missing_ok=True)
