"""Jobs in real processes."""

import asyncio
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import msgspec
import pytest
import uvloop

from comity.adapters.environments.own import environment
from comity.adapters.execution import messages, performance
from comity.adapters.execution.isolation import NUMERICS, Level
from comity.adapters.execution.job import Status
from comity.adapters.execution.log import KEPT
from comity.adapters.execution.pool import Pool
from comity.adapters.execution.way import Way
from comity.values.errors import BuildFailed, Conflict, InvalidInput, Unavailable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tasks run on Linux")

OPENER = """
import json
from pathlib import Path
from substratools import Opener

class Rows(Opener):
    def get_data(self, folders):
        return [json.loads(Path(folder, "row.json").read_text()) for folder in folders]
    def fake_data(self, n_samples):
        return [0] * n_samples
"""
SUBSTRATOOLS = """
class Opener:
    def get_data(self, folders): ...
    def fake_data(self, n_samples): ...
"""
FAMILY = """
import os, subprocess, sys, time
def family(pipe):
    grandchild = subprocess.Popen(["sleep", "1000"])
    escaped = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    orphaned = subprocess.run(["sh", "-c", "setsid sleep 1000 >/dev/null & echo $!"], stdout=subprocess.PIPE).stdout
    forked = os.fork()
    if forked == 0:
        os.setsid()
        time.sleep(1000)
    with open(pipe, "w") as told:
        print(os.getpid(), grandchild.pid, escaped.pid, int(orphaned), forked, file=told)
"""
"""A task's process with a child, one that left its group, one whose parent has ended, and a fork without exec."""

THREADED = "import threading as t; t.Thread(target=t.Event().wait, daemon=True).start()"

HOST = """
import asyncio, sys
from pathlib import Path
from comity.adapters.environments.own import environment
from comity.adapters.execution.isolation import NUMERICS, Level
from comity.adapters.execution.job import Job
from comity.adapters.execution.pool import Pool
from comity.adapters.execution.way import Way

bundle, pipe, folder = map(Path, sys.argv[1:])
job = Job(task_key="task", plan_key="plan", rank=0, bundle=bundle, inputs={"pipe": pipe}, outputs={},
          log=folder / "log", seconds=60.0)

async def main():
    pool = Pool(1, folder / "sandboxes", Way(level=Level.PLAIN))
    await pool.start()
    await pool.run(environment(()), job)

asyncio.run(main())
"""


class Own:
    """A pool whose jobs run in plain processes, in the environment of the tests."""

    def __init__(self, size=2, warm=(), folder=None):
        self.folder = folder or Path(mkdtemp())
        self.environment = replace(environment(()), warm=warm)
        self.pool = Pool(size, self.folder / "sandboxes", Way(level=Level.PLAIN))
        self.cancel = self.pool.cancel

    async def run(self, job):
        return await self.pool.run(self.environment, job)

    @property
    def sandbox(self):
        (place,) = self.pool._sandboxes._places.values()
        return place.beginning.result()


def run_in_pool(act, loop_factory=None, **given):
    async def main():
        own = Own(**given)
        await own.pool.start()
        try:
            return await asyncio.wait_for(act(own), 60)
        finally:
            await own.pool.close()
            assert not list((own.folder / "sandboxes").iterdir())
            shutil.rmtree(own.folder)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main())


def outcome_of(job, **pool):
    return run_in_pool(lambda opened: opened.run(job), **pool)


def there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def dead(pid: int) -> bool:
    """Whether a process that is no descendant any more ends; who adopted it may leave it a zombie."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], 30)[0])
    finally:
        os.close(watched)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


async def pids_told(pipe: Path) -> list[int]:
    return [int(word) for word in (await asyncio.to_thread(pipe.read_text)).split()]


def test_samples_reach_the_function_in_order_and_its_model_and_performance_come_back(tmp_path, bundle, job):
    folder = bundle(
        """
