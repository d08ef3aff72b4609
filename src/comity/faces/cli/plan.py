"""`comity plan`: tasks that wait for each other, at several organizations."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from comity.faces.cli.asking import Answer, asking, key_of
from comity.faces.cli.show import folder_to_save, waiting
from comity.sdk.client import Client
from comity.values.asset_key import is_key
from comity.values.errors import Conflict, Forbidden, InvalidInput, NotFound, NotSupported
from comity.values.table import Cell, Table

app = typer.Typer(no_args_is_help=True, help="Create plans of tasks, follow them, and download what they left.")

ENDED = ("PLAN_STATUS_DONE", "PLAN_STATUS_FAILED", "PLAN_STATUS_CANCELED")

LOOK = 0.2
"""Seconds between two looks at a plan that is waited for."""

Plan = Annotated[str, typer.Argument(help="Its key or name.")]


@app.command()
@asking
def create(
    client: Client,
    file: Annotated[Path, typer.Argument(help="The plan, as TOML or JSON; see docs/howto/network.md.")],
) -> Answer:
    """Create a plan and its tasks from a file."""
    from comity.faces import plan_file

    read, key = plan_file.read(file), str(uuid.uuid4())

    def found(noun: str, given: str) -> Mapping[str, Any]:
        return client.get(f"/{noun}/{key_of(client, noun, given)}/")

    tasks = plan_file.tasks(read, key, found)
    client.post("/compute_plan/", {"key": key, "name": read.name, "tag": read.tag, "metadata": read.metadata})
    try:
        client.post("/task/bulk_create/", {"tasks": tasks})
    except BaseException:
        client.post(f"/compute_plan/{key}/cancel/")
        raise
    made = {**client.get(f"/compute_plan/{key}/"), "tasks": {each["tag"]: each["key"] for each in tasks}}
    return Answer(made, f"{read.name} {key} with {len(tasks)} tasks")


@app.command("list")
@asking
def listed(client: Client) -> Answer:
    """List the plans that this organization knows of, the latest first."""
    found = list(client.pages("/compute_plan/"))
    rows = [
        (each["name"], each["key"], each["owner"], _status(each), each["done_count"], each["task_count"])
        for each in found
    ]
    return Answer(found, Table("Plans", ("name", "key", "owner", "status", "done", "tasks"), rows))


@app.command()
@asking
def show(
    client: Client,
    plan: Plan,
    wait: Annotated[bool, typer.Option("--wait", help="Until it has ended; an error unless it is done.")] = False,
) -> Answer:
    """Show a plan's tasks and what they measured."""
    key = key_of(client, "compute_plan", plan)
    if wait:
        _wait(client, key)
    found, tasks = client.get(f"/compute_plan/{key}/"), _tasks(client, key)
    measured = client.get(f"/compute_plan/{key}/perf/")["results"]
    value = {**found, "tasks": tasks, "performances": measured}
    rows = [_row(each, measured) for each in tasks]
    title = f"{found['name']} {key}: {_status(found)}"
    return Answer(value, Table(title, ("task", "rank", "at", "status", "seconds", "measured", "why"), rows))


@app.command()
@asking
def cancel(client: Client, plan: Plan) -> Answer:
    """End a plan: open tasks are cancelled, and what runs is killed."""
    key = key_of(client, "compute_plan", plan)
    client.post(f"/compute_plan/{key}/cancel/")
    return Answer(client.get(f"/compute_plan/{key}/"), f"{plan} is cancelled.")


@app.command()
@asking
def download(
    client: Client,
    plan: Plan,
    outputs: Annotated[list[str] | None, typer.Argument(help="TASK.OUTPUT; everything this one may have.")] = None,
    into: Annotated[Path, typer.Option(help="A folder.")] = Path("outputs"),
) -> Answer:
    """Download models that a plan's tasks have left, each as TASK.OUTPUT.

    What is named must be given, or it is an error; without names, what is refused is listed.
    """
    key = key_of(client, "compute_plan", plan)
    models = _models(client, key)
    missing = next((each for each in outputs or () if each not in models), None)
    if missing is not None:
        raise NotFound(f"{plan} has left no model {missing}; there are: {', '.join(models) or 'none yet'}")
    folder_to_save(into)
    files: dict[str, str] = {}
    refused: dict[str, str] = {}
    for name in outputs or models:
        try:
            client.download(f"/model/{models[name]}/file/", into / name)
            files[name] = str(into / name)
        except (Forbidden, NotFound) as error:
            if outputs:
                raise
            refused[name] = str(error)
    rows: list[Sequence[Cell]] = [
        *((name, Path(path).stat().st_size, path) for name, path in files.items()),
        *((name, None, why) for name, why in refused.items()),
    ]
    table = Table(f"{plan}: {len(files)} downloaded", ("output", "bytes", "file"), rows)
    return Answer({"files": files, "refused": refused}, table)


@app.command()
@asking
def logs(
    client: Client,
    which: Annotated[str, typer.Argument(metavar="PLAN|TASK", help="A plan, or the key of one of its tasks.")],
) -> Answer:
    """Show the log of a task, or those of a plan's tasks that have failed, where this organization may read them."""
    if is_key(which) and any(each["key"] == which for each in client.pages("/task/", key=which)):
        text = client.raw(f"/task/{which}/logs/").decode(errors="replace")
        return Answer({"task": which, "log": text}, text)
    key = key_of(client, "compute_plan", which)
    failed = [each for each in _tasks(client, key) if each["status"] == "STATUS_FAILED"]
    told = {each["key"]: _log(client, each["key"]) for each in failed}
    lines = [f"{_called(each)} {each['key']} at {each['worker']}:\n{told[each['key']]}" for each in failed]
    return Answer({"logs": told}, "\n".join(lines) or f"Nothing of {which} has failed.")


