"""Work as a list of independent tasks, run by this process, by Ray, or by any scheduler, and joined into what one process gives."""

from duo_core.cluster.engines import Done, Engine, Failed, Local, finished
from duo_core.cluster.joining import join
from duo_core.cluster.planning import Planned, plan
from duo_core.cluster.tasks import Task, read_task, write_tasks

__all__ = ["Done", "Engine", "Failed", "Local", "Planned", "Task", "finished", "join", "plan", "read_task", "write_tasks"]
