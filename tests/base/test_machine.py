"""Of which kind a file system is: as the system lists its mounts."""

from pathlib import Path

import pytest

from harness.base import machine
from harness.base.machine import FileSystem, file_system, free_bytes, nearest_folder

MOUNTS = """\
22 1 0:20 / / rw,relatime - ext4 /dev/root rw
23 22 0:21 / /home rw,relatime shared:5 master:1 - nfs4 server:/home rw,vers=4.2
24 23 0:22 / /home/a\\040b rw - fuse.sshfs a@b: rw
25 22 0:23 / /data rw - ext4 /dev/sda rw
26 25 0:24 / /data rw - lustre mds:/data rw
a line of another form
"""


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/var/x", "ext4", False),
        ("/home/c/results", "nfs4", True),
        ("/homely", "ext4", False),
        ("/home/a b/results/harness.db", "fuse.sshfs", True),
        ("/data/not/yet/there", "lustre", True),  # the later hides the earlier
    ],
)
def test_the_nearest_mount_says_the_kind(path, kind, network, tmp_path, monkeypatch):
    listed = tmp_path / "mountinfo"
    listed.write_text(MOUNTS)
    monkeypatch.setattr(machine, "_MOUNTS", listed)
    assert file_system(Path(path)) == FileSystem(kind)
    assert FileSystem(kind).network == network


def test_a_kind_that_nobody_tells_is_unknown_unless_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_MOUNTS", tmp_path / "none")
    assert (file_system(tmp_path).kind, file_system(tmp_path).network) == ("unknown", False)
    monkeypatch.setenv("HARNESS_FILE_SYSTEM", "fuse.s3fs")
    assert file_system(tmp_path).network


def test_what_is_free_is_asked_of_the_folder_that_there_is(tmp_path):
    assert nearest_folder(tmp_path / "not" / "there") == tmp_path
    assert free_bytes(tmp_path / "not" / "there") > 0
