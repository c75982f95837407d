"""The chat page in a real browser, in front of the real server and a scripted model."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.serving import MARKDOWN, THOUGHT, Player, Serving, player
from thinkling.serve.pages import WEB
from thinkling.serve.source import Ask

CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("needs a browser: apt-get install chromium", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
Page, expect = sync_api.Page, sync_api.expect

COIN = "A coin is heads up. Ada flips it. Is it still heads up?"
SCREENS = {"desktop": (1360, 860), "phone": (390, 780), "small phone": (320, 568)}
WATCH = """
window.violations = [];
document.addEventListener('securitypolicyviolation',
  (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`));
window.longest = 0;
new PerformanceObserver((list) => { for (const one of list.getEntries()) longest = Math.max(longest, one.duration); })
  .observe({type: 'longtask', buffered: true});
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def serving() -> Iterator[Serving]:
    with Serving(player(chunk=4, pause=0.002)) as made:
        yield made


Open = Callable[..., Any]


@pytest.fixture
def opened(browser: Any, serving: Serving) -> Iterator[Open]:
    """Opens the page on a screen. At the end, nothing may have gone wrong in it but what the test expects."""
    contexts: list[Any] = []
    pages: list[Any] = []

    def open_page(path: str = "/", screen: str = "desktop", scheme: str = "light", **options: Any) -> Any:
        width, height = SCREENS[screen]
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **options)
        context.set_default_timeout(20_000)
        context.add_init_script(WATCH)
        page = context.new_page()
        page.problems, page.expected = [], ""
        page.on("console", lambda said: said.type in ("error", "warning") and page.problems.append(said.text))
        page.on("pageerror", lambda error: page.problems.append(f"{error} {error.stack}"))
        page.goto(serving.address + path)
        contexts.append(context)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        wrong = [one for one in page.problems if not (page.expected and re.search(page.expected, one))]
        assert wrong == []
        assert page.evaluate("violations") == []
    for context in contexts:
        context.close()


@pytest.fixture
def page(opened: Open) -> Any:
    return opened()


def field(page: Any) -> Any:
    return page.get_by_label("Your message")


def send(page: Any, text: str) -> None:
    field(page).fill(text)
    field(page).press("Enter")


def ask(page: Any, text: str) -> Any:
    """Ask, and wait for the end: the last answer's place."""
    before = page.locator(".turn.assistant").count()
    send(page, text)
    expect(page.locator(".turn.assistant")).to_have_count(before + 1)
    rest(page)
    return page.locator(".turn.assistant").last


def rest(page: Any) -> None:
    expect(page.get_by_role("button", name="Send (Enter)")).to_be_visible(timeout=60_000)
    expect(page.locator(".arriving")).to_have_count(0)


def asked(source: Player) -> list[Ask]:
    return [job for job in source.asked if isinstance(job, Ask)]


def tokens_of(page: Any) -> Any:
    """The last answer as its tokens."""
    page.get_by_role("radio", name="Tokens").last.check()
    return page.locator(".token-view").last


def choose_strategy(page: Any, name: str) -> None:
    panel = page.get_by_role("complementary", name="Settings")
    if not panel.is_visible():
        page.get_by_role("button", name="Settings", exact=True).click()
    panel.get_by_label("Strategy", exact=True).select_option(name)


def stored(page: Any) -> dict[str, Any]:
    """The open conversation as the server has it."""
    made: dict[str, Any] = page.evaluate(
        "fetch('/api/conversations/' + location.hash.split('/')[2]).then((answer) => answer.json())"
    )
    return made


def test_thinking_shows_while_it_comes_folds_when_the_answer_begins_and_all_of_it_is_kept(
    page: Any, serving: Serving
) -> None:
    serving.source.pause, serving.source.chunk = 0.05, 1
    send(page, COIN)
    thinking = page.get_by_role("button", name=re.compile("^Thinking"))
    expect(thinking).to_have_attribute("aria-expanded", "true")
    expect(page.get_by_label("The thinking")).to_contain_text("The coin starts")
    serving.source.pause = 0.0
    rest(page)
    folded = page.get_by_role("button", name=re.compile(r"^Thought\s*[\d.]+ s · \d+ tokens"))
    expect(folded).to_have_attribute("aria-expanded", "false")
    expect(page.locator(".answer strong")).to_have_text("yes")
    expect(page.locator(".turn-facts")).to_contain_text("tok/s")
    page.reload()
    expect(page.get_by_role("link", name=COIN)).to_be_visible()
    expect(page.locator(".answer")).to_have_text(
        "The coin was flipped twice, so it is heads up again. The answer is yes."
    )
    page.get_by_role("button", name=re.compile("^Thought")).click()
    expect(page.get_by_label("The thinking")).to_have_text(THOUGHT)
    answer = stored(page)["messages"][-1]
    assert answer["meta"]["model"] == "nano" and answer["meta"]["finish"] == "stop"
    assert "".join(one["text"] for one in answer["meta"]["tokens"] if one["kind"] == "text") == answer["content"]


def test_escape_stops_an_answer_at_once_and_keeps_what_had_come(page: Any, serving: Serving) -> None:
    serving.source.pause, serving.source.chunk = 0.05, 1
    send(page, "slow please")
    expect(page.locator(".answer")).to_contain_text("word3")
    page.keyboard.press("Escape")
    rest(page)
    expect(page.locator(".turn-facts")).to_contain_text("stopped")
    text = page.locator(".answer").inner_text()
    assert text.startswith("word0 word1") and "word100" not in text
    page.wait_for_timeout(300)
    assert page.locator(".answer").inner_text() == text
    assert len(serving.source.cancelled) == 1
    assert stored(page)["messages"][-1]["meta"]["finish"] == "stopped"


def test_an_edit_and_another_answer_begin_branches_and_none_is_lost(page: Any, serving: Serving) -> None:
    ask(page, "What is seven?")
    page.get_by_role("button", name="Answer again").click()
    expect(page.get_by_label("Branches")).to_contain_text("2")
    rest(page)
    question = page.locator(".turn.user")
    question.hover()
    question.get_by_role("button", name="Edit the message").click()
    page.get_by_label("Edited message").fill("What is a coin?")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".bubble")).to_have_text("What is a coin?")
    rest(page)
    expect(page.locator(".answer")).to_contain_text("yes")
    page.get_by_role("button", name="Previous branch").first.click()
    expect(page.locator(".bubble")).to_have_text("What is seven?")
    expect(page.locator(".answer")).to_contain_text("the answer is 7")
    expect(page.locator(".turn.assistant .branches")).to_contain_text("2/ of 2")
    page.wait_for_function(
        "fetch('/api/conversations/' + location.hash.split('/')[2]).then((answer) => answer.json())"
        ".then((kept) => kept.current === kept.messages[2].id)"
    )
    page.reload()
    expect(page.locator(".bubble")).to_have_text("What is seven?")
    assert [job.sample.messages[-1].text for job in asked(serving.source)] == ["What is seven?"] * 2 + [
        "What is a coin?"
    ]


def test_a_token_shows_its_rivals_and_another_answer_goes_on_from_one(page: Any, serving: Serving) -> None:
    ask(page, COIN)
    view = tokens_of(page)
    records = stored(page)["messages"][-1]["meta"]["tokens"]
    view.locator('[data-at="20"]').click()
    popover = page.get_by_role("dialog", name="Token 21")
    expect(popover.locator(".facts")).to_contain_text("Rank1")
    expect(popover.locator(".bars li")).to_have_count(10)
    first = popover.locator(".bar-text").first
    sharp = float(first.inner_text().rstrip("%"))
    popover.get_by_label("Temperature").fill("2")
    assert float(first.inner_text().rstrip("%")) < sharp
    popover.get_by_label("Top-p").fill("0.05")
    expect(first).to_have_text("100%")
    rival = popover.locator(".bars button").nth(1)
    name = rival.locator(".bar-label").inner_text()
    rival.click()
    rest(page)
    expect(page.locator(".turn-facts")).to_contain_text("forked at token 21")
    expect(page.locator(".t.fork")).to_have_text(name.replace("␣", " "))
    forced = asked(serving.source)[-1].sample.forced
    assert list(forced[:-1]) == [one["id"] for one in records[:20]] and forced[-1] != records[20]["id"]
    expect(page.get_by_label("Branches")).to_contain_text("2/ of 2")
    assert [one["id"] for one in stored(page)["messages"][-1]["meta"]["tokens"]][:21] == list(forced)


def test_tokens_are_reached_by_the_keyboard_alone(page: Any, serving: Serving) -> None:
    ask(page, COIN)
    tokens_of(page).focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog", name="Token 5")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".popover")).to_have_count(0)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".popover .bars button").first).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    rest(page)
    assert len(asked(serving.source)[-1].sample.forced) == 5


def test_after_a_reload_the_rivals_are_asked_of_the_server(page: Any) -> None:
    ask(page, COIN)
    page.reload()
    tokens_of(page).locator('[data-at="20"]').hover()
    popover = page.get_by_role("dialog", name="Token 21")
    expect(popover.locator(".bars li")).to_have_count(10)
    expect(popover.locator(".facts")).to_contain_text("Rank1")
    expect(popover.locator(".bar.chosen .bar-label")).to_have_text("␣it")


def test_a_strategy_shows_its_candidates_while_they_grow_and_then_the_vote(page: Any, serving: Serving) -> None:
    serving.source.pause = 0.1
    choose_strategy(page, "sc")
    page.get_by_label("n", exact=True).fill("8")
    page.get_by_label("n", exact=True).blur()
    page.get_by_label("Each sample by").select_option("zs-cot")
    send(page, COIN)
    expect(page.locator(".candidate.growing")).to_have_count(4)
    expect(page.locator(".candidate.growing").first).to_contain_text("The coin starts")
    serving.source.pause = 0
    rest(page)
    assert asked(serving.source)[-1].strategy == "sc:n=8(zs-cot)"
    votes = page.get_by_role("list", name="The vote").locator(".bar-row")
    expect(votes).to_have_text(["yes3 of 4", "no1 of 4"])
    page.locator("button.trace-line").last.click()
    expect(page.get_by_role("article", name="Candidate 1")).to_contain_text("chosen")
    page.reload()
    expect(votes).to_have_text(["yes3 of 4", "no1 of 4"])


def test_beams_are_a_tree_and_margins_are_shown_piece_by_piece(page: Any) -> None:
    choose_strategy(page, "cot-decoding")
    ask(page, COIN)
    page.locator("button.trace-line").last.click()
    expect(page.locator(".margins").first.locator("span")).not_to_have_count(0)
    beams = page.evaluate(
        """import('/web/chat/trace.js').then(async ({TraceView}) => {
          const {html, render} = await import('/web/lib/ui.js');
          const step = (text, parent, kept, chosen) => ({text, parent, kept, chosen, weight: 0.5, role: 'step'});
          const place = document.createElement('div');
          const steps = [['One.', -1, true, false], ['Two.', -1, false, false], ['One. Three.', 0, true, true]];
          const trace = {strategy: 'beam', candidates: steps.map((one) => step(...one))};
          render(html`<${TraceView} trace=${trace} />`, place);
          place.querySelector('button').click();
          await new Promise((done) => setTimeout(done, 50));
          return [...place.querySelectorAll('.step')].map((one) =>
            [one.querySelectorAll('.step').length, one.className, one.querySelector('.step-line').textContent]);
        })"""
    )
    assert [(inner, name.split()[1:]) for inner, name, _ in beams] == [(1, []), (0, ["chosen"]), (0, ["pruned"])]
    assert "Three." in beams[1][2] and "One." not in beams[1][2]


def test_two_answers_side_by_side_and_the_chat_goes_on_with_the_chosen_one(page: Any, serving: Serving) -> None:
    choose_strategy(page, "sc")
    page.get_by_label("Compare two answers").check()
    choose_strategy(page, "plain")
    ask(page, COIN)
    columns = page.locator(".column")
    expect(columns).to_have_count(2)
    expect(columns.nth(0).get_by_role("list", name="The vote")).to_be_visible()
    expect(columns.nth(1).locator(".answer strong")).to_have_text("yes")
    assert sorted(job.strategy for job in asked(serving.source)) == ["plain", "sc"]
    columns.nth(1).get_by_role("button", name="Go on with this").click()
    page.get_by_label("Compare two answers").uncheck()
    choose_strategy(page, "plain")
    ask(page, "And now?")
    said = [one.text for one in asked(serving.source)[-1].sample.messages]
    assert said == [COIN, "The coin was flipped twice, so it is heads up again. The answer is **yes**.", "And now?"]
    page.reload()
    expect(columns).to_have_count(2)
    expect(columns.nth(1)).to_have_class(re.compile("chosen"))


def test_a_number_survives_what_is_drawn_while_it_is_typed(page: Any, serving: Serving) -> None:
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_label("Seed", exact=True).focus()
    page.keyboard.type("4")
    page.get_by_role("radio", name="Think", exact=True).evaluate("(radio) => radio.click()")  # the focus stays
    expect(page.get_by_role("radio", name="Think", exact=True)).to_be_checked()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.keyboard.type("2")
    page.keyboard.press("Tab")
    ask(page, "Anything")
    assert asked(serving.source)[-1].sample.seed == 42


def test_the_settings_become_the_request(page: Any, serving: Serving) -> None:
    page.get_by_role("button", name="Settings", exact=True).click()
    for name, value in {"Temperature": "0.3", "Top-p": "0.9", "Top-k": "40", "Min-p": "0.05"}.items():
        page.get_by_label(f"{name}, as a number").fill(value)
        page.get_by_label(f"{name}, as a number").blur()
    for name, value in {"Max tokens": "77", "Seed": "5"}.items():
        page.get_by_label(name, exact=True).fill(value)
        page.get_by_label(name, exact=True).blur()
    page.get_by_label("System prompt").fill("Be brief.")
    page.get_by_role("radio", name="Think", exact=True).check()
    ask(page, "Anything")
    sample = asked(serving.source)[-1].sample
    made = sample.sampling
    assert (made.temperature, made.top_p, made.top_k, made.min_p, made.max_tokens) == (0.3, 0.9, 40, 0.05, 77)
    assert (sample.seed, sample.think, sample.messages[0].role, sample.messages[0].text) == (
        5,
        True,
        "system",
        "Be brief.",
    )
    page.reload()
    expect(page.get_by_label("System prompt")).to_have_value("Be brief.")
    expect(page.get_by_label("Temperature, as a number")).to_have_value("0.3")


def test_nothing_that_a_model_writes_loads_or_runs(page: Any) -> None:
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    answer = ask(page, "Show me markdown").locator(".prose")
    expect(answer.locator("math")).to_have_count(2)
    expect(answer).to_contain_text('<b onclick="alert(1)">raw</b> <script>alert(2)</script>')
    expect(answer.locator("img, script, iframe, b, [onclick]")).to_have_count(0)
    links = answer.locator("a").evaluate_all(
        "(all) => all.map((one) => [one.textContent, one.getAttribute('href'), one.rel])"
    )
    assert links == [
        ["link", "https://example.org/", "noopener noreferrer"],
        ["[image: a picture]", "http://example.org/spy.png", "noopener noreferrer"],
    ]
    expect(answer.locator("table td")).to_have_text(["apples", "3", "pears", "12"])
    expect(answer.locator("pre code")).to_contain_text("    return sum(")
    assert all(address.startswith(page.url.split("/#")[0]) for address in requested)


def test_a_text_read_in_pieces_is_the_text_read_at_once(page: Any) -> None:
    shown = page.evaluate(
        """async (text) => {
          const {Blocks} = await import('/web/lib/markdown.js');
          const plain = (tokens) => JSON.stringify(tokens.map((one) => [one.type, one.raw.trim()]));
          const whole = plain(new Blocks().read(text));
          const wrong = [];
          for (let step = 1; step < 40; step += 1) {
            const blocks = new Blocks();
            let at = 0;
            for (; at < text.length; at += step) blocks.read(text.slice(0, at));
            if (plain(blocks.read(text)) !== whole) wrong.push(step);
          }
          const blocks = new Blocks();
          const [first] = blocks.read(text);
          return {wrong, kept: blocks.read(text + 'more')[0] === first, reset: plain(blocks.read('another'))};
        }""",
        MARKDOWN + "\n\n- a\n\n- b\n\n      code\n\n1. x\n\n   y\n\nend\n===\n\n```\nopen",
    )
    assert shown == {"wrong": [], "kept": True, "reset": '[["paragraph","another"]]'}


def test_errors_say_what_to_do_where_they_happened_and_the_text_is_kept(page: Any, serving: Serving) -> None:
    page.expected = "Failed to load resource"
    ask(page, "This is too long")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("too long for the model")
    expect(alert).to_contain_text("900 tokens")

    busy = {"error": {"message": "the queue is full", "type": "rate_limit", "param": None, "code": None}}
    page.route(
        "**/v1/chat/completions",
        lambda route: route.fulfill(status=429, headers={"retry-after": "7"}, json=busy),
        times=1,
    )
    send(page, "What is seven?")
    expect(alert).to_contain_text("Try again in 7 s.")
    expect(page.get_by_label("Branches")).to_contain_text("2/ of 2")
    alert.get_by_role("button", name="Try again").click()
    rest(page)
    expect(page.locator(".answer").last).to_contain_text("the answer is 7")
    assert [one.text for one in asked(serving.source)[-1].sample.messages] == ["What is seven?"]

    page.route("**/api/conversations/*/messages", lambda route: route.abort(), times=1)
    send(page, "Do not lose this")
    expect(alert.last).to_contain_text("does not answer")
    expect(field(page)).to_have_value("Do not lose this")
    page.reload()
    expect(field(page)).to_have_value("Do not lose this")
    field(page).press("Enter")
    expect(page.locator(".bubble").last).to_have_text("Do not lose this")
    rest(page)
    expect(field(page)).to_have_value("")


def test_an_answer_that_breaks_off_keeps_what_had_come(page: Any, serving: Serving) -> None:
    page.expected = "Failed to load resource|ERR_"
    serving.source.pause, serving.source.chunk = 0.05, 1
    send(page, "slow please")
    expect(page.locator(".answer")).to_contain_text("word3")
    serving.crash()
    expect(page.get_by_role("alert").first).to_contain_text("broke off")
    expect(page.locator(".answer")).to_contain_text("word3")


def test_a_key_is_asked_for_once_and_stays_with_the_tab(browser: Any) -> None:
    with Serving(player(), key="open-sesame") as serving:
        context = browser.new_context()
        page = context.new_page()
        page.goto(serving.address)
        dialog = page.get_by_role("dialog", name="This server wants a key")
        dialog.get_by_label("Key").fill("wrong")
        dialog.get_by_label("Key").press("Enter")
        expect(dialog).to_contain_text("not accepted")
        dialog.get_by_label("Key").fill("open-sesame")
        dialog.get_by_role("button", name="Use this key").click()
        expect(ask(page, COIN).locator(".answer")).to_contain_text("yes")
        page.reload()
        expect(page.locator(".answer")).to_contain_text("yes")
        assert page.evaluate("JSON.stringify({...localStorage})").find("sesame") < 0
        context.close()


def test_conversations_are_found_renamed_taken_out_brought_back_and_deleted(page: Any, tmp_path: Any) -> None:
    ask(page, "What is seven?")
    page.get_by_role("link", name="New chat").click()
    expect(page.get_by_role("heading", name="Ask a small model that thinks")).to_be_visible()
    ask(page, COIN)
    entries = page.get_by_role("navigation", name="Conversations").get_by_role("link")
    expect(entries).to_have_text([COIN, "What is seven?"])
    page.get_by_label("Search the conversations").fill("seven")
    expect(entries).to_have_text(["What is seven?"])
    page.get_by_role("button", name="More about What is seven?").click()
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("New title").fill("Sevens")
    page.get_by_label("New title").press("Enter")
    page.get_by_label("Search the conversations").fill("")
    expect(entries).to_have_text([re.compile("Sevens|coin"), re.compile("Sevens|coin")])
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Export all").click()
    downloading.value.save_as(tmp_path / "all.json")
    assert json.loads((tmp_path / "all.json").read_text())
    page.get_by_role("button", name="More about Sevens").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(entries).to_have_count(1)
    page.get_by_label("File to import").set_input_files(tmp_path / "all.json")
    expect(page.get_by_text("2 conversations imported.")).to_be_visible()
    expect(entries).to_have_count(3)
    page.get_by_role("link", name="Sevens").click()
    expect(page.locator(".answer")).to_contain_text("the answer is 7")


def test_a_server_without_a_history_chats_all_the_same(browser: Any) -> None:
    with Serving(player(), history=None) as serving:
        context = browser.new_context()
        page = context.new_page()
        page.goto(serving.address)
        expect(ask(page, COIN).locator(".answer")).to_contain_text("yes")
        ask(page, "And seven?")
        expect(page.locator(".bubble")).to_have_count(2)
        context.close()


def test_the_theme_follows_the_system_until_one_is_chosen(opened: Open) -> None:
    page = opened(scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(21, 22, 26)"
    page.get_by_role("button", name="Light theme").click()
    page.wait_for_function(f"{ground} === 'rgb(251, 250, 247)'")
    page.reload()
    assert page.evaluate(ground) == "rgb(251, 250, 247)"


def test_on_a_small_phone_one_can_send(opened: Open) -> None:
    page = opened(screen="small phone")
    send_button = page.get_by_role("button", name="Send (Enter)")
    expect(send_button).to_be_visible()
    for box in (send_button.bounding_box(), page.locator(".composer-box").bounding_box()):
        assert box["x"] >= 0 and box["x"] + box["width"] <= SCREENS["small phone"][0]


@pytest.mark.parametrize(
    ("state", "title"), [("loading", "The model is still loading."), ("broken", "The server cannot do this now.")]
)
def test_a_model_that_cannot_answer_is_not_said_to_load(page: Any, serving: Serving, state: Any, title: str) -> None:
    page.expected = "503"
    serving.source.state = state
    send(page, COIN)
    notice = page.locator(".turn.assistant .notice")
    expect(notice).to_contain_text(title)
    assert (state == "broken") is ("is broken" in notice.inner_text())


def keep(page: Any, content: str, meta: dict[str, Any]) -> str:
    """Store a conversation with one answer, as an import does; returns its place on the page."""
    made: str = page.evaluate(
        """async ([content, meta]) => {
          const send = async (path, body) => (await fetch(path, {method: 'POST', body: JSON.stringify(body),
            headers: {'content-type': 'application/json'}})).json();
          const {id} = await send('/api/conversations', {title: 'kept'});
          const add = (message) => send(`/api/conversations/${id}/messages`, message);
          const {id: parent} = await add({parent: null, role: 'user', content: 'q'});
          await add({parent, role: 'assistant', content, meta});
          return `#/chat/${id}`;
        }""",
        [content, meta],
    )
    return made


@pytest.mark.parametrize(
    "text", ["> " * 2000, "1. " * 500, "*" * 2000 + "a" + "*" * 2000, f"|{'*' * 300}a{'*' * 300}|b|\n|-|-|\n|1|2|"]
)
def test_an_answer_nested_beyond_all_sense_is_shown_as_it_is(page: Any, text: str) -> None:
    """A small model that is caught in a loop writes such."""
    page.goto(page.url.partition("#")[0] + keep(page, "Before.\n\n" + text, {}))
    answer = page.locator(".turn.assistant .prose")
    expect(answer).to_contain_text("Before.")
    expect(answer).to_contain_text(text[:8].strip())


def test_a_conversation_that_cannot_be_shown_does_not_keep_one_from_the_others(page: Any) -> None:
    page.expected = "toPrecision"
    odd = {"trace": {"strategy": "sc", "candidates": [], "tally": [["no weight"]]}}  # of a file that somebody wrote
    good, bad = keep(page, "A good one.", {}), keep(page, "A bad one.", odd)
    page.evaluate("(place) => { location.hash = place; }", bad)
    expect(page.get_by_text("This view failed.")).to_be_visible()
    page.evaluate("(place) => { location.hash = place; }", good)
    expect(page.locator(".turn.assistant .prose")).to_contain_text("A good one.")


def test_on_a_phone_the_panels_lie_over_the_chat(opened: Open) -> None:
    page = opened(screen="phone")
    ask(page, COIN)
    right = "Math.max(...[...document.querySelectorAll('.chat *')].map((one) => one.getBoundingClientRect().right))"
    assert page.evaluate(right) <= 390
    page.get_by_role("button", name="Conversations").click()
    drawer = page.get_by_role("dialog", name="Conversations")
    expect(drawer.get_by_role("link", name=COIN)).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    page.get_by_role("button", name="Settings", exact=True).click()
    expect(page.get_by_role("dialog", name="Settings").get_by_label("Temperature", exact=True)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", ["desktop", "phone"])
def test_the_page_is_accessible(opened: Open, screen: str, scheme: str) -> None:
    page = opened(screen=screen, scheme=scheme, reduced_motion="reduce")
    expect(page.get_by_role("heading", name="Ask a small model that thinks")).to_be_visible()
    found: dict[str, Any] = {"welcome": accessible(page)}
    ask(page, "Show me markdown")
    ask(page, COIN)
    page.get_by_role("button", name=re.compile("^Thought")).click()
    found["answers"] = accessible(page)
    tokens_of(page).locator('[data-at="20"]').click()
    expect(page.locator(".popover .bars li")).to_have_count(10 if screen == "desktop" else 6)
    found["tokens"] = accessible(page)
    page.keyboard.press("Escape")
    choose_strategy(page, "sc")
    page.get_by_label("Compare two answers").check()
    found["settings"] = accessible(page)
    page.get_by_role("button", name="Close the settings").click()
    ask(page, COIN)
    page.locator("button.trace-line").last.click()
    found["compared"] = accessible(page)
    assert found == {name: [] for name in found}


def accessible(page: Any) -> list[str]:
    """What axe-core finds wrong."""
    page.wait_for_timeout(250)  # colours that fade in are measured when they have
    response = axe.Axe().run(page).response
    return [
        f"{wrong['id']}: {node['html'][:160]} {(node.get('any') or [{}])[0].get('message', '')}"
        for wrong in response["violations"]
        for node in wrong["nodes"]
    ]


def test_ten_thousand_tokens_arrive_and_are_looked_at_smoothly(page: Any, serving: Serving) -> None:
    serving.source.pause, serving.source.chunk = 0.002, 24
    page.evaluate("longest = 0")
    answer = ask(page, "A long answer please")
    expect(answer.locator(".turn-facts")).to_contain_text(re.compile(r"1\d,\d{3} tokens"))
    while_arriving = page.evaluate("longest")
    page.evaluate("longest = 0")
    tokens_of(page)
    expect(page.locator(".t").first).to_be_visible()
    assert page.locator(".t").count() < 4000
    while_looking = page.evaluate("longest")
    print(f"longest task: {while_arriving:.0f} ms while arriving, {while_looking:.0f} ms on looking at the tokens")
    assert while_arriving < 400 and while_looking < 400


def test_five_hundred_messages_are_drawn_as_they_are_read(page: Any, serving: Serving) -> None:
    history = serving.state.history
    assert history is not None
    made = history.create("Many", "", "{}")
    parent = None
    for i in range(500):
        parent = history.add(made.id, parent, "assistant" if i % 2 else "user", f"Message **{i}**", "", "{}").id
    page.evaluate("longest = 0")
    page.goto(f"{serving.address}/#/chat/{made.id}")
    expect(page.get_by_text("Message 499")).to_be_visible()
    assert page.locator(".turn").count() <= 90
    thread = page.get_by_role("log", name="Conversation")
    for _ in range(12):
        thread.evaluate("(one) => one.scrollTo(0, 0)")
        page.wait_for_timeout(120)
    assert page.locator(".turn").count() > 200
    print(f"longest task: {page.evaluate('longest'):.0f} ms")
    assert page.evaluate("longest") < 400


def test_whatever_the_chat_imports_is_fetched_at_once(page: Any) -> None:
    """The list of preloads in index.html is what the modules import, and no more."""
    field(page).wait_for()
    paths = "(all) => all.map((one) => new URL(one.href ?? one.name).pathname).filter((path) => path.endsWith('.js'))"
    preloaded = page.locator("link[rel=modulepreload]").evaluate_all(paths)
    loaded = page.evaluate(f"({paths})(performance.getEntriesByType('resource'))")
    assert sorted([*preloaded, "/web/app.js", "/web/lib/theme.js"]) == sorted(set(loaded))


def test_the_whole_chat_with_its_typesetter_weighs_under_150_kilobytes(opened: Open) -> None:
    page = opened()
    field(page).wait_for()
    page.evaluate("import('/web/vendor/temml.js').then(() => null)")
    sizes = page.evaluate(
        "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        ".filter((one) => !one.name.includes('/api/')).map((one) => one.encodedBodySize)"
    )
    print(f"{len(sizes)} files, {sum(sizes) / 1000:.0f} kB")
    assert len(sizes) > 35 and 100_000 < sum(sizes) < 150_000


def test_vendored_modules_are_what_their_list_says() -> None:
    vendor = WEB / "vendor"
    listed = re.findall(
        r"^\| (\S+\.js) \| (\w+) .* \| ([0-9a-f]{64}) \|$", (vendor / "VENDOR.md").read_text(), re.MULTILINE
    )
    assert {name: hashlib.sha256((vendor / name).read_bytes()).hexdigest() for name, _, _ in listed} == {
        name: digest for name, _, digest in listed
    }
    assert {name for name, _, _ in listed} == {file.name for file in vendor.glob("*.js")}
    assert all((vendor / "licences" / f"{package}.txt").is_file() for _, package, _ in listed)
