"""peak_memory.py LIMIT_MB COMMAND...: runs it, and says how long it took and how much memory it and its children had at most.

Memory is the sum of their proportional set sizes: what they share counts once, mapped weights count. Fails over the limit.
"""

import subprocess
import sys
import time
from pathlib import Path


def tree(root: int) -> set[int]:
    """A process and all that descend from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def megabytes(pid: int) -> float:
    """Proportional set size of one process; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def main(limit: float, command: list[str]) -> int:
    started, peak = time.monotonic(), 0.0
    process = subprocess.Popen(command)
    while process.poll() is None:
        peak = max(peak, sum(map(megabytes, tree(process.pid))))
        time.sleep(0.2)
    told = " ".join(command)
    print(f"{told}: {time.monotonic() - started:.0f} s, at most {peak:.0f} MB of memory", flush=True)
    if process.returncode == 0 and peak > limit:
        print(f"that is over {limit:.0f} MB", file=sys.stderr)
        return 1
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
