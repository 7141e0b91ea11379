"""A real JupyterLab for the browser tests: in a private home, on a free port, without news, pop-ups or autosaves."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_S = 90  # a slow machine under load

# what would make the page differ from run to run, or ask the network for something
SETTINGS: dict[str, dict[str, Any]] = {
    "notebook-extension/tracker": {"windowingMode": "none", "autoStartDefaultKernel": True, "kernelShutdown": True},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
}
ENVIRONMENT = "environment.json"  # beside a notebook: variables for its kernel
# every notebook's folder has a log, a cache and an environment of its own, and no weights
STARTUP = f"""
import json, os, pathlib
os.environ |= {{"MOLT_HOME": str(pathlib.Path.cwd() / "home"), "MOLT_MODELS": str(pathlib.Path.cwd() / "home" / "none")}}
if (file := pathlib.Path("{ENVIRONMENT}")).exists():
    os.environ |= json.loads(file.read_text())
del file
"""


# what is the user's own: settings, keys
_OWN = re.compile(r"^(MOLT_|JUPYTER|IPYTHON|OLLAMA_)|(_API_KEY|_BASE_URL|_AUTH_TOKEN)$")


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab."""

    url: str  # with a slash at its end
    token: str
    root: Path  # the folder it shows

    def end_sessions(self) -> None:
        """Shut down every kernel."""
        for session in json.loads(self._ask("GET", "api/sessions")):
            self._ask("DELETE", f"api/sessions/{session['id']}")

    def _ask(self, method: str, path: str) -> bytes:
        headers = {"Authorization": f"token {self.token}"}
        with urllib.request.urlopen(
            urllib.request.Request(f"{self.url}{path}", method=method, headers=headers), timeout=20
        ) as answer:
            return bytes(answer.read())


@contextmanager
def running(root: Path, home: Path) -> Iterator[Lab]:
    """JupyterLab over the folder `root`, all its own state in `home`."""
    for name, value in SETTINGS.items():
        file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value))
    startup = home / "ipython" / "profile_default" / "startup" / "00-home.py"
    startup.parent.mkdir(parents=True)
    startup.write_text(STARTUP)
    token = secrets.token_hex(16)
    folders = {"CONFIG": "config", "DATA": "data", "RUNTIME": "runtime"}
    env = {
        **{name: value for name, value in os.environ.items() if not _OWN.search(name)},
        **{f"JUPYTER_{name}_DIR": str(home / folder) for name, folder in folders.items()},
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "MPLCONFIGDIR": str(home / "matplotlib"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    flags = [
        "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={root}", "--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly",
        "--LabApp.news_url=None",
    ]  # fmt: skip
    written = home / "jupyterlab.txt"
    with written.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *flags],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
    try:
        yield Lab(_url(process, home / "runtime", token, written), token, root)
    finally:
        process.send_signal(signal.SIGTERM)  # Jupyter shuts its kernels down
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _url(process: subprocess.Popen[bytes], runtime: Path, token: str, written: Path) -> str:
    """The address at which it answers."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            url = str(json.loads((runtime / f"jpserver-{process.pid}.json").read_text())["url"])
            urllib.request.urlopen(f"{url}api/status?token={token}", timeout=5).close()
            return url
        except (OSError, ValueError, urllib.error.URLError):
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{written.read_text(errors='replace')}")
