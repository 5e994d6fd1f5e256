#!/usr/bin/env python3
"""heap.py [--mib 300] [--seed 1] [--interval 1]: a Python heap that knows what it must hold.

Most of it is bytearrays (half of each compressible), a tenth is small objects: dicts of strings
and lists of numbers. All is a function of the seed. Prints `ready DIGEST`; then each interval it
rewrites some blocks, computes the digest of everything and prints `ok N`, or `BAD` and the block.
On SIGUSR1 every block is also made anew from the seed and compared: `verify ok`, or `BAD`.
"""

import argparse
import hashlib
import marshal
import random
import signal
import time

BLOCK_BYTES = 256 * 1024
OBJECTS_PER_BLOCK = 2600  # About as many bytes as a bytearray block.
REWRITTEN_EACH_TICK = 4


class Block:
    """One part of the heap: its content, and the digest that this content had when written."""

    def __init__(self, seed, number):
        self.seed, self.number, self.version = seed, number, 0
        self.content = self.make()
        self.digest = self.current_digest()

    def make(self):
        dice = random.Random(f"{self.seed}/{self.number}/{self.version}")
        if self.number % 10 == 0:
            names = {f"name-{i}": dice.getrandbits(62) for i in range(OBJECTS_PER_BLOCK // 2)}
            return [names, [dice.random() for _ in range(OBJECTS_PER_BLOCK)]]
        half = BLOCK_BYTES // 2
        return bytearray(dice.randbytes(half) + dice.randbytes(64) * (half // 64))

    def current_digest(self):
        # Version 2 of marshal does not depend on which objects happen to be shared.
        data = self.content if isinstance(self.content, bytearray) else marshal.dumps(self.content, 2)
        return hashlib.sha256(data).digest()

    def rewrite(self):
        self.version += 1
        self.content = self.make()
        self.digest = self.current_digest()


def first_bad(blocks, from_seed):
    """The first block whose content is not what it was, or None; `from_seed` makes it anew too."""
    for block in blocks:
        if block.current_digest() != block.digest or (from_seed and block.make() != block.content):
            return block.number
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--interval", type=float, default=1)
    options = parser.parse_args()

    asked = []
    signal.signal(signal.SIGUSR1, lambda *_: asked.append(True))
    blocks = [Block(options.seed, i) for i in range(options.mib * 1024 * 1024 // BLOCK_BYTES)]
    print("ready", hashlib.sha256(b"".join(b.digest for b in blocks)).hexdigest()[:16], flush=True)

    tick = 0
    wake = time.monotonic() + options.interval
    while True:
        # Short slices: a deadline of this host's clock may lie far away on another one.
        while not asked and 0 < wake - time.monotonic() <= options.interval:
            time.sleep(0.05)
        if asked:
            asked.clear()
            bad = first_bad(blocks, from_seed=True)
            print("verify ok" if bad is None else f"BAD block {bad}", flush=True)
            continue
        tick += 1
        for i in range(REWRITTEN_EACH_TICK):
            blocks[(tick * REWRITTEN_EACH_TICK + i) % len(blocks)].rewrite()
        bad = first_bad(blocks, from_seed=False)
        print(f"ok {tick}" if bad is None else f"BAD block {bad}", flush=True)
        wake = time.monotonic() + options.interval


main()
