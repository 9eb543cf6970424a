"""Which distributions a process has imported: as importlib.metadata tells it, in a fraction of the time."""

import json
import subprocess
import sys
from types import ModuleType

import pytest

from harness.training import distributions
from harness.training.distributions import imported, installed

ORACLE = """
import json, re, sys
import numpy, PIL.Image, ruamel.yaml, dateutil, click
from harness.training.distributions import imported, installed

ours = imported(), installed()
from importlib import metadata

def versions(found):
    return {re.sub(r"[-_.]+", "-", d.metadata["Name"]).lower(): d.version for d in found}

owners = metadata.packages_distributions()
tops = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - {"harness"}
used = {owner for top in tops for owner in owners.get(top, ())}
print(json.dumps([ours, [versions(map(metadata.distribution, used)), versions(metadata.distributions())]]))
"""


def test_they_are_those_that_python_s_own_library_finds():
    done = subprocess.run([sys.executable, "-c", ORACLE], capture_output=True, text=True, check=True)
    (used, everything), (really_used, really_everything) = json.loads(done.stdout)
    assert {"numpy", "pillow", "ruamel-yaml", "python-dateutil", "click"} <= used.keys()
    assert everything == really_everything
    ours = {"harness", "ablation-harness"}  # in an environment that an earlier version made, the first
    assert {name: used[name] for name in used if name not in ours} == really_used
    assert "matplotlib" in everything.keys() - used.keys()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Return a function that installs a distribution into a folder of sys.path: its files and its metadata."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def install(metadata, *files, record=True, **texts):
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
        (folder / metadata).mkdir()
        if record:
            (folder / metadata / "RECORD").write_text("".join(f"{file},sha256=0,0\n" for file in files))
        for name, text in texts.items():
            (folder / metadata / name.replace("__", ".")).write_text(text)
        return folder

    return install


@pytest.fixture
def use(monkeypatch):
    """Return a function that makes modules imported, by their files; without a file, of a namespace."""

    def put(**files):
        for name, file in files.items():
            module = ModuleType(name.replace("__", "."))
            if file is not None:
                module.__file__ = str(file)
            monkeypatch.setitem(sys.modules, module.__name__, module)

    return put


def test_a_module_of_another_name_is_found_by_the_lists_of_files(site, use):
    folder = site("zz_imaging-2.0+cpu.dist-info", "zzpil/__init__.py")
    site("zz_unused-1.0.dist-info", "zzunused.py")
    use(zzpil=folder / "zzpil/__init__.py")
    found = imported()
    assert found["zz-imaging"] == "2.0+cpu"
    assert "zz-unused" not in found
    assert installed()["zz-unused"] == "1.0"


def test_a_like_name_that_does_not_own_the_module_is_not_taken(site, use):
    folder = site("zzattr-0.3.dist-info", "other.py")
    site("zzattrs-25.1.dist-info", "zzattr/__init__.py")
    use(zzattr=folder / "zzattr/__init__.py")
    assert {name for name in imported() if name.startswith("zz")} == {"zzattrs"}


def test_packages_that_share_a_namespace_are_told_apart(site, use):
    folder = site("zzspace_one-1.0.dist-info", "zzspace/one/__init__.py")
    site("zz_second-2.0.dist-info", "zzspace/two.py", top_level__txt="zzspace\n")
    site("zz_third-3.0.dist-info", "zzspace/three.py", top_level__txt="zzspace\n")
    use(zzspace=None, zzspace__one=folder / "zzspace/one/__init__.py", zzspace__two=folder / "zzspace/two.py")
    assert {name for name in imported() if name.startswith("zz")} == {"zzspace-one", "zz-second"}


def test_what_has_no_list_of_files_is_known_by_its_name_or_its_top_level(site, use):
    folder = site("ZZ_Plain-1.2-py3.11.egg-info", "zz_plain.py", record=False)
    site("zz_developed.egg-info", "zzdev.py", record=False, top_level__txt="zzdev\n", PKG__INFO="")
    (folder / "zz_developed.egg-info" / "PKG-INFO").write_text("Metadata-Version: 2.1\nVersion: 7.dev1\n")
    use(zz_plain=folder / "zz_plain.py", zzdev=folder / "zzdev.py")
    found = imported()
    assert (found["zz-plain"], found["zz-developed"]) == ("1.2", "7.dev1")


def test_what_is_installed_to_be_edited_is_known_by_its_folder(site, use, tmp_path):
    source = {"url": (tmp_path / "my src").as_uri(), "dir_info": {"editable": True}}
    site("zzedited-0.9.dist-info", "__editable__.zzedited.pth", direct_url__json=json.dumps(source))
    site("zzbroken-0.9.dist-info", direct_url__json="{", record=False)
    use(zzinside=tmp_path / "my src" / "zzinside.py", zzoutside=tmp_path / "zzoutside.py")
    assert {name for name in imported() if name.startswith("zz")} == {"zzedited"}


def test_a_library_that_was_loaded_counts_as_its_distribution(site, monkeypatch):
    folder = site("zzcuda_blas_cu13-13.1.dist-info", "zzcuda/blas/lib/libblas.so.13")
    maps = f"7f00-7f01 r-xp 00000000 fe:00 12   {folder}/zzcuda/blas/lib/libblas.so.13\n7f02-7f03 rw-p 0 00:00 0\n"
    content = distributions._content
    monkeypatch.setattr(
        distributions, "_content", lambda path: maps.encode() if str(path) == "/proc/self/maps" else content(path)
    )
    assert imported()["zzcuda-blas-cu13"] == "13.1"


def test_modules_may_be_anything(monkeypatch):
    class Evil(ModuleType):
        def __getattribute__(self, name):
            raise RuntimeError("nobody asks me")

    for name, module in {
        "zznone": None,
        "zzint": 3,
        "zzevil": Evil("zzevil"),
        "zzobject": object(),
        "zzfile": ModuleType("zzfile"),
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    sys.modules["zzfile"].__file__ = 7
    assert imported()


COUNT = """
import json
import numpy, PIL.Image, ruamel.yaml, dateutil, click
from harness.training import distributions

read = distributions._content
lists = []
distributions._content = lambda path: (path.name == "RECORD" and lists.append(str(path)), read(path))[1]
distributions.imported()
of_imported = len(lists)
everything = distributions.installed()
print(json.dumps([of_imported, len(set(lists)), len(lists), len(everything)]))
"""


def test_a_file_list_is_read_once_and_only_where_it_may_tell():
    """They are what takes long: some have ten thousand lines."""
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    of_imported, different, read, everything = json.loads(done.stdout)
    assert 5 <= of_imported == different == read < everything
