"""The rounds of an experiment: select, local work, combination, next state; evaluate, checkpoint."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from time import monotonic
from typing import Any, Protocol, final

from comity.engine import stages
from comity.engine.compressing import Sent, Size, own, sent
from comity.engine.dropout import Dropout
from comity.engine.evaluation import evaluate, finished, parts_by_site
from comity.engine.experiment import Experiment
from comity.engine.history import Round, Scores, series
from comity.engine.lockstep import Add
from comity.engine.plain import Local, RunTraining, Tally
from comity.engine.repeatable import repeatable
from comity.engine.sites import Sites
from comity.engine.stopping import best_index
from comity.ports.memories import Memories
from comity.values import tree
from comity.values.contribution import Contribution, gather
from comity.values.errors import InvalidInput, RoundFailed
from comity.values.model import Model
from comity.values.site import Site
from comity.values.strategy import Given, Memory, SeesEach, Steps

ATTEMPTS = 3
"""How often a round is begun before its lack of sites ends the run."""


class Engine(Protocol):
    """How the local work of a round is run: `Plain` or `Auto`."""

    def on(self, model: Model | None) -> Model | None:
        """The model as this engine runs it."""
        ...

    def locals(self, model: Model | None, calls: Iterator[Local], tally: Tally, *, add: Add) -> Iterator[Given]:
        """What each call gives, in their order; `add` makes the sums of those that sum at every step."""
        ...


@final
@dataclass(frozen=True)
class Standing:
    """Where a run stands after a round."""

    state: Any
    history: tuple[Round, ...] = ()
    best_state: Any = None
    best_round: int | None = None
    columns: tuple[str, ...] = ()
    """Names of x's columns, where a site names them."""
    remembering: frozenset[str] = frozenset()
    """Sites that have a memory."""
    clip: float | None = None
    """Of SiteDP, in the round to come; None without it."""

    @property
    def round(self) -> int:
        """Rounds done."""
        return len(self.history)


