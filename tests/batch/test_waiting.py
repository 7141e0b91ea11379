"""Deployments that are left alone for a while are waited for: a run does not fail its rows in the meantime."""

from __future__ import annotations

from pathlib import Path

from molt_magic import Orchestrator
from molt_magic.config import load_settings
from tests import servers
from tests.servers import Answer, Asked, Server, running
from tests.stress import server as chat


class Busy(Server):
    """Refuses its first requests, and asks to be left alone for a second."""

    refusals = 2  # one try of each deployment

    def choose(self, asked: Asked) -> Answer:
        if len(self.asked) <= self.refusals:
            return servers.as_json(429, {"error": {"message": "slow down"}}, {"retry-after": "1"})
        return chat._answer(asked.json)


def test_rows_wait_while_all_deployments_of_a_model_cool_down(tmp_path: Path) -> None:
    with running(Busy()) as server:
        model = {"provider": "openai", "model": "s", "base_url": f"{server.url}/a", "api_key_env": "KEY_OF_A_TEST"}
        deployments = [{"name": "b", "base_url": f"{server.url}/b"}]
        settings = load_settings(environ={"MOLT_HOME": str(tmp_path), "KEY_OF_A_TEST": "k"}, cwd=tmp_path)
        values = {
            "catalog": "none",
            "models.small": {**model, "context_window": 8000, "deployments": deployments},
            "network.retries": 0,
        }
        with Orchestrator(settings=settings.with_values(values)) as orch:
            frame = orch.map([f"q{n}" for n in range(12)], model="small", concurrency=1, cache=False)
            logged = orch.log.to_frame()
    assert frame["status"].value_counts().to_dict() == {"ok": 11, "error": 1}  # whose own tries were refused
    assert frame["error"].dropna().str.startswith("rate_limit").all()
    assert "cooling down" in logged["error"].dropna().str.cat()
