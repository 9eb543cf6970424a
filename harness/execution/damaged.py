"""Whether a checkpoint that an attempt left can be gone on from, told without torch."""

from pathlib import Path
from zipfile import BadZipFile, ZipFile

from harness.spec.attempt import CHECKPOINT_FILE


def can_be_read(folder: Path) -> bool:
    """Return whether the checkpoint in an attempt's folder is whole: torch's is a zip, whose directory stands last.

    What a person's own function keeps there is for that function to judge.
    """
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return True
    try:
        with ZipFile(path):
            return True
    except (BadZipFile, OSError, ValueError):
        return False
