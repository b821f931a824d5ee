"""Ten thousand requests to a chat server that fails a fifth of the time, and one that limits the rate.

    python benchmarks/chat_faults.py

A server on loopback, a process of its own, speaks OpenAI's protocol and injects faults by share: 429 with
Retry-After, 500, connections reset before and within a reply, half a JSON body, JSON of another schema,
replies without a choice, late ones.  The table says what came of the requests and what the server saw: all
must come back, none may be answered well twice, and what the server worked for must not pass the cap.  Then
requests are sent to servers with a limit of their rate: what share of it was used, counted over the whole
run, and over the middle four fifths of the replies.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from assay.llm import Budget, Chat, Failure

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "llm"))
from chat_client import MODEL, question, questions  # type: ignore[import-not-found]
from chat_server import Running, serving  # type: ignore[import-not-found]

FAULTS = {
    "limited": 0.04, "error": 0.04, "reset": 0.02, "cut": 0.02, "truncated": 0.03, "schema": 0.02,
    "empty": 0.01, "slow": 0.02,
}  # fmt: skip


def faults(n: int, seed: int, *, stream: bool, cap: int | None) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(faults=FAULTS, seed=seed, slow_seconds=1.0, latency=0.02) as server,
        Chat(
            MODEL, base_url=server.url, calls=Path(folder), attempts=12, stream=stream, budget=Budget(cap)
        ) as chat,
    ):
        list(chat.ask(questions(1)))
        began = time.monotonic()
        found = [one for _, one in chat.ask(questions(n))]
        seconds = time.monotonic() - began
        failed = [one for one in found if isinstance(one, Failure)]
        over = sum(one.kind == "budget" for one in failed)
        well, kinds = server.answered_well(), server.kinds()
        broken = sum(kinds[name] for name in FAULTS) + sum(row["late"] for row in server.log())
        twice = sum(count > 1 for count in well.values())
        spent = chat.spent.tokens_in + chat.spent.tokens_out
        lost = n - (len(found) - len(failed)) - over
        name = "streamed" if stream else "whole"
        print(
            f"| {name}{'' if cap is None else ', capped'} | {n:,} | {broken / sum(kinds.values()):.1%} "
            f"| {lost} | {twice} | {over:,} | {server.tokens():,} | {spent:,} | {cap or '–'} "
            f"| {n / seconds:.0f} |"
        )
        if lost or twice or (cap is not None and not server.tokens() <= spent <= cap):
            raise SystemExit("lost, paid twice or over the cap")


def limited(n: int, rate: float) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(rate=rate, latency=0.1) as server,
        Chat(MODEL, base_url=server.url, calls=Path(folder)) as chat,
    ):
        # The model layer is loaded and the bucket holds what a second brings: both are left out of account.
        list(chat.ask([question(n + i) for i in range(int(rate))]))
        before = server.answered_well().total()
        began = time.monotonic()
        answered = sum(not isinstance(one, Failure) for _, one in chat.ask(questions(n)))
        whole = n / (time.monotonic() - began)
        middle = in_the_middle(server, before, n)
        print(
            f"| {rate:.0f} | {n:,} | {answered:,} | {server.kinds()['over']:,} | {whole / rate:.1%} "
            f"| {middle / rate:.1%} |"
        )


def in_the_middle(server: Running, before: int, n: int) -> float:
    times = [row["at"] for row in server.log() if row["kind"] == "well"][before:]
    first, last = n // 10, n - n // 10
    return (last - first) / (times[last] - times[first])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--rates", type=float, nargs="*", default=[10.0, 20.0, 40.0])
    parser.add_argument("--quick", action="store_true", help="1,000 requests")
    options = parser.parse_args()
    n = 1000 if options.quick else options.requests
    print("| replies | requests | faults | lost | twice | over cap | server's tokens | counted | cap | /s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    faults(n, 1, stream=False, cap=None)
    faults(n // 5, 2, stream=True, cap=None)
    faults(n // 5, 3, stream=False, cap=n * 5)
    print("\n| limit a second | requests | answered | turned away | used, whole run | used, middle |")
    print("|---|---|---|---|---|---|")
    for rate in options.rates:
        limited(int(rate * (10 if options.quick else 40)), rate)


if __name__ == "__main__":
    main()
