"""A function in a process of its own, which may be killed: for work on what a model wrote.

An answer such as ``9^{9^{9^9}}`` keeps a computer algebra system busy for ever, inside one call that no exception
interrupts and (outside the main thread) no signal either. So a process does the work, is fed over a pipe, and is
killed when a request takes longer than its limit; the kernel ends it at its limits of memory and processor time.
It starts at the first request, serves any thread, and ends with the process that started it.

Some libraries evaluate an answer as Python. The process therefore refuses to open files for writing, to start
programs and to connect. That stops accidents and the obvious tricks; it is no sandbox.

This file is both ends: `Isolated` is the one that asks, and the file itself runs as the process:

    python -m thinkling.tasks.isolated MODULE SECONDS BYTES

where MODULE has ``load()``, which returns the function from a request to a reply, both plain JSON.
"""

from __future__ import annotations

import atexit
import importlib
import json
import math
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

START_SECONDS = 120.0  # for the process to load its libraries on a busy machine
_PACKAGE = Path(__file__).resolve().parents[2]
_FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.remove", "os.rename", "os.rmdir", "os.mkdir")
_FORBIDDEN_PARTS = ("subprocess.", "socket.", "ctypes.", "shutil.", "webbrowser.", "pty.")


class NotLoaded(Exception):
    """The process could not load what it needs; the message says why."""


class Isolated:
    """The function that ``module`` loads, in a process that is started when first asked.

    ``seconds`` limits each request, in time on the clock and of the processor; ``memory`` the bytes of address
    space. May be used from any thread (one request at a time is served), and after a fork.
    """

    def __init__(self, module: str, seconds: float = 5.0, memory: int = 2 << 30) -> None:
        self.module = module
        self.seconds = seconds
        self.memory = memory
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self._forget)

    def ask(self, request: Any) -> tuple[Any, str]:
        """The reply and ""; or None and the reason why there is none within the limits. Raises NotLoaded."""
        with self._lock:
            try:
                return self._ask(json.dumps(request).encode() + b"\n")
            except BaseException:
                self._kill()  # a reply may be on its way, and must not be taken for the next one's
                raise

    def close(self) -> None:
        """End the process; the next request starts another."""
        with self._lock:
            self._kill()

    def _ask(self, line: bytes) -> tuple[Any, str]:
        try:
            process = self._write(line)
        except BrokenPipeError:  # it had died since the last request
            self._kill()
            process = self._write(line)
        answer = self._line(process, time.monotonic() + self.seconds)
        if answer is not None:
            reply, reason = json.loads(answer)
            return reply, reason
        status = process.poll()
        self._kill()
        if status in (None, -signal.SIGXCPU):
            return None, f"it took longer than {self.seconds:g} s"
        return None, f"its process ended with status {status} (memory is limited to {self.memory >> 20} MiB)"

    def _write(self, line: bytes) -> subprocess.Popen[bytes]:
        process = self._process or self._start()
        assert process.stdin is not None
        process.stdin.write(line)
        return process

    def _start(self) -> subprocess.Popen[bytes]:
        # -P: what lies where the user stands must not be taken for a library.
        command = [sys.executable, "-P", "-m", __name__, self.module, str(self.seconds), str(self.memory)]
        paths = [str(_PACKAGE), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        process = self._process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,  # an interrupt typed at the terminal is not for it
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        ready = self._line(process, time.monotonic() + START_SECONDS)
        if ready is None:
            raise NotLoaded(f"{self.module} did not start within {START_SECONDS:g} s, or died")
        if fault := json.loads(ready):
            raise NotLoaded(fault)
        return process

    def _line(self, process: subprocess.Popen[bytes], deadline: float) -> bytes | None:
        """The next line the process writes; None where it ends, or the time is over, before that."""
        assert process.stdout is not None
        pipe, line = process.stdout.fileno(), b""
        poll = select.poll()
        poll.register(pipe, select.POLLIN | select.POLLHUP)
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(math.ceil(1000 * left)):
                return None
            piece = os.read(pipe, 65536)
            if not piece:
                process.wait()
                return None
            line += piece
        return line

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            _close(process)

    def _forget(self) -> None:
        """In a forked child: the process belongs to the parent, and another thread may have held the lock."""
        self._lock = threading.Lock()
        process, self._process = self._process, None
        if process is not None:
            _close(process)
            process.returncode = 0  # no child of this process: nothing to wait for


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def main(module: str, seconds: float, memory: int) -> None:
    """The process: a line "" (or why it cannot serve), then for each request a line [reply, reason]."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What a library prints must not be taken for a reply, nor a request be taken by what reads from the terminal.
    lines, out = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    try:
        function = importlib.import_module(module).load()
    except Exception as error:
        print(json.dumps(f"{type(error).__name__}: {error}"), file=out)
        return
    sys.dont_write_bytecode = True
    sys.addaudithook(_refuse)
    print(json.dumps(""), file=out)
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines, requests), daemon=True).start()
    while True:
        request = json.loads(requests.get())
        _, hardest = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time() + seconds) + 1, hardest))
        try:
            reply = (function(request), "")
        except MemoryError:
            reply = (None, f"it needs more than {memory >> 20} MiB")
        except (Exception, SystemExit) as error:
            reply = (None, f"{type(error).__name__}: {str(error)[:100]}")
        print(json.dumps(reply), file=out)


def _listen(lines: TextIO, requests: queue.SimpleQueue[str]) -> None:
    """Pass requests on; the end of the pipe is the end of the parent, and so of this process."""
    for line in lines:
        requests.put(line)
    os._exit(0)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    writes = event == "open" and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    if writes or event in _FORBIDDEN or event.startswith(_FORBIDDEN_PARTS):
        raise PermissionError(f"{event} is refused here")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
