"""What the next optimiser step needs, made by one thread while the present step is computed."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

THREAD = "distilkit-ahead"


class Ahead(Generic[T]):
    """Calls a function of the step in one thread, for the step after the one that was asked for ahead of time.

    Asked for a step, it returns what the function returns and raises what it raises. Steps can be asked for in any
    order: what was made for another is thrown away. Nothing is made ahead from step `end` on. The function is called
    in the thread alone, so never twice at once. The thread is gone when the `with` block is left.
    """

    def __init__(self, make: Callable[[int], T], end: int) -> None:
        self._make, self._end = make, end
        self._thread = ThreadPoolExecutor(1, THREAD)
        self._made: tuple[int, Future[T]] | None = None

    def __call__(self, step: int) -> T:
        made, self._made = self._made, None
        if made is not None and made[0] == step:
            future = made[1]
        else:
            if made is not None:
                made[1].cancel()
            future = self._thread.submit(self._make, step)
        found = future.result()
        if step + 1 < self._end:
            self._made = (step + 1, self._thread.submit(self._make, step + 1))
        return found

    def __enter__(self) -> "Ahead[T]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._made = None
