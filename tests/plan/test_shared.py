"""A store in a bucket, on a real S3 server on loopback: two caches are two machines."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import toys
from hypothesis import given, settings
from hypothesis import strategies as st

import buckets
from assay.core import AssayError
from assay.plan import (
    Inline,
    Store,
    _bucket,
    _lease,
    _shared,
    check_store,
    collect_garbage,
    execute,
    local_folder,
    open_store,
    plan,
    run,
    status,
)
from assay.plan._shared import SharedStore, Superseded

HERE = str(Path(__file__).parent)


class Machines:
    """Stores of one address, each with a cache of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder

    def __getitem__(self, name: str) -> SharedStore:
        return SharedStore(self.url, self.folder / name)


@pytest.fixture
def machines(url: str, tmp_path: Path) -> Machines:
    return Machines(url, tmp_path)


@pytest.fixture
def on_moto(app: buckets.Faulty, tmp_path: Path) -> Machines:
    """Machines whose server can be made to fail."""
    return Machines(buckets.new_address(), tmp_path)


def contents(store: Store) -> dict[str, Any]:
    return {key: store.manifest(key)["files"] for key in store.completed()}


def undisturbed(folder: Path, *steps: Any) -> dict[str, Any]:
    whole = Store(folder / "whole")
    run(steps, whole, Inline())
    return contents(whole)


def alone(store: Store, *steps: Any) -> Any:
    """Run steps in a store that is not opened by its address."""

    class Here(Inline):
        def submit(self, function: Any, *arguments: Any) -> Any:
            return super().submit(_execute_in, store, *arguments[1:])

    return run(steps, store, Here())


def _execute_in(store: Store, payload: dict[str, Any], told: Any = lambda: None) -> bool:
    from assay.plan._execute import _executed

    return _executed(store, payload, payload["label"], told)


def test_what_one_machine_made_another_reads(machines: Machines, tmp_path: Path) -> None:
    first, second, end = machines["a"], machines["b"], toys.diamond()
    assert alone(first, end).done == 6
    assert alone(second, end).done == 0 and plan([end], second).total.to_do == 0
    place = second.path(end.key)
    assert place.is_relative_to(tmp_path / "b")
    assert sorted(p.name for p in place.iterdir()) == ["manifest.json", "part-0", "part-1", "part-2"]
    assert place.joinpath("part-1").read_bytes() == (first.path(end.key) / "part-1").read_bytes()
    assert contents(second) == undisturbed(tmp_path, end)


def test_of_racing_writers_one_wins_and_all_read_the_same(machines: Machines) -> None:
    """Law: however many upload an object at once, one manifest stands, and everybody reads its bytes."""
    key, stores = "e" * 64, [machines[str(n)] for n in range(6)]
    for n, store in enumerate(stores):
        store.work(key).mkdir()
        (store.work(key) / "part").write_text(f"written by {n}")
        lease = _lease.Lease(store.bucket, f"leases/of-{n}", "")
        assert lease.take(None)
        store._leases[key] = lease
    barrier = threading.Barrier(len(stores))

    def write(store: SharedStore) -> None:
        barrier.wait()
        store.commit(key, {"name": "n", "label": "l"})

    threads = [threading.Thread(target=write, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(store.path(key) / "part").read_text() for store in stores}) == 1
    assert len(stores[0].bucket.names("data/")) == 1, "what lost is removed"
    assert machines["new"].verify() == []