@final
@dataclass(frozen=True, kw_only=True)
class Course:
    """One run of one experiment over one set of sites."""

    experiment: Experiment
    sites: Sites
    tests: Sites
    """Where the model is evaluated; the sites themselves, but for baselines."""
    engine: Engine
    memories: Memories
    dropout: Dropout = field(default_factory=Dropout)
    tally: Tally = field(default_factory=Tally)

    def begin(self) -> Standing:
        """The state before the first round."""
        return Standing(stages.first(self.experiment, len(self.sites)), clip=stages.first_clip(self.experiment))

    def rounds(self, standing: Standing) -> Iterator[Standing]:
        """The standing after each further round, until the experiment ends."""
        model = self.engine.on(self.experiment.model)
        while not self._ended(standing):
            standing = self._round(standing, model)
            yield standing

    def _ended(self, standing: Standing) -> bool:
        experiment = self.experiment
        if standing.round >= experiment.rounds or experiment.strategy.finished(standing.state):
            return True
        if experiment.stop is None:
            return False
        values = series(standing.history, experiment.stop.metric)[1] if standing.history else []
        return experiment.stop.stops(values, experiment.metric(experiment.stop.metric).goal)

    def _round(self, standing: Standing, model: Model | None) -> Standing:
        began, number = monotonic(), standing.round + 1
        strategy = self.experiment.strategy
        selected = sorted(set(strategy.select(standing.state, number, self.sites.names, self.experiment.seed)))
        included, attempts = self._present(selected, number)
        remembering = set(standing.remembering)
        there = frozenset(included)
        away = tuple(name for name in selected if name not in there)
        from comity.engine.masked import masked_sums  # the command line starts without its cryptography

        masked = masked_sums(self.experiment, f"round {number}", included, away)
        add = masked.add if masked else gather
        sizes = list[Size]()

        def contributions() -> Iterator[Contribution]:
            for each in self._sent(standing, model, included, remembering, add):
                if each.size is not None:
                    sizes.append(each.size)
                yield each.contribution

        parts = contributions()
        if isinstance(strategy, SeesEach):
            total, clip = list(parts), None
        else:
            random = None if masked else repeatable(self.experiment.seed, "noise", number)
            total, clip = stages.released(self.experiment, add(parts), standing.clip, random=random)
        state = stages.following(self.experiment, standing.state, total)
        done = Round(
            number=number,
            included=tuple(included),
            missing=away,
            attempts=attempts,
            clip=standing.clip,
        )
        if masked:
            sums = masked.made
            done = replace(
                done,
                error=max(s.error for s in sums),
                clipped=sum(s.clipped for s in sums),
                numbers=tree.size(sums[-1].total.total),
            )
        if sizes:
            done = replace(done, sent=sum(s.sent for s in sizes), uncompressed=sum(s.uncompressed for s in sizes))
        done = self._evaluated(done, state, model, last=self._ended(Standing(state, (*standing.history, done))))
        done = replace(done, seconds=monotonic() - began)
        return self._with_best(
            replace(
                standing,
                state=state,
                clip=clip,
                history=(*standing.history, done),
                columns=self.sites.columns,
                remembering=frozenset(remembering),
            )
        )

    def _present(self, selected: Sequence[str], number: int) -> tuple[list[str], int]:
        """Who is there, once enough are, and the attempts it took."""
        needed, present = self.experiment.quorum_of(len(selected)), list[str]()
        for attempt in range(1, ATTEMPTS + 1):
            present = [n for n in selected if not self.dropout.away(n, number, attempt, self.experiment.seed)]
            if len(present) >= needed:
                return present, attempt
        raise RoundFailed(
            f"round {number}: {len(present)} of {len(selected)} sites were there but the quorum is {needed}, "
            f"in each of {ATTEMPTS} attempts; lower the quorum or the dropout"
        )

    def _sent(
        self, standing: Standing, model: Model | None, names: Sequence[str], remembering: set[str], add: Add
    ) -> Iterator[Sent]:
        """What each site gives; its memory is stored, and who has one is noted in `remembering`."""
        number, before = standing.round + 1, standing.round
        keep = [before, *([standing.best_round] if standing.best_round else [])]
        calls = (self._call(standing, model, name) for name in names)
        compression = self.experiment.compression
        feeds_back = compression is not None and compression.feeds_back
        every = self.engine.locals(model, calls, self.tally, add=add)
        for name, gave in zip(names, every, strict=True):
            given = stages.given(self.experiment, gave, clip=standing.clip)
            kept = self.memories.get(name, before) if feeds_back else {}
            made = sent(self.experiment, given, kept, clip=standing.clip, place=(number, name))
            if made.memory or name in remembering:
                self.memories.put(name, number, made.memory, keep)
                (remembering.add if made.memory else remembering.discard)(name)
            yield made

    def _call(self, standing: Standing, model: Model | None, name: str) -> Local:
        """A site's part of the round; what it raises carries a note of where that was."""
        number, where = standing.round + 1, f"at site {name!r} in round {standing.round + 1}"

        @cache  # an engine may call more than once, but rows and memory are loaded once
        def loaded() -> tuple[Site, Memory]:
            return self.sites.load(name), self.memories.get(name, standing.round)

        def local(run: RunTraining | None) -> Given | Steps:
            with _noting(where):
                site, memory = loaded()
                random = repeatable(self.experiment.seed, "privacy", number, name)
                brought = (
                    model and run and stages.work(self.experiment, model, name, round=number, run=run, random=random)
                )
                given = stages.local(self.experiment, standing.state, memory, site=site, work=brought)
            return _noted(given, where) if isinstance(given, Generator) else given

        return local

    def _evaluated(self, done: Round, state: Any, model: Model | None, *, last: bool) -> Round:
        due = last or done.number % self.experiment.evaluate_every == 0
        if not (self.experiment.measures and due and self._fitted(state, done.number)):
            return done
        self.tests.expect("the training rows", self.sites.columns)
        pooled, by_site = self._scores(state, model, done.number)
        if pooled:
            return replace(done, pooled=pooled, sites=by_site)
        if self.experiment.best or self.experiment.stop:
            raise InvalidInput("best= and stop= need a metric, but no site has test rows to measure it on")
        return done

    def _scores(self, state: Any, model: Model | None, number: int) -> tuple[Scores, Mapping[str, Scores]]:
        """(metrics over all test rows, metrics by site, which a secure sum does not show)."""

        def memory_of(name: str) -> Memory:
            return self.memory(name, number)

        if not self.experiment.secure_sum:
            return evaluate(self.experiment, model, state, sites=self.tests, memory_of=memory_of)
        parts = parts_by_site(self.experiment, model, state, sites=self.tests, memory_of=memory_of)
        from comity.engine.masked import masked_metrics

        masked = masked_metrics(self.experiment, f"metrics of round {number}", list(parts)) if parts else None
        return (finished(self.experiment, masked.add(parts.values())), {}) if masked else ({}, {})

    def _fitted(self, state: Any, number: int) -> bool:
        """Whether there is a model yet: analytics may need more than one round for their first."""
        strategy = self.experiment.strategy
        return bool(strategy.model(state, {}) or strategy.model(state, self.memory(self.sites.names[0], number)))

    def _with_best(self, standing: Standing) -> Standing:
        name = self.experiment.best
        if name is None:
            return standing
        numbers, values = series(standing.history, name)
        best = best_index(values, self.experiment.metric(name).goal)
        if best is None or numbers[best] != standing.round:
            return standing
        return replace(standing, best_state=standing.state, best_round=standing.round)

    def memory(self, site: str, round: int) -> Memory:
        """The memory to evaluate with at a site: its own, or the only trained one in a baseline."""
        trained = self.sites.names
        owner = trained[0] if len(trained) == 1 else site
        return own(self.memories.get(owner, round))


@contextmanager
def _noting(where: str) -> Generator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(where)
        raise


def _noted(steps: Steps, where: str) -> Steps:
    with _noting(where):
        return (yield from steps)
