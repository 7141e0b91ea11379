"""A page that is watched: what it asks of the network, what it complains about, where it goes, what it runs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page, Playwright, Route, ViewportSize

from tests import servers

FLAGS = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
)
SIZE: ViewportSize = {"width": 1280, "height": 1000}
# Chromium's own, whatever a page does: its updates, its spelling dictionaries. A page that asks for these is held at the gate
_BROWSER_OWN = re.compile(r"(?:https?://)?[\w.-]*\.(?:google|googleapis|gstatic|gvt1)\.com(?::443)?(?:/|$)")
# what JupyterLab says of itself, each with the reason
NOISE = (
    re.compile(r"favicon|busy\.ico"),  # the icon is swapped while a request for the other is under way
)


def chromium() -> str:
    """The path of the system's Chromium. A browser is never downloaded.

    Raises:
        RuntimeError: there is none.
    """
    names = [os.environ.get("CHROMIUM"), "chromium", "chromium-browser"]
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        raise RuntimeError("No Chromium on PATH: apt-get install chromium, or set CHROMIUM to its path.")
    return found


@dataclass
class Seen:
    """What a page did since the last look."""

    outside: list[str] = field(default_factory=list)  # requests to anywhere but the server; all of them were refused
    complaints: list[str] = field(default_factory=list)  # errors on the console and uncaught ones
    dialogs: list[str] = field(default_factory=list)
    visits: list[str] = field(default_factory=list)  # pages and frames that were opened or went elsewhere

    def clear(self) -> None:
        for found in (self.outside, self.complaints, self.dialogs, self.visits):
            found.clear()

    def all(self) -> dict[str, list[str]]:
        """What there was, by kind; empty when nothing was."""
        kinds = {"outside": self.outside, "complaints": self.complaints, "dialogs": self.dialogs, "visits": self.visits}
        return {kind: list(found) for kind, found in kinds.items() if found}


class Proxy(servers.Server):
    """Refuses everything, and tells `seen` of it."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.seen = seen

    def choose(self, asked: servers.Asked) -> servers.Answer:
        if not _BROWSER_OWN.match(asked.path):
            self.seen.outside.append(asked.path)
        return servers.whole(403, "")


@dataclass
class Browser:
    """Chromium whose pages may only talk to one server."""

    context: BrowserContext
    seen: Seen
    home: str  # how the addresses begin that a page may ask for
    file: str = ""  # and one page from the disk

    def page(self) -> Page:
        """A new page that is watched."""
        page = self.context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: self.seen.complaints.append(str(error)))
        page.on("console", self._on_console)
        page.on("dialog", self._on_dialog)
        page.on("popup", lambda other: self.seen.visits.append(f"popup {other.url}"))
        page.on("frameattached", lambda frame: self.seen.visits.append(f"frame {frame.name}"))
        return page

    def gate(self, route: Route) -> None:
        """Let through what goes home and what never leaves the page."""
        url = route.request.url
        if url.startswith((self.home, "data:", "blob:")) or url == self.file:
            route.continue_()
        else:
            self.seen.outside.append(url)
            route.abort()

    def _on_console(self, message: ConsoleMessage) -> None:
        where = (message.location or {}).get("url", "")
        if message.type == "error" and not any(noise.search(f"{message.text} {where}") for noise in NOISE):
            self.seen.complaints.append(f"{message.text} ({where})")

    def _on_dialog(self, dialog: Dialog) -> None:
        self.seen.dialogs.append(dialog.message)
        dialog.dismiss()


@contextmanager
def browser(playwright: Playwright, profile: Path, home: str) -> Iterator[Browser]:
    """The system's Chromium, headless, with a profile of its own; `home` is the one server it may talk to.

    Pages are held at the gate. What passes it by (a socket, a worker, the browser itself) comes to the proxy.
    """
    seen = Seen()
    with servers.running(Proxy(seen)) as proxy:
        context = playwright.chromium.launch_persistent_context(
            str(profile),
            executable_path=chromium(),
            args=list(FLAGS),
            headless=True,
            viewport=SIZE,
            # <-loopback>: this machine's other servers are no exception
            proxy={"server": proxy.url, "bypass": f"<-loopback>,{urlsplit(home).netloc}"},
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
        )
        found = Browser(context, seen, home)
        context.route("**/*", found.gate)
        try:
            yield found
        finally:
            context.close()