def test_a_lease_has_one_holder(machines: Machines) -> None:
    stores = [machines[str(n)] for n in range(8)]
    leases = [_lease.Lease(store.bucket, "leases/x", str(n)) for n, store in enumerate(stores)]
    won: list[bool] = []
    threads = [threading.Thread(target=lambda one=one: won.append(one.take(None))) for one in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(won) == 1


def test_a_lease_that_was_taken_over_is_lost(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lease, "LEASE", 0.3)
    bucket = machines["a"].bucket
    old, new = _lease.Lease(bucket, "leases/x", "a"), _lease.Lease(bucket, "leases/x", "b")
    assert old.take(None) and old.renew()
    assert _lease.acquired(new, lambda: False)
    assert not old.renew() and old.lost
    old.release()
    assert new.renew(), "who has lost it cannot give it away"
    assert not _lease.acquired(_lease.Lease(bucket, "leases/x", "c"), lambda: True)
    new.release()
    assert bucket.version("leases/x") is None


def test_who_died_on_this_machine_is_known_at_once(machines: Machines) -> None:
    store, step = machines["a"], toys.step("a")
    dead = _lease.Lease(store.bucket, f"leases/{step.key}", store._machine)
    assert dead.take(None)
    alone(store, step)  # waits for nothing: the lock here is free
    assert store.has(step.key) and store.bucket.names("leases/") == {}


MACHINE = """
import sys; sys.path.insert(0, sys.argv[1])
import toys
from assay.plan import *
from assay.plan import _bucket, _lease, _shared
_lease.LEASE = _shared.LEASE = float(sys.argv[3]); _lease.BEAT = _lease.LEASE / 8; _lease._POLL = 0.05
store = open_store(sys.argv[2])
"""


def process(url: str, cache: Path, code: str, lease: float = 60.0) -> subprocess.Popen[bytes]:
    """Start a process on a machine of its own, whose leases last so many seconds."""
    command = [sys.executable, "-c", MACHINE + code, HERE, url, str(lease)]
    return subprocess.Popen(command, env=buckets.machine(cache), stderr=subprocess.PIPE)


def ended(running: subprocess.Popen[bytes], seconds: float = 100.0) -> None:
    said = running.communicate(timeout=seconds)[1].decode()
    assert running.returncode == 0, said


def test_a_holder_that_was_stopped_does_not_commit_over_its_successor(
    url: str, machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    step = toys.step("a", seconds=0.3, log=str(log))
    code = f"""
step = toys.step("a", seconds=0.3, log={str(log)!r})
run([step], store, Inline())
print((store.path(step.key) / "manifest.json").read_text())
"""
    holder = process(url, tmp_path / "holder", code, lease=1.0)
    wait_until(lambda: log.exists() and log.read_text() != "")
    os.kill(holder.pid, signal.SIGSTOP)
    monkeypatch.setattr(_lease, "LEASE", 1.0)
    other = machines["other"]
    try:
        alone(other, step)
        before = (other.path(step.key) / "manifest.json").read_bytes()
    finally:
        os.kill(holder.pid, signal.SIGCONT)
    ended(holder)
    assert log.read_text().split() == [step.key] * 2, "the holder computed again"
    assert (machines["new"].path(step.key) / "manifest.json").read_bytes() == before
    (cache,) = (tmp_path / "holder").iterdir()
    kept = Store(cache).place(step.key) / "manifest.json"
    assert not kept.exists() or kept.read_bytes() == before


def wait_until(true: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.01)


def test_an_attempt_without_its_lease_ends_without_a_commit(machines: Machines) -> None:
    store, key = machines["a"], toys.step("a").key
    other = _lease.Lease(store.bucket, f"leases/{key}", "other")
    with store.attempt(key) as out:
        assert out is not None
        (out / "part").write_text("late")
        assert other.take(store.bucket.version(other.name))
        with pytest.raises(Superseded):
            store.commit(key, {"name": "toy", "label": "a"})
    assert not machines["b"].has(key) and store.bucket.names("data/") == {}
    assert other.renew(), "its successor's lease is untouched"


def test_two_machines_on_one_study_do_each_step_once(url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = f"run([toys.diamond(8, seconds=0.03, log={str(log)!r})], store, Inline())"
    for running in [process(url, tmp_path / name, code) for name in "ab"]:
        ended(running)
    end = toys.diamond(8, seconds=0.03)
    assert Counter(Counter(log.read_text().split()).values()) == {1: 10}
    assert contents(SharedStore(url, tmp_path / "c")) == undisturbed(tmp_path, end)


@pytest.mark.long
def test_kills_on_two_machines_lose_nothing(url: str, tmp_path: Path) -> None:
    """Law: killed at random moments, two machines end with what one that was left alone has."""
    log, random_ = tmp_path / "log", random.Random(5)
    code = f"run([toys.diamond(6, seconds=0.05, log={str(log)!r})], store, Inline())"
    running = {name: process(url, tmp_path / name, code, lease=1.0) for name in "ab"}
    kills = 0
    while running:
        name = random_.choice(sorted(running))
        try:
            running[name].wait(timeout=random_.uniform(0.2, 0.5) if kills else 1.5)
            ended(running.pop(name))
        except subprocess.TimeoutExpired:
            if kills < 8:
                running[name].kill()
                running[name].communicate()
                kills += 1
                running[name] = process(url, tmp_path / name, code, lease=1.0)
    assert kills, "all was done before anything could be killed"
    store = SharedStore(url, tmp_path / "c")
    assert contents(store) == undisturbed(tmp_path, toys.diamond(6, seconds=0.05))
    assert store.verify() == [] and store.bucket.names("doomed/") == {}
    assert sum(Counter(log.read_text().split()).values()) <= 8 + kills, "more than what was in flight"


@pytest.mark.long
def test_two_studies_at_once_while_garbage_is_collected(url: str, tmp_path: Path) -> None:
    study = """
for turn in range(6):
    end = toys.step(sys.argv[0], toys.diamond(3))
    run([end], store, Inline())
    assert len((store.path(end.key) / "part-0").read_text()) == 64
"""
    collect = "for turn in range(25): collect_garbage(store, dry_run=False)"
    codes = {"a": study, "b": study.replace("sys.argv[0]", "'other'"), "c": collect}
    for running in [process(url, tmp_path / name, code) for name, code in codes.items()]:
        ended(running)
    assert SharedStore(url, tmp_path / "d").verify() == []


def test_garbage_is_what_nobody_wants_on_any_machine(url: str, machines: Machines, tmp_path: Path) -> None:
    first, second, kept, old = machines["a"], machines["b"], toys.diamond(2), toys.step("old")
    alone(first, kept, old)
    first.register("new", [kept])
    first.register("old", [old])
    assert second.roots().keys() == {"new", "old"}
    assert [study.done for study in status(second).studies] == [4, 1]
    first._let_go()  # as when its process ends
    assert collect_garbage(second).objects == 0
    code = "run([toys.step('old')], store, Inline()); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", MACHINE + code, HERE, url, "60"], env=buckets.machine(tmp_path / "h"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    assert collect_garbage(second, forget=["old"], dry_run=False).objects == 0, "a machine wants it"
    holder.communicate()
    assert collect_garbage(second).objects == 1
    assert collect_garbage(second, dry_run=False).objects == 1
    assert not second.has(old.key) and not second.bucket.names(f"data/{old.key[:2]}/{old.key}/")
    assert second.verify() == [] and first.roots().keys() == {"new"}
    collect_garbage(first, dry_run=False)
    assert not first.place(old.key).exists() and first.place(kept.key).exists(), "caches follow"


def test_studies_of_one_name_are_kept_apart(machines: Machines) -> None:
    one, other = toys.step("a"), toys.step("b")
    for store, step, owner in ((machines["a"], one, "x" * 8), (machines["b"], other, "y" * 8)):
        store.register("study", [step], owner)
        store.register("study", [step], owner)
    assert machines["c"].roots() == {"study": [one.key], f"study {'y' * 8}": [other.key]}


@pytest.mark.long
@settings(max_examples=12, deadline=None)
@given(st.integers(1, 40), st.booleans())
def test_a_collector_that_ends_anywhere_harms_nothing(server: Any, at: int, later: bool) -> None:
    """Law: whatever request of a collection is its last, studies run on, and the next collection ends."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        url, app = server
        for name, value in buckets.settings(url).items():
            patch.setenv(name, value)
        machines = Machines(f"s3://{buckets.BUCKET}/gc/{os.getpid()}-{next(buckets.NUMBER)}", Path(folder))
        end = toys.diamond(2)
        first = machines["a"]
        alone(first, end, toys.step("junk"))
        if later:
            first.register("study", [end])
        first._let_go()  # as when its process ends
        collector = machines["g"]
        patch.setattr(_lease, "LEASE", 0.2)
        with app.failing(lambda number, _: "refused" if number >= at else None), suppress(AssayError):
            collect_garbage(collector, dry_run=False)
        alone(machines["b"], end)
        assert contents(machines["c"]).items() >= undisturbed(Path(folder), end).items()
        assert (machines["c"].path(end.key) / "part-0").is_file()
        machines["b"].register("study", [end])
        collect_garbage(machines["h"], dry_run=False)
        after = machines["d"]
        assert contents(after) == undisturbed(Path(folder), end)
        assert after.verify() == [] and after.bucket.names("doomed/") == {}


def test_who_reads_waits_for_a_collector_that_is_undecided(machines: Machines) -> None:
    store, step = machines["a"], toys.step("a")
    alone(store, step)
    name = f"objects/{step.key[:2]}/{step.key}"
    body, reader = store.bucket.read(name) or b"", machines["b"]
    store.bucket.put("doomed/x", json.dumps({step.key: body.decode()}).encode())
    store.bucket.remove([name])

    def decide() -> None:
        time.sleep(0.3)
        store._decide("doomed/x", {step.key: body.decode()}, {step.key})

    deciding = threading.Thread(target=decide)
    deciding.start()
    assert (reader.path(step.key) / "part-0").is_file()
    deciding.join()
    assert store.bucket.names("doomed/") == {}


def test_a_corrupt_object_is_collected(machines: Machines) -> None:
    store = machines["a"]
    alone(store, toys.step("a"))
    (manifest,) = store.bucket.names("objects/")
    store.bucket.put(manifest, b"token\n\xff{")
    store._let_go()
    assert collect_garbage(machines["b"], dry_run=False).objects == 1
    assert store.bucket.names("objects/") == store.bucket.names("doomed/") == {}


@pytest.mark.long
@pytest.mark.parametrize("kind", ["busy", "lost"])
def test_requests_that_fail_in_passing_change_nothing(
    kind: str, app: buckets.Faulty, on_moto: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the server has done what it answers with an error: the writer knows its own."""
    monkeypatch.setattr(_bucket, "_WAITS", (0.01,) * 8)
    draw, log = random.Random(3), tmp_path / "log"
    with app.failing(lambda *_: kind if draw.random() < 0.25 else None):
        alone(on_moto["a"], toys.diamond(log=str(log)))
    assert Counter(Counter(log.read_text().split()).values()) == {1: 6}
    assert contents(on_moto["b"]) == undisturbed(tmp_path, toys.diamond())
    assert on_moto["b"].verify() == [] and on_moto["b"].bucket.names("leases/") == {}


@pytest.mark.parametrize("after", [5, pytest.param(33, marks=pytest.mark.long)])
def test_a_server_that_goes_away_is_an_error_and_the_run_goes_on(
    after: int, app: buckets.Faulty, on_moto: Machines, tmp_path: Path
) -> None:
    log, store = tmp_path / "log", on_moto["a"]
    end = toys.diamond(log=str(log))
    gone: buckets.Fault = lambda number, _: "busy" if number > after else None  # noqa: E731
    with app.failing(gone), pytest.raises(AssayError) as caught:
        alone(store, end)
    said = str(caught.value)
    assert "the store's server" in said and "run the same command" in said and "hush" not in said
    alone(on_moto["a"], end)
    assert contents(store) == undisturbed(tmp_path, toys.diamond())
    assert Counter(Counter(log.read_text().split()).values()) == {1: 6}, "what was finished is uploaded"


def test_a_second_machine_sees_how_far_a_step_is(machines: Machines) -> None:
    first, second, key = machines["a"], machines["b"], toys.step("a").key
    assert not second.busy(key) and second.progress(key) is None
    with first.attempt(key) as out:
        assert out is not None
        (out / "progress.json").write_text('[3, 10, "loss 0.5"]')
        assert first._leases[key].renew()
        second._heard = 0.0
        assert second.busy(key) and second.progress(key) == (3.0, 10.0, "loss 0.5")
    second._heard = 0.0
    assert not second.busy(key)


@pytest.mark.parametrize("harm", ["change", "remove", "manifest"])
def test_what_is_corrupt_in_the_bucket_is_set_aside_and_computed_again(harm: str, machines: Machines) -> None:
    store, step = machines["a"], toys.step("a")
    alone(store, step)
    name = next(iter(store.bucket.names("data/")))
    if harm == "change":
        store.bucket.put(name, b"x" * 64)
    elif harm == "remove":
        store.bucket.remove([name])
    else:
        (manifest,) = store.bucket.names("objects/")
        store.bucket.put(manifest, b"token\n{")
    other = machines["b"]
    found = check_store(other)
    assert [one.key for one in found.corrupt] == [step.key] and not found.intact
    with pytest.raises(AssayError, match="corrupt"):
        other.path(step.key)
    assert not other.has(step.key)
    alone(other, step)
    assert check_store(machines["c"]).intact and check_store(other).set_aside == 1
    first, second = (one.path(step.key) / "part-0" for one in (machines["c"], other))
    assert first.read_bytes() == second.read_bytes()


def test_a_manifest_cannot_write_outside_its_folder(machines: Machines, tmp_path: Path) -> None:
    store, key = machines["a"], "d" * 64
    store.bucket.put("data/dd/" + key + "/t/sha", b"bad")
    files = {"../../../outside": [3, "sha"]}
    store.bucket.put("objects/dd/" + key, b"t\n" + json.dumps({"files": files}).encode())
    with pytest.raises(AssayError, match="corrupt"):
        store.path(key)
    assert not list(tmp_path.rglob("outside"))


def test_a_cache_that_is_corrupt_is_filled_again(machines: Machines) -> None:
    store, step = machines["a"], toys.step("a")
    alone(store, step)
    whole = (store.path(step.key) / "part-1").read_text()
    (store.place(step.key) / "part-1").write_text("y" * 70)
    assert (store.path(step.key) / "part-1").read_text() == whole


def test_a_store_that_does_not_exist_is_an_error(machines: Machines) -> None:
    nowhere = SharedStore(f"{machines.url}/absent", machines.folder / "x", create=False)
    with pytest.raises(AssayError, match="no store here"):
        status(nowhere)


@pytest.mark.parametrize(
    ("kind", "said"), [("refused", "refuses access"), ("unconditional", "ignores conditions")]
)
def test_servers_that_will_not_do_are_named(
    kind: str, said: str, app: buckets.Faulty, on_moto: Machines
) -> None:
    with app.failing(lambda *_: kind), pytest.raises(AssayError, match=said) as caught:
        on_moto["a"]
    assert caught.value.place == on_moto.url and caught.value.hint and "hush" not in str(caught.value)


def test_no_bucket_and_no_credentials_are_named(
    app: buckets.Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AssayError, match="no such bucket") as caught:
        SharedStore("s3://nowhere-at-all/x", tmp_path / "a")
    assert caught.value.place == "s3://nowhere-at-all/x"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(AssayError, match="no credentials"):
        SharedStore(f"s3://{buckets.BUCKET}/x", tmp_path / "b")


@pytest.mark.parametrize(
    "place",
    ["s3://user:secret@bucket/x", "s3://bucket/x?key=secret", "gs://bucket/secret", "https://secret/x"],
)
def test_other_addresses_are_refused_and_not_repeated(place: str) -> None:
    for given_ in (place, Path(place)):
        with pytest.raises(AssayError) as caught:
            open_store(given_)
        assert caught.value.place == "where.store" and "secret" not in str(caught.value)


def test_a_path_that_was_a_url_is_one(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    assert open_store(Path(url)) is open_store(url)
    assert local_folder(url).is_relative_to(tmp_path) and local_folder("x/y") == Path("x/y")
    assert execute(url, toys.step("a").payload()) and not execute(url, toys.step("a").payload())


def test_nothing_in_the_bucket_or_cache_holds_credentials(machines: Machines, tmp_path: Path) -> None:
    store = machines["a"]
    alone(store, toys.diamond(2))
    store.register("study", [toys.diamond(2)])
    held = [store.bucket.read(name) or b"" for name in store.bucket.names("")]
    held += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert held and not any(b"hush-hush" in one or b"someone" in one for one in held)


def test_a_store_of_a_later_version_is_refused(machines: Machines) -> None:
    machines["a"].bucket.put("format", b"99\n")
    with pytest.raises(AssayError, match="later version"):
        machines["b"]


def test_who_is_dead_wants_nothing(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process that died wanted is kept for ten minutes by the server's clock, and then is not."""
    store, step = machines["a"], toys.step("a")
    alone(store, step)
    store.pulse.leases.clear()
    (held,) = store.bucket.names("held/")
    assert step.key in machines["b"].held()
    monkeypatch.setattr(_shared, "_DEAD", timedelta(0))
    assert machines["c"].held() == set()
    assert collect_garbage(machines["c"], dry_run=False).objects == 1
    assert store.bucket.names("held/") == store.bucket.names("wanted/") == {}
    assert store.bucket.read(held) is None
