"""A file that was removed counts as long as somebody holds its bytes."""

from io import BytesIO

import pytest
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFile, UploadedFileRec

from xent_host import removed_files
from xent_host.removed_files import RemovedFiles


def test_a_file_counts_until_the_last_page_lets_go_of_it() -> None:
    removed = RemovedFiles()
    data = bytes(1000)
    page = BytesIO(data)  # shares the bytes
    removed.note("visit", data)
    del data

    assert removed.sizes() == {"visit": [1000]}
    page.close()
    assert removed.sizes() == {}


def test_what_holds_itself_in_a_circle_is_found_when_it_is_looked_again() -> None:
    removed = RemovedFiles()
    circle: dict[str, object] = {"file": BytesIO(bytes(1000))}
    circle["self"] = circle
    removed.note("visit", circle["file"].getvalue())  # type: ignore[attr-defined]
    del circle
    removed.look()

    assert removed.sizes() == {}


def test_streamlit_s_own_removal_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    removed = RemovedFiles()
    monkeypatch.setattr(MemoryUploadedFileManager, "remove_file", MemoryUploadedFileManager.remove_file)
    monkeypatch.setattr(removed_files, "REMOVED", removed)
    removed_files.apply()
    manager = MemoryUploadedFileManager("/_stcore/upload_file")
    manager.add_file("visit", UploadedFileRec("id", "a.npy", "", bytes(1000)))
    [file] = manager.get_files("visit", ["id"])
    shown = UploadedFile(file, None)  # type: ignore[arg-type]
    del file

    manager.remove_file("visit", "id")
    manager.remove_file("visit", "unknown")
    assert manager.get_files("visit", ["id"]) == []
    assert removed.sizes() == {"visit": [1000]}
    del shown
    assert removed.sizes() == {}
