"""What the path of a request names, whichever way it is spelled; a spelling that no browser sends is refused."""

from __future__ import annotations

import unicodedata

CORE = "_stcore"
UPLOAD = "upload_file"
HEALTH = "health"
MEDIA = "media"
# what Streamlit answers and no page of ours asks for: its figures, its interface for agents, signing in, components
# and files of other apps. Every other address that it has stands in connection_internals.NEEDED
CLOSED = (
    (CORE, "metrics"),
    (CORE, "agent"),
    (CORE, "script-health-check"),
    ("auth", "login"),
    ("auth", "logout"),
    ("oauth2callback",),
    ("component",),
    ("app", "static"),
)


def is_plain(path: str) -> bool:
    """Whether a decoded path is spelled as browsers send it: no control characters, `//`, `\\`, `.` or `..`.

    Starlette looks for a route by a pattern that ends in `$`, which also matches before a newline; and a file named
    `..` would be the visit itself.
    """
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in path):
        return False
    return "\\" not in path and "//" not in path and not {".", ".."} & set(path.split("/"))


def below_core(path: str) -> list[str]:
    """The parts of a plain path below `/_stcore/`, wherever the app lies; [] for any other path."""
    parts = path.strip("/").split("/")
    core = next((place for place, part in enumerate(parts) if part.casefold() == CORE), len(parts))
    return parts[core + 1 :]


def is_closed(path: str) -> bool:
    """Whether a plain path is no visitor's business, wherever the app lies."""
    parts = tuple(path.casefold().strip("/").split("/"))
    return any(parts[place : place + len(closed)] == closed for closed in CLOSED for place in range(len(parts)))


def is_download(path: str) -> bool:
    """Whether a plain path may be that of a file or a picture that a page offers."""
    return MEDIA in path.strip("/").split("/")[:-1]