import json
from pathlib import Path
start = json.loads(Path(inputs["start"]).read_text())
more = [json.loads(Path(path).read_text()) for path in inputs["more"]]
Path(outputs["model"]).write_text(json.dumps([start, more, inputs["datasamples"], task_properties, sorted(inputs)]))
Path(outputs["score"]).write_text(json.dumps({"all": 0.5}))
print("trained")
"""
    )
    (folder / "substratools.py").write_text(SUBSTRATOOLS)
    (tmp_path / "opener.py").write_text(OPENER)
    for row in range(3):
        (tmp_path / f"sample{row}").mkdir()
        (tmp_path / f"sample{row}" / "row.json").write_text(str(row))
    for name in "abc":
        (tmp_path / name).write_text(json.dumps(name))
    work = job(
        folder,
        outputs=("model", "score"),
        rank=7,
        opener=tmp_path / "opener.py",
        samples=tuple(tmp_path / f"sample{row}" for row in (2, 0, 1)),
        inputs={"start": tmp_path / "a", "more": (tmp_path / "b", tmp_path / "c")},
    )

    outcome = outcome_of(work)

    assert (outcome.status, outcome.error) == (Status.DONE, "")
    assert list(outcome.durations) == ["download_function", "prepare_inputs", "task_execution", "save_outputs"]
    properties = {"rank": 7, "compute_task_key": work.task_key, "compute_plan_key": "plan"}
    assert json.loads(work.outputs["model"].read_text()) == [
        *("a", ["b", "c"], [2, 0, 1], properties),
        ["datasamples", "more", "start"],
    ]
    assert performance.read(work.outputs["score"]) == 0.5
    assert work.log.read_text() == "trained\n"
    assert {path.name for path in folder.iterdir()} == {"function.json", "work.py", "substratools.py"}


def test_a_task_sees_a_clear_environment_and_only_its_own_descriptors(bundle, job, monkeypatch):
    monkeypatch.setenv("COMITY_TOKEN", "secret")
    monkeypatch.setenv("LANG", "C.UTF-8")
    body = """
import json, os
with open(outputs["seen"], "w") as file:
    seen = [sorted(os.environ), os.getcwd(), os.environ["HOME"], os.environ["OMP_NUM_THREADS"]]
    json.dump([*seen, sorted(map(int, os.listdir("/proc/self/fd"))), os.getsid(0) == os.getpid()], file)
