"""The magics in a real kernel, over its messages: what a front end, nbclient and papermill see."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

ROOT = Path(__file__).parents[2]

START = """
from pathlib import Path
from molt_magic import Orchestrator, load_settings, magics
from molt_magic.magics import RouteMagics
from tests.scripted import ScriptedProviders

def make():
    prices = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
    model = {"provider": "openai", "model": "s", "context_window": 8000, "api_key_env": "NONE", **prices}
    settings = load_settings(cwd=Path("/")).with_values({"catalog": "none", "models.small": model})
    return Orchestrator(settings=settings, providers=ScriptedProviders({"small": "one two three four"}, delay_s=0.08))

session = magics.load(get_ipython(), RouteMagics(get_ipython(), make=make))
"""

Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockingKernelClient]:
    home = tmp_path_factory.mktemp("kernel")
    manager = KernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    manager.start_kernel(env={**os.environ, "PYTHONPATH": str(ROOT), "MOLT_HOME": str(home)}, cwd=str(home))
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def run(kernel: BlockingKernelClient) -> Run:
    """Runs a cell and returns its output messages; with `cell_id` as a notebook front end does."""

    def send(code: str, cell_id: str | None = None) -> list[dict[str, Any]]:
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        message = kernel.session.msg("execute_request", content, metadata={"cellId": cell_id} if cell_id else {})
        kernel.shell_channel.send(message)
        found = []
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            answer = kernel.get_iopub_msg(timeout=60)
            if answer["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            if answer["msg_type"] == "status" and answer["content"]["execution_state"] == "idle":
                return found
            if answer["msg_type"] not in ("status", "execute_input"):
                found.append(answer)
        raise TimeoutError(code)

    assert [m["msg_type"] for m in send(START)] == [], "the magics did not load"
    return send


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["msg_type"] for message in messages]


def test_cell_of_a_front_end_streams_into_one_display_and_ends_whole(run: Run) -> None:
    messages = run("%%route -m small --no-cache\nHello?", cell_id="c1")
    assert kinds(messages)[0] == "display_data"
    assert set(kinds(messages)[1:]) == {"update_display_data"}
    assert len({message["content"]["transient"]["display_id"] for message in messages}) == 1
    last = messages[-1]["content"]["data"]
    assert "one two three four" in last["text/html"]
    assert "Candidates and attempts" in last["text/html"]


def test_headless_cell_has_one_static_output(run: Run) -> None:
    assert kinds(run("%%route -m small --no-cache\nHello?")) == ["display_data"]


def test_compare_of_a_front_end_streams_into_one_display_and_ends_with_a_picture(run: Run) -> None:
    messages = run("%%route --compare direct,small --no-cache\nHello?", cell_id="c2")
    *updates, picture = messages
    assert kinds(updates)[0] == "display_data"
    assert set(kinds(updates)[1:]) == {"update_display_data"}
    assert len({message["content"]["transient"]["display_id"] for message in updates}) == 1
    assert "image/png" in picture["content"]["data"]


def test_headless_compare_has_the_final_display_and_the_picture(run: Run) -> None:
    messages = run("%%route --compare direct,small --no-cache\nHello?")
    assert kinds(messages) == ["display_data", "display_data"]


def test_compare_form_is_a_widget_below_a_static_output(run: Run) -> None:
    static, widget = [m for m in run("%route compare small,cascade") if m["msg_type"] == "display_data"]
    assert "Compare strategies and models" in static["content"]["data"]["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in widget["content"]["data"]


def test_value_is_kept_without_being_shown_twice(run: Run) -> None:
    run("%%route -m small\nHello?")
    messages = run("print(_.text)")
    assert [message["content"].get("text") for message in messages] == ["one two three four\n"]


def test_result_is_drawn_as_the_value_of_a_cell(run: Run) -> None:
    run("%%route -m small -o answer\nHello?")
    (message,) = run("answer")
    assert message["msg_type"] == "execute_result"
    assert set(message["content"]["data"]) == {"text/html", "text/markdown", "text/plain"}


def test_wrong_input_is_a_real_error_output_of_two_lines(run: Run) -> None:
    (message,) = run("%%route -s rull\nHello?")
    assert message["msg_type"] == "error"
    assert message["content"]["ename"] == "UnknownName"
    assert message["content"]["traceback"] == ["UnknownName: Unknown strategy 'rull'.", "Did you mean 'rule'?"]


def test_cell_without_a_body_is_a_real_error_output(run: Run) -> None:
    (message,) = run("%%route -s rule")
    assert (message["msg_type"], message["content"]["ename"]) == ("error", "InputError")


def test_words_of_route_are_the_cell_s_value(run: Run) -> None:
    (message,) = run("%route status")
    assert message["msg_type"] == "execute_result"
    assert "Ready: small." in message["content"]["data"]["text/plain"]


def test_kernel_is_this_python(run: Run) -> None:
    (message,) = run("import sys; print(sys.executable)")
    assert message["content"]["text"].strip() == sys.executable
