"""A fitted system as a model that runs: a torch module, and a folder that holds it, with or without this project."""

from duo_core.deploy.folders import Exported, export, load
from duo_core.deploy.module import Answer, Duo, Member
from duo_core.deploy.packing import packed

__all__ = ["Answer", "Duo", "Exported", "Member", "export", "load", "packed"]
