"""Reports in the server's frame, in a real browser: theirs work as on the disk, a hostile one can do nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from tests.browser.tab import Tab
from tests.synthetic_evaluation import synthetic
from thinkling.serve.app import build_app, make_state
from thinkling.serve.runs import Runs
from thinkling.serve.settings import Settings

# What a script in a report may try, and what comes of it.
HOSTILE = """<!doctype html><title>report</title><body><img src="http://example.org/spy.png"><script>
const tried = {};
const attempt = async (name, act) => {
  try { tried[name] = String(await act()); } catch (error) { tried[name] = `refused: ${error.name}`; }
};
(async () => {
  await attempt('origin', () => self.origin);
  await attempt('fetch', () => fetch('/v1/models').then((answer) => answer.status));
  await attempt('cookie', () => document.cookie);
  await attempt('storage', () => localStorage.length);
  await attempt('parent', () => parent.document.title);
  if (top !== self) await attempt('leave', () => { top.location = 'http://example.org/'; return 'left'; });
  await attempt('window', () => window.open('/'));
  await attempt('worker', () => new Promise((done) => {
    const worker = new Worker('data:text/javascript,postMessage(1)');
    worker.onmessage = () => done('ran');
    worker.onerror = () => done('did not run');
  }));
  document.body.dataset.tried = JSON.stringify(tried);
})();
</script></body>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("runs")
    report = synthetic(tmp_path_factory.mktemp("browse"), problems=12).folder / "report.html"
    for name, page in {"honest": report.read_text(encoding="utf-8"), "hostile": HOSTILE}.items():
        (made / name).mkdir()
        (made / name / "eval.json").write_text("{}")
        (made / name / "report.html").write_text(page, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    app = build_app(make_state(Settings(port=port, runs=folder, access_log=False), {}))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def framed(tab: Tab, address: str, folder: Path, name: str) -> Any:
    """The report of a run, in a sandboxed frame of the server's own page; Playwright's frame."""
    id = next(run.id for run in Runs(folder).all() if run.name == name)
    tab.open(address)
    tab.errors.clear()
    tab.run(
        """(address) => {
        const frame = Object.assign(document.createElement('iframe'), {src: address, name: 'report'});
        frame.sandbox.add('allow-scripts');
        document.body.replaceChildren(frame);
        return new Promise((done) => frame.addEventListener('load', () => done()));
        }""",
        f"/runs/{id}/report",
    )
    frame = tab.page.frame("report")
    assert frame is not None
    return frame


def test_a_report_works_in_its_frame(tab: Tab, address: str, folder: Path) -> None:
    frame = framed(tab, address, folder, "honest")
    frame.wait_for_selector("#problem .abreast")  # its scripts ran: the first problem is unpacked and shown
    assert frame.evaluate("getComputedStyle(document.querySelector('#problem')).display") == "block"
    first = frame.inner_text("#problem h3")
    frame.evaluate("location.hash = '#problem-2'")
    frame.wait_for_function("(first) => document.querySelector('#problem h3').innerText !== first", arg=first)
    assert tab.errors == []
    assert all(url.startswith(address) for url in tab.requested)


def test_a_hostile_report_can_do_nothing(tab: Tab, address: str, folder: Path) -> None:
    frame = framed(tab, address, folder, "hostile")
    frame.wait_for_selector("body[data-tried]")
    tried = frame.evaluate("JSON.parse(document.body.dataset.tried)")
    assert tried == {
        "origin": "null",
        "fetch": "refused: TypeError",
        "cookie": "refused: SecurityError",
        "storage": "refused: SecurityError",
        "parent": "refused: SecurityError",
        "leave": "refused: SecurityError",
        "window": "null",
        "worker": "did not run",
    }
    assert not [url for url in tab.requested if "example.org" in url]
    assert tab.page.url.startswith(address)


def test_opened_by_itself_a_report_has_no_more_rights(tab: Tab, address: str, folder: Path) -> None:
    id = next(run.id for run in Runs(folder).all() if run.name == "hostile")
    tab.open(f"{address}/runs/{id}/report")
    tab.page.wait_for_selector("body[data-tried]")
    tried = tab.run("JSON.parse(document.body.dataset.tried)")
    refused = {name for name, result in tried.items() if result.startswith("refused")}
    assert tried["origin"] == "null" and refused == {"fetch", "cookie", "storage"}
