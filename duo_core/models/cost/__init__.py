"""Multiply-adds, parameters and throughput."""

from duo_core.models.cost.counting import Cost, Throughput, cost, device_name, throughput

__all__ = ["Cost", "Throughput", "cost", "device_name", "throughput"]
