"""A tab of a real browser, and what its page did: what it logged, threw and asked for."""

from __future__ import annotations

import shutil
import time
from typing import Any

PATIENCE = 60.0  # seconds for what a test waits for: a busy machine is no bug
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def program() -> str | None:
    """The installed browser, if there is one."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Tab:
    """A page of Playwright's. ``errors`` holds what the page threw or logged as an error (violations of its policy are
    among them), ``requested`` every address that it asked for and was not forbidden by its own policy."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requested: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("request", lambda request: self.requested.append(_place(request)))
        page.on("requestfailed", self._failed)

    def open(self, address: str) -> None:
        """Go to an address, and wait until the page has loaded."""
        self.page.goto("about:blank")  # or an address that differs in its fragment alone would load nothing
        self.errors.clear()
        self.requested.clear()
        self.page.goto(address)

    def run(self, script: str, argument: Any = None) -> Any:
        """The value of an expression, or of a function of ``argument``, in the page (of a promise: what it becomes)."""
        return self.page.evaluate(script, argument)

    def wait(self, script: str, argument: Any = None) -> None:
        """Wait until an expression is true. It is asked from here: a strict policy keeps Playwright's own waiting,
        which is an ``eval`` in the page, from asking twice."""
        until = time.monotonic() + PATIENCE
        while not self.run(script, argument):
            if time.monotonic() > until:
                raise TimeoutError(f"after {PATIENCE:.0f} s this is still not so: {script}; errors: {self.errors}")
            self.page.wait_for_timeout(20)

    def press(self, *keys: str) -> None:
        """Keys, one after the other, each pressed and released."""
        for key in keys:
            self.page.keyboard.press(key)

    def screen(self, width: int, height: int, *, dark: bool = False, media: str = "screen") -> None:
        """The size of the window, and whether the system is dark or the page is printed."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(color_scheme="dark" if dark else "light", media=media)

    def texts(self, selector: str) -> list[str]:
        """What the elements say, one string each."""
        made: list[str] = self.page.locator(selector).all_text_contents()
        return made

    def _failed(self, request: Any) -> None:
        if request.failure == "csp" and _place(request) in self.requested:
            self.requested.remove(_place(request))


def _place(request: Any) -> str:
    """What is asked for: an address without the fragment, which no server sees."""
    place: str = request.url.partition("#")[0]
    return place
