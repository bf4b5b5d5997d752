"""Name <-> object, for strategies, students, losses and data sources alike."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from distilkit.errors import UserError, nearest

T = TypeVar("T")


class Registry(Generic[T]):
    """A table of named objects with aliases; an unknown name is a user's error that names the nearest right one.

    `kind` is what an entry is called in messages, such as "strategy"; `more` registers what other packages bring, and
    is called once, when a name is not known or all are asked for.
    """

    def __init__(self, kind: str, more: Callable[[], None] | None = None) -> None:
        self.kind = kind
        self._more = more
        self._entries: dict[str, T] = {}
        self._aliases: dict[str, str] = {}

    def register(self, name: str, *aliases: str) -> Callable[[T], T]:
        """Return a decorator that enters an object under its name and aliases."""

        def enter(entry: T) -> T:
            for known in (name, *aliases):
                taken = self._entries.get(self._aliases.get(known, known))
                if taken is not None and not _is_redefinition(taken, entry):
                    raise ValueError(f"there is a {self.kind} called {known!r} already")
            self._entries[name] = entry
            self._aliases.update(dict.fromkeys(aliases, name))
            return entry

        return enter

    def __getitem__(self, name: str) -> T:
        return self._entries[self.resolve(name)]

    def __contains__(self, name: object) -> bool:
        if name not in self._entries and name not in self._aliases:
            self._load_more()
        return name in self._entries or name in self._aliases

    def __iter__(self) -> Iterator[str]:
        self._load_more()
        return iter(self._entries)

    def name_of(self, entry: T) -> str:
        """Return the name that an entry stands under; raises ValueError for one that is not entered."""
        for name, known in self._entries.items():
            if known is entry:
                return name
        raise ValueError(f"{entry!r} is no {self.kind}")

    def resolve(self, name: str) -> str:
        """Return the entry's own name for a name or alias; raises UserError for one that is neither."""
        name = self._aliases.get(name, name)
        if name not in self:
            raise UserError(f"no {self.kind} is called {name!r}{nearest(name, [*self._entries, *self._aliases])}")
        return name

    def _load_more(self) -> None:
        more, self._more = self._more, None
        if more is not None:
            more()


def _is_redefinition(known: object, entry: object) -> bool:
    """Tell whether an entry is a known one, defined anew by its own module, as when a cell of a notebook runs again."""
    if isinstance(known, type) and isinstance(entry, type):
        return (known.__module__, known.__qualname__) == (entry.__module__, entry.__qualname__)
    return known == entry
