"""A picture becomes a file: SVG as it is, PNG by way of librsvg's `rsvg-convert`, which draws it as a browser would."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ringleader.errors import Reason, UsageError

__all__ = ["check_kind", "write_picture"]

CONVERTER = "rsvg-convert"
PATIENCE = 60.0
"""Seconds that a conversion may take."""


def check_kind(out: Path) -> None:
    """Raises `UsageError` when a picture cannot be written to a file of this name, before anything is drawn."""
    kind = out.suffix.lower()
    if kind not in (".svg", ".png"):
        raise UsageError(
            f"cannot draw {str(out)!r}: the name must end in .svg or .png",
            reason=Reason.UNSUPPORTED,
            hint="Browsers show SVG",
        )
    if kind == ".png" and shutil.which(CONVERTER) is None:
        raise UsageError(
            f"cannot draw {str(out)!r}: PNG needs {CONVERTER}, which is not installed",
            reason=Reason.UNSUPPORTED,
            hint="Install librsvg (Debian: librsvg2-bin; Homebrew: librsvg), or write a .svg, which browsers show",
        )


def write_picture(svg: str, out: Path) -> None:
    """Writes `svg` to `out`, as what its name ends in; a PNG has two pixels for each of the SVG's, on white."""
    check_kind(out)
    if out.suffix.lower() == ".svg":
        out.write_text(svg, encoding="utf-8")
        return
    command = [CONVERTER, "--format=png", "--zoom=2", "--background-color=white"]
    try:
        done = subprocess.run(command, input=svg.encode(), capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"{CONVERTER} did not finish within {PATIENCE:g} seconds; {str(out)!r} was not written",
            reason=Reason.DEADLINE,
        ) from None
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise UsageError(
            f"{CONVERTER} failed with exit code {done.returncode}; {str(out)!r} was not written: {' '.join(said)[:200]}",
            reason=Reason.UNSUPPORTED,
        )
    out.write_bytes(done.stdout)
