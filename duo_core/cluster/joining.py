"""Shards of models become files of the set: the same bytes as if one process had computed them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import filelock
from torch import Tensor

from duo_core.cluster.planning import Planned
from duo_core.cluster.shards import Shard, gaps, gathered, shards
from duo_core.logits import Card, join_devices


@dataclass(frozen=True)
class _Rows:
    """The shards of one model and split, in the place of a journal that is full."""

    found: Sequence[Shard]

    def tensor(self) -> Tensor:
        return gathered(self.found)

    @property
    def computed_on(self) -> tuple[str, ...]:
        return tuple(shard.card["computed_on"] for shard in self.found)

    def discard(self) -> None:
        for shard in self.found:
            shard.file.unlink(missing_ok=True)


def join(planned: Planned) -> dict[str, list[str]]:
    """Write every model whose shards are complete into the set, and remove them; return the images that were left out by split.

    One join at a time: what another has written meanwhile is found in the set.
    """
    filling, left_out = planned.filling, dict[str, list[str]]()
    partial = filling.store.own_folder(filling.name) / ".partial"
    if not planned.models:
        return left_out
    partial.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(partial / "join.lock"):
        for name in planned.models:
            splits = [split for own, split in planned.marks if own == name]
            rows = {(name, split): _Rows(_shards(planned, name, split)) for split in splits}
            if filling.store.has_model(filling.name, name, splits):
                for part in rows.values():  # of tasks that ran while another joined
                    part.discard()
                continue
            if any(gaps(part.found, len(filling.splits[split])) for (_, split), part in rows.items()):
                continue
            left_out |= filling.finish([_card(name, rows)], rows, planned.skip_unreadable)
    return left_out


def _shards(planned: Planned, name: str, split: str) -> list[Shard]:
    filling = planned.filling
    shape = (len(filling.splits[split]), len(filling.classes))
    return shards(filling.store.partial(filling.name, name), split, planned.marks[name, split], shape, planned.dtype)


def _card(name: str, rows: dict[tuple[str, str], _Rows]) -> Card:
    """The card that the shards agree on, with the throughput that one of them may have measured."""
    cards = [shard.card for part in rows.values() for shard in part.found]
    first = next((card for card in cards if card.get("images_per_second")), cards[0])
    versions: dict[str, Any] = {
        package: join_devices(card["versions"].get(package) for card in cards) for package in first["versions"]
    }
    facts = {**first, "name": name, "versions": versions, "created": max(card["created"] for card in cards)}
    # A worker of another version may know of more.
    known = {key: value for key, value in facts.items() if key in {part.name for part in fields(Card)}}
    return replace(Card(**known), input_size=tuple(first["input_size"]), computed_on=None)
