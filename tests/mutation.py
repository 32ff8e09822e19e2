"""Damage done to files, for tests of what reads them."""

import random


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, cut, doubled or put in."""
    changed = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 8])):
        at = chance.randrange(len(changed)) if changed else 0
        kind = chance.randrange(5)
        if kind == 0 and changed:
            changed[at] = chance.randrange(256)
        elif kind == 1 and changed:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del changed[at : at + chance.choice([1, 8, 1000])]
        elif kind == 3:
            changed[at:at] = bytes(chance.randrange(256) for _ in range(chance.choice([1, 8])))
        else:
            changed[at:at] = changed[at : at + 64]
    return bytes(changed)
