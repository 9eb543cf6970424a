"""What the machine says of its file systems: of which kind they are, and how much is free on them.

It is asked in this one place, so that a test can be on another machine. HARNESS_FILE_SYSTEM names the kind if the
system does not know it, as below some FUSE mounts.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "gpfs", "kafs", "lustre", "ncpfs",
        "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs", "sshfs", "wekafs",
        "ceph-fuse", "curlftpfs", "gcsfuse", "goofys", "juicefs", "mfs", "rclone", "s3fs",
    }
)  # fmt: skip
"""Kinds, without the "fuse." before some of them, that several hosts may have mounted at once."""


@dataclass(frozen=True)
class FileSystem:
    """A file system: its kind as the system calls it ("ext4", "nfs4", "fuse.sshfs"), "unknown" if it does not tell."""

    kind: str

    @property
    def network(self) -> bool:
        """Whether other hosts may have it mounted too: then no two of them share memory that lies on it."""
        return self.kind.removeprefix("fuse.") in _NETWORK


def file_system(path: Path) -> FileSystem:
    """Return the file system on which a file or folder lies, or would lie if it were made."""
    named = os.environ.get("HARNESS_FILE_SYSTEM")
    if named:
        return FileSystem(named)
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not on Linux
        return FileSystem("unknown")
    real, kind, longest = path.resolve(), "unknown", -1
    for line in lines:
        place, _, rest = line.partition(" - ")
        fields = place.split(" ")
        if len(fields) < 5 or not rest:
            continue
        mounted = Path(_OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[4]))
        depth = len(mounted.parts)
        if depth >= longest and real.is_relative_to(mounted):  # of two at one place, the later hides the other
            kind, longest = rest.split(" ")[0], depth
    return FileSystem(kind)


_OCTAL = re.compile(r"\\([0-7]{3})")  # how the system writes a space in a name


def free_bytes(path: Path) -> int:
    """Return how much a user may still write where a file or folder lies, or would lie. Raises OSError."""
    return shutil.disk_usage(nearest_folder(path)).free


def nearest_folder(path: Path) -> Path:
    """Return the folder itself, or the nearest one above it that there is."""
    real = path.resolve()
    return next(folder for folder in (real, *real.parents) if folder.is_dir())
