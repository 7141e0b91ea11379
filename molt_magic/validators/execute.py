"""`tests:NAME`: runs an answer's Python against the user's tests, in a process of its own.

This executes code that a model wrote, so it happens only where the user asks for it by name. The process has no
environment, an empty working folder that goes afterwards, `python -I`, and limits on time, memory and file size; it is ended
with everything in its process group. It is **not** a sandbox against malice: it runs as the user and can read the
user's files and reach the network.
"""

from __future__ import annotations

import inspect
import json
import secrets
import textwrap
from pathlib import Path
from typing import Any

from molt_magic.errors import ConfigError
from molt_magic.types import Attempt, Verdict
from molt_magic.validators.child import said_by_child
from molt_magic.validators.plan import Plan, planned
from molt_magic.validators.rules import Rule, accept, refuse, text_of
from molt_magic.validators.text import python_code

TIME_S = 5.0

# Runs in the child. It keeps the real output for its own last word, and says that word only after the tests: an answer that
# exits early has not passed.
_DRIVER = """
report = os.dup(1)
quiet = os.open(os.devnull, os.O_WRONLY)
os.dup2(quiet, 1)
os.dup2(quiet, 2)
word, part = job.pop("word"), "answer"
space = {"__name__": "__answer__"}
try:
    exec(compile(job["code"], "<answer>", "exec"), space)
    part = "tests"
    exec(compile(job["tests"], "<tests>", "exec"), space)
    for name in job["functions"]:
        space[name]()
    for name in job["cases"]:
        from unittest import defaultTestLoader
        defaultTestLoader.loadTestsFromTestCase(space[name]).debug()
    said = {"word": word}
except BaseException as error:
    line = error.__traceback__
    while line is not None and line.tb_next is not None:
        line = line.tb_next
    at = line.tb_lineno if line is not None and line.tb_frame.f_code.co_filename == "<tests>" else None
    said = {"error": type(error).__name__, "message": str(error)[:500], "part": part, "line": at}
os.write(report, json.dumps(said).encode())
os._exit(0)
"""


def executable(name: str, wanted: Any, *, time_s: float = TIME_S) -> Rule:
    """A rule that runs the answer's Python block followed by the tests.

    Args:
        name: what the user called them.
        wanted: assert statements, functions test_* or classes of unittest as text, or a function without arguments whose
            source can be read; it runs in the answer's namespace and sees nothing of the notebook's, so it imports what
            it uses.
        time_s: wall time for all of it, in seconds.

    Raises:
        ConfigError: neither of the two, tests that do not parse, or tests that test nothing.
    """
    plan = _tests(name, wanted)

    def rule(attempt: Attempt) -> Verdict:
        try:
            code = python_code(text_of(attempt))
        except SyntaxError as error:
            return refuse(f"not Python: {error.msg} (line {error.lineno})")
        except ValueError as error:
            return refuse(str(error))
        return run(code, plan, time_s=time_s)

    return rule


def run(code: str, tests: Plan | str, *, time_s: float = TIME_S) -> Verdict:
    """Run code, then tests, in a child; the verdict is a refusal with the first exception, or accepts."""
    word = secrets.token_hex(16)
    plan = Plan(tests) if isinstance(tests, str) else tests
    job = {"code": code, "tests": plan.source, "functions": plan.functions, "cases": plan.cases, "word": word}
    try:
        out, returncode = said_by_child(_DRIVER, job, time_s=time_s)
    except TimeoutError:
        return refuse(f"the tests did not end within {time_s:g} s")
    return _read(out, word, returncode)


def _read(out: bytes, word: str, returncode: int | None) -> Verdict:
    try:
        said = json.loads(out)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        ended = f"by signal {-returncode}" if returncode is not None and returncode < 0 else f"with code {returncode}"
        return refuse(f"the process ended {ended} before the tests were done (memory, CPU time, or an early exit)")
    if said.get("word") == word:
        return accept("passes its tests")
    message = f": {said['message']}" if said.get("message") else ""
    where = f" (line {said['line']} of the tests)" if said.get("line") else f" (in the {said.get('part', 'answer')})"
    return refuse(f"{said.get('error', 'failed')}{message}{where}")


def _tests(name: str, wanted: Any) -> Plan:
    what = f"Validator tests:{name}"
    if isinstance(wanted, Path):
        raise ConfigError(f"{what}: {name!r} is a path.", fix=f"Read it: {name} = {name}.read_text().")
    if isinstance(wanted, str):
        source, call = textwrap.dedent(wanted), ""
        if not source.strip():
            raise ConfigError(f"{what}: {name!r} is empty.", fix="Write assert statements into it.")
    elif inspect.isfunction(wanted) and wanted.__name__ != "<lambda>":
        if inspect.signature(wanted).parameters or inspect.iscoroutinefunction(wanted):
            raise ConfigError(
                f"{what}: the function must be a plain one without arguments.", fix="Let it name the answer's functions."
            )
        try:
            source, call = textwrap.dedent(inspect.getsource(wanted)), wanted.__name__
        except (OSError, TypeError):
            raise ConfigError(f"{what}: the source of {name!r} cannot be read.", fix="Give the tests as text.") from None
    else:
        raise ConfigError(
            f"{what}: {name!r} is a {type(wanted).__name__}.",
            fix="Give assert statements as text, or a function without arguments.",
        )
    try:
        compile(source, f"<{name}>", "exec")
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{what}: the tests do not parse: {error}.", fix="Mend them.") from None
    return planned(what, source, call)
