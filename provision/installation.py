"""One installation: its id, and where it keeps what it makes."""

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ID_BYTES = 3
_ID = re.compile(r"^[a-z0-9]{1,12}$")


@dataclass(frozen=True, slots=True)
class Installation:
    """What is ours on this machine: everything under `var`, the short `runtime_dir`, and what carries the id in its name."""

    id: str
    var: Path

    def __post_init__(self) -> None:
        assert _ID.match(self.id), f"installation id {self.id!r}"
        assert self.var.is_absolute()

    @property
    def runtime_dir(self) -> Path:
        """Sockets live here: their paths end at 107 bytes, and `var` may be deep."""
        return Path("/run") / f"nephoscope-{self.id}"

    @property
    def stamps(self) -> Path:
        """What has been set up, and from what."""
        return self.var / "stamps"

    @property
    def logs(self) -> Path:
        """What the programs that we start write."""
        return self.var / "log"

    @property
    def python(self) -> Path:
        """The product's own Python."""
        return self.var / "venv" / "bin" / "python"


def var_of(root: Path = ROOT) -> Path:
    """NEPHO_VAR, or var/ in the project's folder."""
    return Path(os.environ.get("NEPHO_VAR") or root / "var").resolve()


def this_installation(root: Path = ROOT) -> Installation:
    """The installation of this folder; its id is made at the first call and kept for good."""
    var = var_of(root)
    kept = var / "installation"
    if not kept.exists():
        var.mkdir(parents=True, exist_ok=True)
        partial = var / f"installation.{os.getpid()}"
        partial.write_text(secrets.token_hex(ID_BYTES) + "\n")
        partial.rename(kept)
    return Installation(os.environ.get("NEPHO_INSTALLATION") or kept.read_text().strip(), var)
