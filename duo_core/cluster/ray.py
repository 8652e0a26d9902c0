"""Tasks on Ray: a cluster that RAY_ADDRESS names, else one on this machine; a task whose process dies runs again elsewhere."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from duo_core.cluster.engines import Done, Failed
from duo_core.cluster.tasks import line_of, task_of
from duo_core.common.arrays import InputError

RETRIES = 3
QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
"""Unless somebody says otherwise, nobody is told that Ray is used."""
ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Of a cluster of this machine: all its processes listen on the loopback, where Linux would have them listen to the network."""
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
        ray = attached(self.init)
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


def attached(init: dict[str, Any]) -> Any:
    """Ray, attached to the cluster at RAY_ADDRESS; without an address to one that this process starts, for itself alone."""
    address = os.environ.get("RAY_ADDRESS")
    for name, value in (QUIET if address else {**QUIET, **ALONE}).items():  # Ray reads some of them when it is imported
        os.environ.setdefault(name, value)
    ray = _imported()
    if ray.is_initialized():
        return ray
    started = {} if address else {"include_dashboard": False}
    try:
        ray.init(address=address or "local", log_to_driver=False, **started, **init)
    except (OSError, ImportError, ValueError, RuntimeError) as error:
        if address is None:
            raise
        said = " ".join(str(error).split())[:200]
        raise InputError(
            f"expected a Ray cluster at RAY_ADDRESS={address}, got none that answers ({type(error).__name__}: {said}); "
            "name the head's HOST:6379 on a machine of the cluster, or unset it to use this machine alone"
        ) from None
    return ray


def _imported() -> Any:
    try:
        import ray
    except ImportError:
        raise InputError("--engine ray needs the package ray, which is not installed; pip install ray, or use --plan") from None
    return ray
