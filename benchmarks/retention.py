"""How fast retention is decided: millions of studies, against a plain loop over an ORM's objects.

    python benchmarks/retention.py [--studies 10000000] [--sample 50000]

Every step runs in a process of its own, so that its memory can be told:

- columns: made as arrays and decided in one process; the bare arithmetic.
- objects: two processes, each with half of them: every study is made as a `StudyFacts`, decided by
  `decide_each`, and its `Decision` looked at, which is what a plan of a whole site does.
- alone: the same in one process.
- sample: so many studies as rows of SQLModel in SQLite. The same decision by a plain loop in Python
  (`retention_plain.py`, which the tests hold against the product) and by the product; the
  verdicts must be equal.

The policy is that of three states, of mammograms and of a payer, as shipped; a thousand holds are
in force.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import itertools
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import retention_plain
from benchmarks.programs import Timing, high_water_mib
from benchmarks.results import Results, Target
from orchestrator.config.schedules import majority_ages, shipped_schedules
from orchestrator.retention.decide import BATCH, decide, decide_each
from orchestrator.retention.hold import Hold
from orchestrator.retention.schedule import Adopted, Policy
from orchestrator.retention.study import StudyFacts

TODAY = dt.date(2026, 11, 22)
ADOPTED = ("us-tx-dental", "us-va-dental", "us-mo-dental", "us-mqsa", "medicare-ffs")
STATES = (("US-TX",), ("US-TX", "US-VA"), ("US-MO",))
FIRST, LAST = dt.date(1995, 1, 1).toordinal(), TODAY.toordinal()
OLDEST = dt.date(1900, 1, 1).toordinal()
DAYS = [dt.date.fromordinal(day) for day in range(OLDEST, LAST + 1)]


def policy() -> Policy:
    shipped = {schedule.id: schedule for schedule, _ in shipped_schedules()}
    return Policy(tuple(Adopted(shipped[name]) for name in ADOPTED), majority_ages())


def holds() -> list[Hold]:
    some = [Hold(f"H-{n}", "study", study=f"study-{n * 97}") for n in range(500)]
    some += [
        Hold(f"P-{n}", "patient", patients=frozenset({f"patient-{n * 89}"})) for n in range(498)
    ]
    days = dt.date(2019, 1, 1), dt.date(2019, 1, 31)
    some.append(Hold("D-1", "dates", store="store-1", dates_from=days[0], dates_to=days[1]))
    return [*some, Hold("S-1", "store", store="store-9")]


def studies(numbers: range) -> Iterator[StudyFacts]:
    """Make studies: one in fifty without a birth date, one in two hundred a mammogram."""
    for first in range(numbers.start, numbers.stop, 10_000):
        yield from _made(range(first, min(first + 10_000, numbers.stop)))


def _made(numbers: range) -> list[StudyFacts]:
    import numpy as np

    chance, many = np.random.default_rng(numbers.start), len(numbers)
    newest = chance.integers(FIRST, LAST, many, endpoint=True) - OLDEST
    treated = np.minimum(newest + chance.integers(0, 2_000, many), LAST - OLDEST)
    oldest = newest - chance.integers(0, 3, many)
    born = oldest - chance.integers(2_000, 30_000, many)
    columns = (some.tolist() for some in (newest, oldest, treated, born))
    return [
        StudyFacts(
            store=f"store-{number % 3}",
            study=f"study-{number}",
            patient=f"patient-{number // 4}",
            jurisdictions=STATES[number % 3],
            newest_image=DAYS[new],
            oldest_image=DAYS[old],
            patient_newest_image=DAYS[new],
            last_treatment=DAYS[last],
            born=None if number % 50 == 7 else DAYS[birth],
            is_mammogram=number % 200 == 11,
        )
        for number, new, old, last, birth in zip(numbers, *columns, strict=True)
    ]


def columns_alone(count: int) -> dict[str, Any]:
    import numpy as np

    from orchestrator.retention.columns import VERDICTS, StudyColumns
    from orchestrator.retention.dates import UNKNOWN
    from orchestrator.retention.holds_index import HoldsIndex
    from orchestrator.retention.verdicts import Judge

    judge, chance = Judge(policy(), HoldsIndex(holds()), TODAY), np.random.default_rng(1)
    spent, found = 0.0, np.zeros(len(VERDICTS), np.int64)
    for first in range(0, count, BATCH):
        many = min(BATCH, count - first)
        numbers = np.arange(first, first + many)
        newest = chance.integers(FIRST, LAST, many, np.int32)
        unknown = np.full(many, UNKNOWN, np.int32)
        names = [f"study-{number}" for number in numbers.tolist()]
        batch = StudyColumns(
            study=names,
            patient=names,
            store=(numbers % 3).astype(np.int32),
            stores=("store-0", "store-1", "store-2"),
            where=(numbers % 3).astype(np.int32),
            jurisdictions=STATES,
            newest_image=newest,
            newest_other=unknown,
            received=unknown,
            oldest_image=newest - chance.integers(0, 3, many, np.int32),
            patient_newest_image=newest,
            last_treatment=np.minimum(newest + chance.integers(0, 2000, many, np.int32), LAST),
            born=np.where(
                numbers % 50 == 7, unknown, newest - chance.integers(2_000, 30_000, many, np.int32)
            ).astype(np.int32),
            died=unknown,
            is_mammogram=numbers % 200 == 11,
            is_incompetent=np.zeros(many, np.bool_),
            doubts=np.zeros(many, np.uint64),
            settled=np.zeros(many, np.uint64),
        )
        began = time.perf_counter()
        decided = judge.decide(batch)
        spent += time.perf_counter() - began
        found += np.bincount(decided.verdict, minlength=len(VERDICTS))
    return {"decide_s": spent, **dict(zip(VERDICTS, found.tolist(), strict=True))}


def objects_in(numbers: range) -> dict[str, Any]:
    """Decide, and tell how much processor time went into making the studies."""
    made = 0.0

    def source() -> Iterator[StudyFacts]:
        nonlocal made
        for first in range(numbers.start, numbers.stop, 10_000):
            began = time.process_time()
            some = _made(range(first, min(first + 10_000, numbers.stop)))
            made += time.process_time() - began
            yield from some

    found = Counter(
        decision.verdict for _, decision in decide_each(source(), policy(), holds(), TODAY)
    )
    return {**found, "making_cpu_s": made}


def in_one(count: int) -> dict[str, Any]:
    return objects_in(range(count))


def in_two(count: int) -> dict[str, Any]:
    """Start two processes with half of the studies each; their memory counts together."""
    middle = count // 2
    halves = [
        subprocess.Popen(_command("half", given), stdout=subprocess.PIPE, text=True)
        for given in (f"0:{middle}", f"{middle}:{count}")
    ]
    found: Counter[Any] = Counter()
    for half in halves:
        said, _ = half.communicate()
        assert half.returncode == 0
        found.update(json.loads(said.splitlines()[-1]))
    return dict(found)


def half(given: str) -> None:
    first, last = map(int, given.split(":"))
    found = objects_in(range(first, last))
    print(json.dumps({**found, "peak_mib": high_water_mib(os.getpid())}))


def sample(count: int) -> dict[str, Any]:
    """Decide the same studies by a plain loop over rows of SQLModel, and by the product."""
    import sqlmodel

    row, session = _rows(count)
    facts = list(studies(range(count)))
    by, held = policy(), holds()
    # A loop that asks each of a thousand holds about each study would take a hundred times as long.
    wide = [hold for hold in held if hold.kind in {"dates", "store"}]
    everything = sqlmodel.select(row).order_by(row.number)
    took: dict[str, float] = {}

    def timed(name: str, decided: Callable[[], Iterable[Any]]) -> list[str]:
        gc.collect()
        began = time.process_time()  # one thread, no disk: other work on the machine does not count
        verdicts = [one.verdict for one in decided()]
        took[f"{name}_us"] = (time.process_time() - began) / count * 1e6
        return verdicts

    def load_and_loop() -> Iterator[Any]:
        return retention_plain.decide(session.exec(everything), by, wide, TODAY)

    decide(facts[:1], by, wide, TODAY)  # what it imports is not the sample's
    ours = timed("product", lambda: decide(facts, by, wide, TODAY))
    timed("product_with_all_holds", lambda: decide(facts, by, held, TODAY))
    assert timed("plain_loop_with_loading", load_and_loop) == ours
    rows = session.exec(everything).all()
    assert timed("plain_loop", lambda: retention_plain.decide(rows, by, wide, TODAY)) == ours
    session.close()
    return took


def _rows(count: int) -> tuple[Any, Any]:
    """Write studies as rows of an ORM, in a database in memory."""
    import sqlalchemy as sa
    import sqlmodel

    class StudyRow(sqlmodel.SQLModel, table=True):
        number: int = sqlmodel.Field(primary_key=True)
        store: str
        study: str
        patient: str | None
        jurisdictions: list[str] = sqlmodel.Field(sa_type=sa.JSON)
        newest_image: dt.date | None
        newest_other: dt.date | None
        received: dt.date | None
        oldest_image: dt.date | None
        patient_newest_image: dt.date | None
        last_treatment: dt.date | None
        born: dt.date | None
        died: dt.date | None
        is_mammogram: bool
        is_incompetent: bool
        doubts: list[str] = sqlmodel.Field(sa_type=sa.JSON)

    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    sqlmodel.SQLModel.metadata.create_all(engine, tables=[StudyRow.__table__])
    session = sqlmodel.Session(engine)
    names = [name for name in StudyRow.model_fields if name != "number"]
    numbered = enumerate(studies(range(count)))
    while some := list(itertools.islice(numbered, 10_000)):
        values = [
            {"number": number}
            | {
                name: list(value) if isinstance(value, (tuple, frozenset)) else value
                for name in names
                for value in (getattr(one, name),)
            }
            for number, one in some
        ]
        session.execute(sa.insert(StudyRow), values)
    session.commit()
    return StudyRow, session


STEPS: dict[str, Callable[[int], dict[str, Any]]] = {
    "columns": columns_alone,
    "objects": in_two,
    "alone": in_one,
    "sample": sample,
}


def _command(step: str, given: str) -> list[str]:
    return [sys.executable, __file__, "--step", step, "--given", given]


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def step(name: str, given: str) -> None:
    """Run one step in this process and print what it took as the last line."""
    if name == "half":
        half(given)
        return
    began = time.perf_counter()
    found = STEPS[name](int(given))
    found["wall_s"] = time.perf_counter() - began
    found["cpu_s"] = _cpu_s()
    found["peak_mib"] = found.get("peak_mib", 0) + (high_water_mib(os.getpid()) or 0)
    print(json.dumps(found))


def all_steps(count: int, many: int) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name in STEPS:
        given = str(many if name == "sample" else count)
        said = subprocess.run(
            _command(name, given), stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        found[name] = json.loads(said.splitlines()[-1])
        parts = [f"{key} {value:.4g}" for key, value in found[name].items()]
        print(f"{name:8} {'  '.join(parts)}   load {os.getloadavg()[0]:.1f}", flush=True)
    return found


def measure(count: int, many: int, results: Results) -> None:
    """Decide so many studies; the targets are those of 10 million."""
    print(f"retention of {count} studies", flush=True)
    found = all_steps(count, many)
    for name, words in (
        ("columns", "as columns, arithmetic alone"),
        ("objects", "made, decided, looked at, two processes"),
        ("alone", "made, decided, looked at, one process"),
    ):
        one = found[name]
        target = Target(at_most=60) if name == "objects" else Target()
        seconds = one.get("decide_s", one["wall_s"])
        results.add(f"retention {name}", Timing(one["wall_s"], one["cpu_s"]))
        results.figure(f"{count} studies: {words}", [seconds], "s", target)
        peak = f"{count} studies: peak memory, {words}"
        results.figure(peak, [one["peak_mib"]], "MiB", Target(at_most=500))
    one = found["sample"]
    for name in ("plain_loop", "plain_loop_with_loading"):
        ratio = one[f"{name}_us"] / one["product_us"]
        what = f"{name.replace('_', ' ')} over {many} rows / the product"
        results.figure(what, [ratio], "times", Target())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=10_000_000)
    parser.add_argument("--sample", type=int, default=50_000)
    parser.add_argument("--step", choices=(*STEPS, "half"), help=argparse.SUPPRESS)
    parser.add_argument("--given", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        step(given.step, given.given)
        return
    results = Results()
    measure(given.studies, given.sample, results)
    print(results.table())


if __name__ == "__main__":
    main()
