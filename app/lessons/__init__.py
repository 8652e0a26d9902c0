"""One module a step of Learn: its control and its chart. Each draws a scene, and names in LINKED what it keeps in the address."""

from types import ModuleType

from app.lessons import abstain, budget, confidence, different, ensemble, ranking, several, temperature, trap, weights

MODULES: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (confidence, temperature, abstain, ensemble, trap, weights, ranking, budget, several, different)
}
"""By the step's key."""
LINKED: tuple[str, ...] = tuple(key for module in MODULES.values() for key in module.LINKED)
REAL_ONLY = ("budget",)
"""Steps that have no made-up experts."""
