"""Who is asked too much is left alone for a while, and asked again: no row fails for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from molt_magic import Orchestrator
from molt_magic.config import load_settings
from tests import servers
from tests.servers import Answer, Asked, Server, running
from tests.stress import server as chat


class Busy(Server):
    """Takes its time over the first request, and refuses the next two."""

    def choose(self, asked: Asked) -> Answer:
        if len(self.asked) in (2, 3):
            return servers.as_json(429, {"error": {"message": "slow down"}}, {"retry-after": "2"})
        answer = chat._answer(asked.json)
        return replace(answer, pause_s=0.3) if len(self.asked) == 1 else answer


@pytest.mark.parametrize("more", [(), ("b",)], ids=["one deployment", "two, which cool down"])
def test_no_row_fails_because_too_much_was_asked_at_once(tmp_path: Path, more: tuple[str, ...]) -> None:
    with running(Busy()) as server:
        deployments = [{"name": name, "base_url": f"{server.url}/{name}"} for name in more]
        model = {"provider": "openai", "model": "s", "base_url": f"{server.url}/a", "api_key_env": "KEY_OF_A_TEST"}
        model |= {"context_window": 8000, "deployments": deployments}
        settings = load_settings(environ={"MOLT_HOME": str(tmp_path), "KEY_OF_A_TEST": "k"}, cwd=tmp_path)
        values = {"catalog": "none", "models.small": model, "network.retries": 0}
        with Orchestrator(settings=settings.with_values(values)) as orch:
            frame = orch.map([f"q{n}" for n in range(8)], model="small", concurrency=2, cache=False, resume="r")
            logged = orch.log.to_frame()["error"].dropna().str
            known = orch.map([f"q{n}" for n in range(8)], model="small", cache=False, resume="r")
    assert frame["status"].eq("ok").all()
    assert len(server.asked) == 10
    assert logged.startswith("rate_limit").any()
    assert logged.contains("all 2 deployments are cooling down").any() == bool(more)
    assert known["decision_id"].tolist() == frame["decision_id"].tolist()
