"""A headless Chromium, driven over its debugging pipe: enough of the DevTools protocol to test a page.

Messages are JSON, each ended by a zero byte; the browser reads them from file descriptor 3 and writes to 4.
https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 60.0  # seconds for an answer: a busy machine is no bug


def program() -> str | None:
    """The installed browser, if there is one."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Chromium:
    """One browser with one tab, as a context manager. ``errors`` holds what the page threw or logged as an error,
    ``requested`` every address that it asked for and was not forbidden by its own policy."""

    def __init__(self, profile: Path) -> None:
        self.profile = profile
        self.errors: list[str] = []
        self._requests: dict[str, str] = {}
        self._loaded: set[str] = set()
        self._sent, self._session = 0, ""
        self._waiting = b""

    def __enter__(self) -> Chromium:
        # Far from 3 and 4, so that putting one in its place cannot close the other.
        to_read, self._out = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in os.pipe())
        self._in, to_write = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in os.pipe())
        options = (
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
            "--no-first-run", "--remote-debugging-pipe", f"--user-data-dir={self.profile}", "about:blank",
        )  # fmt: skip

        def in_place() -> None:
            os.dup2(to_read, 3)
            os.dup2(to_write, 4)

        self._process = subprocess.Popen(
            [str(program()), *options],
            preexec_fn=in_place,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        tabs = self.call("Target.getTargets")["targetInfos"]
        tab = next(target["targetId"] for target in tabs if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._out)  # the browser ends with its pipe
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)

    @property
    def requested(self) -> list[str]:
        return list(self._requests.values())

    def open(self, address: str) -> None:
        """Go to an address, and wait until the page has loaded."""
        self._load("about:blank")  # or an address that differs in its fragment alone would load nothing
        self.errors.clear()
        self._requests.clear()
        self._load(address)

    def run(self, script: str) -> Any:
        """The value of an expression in the page (of a promise: what it becomes)."""
        made = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in made:
            raise RuntimeError(f"{script}: {made['exceptionDetails']}")
        return made["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + PATIENCE
        while not self.run(script):
            if time.monotonic() > until:
                raise TimeoutError(f"after {PATIENCE:.0f} s this is still not so: {script}; errors: {self.errors}")
            time.sleep(0.02)

    def press(self, key: str) -> None:
        """A key, pressed and released."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        code = {"Enter": 13, "Tab": 9, "ArrowDown": 40, "ArrowUp": 38}.get(key, ord(key[0].upper()))
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)

    def screen(self, width: int, height: int, *, dark: bool = False, media: str = "screen") -> None:
        """The size of the window, and whether the system is dark or the page is printed."""
        mobile = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def picture(self, path: Path, selector: str = "") -> None:
        """A screenshot, of the window or of one element at its full height."""
        clip: dict[str, Any] = {}
        if selector:
            box = self.run(
                f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
                " return {x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height, scale: 1}; })()"
            )
            clip = {"clip": box, "captureBeyondViewport": True}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **clip)["data"]))

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        self._sent += 1
        number = self._sent
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while True:
            answer = self._receive(until)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _load(self, address: str) -> None:
        loader = self.call("Page.navigate", url=address)["loaderId"]
        until = time.monotonic() + PATIENCE
        while loader not in self._loaded:
            self._note(self._receive(until))

    def _receive(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._waiting:
            if not select.select([self._in], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError(f"no answer from the browser for {PATIENCE:.0f} s")
            read = os.read(self._in, 1 << 20)
            if not read:
                raise RuntimeError(f"the browser ended (exit code {self._process.poll()})")
            self._waiting += read
        message, _, self._waiting = self._waiting.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def _note(self, event: dict[str, Any]) -> None:
        if "method" not in event:
            return  # the answer to a command that was given up on
        params = event.get("params", {})
        if event["method"] == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"]))
        elif event["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])
        elif event["method"] == "Page.lifecycleEvent" and params["name"] == "load":
            self._loaded.add(params["loaderId"])
        elif event["method"] == "Network.requestWillBeSent":
            self._requests[params["requestId"]] = params["request"]["url"]
        elif event["method"] == "Network.loadingFailed" and params.get("blockedReason") == "csp":
            self._requests.pop(params["requestId"], None)
