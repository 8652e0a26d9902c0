"""Runs `duo` so that every attempt at a task is written down, in whatever process it is made; some of these can be killed.

    DUO_ATTEMPTS=FOLDER python attempts.py ARGUMENTS...

FOLDER/attempts gets a line when a task begins and one when it has ended. The process that is about to write the shard that
FOLDER/kill names is killed, once. With FOLDER/slow each task takes so many seconds more.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

PLACE = "DUO_ATTEMPTS"


class Attempt(NamedTuple):
    """What a process did with a task."""

    what: str
    task: str
    time: float
    process: int
    gpus: str


def attempts(place: Path, what: str) -> list[Attempt]:
    """Those that have begun, or ended."""
    lines = (place / "attempts").read_text().splitlines() if (place / "attempts").exists() else []
    found = [line.split("|") for line in lines]
    return [Attempt(kind, task, float(at), int(process), gpus) for kind, task, at, process, gpus in found if kind == what]


def written_down(*_: Any) -> None:
    """From here on write down what this process does with tasks."""
    from duo_core.cluster import logits

    run, write = logits.LogitsTask.run, logits.write_shard

    def counted(self: Any, *given: Any) -> str:
        _note("began", self)
        said = run(self, *given)
        _note("ended", self)
        return said

    def perhaps_killed(folder: Path, split: str, span: range, *given: Any) -> Path:
        place = Path(os.environ[PLACE])
        if (place / "slow").exists():
            time.sleep(float((place / "slow").read_text()))
        if (place / "kill").exists() and (place / "kill").read_text() == f"{folder.name} {split} {span.start}":
            (place / "kill").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return write(folder, split, span, *given)

    logits.LogitsTask.run, logits.write_shard = counted, perhaps_killed  # type: ignore[method-assign]


def _note(what: str, task: Any) -> None:
    line = f"{what}|{task}|{time.time()}|{os.getpid()}|{os.environ.get('CUDA_VISIBLE_DEVICES')}\n"
    file = os.open(Path(os.environ[PLACE]) / "attempts", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())  # in one call, so that lines of two processes do not mix
    os.close(file)


def main(arguments: list[str]) -> int:
    from duo_core.__main__ import main as duo

    written_down()
    if address := os.environ.get("RAY_ADDRESS"):
        import ray

        ray.init(address=address, log_to_driver=False, runtime_env={"worker_process_setup_hook": written_down})
    return duo(arguments)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import attempts as importable  # what workers unpickle by its name is in no module called __main__

    sys.exit(importable.main(sys.argv[1:]))
