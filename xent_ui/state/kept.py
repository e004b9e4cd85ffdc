"""What a page keeps between runs: a name in the session, the type of its value, and the value before any is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Kept(Generic[T]):
    """One value of the session, declared once: `ROW = Kept[int]("traced_row", 0)`; read by `session.kept(ROW)`.

    Attributes:
      name: in the session, and of the widget that holds it, if one does: `st.selectbox(…, key=ROW.name)`.
      default: what is read before a value is kept.
    """

    name: str
    default: T
