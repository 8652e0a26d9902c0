"""Tasks on Ray: a cluster that RAY_ADDRESS names, else one on this machine; a task whose process dies runs again elsewhere."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from duo_core.cluster.engines import Done, Failed
from duo_core.cluster.tasks import line_of, task_of
from duo_core.common.arrays import InputError

RETRIES = 3
BROKEN_CONTEXT = ("CUDA error", "HIP error", "device-side assert")
"""How errors begin after which a process can use its GPU no more."""


@dataclass(frozen=True)
class Ray:
    """Ray Core; imported when tasks are run.

    Parameters
    ----------
    device, workers
        Of each task, where it runs.
    init
        What `ray.init` is given beside the address.
    """

    device: str = "auto"
    workers: int | None = None
    init: dict[str, Any] = field(default_factory=dict)

    def run(self, tasks: Sequence[Any]) -> Iterator[Done | Failed]:
        """Run tasks where there is room: one GPU each where the cluster has some, else one core."""
        ray = _imported()
        if not ray.is_initialized():
            ray.init(address=os.environ.get("RAY_ADDRESS"), log_to_driver=False, **self.init)
        gpus = 1 if self.device != "cpu" and ray.cluster_resources().get("GPU", 0) else 0
        # A process that has used a GPU holds its memory until it ends.
        remote = ray.remote(num_gpus=gpus, num_cpus=1, max_retries=RETRIES, retry_exceptions=False, max_calls=gpus)(run_line)
        waiting = {remote.remote(line_of(task), self.device, self.workers): task for task in tasks}
        while waiting:
            (ended, *_), _ = ray.wait(list(waiting), num_returns=1)
            task = waiting.pop(ended)
            try:
                done, said = ray.get(ended)
            except ray.exceptions.RayError as error:
                done, said = False, _reason(error)
            yield Done(task, said) if done else Failed(task, said)


def run_line(line: str, device: str, workers: int | None) -> tuple[bool, str]:
    """Run the task of a line in a process of the cluster: whether it is done, and what is to be said of it.

    What a person has to mend comes back as a sentence and is not tried again. After an error that leaves the GPU unusable the
    process ends, and the task runs again in a new one.
    """
    try:
        return True, task_of(line, "the cluster's list of tasks").run(device, workers, lambda _: None)
    except InputError as error:
        return False, str(error)
    except RuntimeError as error:
        if any(words in str(error) for words in BROKEN_CONTEXT):
            os._exit(70)
        raise


def _reason(error: Exception) -> str:
    cause = getattr(error, "cause", None) or error
    said = " ".join(str(cause).split()) or type(cause).__name__
    return (
        f"its process was ended, or raised what nobody expected, {RETRIES + 1} times at most ({type(cause).__name__}: {said[:200]})"
    )


def _imported() -> Any:
    try:
        import ray
    except ImportError:
        raise InputError("--engine ray needs the package ray, which is not installed; pip install ray, or use --plan") from None
    return ray
