"""Who watches a log is woken by what it watches for."""

from types import SimpleNamespace

from comity.domain.events import FunctionReady, PlanCancelled, TaskDone
from comity.node.watchers import Watchers


def said(*events):
    return [SimpleNamespace(events=events)]


def test_a_watcher_is_set_by_what_it_is_about_and_nothing_else():
    watchers = Watchers()
    all, functions, both = watchers.add(()), watchers.add((FunctionReady,)), watchers.add((FunctionReady, TaskDone))
    watchers.tell(said(PlanCancelled(key="p"), TaskDone(key="t")))
    assert [each.is_set() for each in (all, functions, both)] == [True, False, True]
    for each in (all, both):
        each.clear()
    watchers.tell([])
    assert not any(each.is_set() for each in (all, functions, both))
    watchers.remove(both)
    watchers.wake()
    assert [each.is_set() for each in (all, functions, both)] == [True, True, False]
    assert len(watchers) == 2