@app.command()
@asking
def watch(
    client: Client,
    plan: Plan,
    save: Annotated[Path | None, typer.Option(help="Write the report folder here once it is over.")] = None,
) -> Answer:
    """Follow an experiment until it is over; it goes on by itself when this is interrupted."""
    from comity.engine.history import byte_text
    from comity.faces.watching import watching
    from comity.sdk.running import Running

    running = Running(client, key_of(client, "compute_plan", plan))
    if save:
        folder_to_save(save)
        sys.path.insert(0, str(Path.cwd()))  # where the experiment's own modules lie
    with watching() as observe:
        run = running.wait(observe) if save else None
        shown = running.now() if run else running.ended(observe)
    if run and save:
        run.save(save)
    rows: list[Sequence[Cell]] = [
        (
            each["number"],
            ", ".join(part["site"] for part in each["parts"] if part["included"]),
            ", ".join(part["site"] for part in each["parts"] if not part["included"]) or None,
            byte_text(sum(part["size"] or 0 for part in each["parts"])),
            ", ".join(f"{name} {_figure(value)}" for name, value in (each["pooled"] or {}).items()) or None,
        )
        for each in shown["rounds"]
    ]
    title = f"{shown['name']} {shown['key']}: {_status(shown)}"
    return Answer(shown, Table(title, ("round", "sites", "missing", "contributions", "over all test rows"), rows))


@app.command("resume")
@asking
def resume_experiment(
    client: Client,
    plan: Plan,
    rounds: Annotated[int | None, typer.Option(help="In all, those done included; as planned unless given.")] = None,
) -> Answer:
    """Go on with an experiment that failed, was cancelled, or is to have more rounds, from where it ended."""
    from comity.sdk.running import resume

    sys.path.insert(0, str(Path.cwd()))  # where the experiment's own modules lie
    running = resume(client, key_of(client, "compute_plan", plan), rounds)
    return Answer({"plan": running.key}, f"{running.key} goes on. Follow it: comity plan watch {running.key}")


@app.command()
@asking
def compare(
    client: Client, plans: Annotated[list[str], typer.Argument(help="Keys or names of experiments.")]
) -> Answer:
    """Show experiments side by side: the settings that differ, and what was measured."""
    from comity.faces.comparing import compared

    shown = [client.get(f"/compute_plan/{key_of(client, 'compute_plan', each)}/rounds/") for each in plans]
    return Answer(shown, compared(shown))


def _wait(client: Client, key: str) -> None:
    with waiting() as progress:
        while True:
            found = client.get(f"/compute_plan/{key}/")
            progress(found["done_count"], found["task_count"])
            if found["status"] in ENDED:
                break
            time.sleep(LOOK)
    if found["status"] != ENDED[0]:
        failed = found["failed_task_key"]
        why = f": task {failed}; see comity plan show {key}, and comity plan logs {failed}"
        raise Conflict(f"the plan {found['name']} {key} is {_status(found)}{why if failed else ''}")


def _tasks(client: Client, key: str) -> list[dict[str, Any]]:
    return list(client.pages("/task/", compute_plan_key=key, ordering="rank"))


def _models(client: Client, plan: str) -> dict[str, str]:
    """Keys of models by task and output."""
    made: dict[str, str] = {}
    for task in _tasks(client, plan):
        for each in client.pages(f"/task/{task['key']}/output_assets/"):
            if each["kind"] == "ASSET_MODEL":
                name = f"{_called(task)}.{each['identifier']}"
                made[_plain(name)] = each["asset"]["key"]
    return made


def _plain(name: str) -> str:
    """The name, if it can be that of a file in a folder: another organization may have made it."""
    if "/" in name or "\0" in name or name.startswith("."):
        raise InvalidInput(f"an output is called {name!r}, which cannot be the name of a file; use the REST API")
    return name


def _row(task: dict[str, Any], measured: Sequence[Mapping[str, Any]]) -> Sequence[Cell]:
    numbers = [
        f"{each['identifier']}={each['perf']:.4g}" for each in measured if each["compute_task"]["key"] == task["key"]
    ]
    return (
        _called(task),
        task["rank"],
        task["worker"],
        task["status"].removeprefix("STATUS_").lower(),
        task["duration"],
        " ".join(numbers),
        task["error_type"] or task["waiting_for"] or "",
    )


def _called(task: Mapping[str, Any]) -> str:
    """What a person calls a task: as its plan does, or by its place in an experiment."""
    if task.get("stage"):
        place = f"round{task['round']}.{task['stage']}"
        return place if task["required"] else f"{place}.{task['worker']}"
    return task["tag"] or task["key"]


def _log(client: Client, task: str) -> str:
    try:
        return client.raw(f"/task/{task}/logs/").decode(errors="replace")
    except (Forbidden, NotFound, NotSupported) as error:
        return f"({error})\n"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _status(plan: Mapping[str, Any]) -> str:
    return plan["status"].removeprefix("PLAN_STATUS_").lower()
