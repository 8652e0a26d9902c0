"""Someone with a pair of their own who clicks through the dashboard and knows what each answer has to show."""

import io
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import numpy as np
from wire import Browser

from app.controls import UNCERTAINTIES
from duo_core.figures.screen import SCREEN
from duo_core.metrics import METRICS
from duo_core.wording import words

SPLIT = "test"
LAST = 60.0
"""Seconds of silence after which a wrong answer is the last one."""
PAIR_PAGES = {"explore", "temperatures", "diagnose"}
"""Their heading names the pair."""

Reference = Mapping[tuple[str, str, str], Mapping[str, float]]
"""Metrics of the duo by base, sidekick and uncertainty."""


class WrongError(Exception):
    """An answer that is not the session's own, or none."""


@dataclass(frozen=True)
class Stay:
    """What all visitors have in common."""

    set: str
    models: Sequence[str]
    reference: Reference
    sessions: int
    pause: float
    server: str = ""


@dataclass
class Visitor:
    """Someone with a pair of their own who clicks through the pages."""

    browser: Browser
    random: random.Random
    stay: Stay
    base: str
    sidekick: str
    page: str = "explore"
    kind: str = "softmax"
    metric: str = "aurc"
    seconds: list[float] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    async def arrive(self) -> None:
        await self.browser.follow("explore", set=self.stay.set, split=SPLIT, base=self.base, sidekick=self.sidekick)
        self.check()

    async def click(self) -> str:
        """Do one thing, check what came back, and say what it was."""
        actions = [self.turn_page, self.turn_page, self.follow_link]
        if self.browser.widget("sidekick"):
            actions += [self.other_sidekick, self.other_base, self.other_metric, self.swap, self.hurry]
        if self.browser.widget("uncertainty"):
            actions.append(self.other_uncertainty)
        if self.browser.widget("coverage"):
            actions += [self.move_coverage, self.move_temperature]
        if self.browser.widget(self._report()):
            actions.append(self.take_report)
        if self.stay.server:
            actions.append(self.use_own)
        action = self.random.choice(actions)
        self.done.append(action.__name__)
        start = time.perf_counter()
        await action()
        if action in (self.take_report, self.use_own):  # which check for themselves
            self.seconds.append(time.perf_counter() - start)
        elif action != self.hurry:  # which waits for what may not come
            self.seconds.append(time.perf_counter() - start)
            self.check()
        else:
            await self._check_last()
        return action.__name__

    async def turn_page(self) -> None:
        self.page = self.random.choice([page for page in self.browser.pages if page != self.page])
        await self.browser.open(self.page)

    async def follow_link(self) -> None:
        self.base, self.sidekick = self.random.sample(self.stay.models, 2)
        self.page, self.metric, self.kind = self.random.choice(sorted(PAIR_PAGES)), "aurc", "softmax"
        pair = {"set": self.stay.set, "split": SPLIT, "base": self.base, "sidekick": self.sidekick}
        await self.browser.follow(self.page, **pair)

    async def other_sidekick(self) -> None:
        self.sidekick = self._other(self.base, self.sidekick)
        await self.browser.set("sidekick", self._option("sidekick", self.sidekick))

    async def other_base(self) -> None:
        self.base = self._other(self.base, self.sidekick)
        await self.browser.set("base", self._option("base", self.base))

    def _other(self, *but: str) -> str:
        return self.random.choice([model for model in self.stay.models if model not in but])

    def _option(self, key: str, model: str) -> str:
        return next(option for option in self.browser.widget(key).options if option.split(" · ")[0] == model)

    async def other_metric(self) -> None:
        self.metric = self._other_metric()
        await self.browser.set("metric", METRICS[self.metric].label)

    def _other_metric(self) -> str:
        return self.random.choice([key for key in METRICS if key != self.metric])

    async def other_uncertainty(self) -> None:
        self.kind = "entropy" if self.kind == "softmax" else "softmax"
        await self.browser.set("uncertainty", [UNCERTAINTIES[self.kind]])

    async def swap(self) -> None:
        self.base, self.sidekick = self.sidekick, self.base
        await self.browser.press("swap")

    async def hurry(self) -> None:
        """Swap, and choose another metric before the answer is there: the browser may still have the pair as it was."""
        self.base, self.sidekick = self.sidekick, self.base
        proto, self.metric = self.browser.widget("metric"), self._other_metric()
        await self.browser.press("swap", wait=False)
        await self.browser.begun()
        self.browser.values[proto.id] = (self.browser.values[proto.id][0], METRICS[self.metric].label)
        await self.browser.send(wait=False)
        await self.browser.quiet()

    async def move_coverage(self) -> None:
        await self.browser.set("coverage", [float(self.random.randint(1, 100))])

    async def move_temperature(self) -> None:
        key = f"temperature_{self.stay.set}/{self.base}/{self.sidekick}/sidekick"
        proto = self.browser.widget(key)
        await self.browser.set(key, [round(self.random.randint(0, 200) * proto.step, 9)])

    def _report(self) -> str:
        return f"report_{self.base}-{self.sidekick}-{SPLIT}"

    async def take_report(self) -> None:
        """Download the report of the pair, which has to be there to be fetched, and about it."""
        content = (await self.browser.download(self.stay.server, self._report())).decode()
        for name in (self.base, self.sidekick):
            if name not in content:
                raise WrongError(f"the report of {self.base} + {self.sidekick} does not name {name}, but begins '{content[:200]}'")

    async def use_own(self) -> None:
        """Upload a set of one's own and look at it: nobody else's may be there. Then back to the set that all look at."""
        mark = f"{self.random.getrandbits(32):08x}"
        await self.browser.open("data")
        said = await self.browser.drop(self.stay.server, {f"{mark}.npz": own_file(mark, self.random.getrandbits(31))})
        if said != [204] or not self.browser.widget("use_upload"):
            raise WrongError(f"the upload {mark} was answered by {said}")
        await self.browser.press("use_upload")
        self._same("heading", f":blue-background[large-{mark}] + :orange-background[small-{mark}]", self._headings())
        uploads = [option for option in self.browser.widget("set").options if option.startswith("your upload")]
        self._same("uploads", [f"your upload: {mark}.npz"], [uploads])
        await self.follow_link()
        self.check()

    async def _check_last(self) -> None:
        """Check the last answer to two clicks: on a busy machine it may begin long after the one before it has ended."""
        while True:
            try:
                return self.check()
            except WrongError:
                if not await self.browser.another(LAST):
                    raise

    def check(self) -> None:
        """Raise where the page is not about this visitor's pair."""
        for found in self.browser.of("exception"):
            raise WrongError(f"{self.page} shows {found.type}: {found.message}\n" + "\n".join(found.stack_trace))
        if self.page in PAIR_PAGES:
            self._same("heading", f":blue-background[{self.base}] + :orange-background[{self.sidekick}]", self._headings())
        if self.browser.widget("sidekick"):
            shown = [self.browser.value(key).split(" · ")[0] for key in ("base", "sidekick")]
            self._same("sidebar", [self.base, self.sidekick], [shown])
            self._same("metric", METRICS[self.metric].label, [self.browser.value("metric")])
            address = parse_qs(self.browser.address)
            if address:
                self._same("address", [[self.base], [self.sidekick]], [[address.get("base"), address.get("sidekick")]])
        if self.page == "explore":
            self._cards()

    def _headings(self) -> list[str]:
        bodies = [markdown.body for markdown in self.browser.of("markdown")]
        return [body for body in bodies if body.startswith(":blue-background")]

    def _cards(self) -> None:
        expected = self.stay.reference[self.base, self.sidekick, self.kind]
        shown = {metric.label: metric.body for metric in self.browser.of("metric") if "split" not in metric.label}
        for key in ("auroc", "sac98"):  # the cards of temperatures set by hand have other labels
            self._same(f"card {key}", SCREEN[key].text(expected[key]), [shown.get(words.card_label(key))])

    def _same(self, what: str, expected: Any, found: list[Any]) -> None:
        if expected not in found:
            raise WrongError(f"{self.page}: the {what} should be {expected}, but shows {found}")


def own_file(mark: str, seed: int, n: int = 600, k: int = 5) -> bytes:
    """A file of two models whose names have the mark in them."""
    draw, file = np.random.default_rng(seed), io.BytesIO()
    labels = draw.integers(k, size=n)
    models = {
        f"logits/{name}-{mark}": draw.normal(size=(n, k)) + gain * np.eye(k)[labels] for name, gain in (("large", 3), ("small", 2))
    }
    costs = {f"flops/{name}-{mark}": np.array(cost) for name, cost in (("large", 100), ("small", 10))}
    split = np.array(["val"] * (n // 2) + ["test"] * (n - n // 2))
    np.savez(file, labels=labels, split=split, **models, **costs)
    return file.getvalue()
