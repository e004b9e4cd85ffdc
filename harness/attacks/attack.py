"""What an attack is: a name, what it sends, for how long, and what came back."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import websockets

from harness.visitor import UploadRefused, Visitor

STRANGER = "127.0.0.66"  # where attacks come from; the neighbours sit at 127.0.0.1
ERROR_OF_OURS = "This page met an error"  # how the notice of it begins


RETURN_SECONDS = 0.2  # after which one comes back whom the server has hung up on
T = TypeVar("T")


class Site(NamedTuple):
    """What is attacked.

    Attributes:
      url: of the app, or of nginx before it.
      source: the address that the attacker comes from.
      seconds: how long he has.
      enough: so many refusals end it before; 0 for none.
    """

    url: str
    source: str = STRANGER
    seconds: float = 10.0
    enough: int = 0

    def visitor(self, page: str = "", **given: Any) -> Visitor:
        """A visit of the attacker, which has not begun."""
        return Visitor(self.url, page=page, source=self.source, **given)

    def connect(self) -> websockets.connect:
        """A websocket of the attacker by itself, in which nothing was asked for."""
        return websockets.connect(
            self.url.replace("http", "ws") + "/_stcore/stream",
            subprotocols=[websockets.Subprotocol("streamlit")],
            origin=websockets.Origin(self.url),
            local_addr=(self.source, 0),
            open_timeout=60,  # it may have to wait for its pace
            max_size=None,
            compression=None,
        )


@dataclass
class Outcome:
    """What the attacker sent and saw.

    Attributes:
      came: messages, requests or files that were sent.
      refusals: how the server refused them: "a sentence", "closed 1009", "status 429", and how often.
      faults: what must not be, in words.
      visits: the ids of visits, which must not stand in any log.
    """

    came: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    visits: set[str] = field(default_factory=set)

    def sent(self, count: int = 1) -> None:
        """So many more."""
        self.came += count

    def refused(self, how: str, count: int = 1) -> None:
        """The server said no, so often."""
        self.refusals[how] += count

    def fault(self, what: str) -> None:
        """Something that must not be; it is told once."""
        if what not in self.faults:
            self.faults.append(what)

    def status(self, code: int) -> None:
        """An answer over HTTP."""
        if code >= 500 and code != 503:
            self.fault(f"status {code}")
        elif code >= 400:
            self.refused(f"status {code}")

    def page(self, visitor: Visitor) -> None:
        """What a page shows after a run."""
        self.visits.add(visitor.session)
        for problem in visitor.problems:
            self.fault(problem[:100])
        if any(alert.startswith(ERROR_OF_OURS) for alert in visitor.alerts):
            self.fault("an error that is ours")
        elif visitor.alerts:
            self.refused("a sentence")

    @contextlib.contextmanager
    def hung_up(self) -> Iterator[None]:
        """What the server does to a connection that it has enough of."""
        try:
            yield
        except websockets.ConnectionClosed as closed:
            self.refused(f"closed {closed.rcvd.code if closed.rcvd else 'without a word'}")
        except websockets.InvalidStatus as refusal:
            self.status(refusal.response.status_code)
        except UploadRefused as refusal:
            self.status(refusal.status)
        except (ConnectionError, websockets.InvalidHandshake) as error:
            self.refused(type(error).__name__)
        except TimeoutError:
            self.fault("no answer within a minute")


async def repeat(
    outcome: Outcome,
    visitor: Callable[[], Visitor],
    act: Callable[[Visitor, T], Awaitable[object]],
    things: Iterable[T],
) -> None:
    """Do so with one thing after the other, in one visit; where the server hangs up, in the next.

    Args:
      visitor: makes one that has not come yet.
      act: what it does with each.
    """
    rest = iter(things)
    while True:
        with outcome.hung_up():
            async with visitor() as here:
                await here.settle()
                for thing in rest:
                    outcome.sent()
                    await act(here, thing)
                    await here.settle()
                    outcome.page(here)
                return
        await asyncio.sleep(RETURN_SECONDS)


async def together(*attacks: Coroutine[Any, Any, None]) -> None:
    """All at once, until each is over or one fails."""
    async with asyncio.TaskGroup() as group:
        for attack in attacks:
            group.create_task(attack)


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
      name: for the command line.
      family: which part of the server it is about.
      sends: what, in words.
      run: does it, again and again, until it is stopped.
      seconds: how long.
      is_legal: each visitor may do this: the neighbours' p95 is judged, and not by how much they wait longer.
      is_refused: at least one refusal must come.
      ends_itself: it is a story with an end, which is waited for.
      more_mb: what it may take of the server's memory while it lasts.
      through_nginx: it is also tried there, where it could be another's work to refuse it.
      prepare: makes what is sent, before anything is measured.
    """

    name: str
    family: str
    sends: str
    run: Callable[[Site, Outcome], Awaitable[None]]
    seconds: float = 10.0
    is_legal: bool = False
    is_refused: bool = True
    ends_itself: bool = False
    more_mb: float = 300.0
    through_nginx: bool = False
    prepare: Callable[[], object] | None = None