"""
    work = job(bundle(body), outputs=("seen",))
    assert outcome_of(work).status is Status.DONE
    names, folder, home, threads, descriptors, leads = json.loads(work.outputs["seen"].read_text())
    allowed = {"PATH", "LD_LIBRARY_PATH", "LANG", "LC_CTYPE", "TZ", "HOME", "TMPDIR", "COMITY_BASE"}
    assert {each for each in names if not each.endswith("_NUM_THREADS") and not each.startswith(NUMERICS)} <= allowed
    assert (folder, threads, leads) == (home, "1", True)
    assert Path(folder).parts[-2:] == (work.task_key, "work")
    assert len([each for each in descriptors if each > 3]) == 2  # its file, and the listing itself


def test_tasks_do_not_share_the_random_numbers_of_their_base(bundle, job):
    folder = bundle("open(outputs['drawn'], 'w').write(str(numpy.random.rand()))", before="import numpy")
    jobs = [job(folder, outputs=("drawn",)) for _ in range(2)]

    async def both(pool):
        return [await pool.run(each) for each in jobs]

    assert all(outcome.status is Status.DONE for outcome in run_in_pool(both, warm=("numpy.random",)))
    assert len({each.outputs["drawn"].read_text() for each in jobs}) == 2


def test_a_failure_leaves_the_authors_frames_in_the_log_and_no_data_in_the_sentence(bundle, job):
    work = job(bundle("print('row 1', end='')\nraise ValueError('patient 7')"))
    outcome = outcome_of(work)
    assert (outcome.status, outcome.error) == (Status.FAILED, "ValueError in task_execution")
    log = work.log.read_text()
    assert "work.py" in log
    assert "row 1" in log
    assert "ValueError: patient 7" in log
    assert "comity" not in log
    assert log.endswith("ValueError in task_execution\n")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("import sys; sys.exit(0)", "SystemExit in task_execution"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt in task_execution"),
        ("raise MemoryError", "MemoryError in task_execution"),
        ("raise type('Ärger', (Exception,), {})", "Exception in task_execution"),
        ("import os; os._exit(3)", "the process ended with status 3 before the function returned"),
        ("import os; os._exit(0)", "the process ended with status 0 before the function returned"),
        ("import ctypes; ctypes.string_at(0)", "the process was ended by SIGSEGV before the function returned"),
        ("import os; os.close(3)", "the process ended with status 1 before the function returned"),
        (
            "import os; os.write(3, b'\\x81'); os._exit(0)",
            "the process ended with status 0 before the function returned",
        ),
    ],
)
def test_a_crash_is_a_failed_task_with_what_is_known_in_its_log(bundle, job, body, error):
    work = job(bundle(f"print('begun')\n{body}"))
    outcome = outcome_of(work)
    assert (outcome.status, outcome.error) == (Status.FAILED, error)
    assert work.log.read_text().startswith("begun\n")
    assert work.log.read_text().endswith(f"{error}\n")


def test_a_task_that_was_killed_is_lost_and_may_run_again(bundle, job):
    outcome = outcome_of(job(bundle("import os; os.kill(os.getpid(), 9)")))
    assert (outcome.status, outcome.lost) == (Status.LOST, True)
    assert outcome.error == "the process was killed from outside; was memory short?"


def test_a_segfault_says_where(bundle, job):
    work = job(bundle("import ctypes; ctypes.string_at(0)"))
    outcome_of(work)
    assert "work.py" in work.log.read_text()


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("function.json", '{"entry": "work"}', "DecodeError in download_function"),
        ("function.json", '{"entry": "work:g"}', "AttributeError in download_function"),
        ("function.json", '{"entry": "work:__name__"}', "InvalidInput in download_function"),
        ("function.json", '{"entry": "json:loads"}', "InvalidInput in download_function"),
        ("work.py", "f = (", "SyntaxError in download_function"),
    ],
)
def test_a_broken_bundle_is_a_failed_task(bundle, job, name, text, error):
    folder = bundle("pass")
    (folder / name).write_text(text)
    assert outcome_of(job(folder)).error == error


@pytest.mark.parametrize(
    "body",
    [
        "",
        "os.mkdir(path)",
        "os.symlink('/etc/passwd', path)",
        "open('own', 'w').close(); os.link('own', path)",
        "os.mkfifo(path)",
    ],
)
def test_an_output_that_is_no_regular_file_of_its_own_fails_the_task(bundle, job, body):
    work = job(bundle(f"import os; path = outputs['model']; {body}"), outputs=("model",))
    outcome = outcome_of(work)
    assert outcome.status is Status.FAILED
    assert "'model'" in outcome.error


def test_an_output_beneath_a_link_that_leads_out_fails_the_task(tmp_path, bundle, job):
    (tmp_path / "model").write_text("another's")
    body = "import os; folder = os.path.dirname(outputs['model']); os.rmdir(folder)"
    body += f"; os.symlink({str(tmp_path)!r}, folder)"
    assert outcome_of(job(bundle(body), outputs=("model",))).error == "the function left no folder for its outputs"
    assert (tmp_path / "model").read_text() == "another's"


@pytest.mark.parametrize(
    ("then", "status"),
    [
        ("", Status.DONE),
        ("os._exit(0)", Status.FAILED),
        ("raise ValueError", Status.FAILED),
        ("os.kill(os.getpid(), 9)", Status.LOST),
    ],
)
def test_nothing_outlives_its_task_wherever_it_hid(bundle, job, pipe, then, status):
    work = job(bundle(f"family(inputs['pipe'])\n{then}", before=FAMILY), inputs={"pipe": pipe})

    async def act(pool):
        outcome, pids = await asyncio.gather(pool.run(work), pids_told(pipe))
        return outcome, [pid for pid in pids if there(pid)]

    outcome, left = run_in_pool(act)
    assert outcome.status is status
    assert not left


def test_cancelling_kills_descendants_and_not_the_neighbours(bundle, job, tmp_path, pipe):
    go_on = tmp_path / "go-on"
    os.mkfifo(go_on)
    cancelled = job(bundle("family(inputs['pipe'])\ntime.sleep(1000)", before=FAMILY), inputs={"pipe": pipe})
    body = """
