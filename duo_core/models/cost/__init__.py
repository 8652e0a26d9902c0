"""Multiply-adds, parameters and throughput."""

from duo_core.models.cost.counting import Cost, cost
from duo_core.models.cost.speed import Throughput, throughput
from duo_core.models.devices import device_name

__all__ = ["Cost", "Throughput", "cost", "device_name", "throughput"]
