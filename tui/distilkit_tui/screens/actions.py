"""What can be done with the run that a screen is about: stop, resume, delete, copy its name."""

import asyncio
from collections.abc import Callable

from textual import work

from distilkit.errors import UserError
from distilkit_tui.core.control import delete, kill, request_stop
from distilkit_tui.core.entry import Entry
from distilkit_tui.screens.base import BaseScreen
from distilkit_tui.screens.confirm import Confirm


class RunActions(BaseScreen):
    """Acts on the run of `key`, which a screen gives."""

    @property
    def key(self) -> str | None:
        """The run that this screen is about."""
        raise NotImplementedError

    @property
    def entry(self) -> Entry | None:
        """That run as it is now."""
        return self.main.snapshot.entries.get(self.key) if self.key is not None else None

    def action_copy(self) -> None:
        """Copy the run's name."""
        if self.key is not None:
            self.app.copy_to_clipboard(self.key)
            self.app.notify(self.key, title="copied", markup=False)

    @work
    async def action_stop(self) -> None:
        """Ask the run to stop; asked again, kill it after a question."""
        entry = self.entry
        if entry is None:
            return
        if not entry.live:
            self.warn(f"{entry.key} is {entry.state}; there is nothing to stop")
        elif entry.key not in self.main.stopping:
            await self._request_stop(entry)
        elif await self.app.push_screen_wait(
            Confirm(f"{entry.key} has been asked to stop. Kill it now, back to its last checkpoint?", "Kill")
        ):
            await self.attempt(lambda: kill(entry))
            self.main.store.hurry()

    async def _request_stop(self, entry: Entry) -> None:
        twin = self.main.snapshot.entries.get(str(entry.record.get("twin")))
        if await self.attempt(lambda: request_stop(entry, twin)):
            self.main.stopping.add(entry.key)
            self.app.notify(f"{entry.key} stops after a checkpoint", markup=False)

    @work
    async def action_resume(self) -> None:
        """Go on with the run."""
        entry = self.entry
        if entry is not None and await self.attempt(lambda: self.main.launcher.resume(entry)):
            self.app.notify(f"{entry.key} goes on in a process of its own", markup=False)
            self.main.store.hurry()

    @work
    async def action_delete(self) -> None:
        """Delete the run's folder, after a question."""
        entry = self.entry
        if entry is None:
            return
        if entry.live:
            self.warn(f"{entry.key} is {entry.state}; stop it first")
            return
        sure = await self.app.push_screen_wait(Confirm(f"Delete {entry.folder.path} and all that is in it?", "Delete"))
        if sure and await self.attempt(lambda: delete(entry.folder)):
            self.main.store.hurry()
            self.app.notify(f"{entry.key} is deleted", markup=False)

    async def attempt(self, act: Callable[[], object]) -> bool:
        """Do something in a thread, since a disk may be slow; where it is refused, say why."""
        try:
            await asyncio.to_thread(act)
        except UserError as error:
            self.warn(str(error))
            return False
        return True

    def warn(self, text: str) -> None:
        """Say why something is not done."""
        self.app.notify(text, severity="warning", markup=False)