import subprocess
daemon = subprocess.run(["sh", "-c", "sleep 1000 >/dev/null & echo $!"], stdout=subprocess.PIPE).stdout
open(inputs["go_on"]).read()
open(f"/proc/{int(daemon)}/stat")
"""
    neighbour = job(bundle(body), inputs={"go_on": go_on})

    async def act(pool):
        beside = asyncio.create_task(pool.run(neighbour))
        running = asyncio.create_task(pool.run(cancelled))
        pids = await pids_told(pipe)
        await pool.cancel(cancelled.task_key)
        left = [pid for pid in pids if there(pid)]
        await asyncio.to_thread(go_on.write_text, "go on")
        return await running, left, await beside

    outcome, left, beside = run_in_pool(act)
    assert (outcome.status, outcome.error) == (Status.CANCELLED, "the task was cancelled")
    assert not left
    assert beside.status is Status.DONE


def test_a_task_in_the_queue_is_cancelled_at_once(bundle, job, pipe):
    first = job(bundle("open(inputs['pipe']).read()"), inputs={"pipe": pipe})
    second = job(bundle("pass"))

    async def act(pool):
        running, waiting = (asyncio.create_task(pool.run(each)) for each in (first, second))
        await asyncio.sleep(0)
        await pool.cancel(second.task_key)
        await pool.cancel("unknown")
        outcome = await waiting
        await asyncio.to_thread(pipe.write_text, "go on")
        return outcome, await running

    cancelled, done = run_in_pool(act, size=1)
    assert (cancelled.status, done.status) == (Status.CANCELLED, Status.DONE)


def test_a_caller_that_is_cancelled_frees_its_place(bundle, job, pipe):
    first = job(bundle("family(inputs['pipe'])\ntime.sleep(1000)", before=FAMILY), inputs={"pipe": pipe})

    async def act(pool):
        running = asyncio.create_task(pool.run(first))
        await pids_told(pipe)
        running.cancel()
        await asyncio.wait([running])
        return running.cancelled(), await pool.run(job(bundle("pass")))

    cancelled, next_one = run_in_pool(act, size=1)
    assert cancelled
    assert next_one.status is Status.DONE


def test_a_task_over_its_time_is_killed(bundle, job, pipe):
    work = job(bundle("family(inputs['pipe'])\ntime.sleep(1000)", before=FAMILY), inputs={"pipe": pipe}, seconds=0.5)

    async def act(pool):
        outcome, pids = await asyncio.gather(pool.run(work), pids_told(pipe))
        return outcome, [pid for pid in pids if there(pid)]

    outcome, left = run_in_pool(act)
    assert (outcome.status, outcome.error) == (Status.TIMED_OUT, "the task took longer than its 0.5 seconds")
    assert work.log.read_text().endswith(f"{outcome.error}\n")
    assert not left


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
@pytest.mark.parametrize("whom", ["os.getppid()", "int(open(f'/proc/{os.getppid()}/stat').read().split()[3])"])
def test_tasks_of_a_sandbox_that_is_killed_are_lost_and_the_next_get_another(
    bundle, job, pipe, whom, number, loop_factory
):
    body = f"family(inputs['pipe'])\nos.kill({whom}, {int(number)})\ntime.sleep(1000)"
    work = job(bundle(body, before=FAMILY), inputs={"pipe": pipe})

    async def act(pool):
        told = asyncio.create_task(pids_told(pipe))
        lost = await pool.run(work)
        return lost, await told, await pool.run(job(bundle("pass")))

    lost, pids, next_one = run_in_pool(act, loop_factory=loop_factory)
    assert lost.lost
    assert all(dead(pid) for pid in pids)
    assert next_one.status is Status.DONE


def test_a_job_that_comes_while_a_dead_sandbox_is_cleared_away_gets_the_next(bundle, job):
    async def act(pool):
        await pool.run(job(bundle("pass")))
        pool.sandbox.kill()
        return await pool.run(job(bundle("pass")))

    assert run_in_pool(act).status is Status.DONE


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_connection_that_is_closed_already_does_not_stop_the_pool(bundle, job, loop_factory):
    folder = bundle("pass")

    async def act(pool):
        await pool.run(job(folder))
        zygote = await pool.sandbox._zygotes[folder]
        zygote._writer.transport.abort()
        return await pool.run(job(folder)), await pool.run(job(folder))

    lost, done = run_in_pool(act, loop_factory=loop_factory)
    assert (lost.status, done.status) == (Status.LOST, Status.DONE)


def test_a_zygote_that_is_stopped_is_replaced(bundle, job):
    work = job(bundle("import os, signal; os.kill(os.getppid(), signal.SIGSTOP)"), seconds=0.2)

    async def act(pool):
        return await pool.run(work), await pool.run(job(bundle("pass")))

    stuck, next_one = run_in_pool(act)
    assert (stuck.status, next_one.status) == (Status.TIMED_OUT, Status.DONE)


def test_fifty_tasks_pass_through_two_places_in_order(tmp_path, bundle, job):
    present = tmp_path / "present"
    present.mkdir()
    body = f"""
