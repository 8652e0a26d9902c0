"""Sets as pages show them: with names that can stand anywhere."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from torch import Tensor

from duo_core.common.plaintext import unmarked
from duo_core.logits import Card, LogitSet


def shown_set(own: LogitSet) -> LogitSet:
    """The set with names that can stand anywhere; the logits are the same, found under the names shown. What is said of models'
    weights and of the set's origin stays as it is: it is shown in tables, or escaped."""
    models, splits = _unlike(own.cards), _unlike(own.labels)
    return replace(
        own,
        title=unmarked(own.title),
        classes=tuple(map(unmarked, own.classes)),
        labels={splits[split]: y for split, y in own.labels.items()},
        cards={models[name]: _shown_card(card, models[name]) for name, card in own.cards.items()},
        arrays=own.arrays if all(old == new for old, new in (models | splits).items()) else _Renamed(own.arrays, models, splits),
        ids={splits.get(split, split): ids for split, ids in own.ids.items()},
        digests={(models.get(m, m), splits.get(s, s)): digest for (m, s), digest in own.digests.items()},
    )


def _unlike(names: Iterable[str]) -> dict[str, str]:
    """Names as they are shown, by themselves; two that look alike are counted."""
    found: dict[str, str] = {}
    for name in names:
        shown = unmarked(name) or "unnamed"
        count = 2
        while shown in found.values():
            shown, count = f"{unmarked(name)} ({count})", count + 1
        found[name] = shown
    return found


def _shown_card(card: Card, name: str) -> Card:
    family, device = (None if text is None else unmarked(text) for text in (card.family, card.device))
    return replace(card, name=name, family=family, device=device)


class _Renamed(Mapping[tuple[str, str], Tensor]):
    """Logits by other names of models and splits; nothing is copied, and what is let go there is gone here."""

    def __init__(self, arrays: Mapping[tuple[str, str], Tensor], models: Mapping[str, str], splits: Mapping[str, str]) -> None:
        self._arrays = arrays
        self._keys = {(models[key[0]], splits[key[1]]): key for key in arrays if key[0] in models and key[1] in splits}

    def __getitem__(self, key: tuple[str, str]) -> Tensor:
        return self._arrays[self._keys[key]]

    def __contains__(self, key: object) -> bool:
        return key in self._keys and self._keys[key] in self._arrays

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return (key for key, own in self._keys.items() if own in self._arrays)

    def __len__(self) -> int:
        return sum(1 for _ in self)
