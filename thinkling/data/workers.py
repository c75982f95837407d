"""Judging batches of pages in worker processes, results in the order of the batches.

Plain processes and pipes rather than a pool: when this process is killed its workers see their pipe
close and end, and when a page crashes the parser (native code) only that page is lost.
"""

from __future__ import annotations

import gc
import multiprocessing
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from thinkling.core.types import Document
from thinkling.data.documents import Reject
from thinkling.data.pipeline import Pipeline, Rules, Survivor
from thinkling.data.warc import Record

Batch = list[Record | Document]
Judged = list[Survivor | Reject]

_AHEAD = 4  # batches a worker may hold, the one in work included
_FURTHEST = 8  # batches per worker that may be out beyond the one that is due


def judge_batches(batches: Iterable[Batch], rules: Rules, workers: int) -> Iterator[Judged]:
    """Judge every batch; results come in order and do not depend on ``workers`` (0: in this process)."""
    if workers == 0:
        pipeline = Pipeline(rules)
        for batch in batches:
            yield [pipeline.judge(item) for item in batch]
        return
    crew = [_Worker(rules) for _ in range(workers)]
    try:
        yield from _dispatch(iter(batches), crew)
    finally:
        for worker in crew:
            worker.stop()


def _dispatch(batches: Iterator[Batch], crew: list[_Worker]) -> Iterator[Judged]:
    results: dict[int, Judged] = {}
    sent = due = 0
    exhausted = False
    while True:
        # A slow batch may hold up the output; do not run further ahead of it than this.
        while not exhausted and sent - due < _FURTHEST * len(crew):
            worker = min(crew, key=lambda one: len(one.held))
            if len(worker.held) >= _AHEAD:
                break
            batch = next(batches, None)
            if batch is None:
                exhausted = True
            else:
                worker.send(sent, batch)
                sent += 1
        while due in results:
            yield results.pop(due)
            due += 1
        if exhausted and due == sent:
            return
        if not exhausted and sent - due < _FURTHEST * len(crew) and any(len(one.held) < _AHEAD for one in crew):
            continue
        busy = [one for one in crew if one.held]
        ready = wait([one.pipe for one in busy])
        for worker in busy:
            if worker.pipe in ready:
                index, judged = worker.receive()
                results[index] = judged


class _Worker:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.held: deque[tuple[int, Batch]] = deque()
        self._process: BaseProcess
        self.pipe: Connection
        self._start()

    def _start(self) -> None:
        # Spawned, not forked: the parent may run threads (torch, a tokenizer), which a fork breaks.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, self._rules), daemon=True)
        self._process.start()
        theirs.close()

    def send(self, index: int, batch: Batch) -> None:
        self.held.append((index, batch))
        self._post(batch)

    def _post(self, batch: Batch) -> None:
        try:
            self.pipe.send(batch)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it died on an earlier batch: whoever receives finds out and starts afresh

    def receive(self) -> tuple[int, Judged]:
        """The result of the oldest batch held; a worker that died over it is replaced."""
        index, batch = self.held[0]
        try:
            judged = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            judged = self._recover(batch)
        self.held.popleft()
        if isinstance(judged, BaseException):
            raise judged
        return index, judged

    def _recover(self, batch: Batch) -> Judged:
        """Judge a batch that killed the worker page by page, charging the page that does it again."""
        judged: Judged = []
        self._restart()
        for item in batch:
            self._post([item])
            try:
                answer = self.pipe.recv()
            except (EOFError, ConnectionResetError):
                answer = [Reject(item.id, item.url, "extract", "the parser crashed on it")]
                self._restart()
            if isinstance(answer, BaseException):
                raise answer
            judged += answer
        for _, waiting in list(self.held)[1:]:
            self._post(waiting)
        return judged

    def _restart(self) -> None:
        self.stop()
        self._start()

    def stop(self) -> None:
        self.pipe.close()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _work(pipe: Connection, rules: Rules) -> None:
    """A worker's life: judge batches until the pipe closes."""
    pipeline = Pipeline(rules)
    gc.freeze()  # what is loaded stays, and pages make no reference cycles to speak of
    gc.set_threshold(100_000)
    inbox: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, inbox), daemon=True).start()
    while (batch := inbox.get()) is not None:
        try:
            answer: Judged | BaseException = [pipeline.judge(item) for item in batch]
        except Exception as error:  # carried to the parent, which raises it
            answer = error
        try:
            pipe.send(answer)
        except (BrokenPipeError, ConnectionResetError):
            return


def _receive(pipe: Connection, inbox: queue.SimpleQueue[Batch | None]) -> None:
    # In a thread of its own, so that the parent's sends never wait for a page to be judged.
    try:
        while True:
            inbox.put(pipe.recv())
    except (EOFError, ConnectionResetError, OSError):
        inbox.put(None)
