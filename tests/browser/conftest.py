"""One browser for the tests of a module, and a fresh tab for each.

They need playwright (in the extra `dev`) and a Chromium of the system's (apt-get install chromium), and are skipped
where one is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.tab import PATIENCE, Tab, program


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless Chromium, as Playwright's ``Browser``. It ends with the module: as long as it is there, its event loop
    counts as running in this thread, and no other test could run one."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
    if program() is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def new_tab(chromium: Any) -> Iterator[Callable[..., Tab]]:
    """Makes tabs, each with storage of its own; ``options`` are those of Playwright's ``new_context``."""
    opened = []

    def make(width: int = 1400, height: int = 1000, *, dark: bool = False, **options: Any) -> Tab:
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            **options,
        )
        context.set_default_timeout(1000 * PATIENCE)
        opened.append(context)
        return Tab(context.new_page())

    yield make
    for context in opened:
        context.close()


@pytest.fixture
def tab(new_tab: Callable[..., Tab]) -> Tab:
    """A tab on a desktop, light."""
    return new_tab()
