"""Whether any other distribution may bring formats: a no must be certain, since nobody looks again."""

import subprocess
import sys
import zipfile
from importlib.machinery import PathFinder
from importlib.metadata import entry_points

import pytest

from lctx.formats import plugins, registry
from lctx.formats.installed import may_bring

ENTRY = "[lctx.formats]\nepub = some_module:EPUB\n"


def wheel_in(folder):
    info = folder / "Some_Epub-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-epub\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY)
    return folder


def develop_in(folder):
    info = folder / "some_epub.egg-info"
    info.mkdir(parents=True)
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: some-epub\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY)
    return folder


def egg_in(folder):
    info = folder / "some_epub.egg" / "EGG-INFO"
    info.mkdir(parents=True)
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: some-epub\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY)
    return folder / "some_epub.egg"


def archive_in(folder):
    folder.mkdir()
    with zipfile.ZipFile(folder / "some.zip", "w") as archive:
        archive.writestr("some_epub-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: some-epub\n")
        archive.writestr("some_epub-1.0.dist-info/entry_points.txt", ENTRY)
    return folder / "some.zip"


@pytest.mark.parametrize("made", [wheel_in, develop_in, egg_in, archive_in])
def test_what_importlib_finds_is_not_missed(tmp_path, monkeypatch, made):
    """This test ensures that a distribution of each kind is noticed wherever Python would notice it."""
    assert not may_bring("lctx.formats")
    monkeypatch.syspath_prepend(str(made(tmp_path / "packages")))
    assert [one.name for one in entry_points(group="lctx.formats")] == ["epub"]
    assert may_bring("lctx.formats")


def test_other_groups_and_broken_places_bring_nothing(tmp_path, monkeypatch):
    """This test ensures that entry points of others cost no look, and odd places on the path are no error."""
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[console_scripts]\nother = other:main\n")
    (tmp_path / "file-1.0.egg-info").write_text("Name: file\n")
    for place in (tmp_path, tmp_path / "gone"):
        monkeypatch.syspath_prepend(str(place))
    assert not may_bring("lctx.formats")


def test_a_finder_of_its_own_kind_may_bring_anything(monkeypatch):
    """This test ensures that what stands in no folder is looked for by the one who knows where."""

    class Finder:
        @staticmethod
        def find_spec(*_):
            return None

        find_distributions = PathFinder.find_distributions

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    assert may_bring("lctx.formats")


def test_nothing_is_loaded_where_nothing_is_installed():
    """This test ensures that what reads metadata is left alone, and that both sides mean the same group."""
    assert registry._PLUGINS_GROUP == plugins.GROUP
    script = (
        "import sys\nfrom lctx.formats.registry import claimed_suffixes, format_of\n"
        "assert not claimed_suffixes()\nassert format_of('a.odd', b'words').name == 'text'\n"
        "print('importlib.metadata' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
