"""A real Slurm on loopback, of Debian's packages (slurmctld, slurmd, slurm-client, munge), for the block."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "scancel", "sinfo")
INSTALLED = all(shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin") for name in PROGRAMS)

_CONF = """ClusterName=loop
SlurmctldHost={name}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={controller}
SlurmdPort={daemon}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
NodeName={name} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1024
PartitionName=loop Nodes={name} Default=YES MaxTime=INFINITE State=UP
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
"""


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _start(folder: Path, *command: str) -> subprocess.Popen[bytes]:
    found = shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    with (folder / f"{command[0]}.log").open("wb") as log:
        return subprocess.Popen(
            [str(found), *command[1:]], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """Run a cluster of one machine, without accounts; ``SLURM_CONF`` names it."""
    folder.chmod(0o700)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key, name = folder / "munge.key", socket.gethostname().split(".")[0]
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    user = pwd.getpwuid(os.getuid()).pw_name
    conf = _CONF.format(
        folder=folder, name=name, user=user, controller=_free_port(), daemon=_free_port()
    )  # fmt: skip
    (folder / "slurm.conf").write_text(conf)
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    started = [
        _start(folder, "munged", "--foreground", "--force", f"--key-file={key}",
               f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid",
               f"--log-file={folder}/munged-own.log", f"--seed-file={folder}/seed"),
    ]  # fmt: skip
    try:
        _wait(lambda: (folder / "munge.socket").exists(), "munged")
        started += [_start(folder, "slurmctld", "-D"), _start(folder, "slurmd", "-D", "-N", name)]
        _wait(lambda: "idle" in _said("sinfo", "--noheader", "--format=%T"), "slurm")
        yield
    finally:
        for process in reversed(started):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
        os.environ.pop("SLURM_CONF")
        if before is not None:
            os.environ["SLURM_CONF"] = before


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _wait(there: Callable[[], bool], what: str) -> None:
    for _ in range(600):
        if there():
            return
        time.sleep(0.1)
    raise RuntimeError(f"{what} did not start")
