"""`python -m tests.torture`: kills parts of a marketplace under load, and then compares all its records."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.stack import UNLIMITED_WRITES, Stack
from tests.support.webhook_receiver import webhook_receiver
from tests.torture.bank import Bank
from tests.torture.conclusion import conclude, say
from tests.torture.followers import Followers
from tests.torture.killer import Killer
from tests.torture.provider import TroubledProvider
from tests.torture.reading import differences
from tests.torture.retries import Counts
from tests.torture.trader import Trader

PROGRESS_SECONDS = 10.0
# A busy machine does little in the time that is given.
LONGER_SECONDS = 120.0
# So few that clients find the provider busy.
PAYMENT_CALLS = "2"


def a_stack(data_dir: Path | None = None) -> Stack:
    """Return a stack to torture. The receiver of webhooks is on this machine."""
    return Stack(data_dir, PAYMENT_CALLS=PAYMENT_CALLS, WEBHOOK_ALLOW_PRIVATE="true", **UNLIMITED_WRITES)


def torture(
    stack: Stack, *, seconds: float, clients: int, seed: int, counts: Counts, least: Mapping[str, int] | None = None
) -> list[str]:
    """Torture a running stack for so many seconds, and longer, by LONGER_SECONDS at most, until `counts` has `least`.

    Return a sentence for each difference. The stack still runs afterwards.
    """
    with webhook_receiver() as receiver:
        traders = [Trader(stack, seed * 1000 + number, counts) for number in range(clients)]
        followers = Followers(stack, [trader.names["seller"] for trader in traders], receiver, seed, counts)
        followers.start()
        broken = _trade(stack, traders, seconds=seconds, seed=seed, counts=counts, least=least or {})
        say("Everybody has finished; waiting until nothing is under way, then reading …")
        unexpected = broken + list(differences(stack, traders, followers, counts))
    for trader in traders:
        trader.close()
    return unexpected


def _trade(
    stack: Stack, traders: list[Trader], *, seconds: float, seed: int, counts: Counts, least: Mapping[str, int]
) -> list[str]:
    """Let the traders trade while parts are killed. Return a sentence for each one that gave up."""
    end = time.monotonic() + seconds

    troubles = [Killer(stack, seed, counts), Bank(stack, seed, counts), TroubledProvider(stack, seed, counts)]

    def is_over() -> bool:
        has_enough = all(counts.numbers[name] >= number for name, number in least.items())
        return time.monotonic() >= (end if has_enough else end + LONGER_SECONDS)

    def run(trader: Trader) -> None:
        trader.open()
        while not is_over():
            trader.trade()
        trader.finish()

    for trouble in troubles:
        trouble.start()
    over = threading.Event()
    progress = threading.Thread(target=_print_progress, args=(counts, over), daemon=True)
    progress.start()
    with ThreadPoolExecutor(len(traders)) as pool:
        running = [pool.submit(run, trader) for trader in traders]
        while not is_over():
            time.sleep(0.1)
        for trouble in troubles:
            trouble.stop()
        broken = [f"a client gave up: {error!r}" for each in running if (error := each.exception())]
    over.set()
    progress.join()
    return broken


def _print_progress(counts: Counts, over: threading.Event) -> None:
    began = time.monotonic()
    while not over.wait(PROGRESS_SECONDS):
        numbers = counts.numbers
        say(
            f"{time.monotonic() - began:5.0f} s  {numbers['orders placed']:6,} orders  "
            f"{numbers['actions acknowledged']:6,} actions  {numbers['payouts']:5,} payouts  "
            f"{numbers['kills']:4,} kills"
        )


def main() -> int:
    """Run the torture. Return 0 when there is no difference."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--seconds", type=float, default=180, help="how long there are load and kills (default 180)")
    parser.add_argument("--clients", type=int, default=8, help="buyers and sellers at once (default 8)")
    parser.add_argument("--seed", type=int, help="decides what is done and killed; a random one by default")
    arguments = parser.parse_args()
    seed = random.randrange(1_000_000) if arguments.seed is None else arguments.seed
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    # Started as root, PostgreSQL runs under another uid, which has to enter the folder.
    folder.chmod(0o711)
    counts = Counts()
    say(f"Starting a marketplace in {folder}; {arguments.clients} clients, a kill a second, seed {seed}")
    stack = a_stack(folder / "data").start()
    try:
        unexpected = torture(stack, seconds=arguments.seconds, clients=arguments.clients, seed=seed, counts=counts)
    finally:
        stack.stop()
    return conclude(folder, unexpected, counts)


if __name__ == "__main__":
    sys.exit(main())