import os
me = os.path.join({str(present)!r}, task_properties["compute_task_key"])
open(me, "w").close()
assert len(os.listdir({str(present)!r})) <= 2
os.remove(me)
print("x" * 1000)
"""
    folder = bundle(body)
    jobs = [job(folder) for _ in range(50)]

    async def act(pool):
        return await asyncio.gather(*(pool.run(each) for each in jobs))

    assert {outcome.status for outcome in run_in_pool(act)} == {Status.DONE}
    assert {each.log.stat().st_size for each in jobs} == {1001}


def test_a_chatty_task_keeps_the_end_of_its_log(bundle, job):
    work = job(bundle("for line in range(400_000): print(line, 'chatter')\nprint('the end')"))
    assert outcome_of(work).status is Status.DONE
    log = work.log.read_bytes()
    assert KEPT < len(log) < KEPT + 100
    assert log.startswith(b"[the first ")
    assert log.endswith(b"399999 chatter\nthe end\n")


def test_a_job_that_cannot_be_started_is_lost(tmp_path, bundle, job):
    outcome = outcome_of(job(bundle("pass"), inputs={"model": tmp_path / "nowhere"}))
    assert outcome.lost
    assert "No such file or directory" in outcome.error


def test_closing_loses_what_runs_and_what_waits(tmp_path, bundle, job, pipe):
    work = job(bundle("family(inputs['pipe'])\ntime.sleep(1000)", before=FAMILY), inputs={"pipe": pipe})
    waiting = job(bundle("pass"))

    async def main():
        pool = Own(1, folder=tmp_path)
        await pool.pool.start()
        running = [asyncio.create_task(pool.run(each)) for each in (work, waiting)]
        pids = await pids_told(pipe)
        await pool.pool.close()
        left = [pid for pid in pids if there(pid)]
        with pytest.raises(Unavailable, match="start it"):
            await pool.run(waiting)
        return left, await asyncio.gather(*running)

    left, outcomes = asyncio.run(main())
    assert not left
    assert all(outcome.lost for outcome in outcomes)


def test_all_ends_with_the_host(tmp_path, bundle, pipe):
    folder = bundle("family(inputs['pipe'])\ntime.sleep(1000)", before=FAMILY)
    with subprocess.Popen([sys.executable, "-c", HOST, folder, pipe, tmp_path]) as host:
        pids = [int(word) for word in pipe.read_text().split()]
        pids.append(parent(pids[0]))
        host.kill()
    assert all(dead(pid) for pid in pids)


def test_nothing_stays_open_in_the_zygote(bundle, job):
    body = "import os; open(outputs['open'], 'w').write(repr(os.listdir(f'/proc/{os.getppid()}/fd')))"
    folder = bundle(body)
    first, last = (job(folder, outputs=("open",)) for _ in range(2))

    async def act(pool):
        await pool.run(first)
        await asyncio.gather(*(pool.run(job(folder, outputs=("open",))) for _ in range(5)))
        await pool.run(last)

    run_in_pool(act)
    assert first.outputs["open"].read_text() == last.outputs["open"].read_text()


def test_a_base_with_a_second_thread_is_not_ready(tmp_path):
    (tmp_path / "threaded.py").write_text(THREADED)
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    code = "import sys; sys.path.append(sys.argv.pop(1)); from comity.adapters.execution.base import main; main()"
    begin = messages.Begin(
        control=its.fileno(), warm=("threaded",), spare="/", file_bytes=2**20, open_files=64, processes=0, sealed=False
    )
    command = [sys.executable, "-c", code, tmp_path, msgspec.json.encode(begin).decode()]
    with ours, its, subprocess.Popen(command, pass_fds=[its.fileno()]) as base:
        told = messages.ready.decode(ours.recv(4096))
        assert base.wait() == 0
    assert "'threaded' starts threads" in told.error


def test_a_bundle_whose_import_starts_threads_is_imported_by_each_task(bundle, job):
    folder = bundle("print('ran')", before=THREADED)
    jobs = [job(folder) for _ in range(2)]

    async def act(pool):
        return [await pool.run(each) for each in jobs]

    assert [outcome.status for outcome in run_in_pool(act)] == [Status.DONE] * 2
    assert [each.log.read_text() for each in jobs] == ["ran\n"] * 2


def test_a_bundle_is_imported_once_and_what_that_prints_is_in_every_log(bundle, job):
    folder = bundle("print('ran')", before="import os; print('imported by', os.getpid())")
    jobs = [job(folder) for _ in range(2)]

    async def act(pool):
        return [await pool.run(each) for each in jobs]

    assert [outcome.status for outcome in run_in_pool(act)] == [Status.DONE] * 2
    first, second = (each.log.read_text() for each in jobs)
    assert first == second
    assert first.startswith("imported by ")
    assert first.endswith("ran\n")


def test_a_bundle_whose_import_ends_the_process_is_a_failed_task(bundle, job):
    outcome = outcome_of(job(bundle("pass", before="import os; os._exit(0)")))
    assert (outcome.status, outcome.error) == (
        Status.FAILED,
        "the process ended while the function's bundle was imported",
    )


def test_a_task_is_cancelled_while_its_bundle_is_imported(bundle, job, pipe):
    work = job(bundle("pass", before=f"open({str(pipe)!r}, 'w').write('importing'); import time; time.sleep(1000)"))

    async def act(pool):
        running = asyncio.create_task(pool.run(work))
        await asyncio.to_thread(pipe.read_text)
        await pool.cancel(work.task_key)
        return await running, await pool.run(job(bundle("pass")))

    cancelled, next_one = run_in_pool(act)
    assert (cancelled.status, next_one.status) == (Status.CANCELLED, Status.DONE)


def test_plans_and_data_do_not_share_a_sandbox(tmp_path, bundle, job):
    folder = bundle("import os; print(os.getppid())")
    opener = tmp_path / "opener.py"
    opener.write_text(OPENER.replace("from substratools import Opener", "Opener = object"))
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "row.json").write_text("1")
    a, b = ({"opener": opener, "samples": (tmp_path / name,)} for name in "ab")
    jobs = [job(folder, plan_key=plan, **data) for plan, data in (("p", a), ("q", a), ("p", b), ("p", a))]

    async def act(pool):
        return [await pool.run(each) for each in jobs]

    assert {outcome.status for outcome in run_in_pool(act)} == {Status.DONE}
    first, other_plan, other_data, again = (each.log.read_text() for each in jobs)
    assert len({first, other_plan, other_data}) == 3
    assert again == first


def test_a_warm_list_that_will_not_do_is_refused(bundle, job):
    work = job(bundle("pass"))

    async def elsewhere(pool):
        pool.environment = replace(pool.environment, python=Path("/nonesuch"))
        return await pool.run(work)

    with pytest.raises(BuildFailed, match="'nonesuch' cannot be imported: ModuleNotFoundError"):
        outcome_of(work, warm=("nonesuch",))
    assert "cannot be started" in run_in_pool(elsewhere).error


def test_a_job_under_way_is_not_begun_twice(bundle, job, pipe):
    work = job(bundle("open(inputs['pipe']).read()"), inputs={"pipe": pipe})

    async def act(pool):
        running = asyncio.create_task(pool.run(work))
        await asyncio.sleep(0)
        with pytest.raises(Conflict, match="under way"):
            await pool.run(work)
        await asyncio.to_thread(pipe.write_text, "go on")
        return await running

    assert run_in_pool(act).status is Status.DONE


@pytest.mark.parametrize(
    "given",
    [
        {"seconds": 0.0},
        {"log": Path("relative")},
        {"outputs": {"../model": Path("/model")}},
        {"task_key": "a/b"},
        {"mounts": (Path("sample"),)},
        {"samples": (Path("/sample"),)},
        {"inputs": {"datasamples": Path("/sample")}},
        {"inputs": {"many": (Path("/a"), Path("b"))}},
        {"bundle": Path("/a/../b")},
    ],
)
def test_a_job_that_makes_no_sense_is_refused(bundle, job, given):
    with pytest.raises(InvalidInput):
        job(**{"bundle": bundle("pass"), **given})


@pytest.mark.parametrize("shared", [True, False])
def test_tasks_of_a_plan_share_a_sandbox_and_its_data_unless_each_has_its_own(job, tmp_path, shared):
    pool = Pool(1, tmp_path / "sandboxes", Way(shared=shared))
    opener, folders = tmp_path / "opener.py", (tmp_path / "s1", tmp_path / "s2")
    jobs = [
        job(tmp_path, mounts=folders),
        *(job(tmp_path, opener=opener, samples=(each,), mounts=folders) for each in folders),
    ]
    domains = [pool._domain(environment(()), each) for each in jobs]
    assert len(set(domains)) == (1 if shared else 3)
    assert [each.data for each in domains] == ([folders] * 3 if shared else [(), folders[:1], folders[1:]])
