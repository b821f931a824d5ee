"""An index of texts that grows, and tells which of them a new one is too like.

Texts are sequences of hashed tokens.  Two are compared by their longest common subsequence (computed
bit-parallel, Hyyrö 2004) or by the tokens they share, and only where bounds do not rule them out: tokens of a
prefix in order of rarity must meet (Chaudhuri et al. 2006), and the lengths and the place where they first
meet must allow the score (Xiao et al. 2008).  The result is that of comparing all pairs.

The order of rarity is made anew whenever the index has grown by half; tokens first seen in between count as
the rarest.  No decision depends on the order: of several texts as like, the one added first is named.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.data import HashedTexts, kernel
from assay.selection._near import Floats, Rows

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]

_FIRST_ROWS = 1024
_FIRST_TOKENS = 1 << 15
_GROWTH = 1.5
_EMPTY = -1
_MOST = 65_535


class OverlapIndex:
    """Texts held, by number, and the tokens of their prefixes.

    ``least`` in (0, 1] is the score from which on texts are alike: 2 x common / (both lengths), where common
    is the length of the longest common subsequence (``ordered``) or the number of shared tokens.
    """

    def __init__(self, least: float, *, ordered: bool) -> None:
        """Begin with no text."""
        self.least, self.ordered = least, ordered
        self._rows = self._used = self._clock = 0
        self._offsets: Longs = np.zeros(_FIRST_ROWS + 1, np.int64)
        self._tokens: Ints = np.empty(_FIRST_TOKENS if ordered else 0, np.int32)
        self._rarity: Ints = np.empty(_FIRST_TOKENS, np.int32)
        self._looked: Longs = np.zeros(_FIRST_ROWS, np.int64)
        self._slots: NDArray[np.uint32] = np.zeros(_FIRST_TOKENS, np.uint32)
        self._slot_ids: Ints = np.full(_FIRST_TOKENS, _EMPTY, np.int32)
        self._vocabulary = 0
        self._lists: Longs = np.zeros((_FIRST_TOKENS, 3), np.int64)
        self._arena: Longs = np.empty(_FIRST_TOKENS, np.int64)
        self._signs: Longs = np.empty(_FIRST_TOKENS, np.int64)
        self._arena_used = 0
        # Of the text under comparison: the place of each token's bit mask, valid where the stamp is of now.
        self._place: Ints = np.zeros(_FIRST_TOKENS, np.int32)
        self._stamp: Longs = np.zeros(_FIRST_TOKENS, np.int64)
        self._ordered_at = _FIRST_ROWS
        self._frozen_order = False

    def __len__(self) -> int:
        """Return the number of texts held."""
        return self._rows

    @property
    def n_bytes(self) -> int:
        """Return the memory of the index in bytes."""
        arrays = (
            self._offsets, self._tokens, self._rarity, self._looked, self._slots, self._slot_ids,
            self._lists, self._arena, self._signs, self._place, self._stamp,
        )  # fmt: skip
        return sum(array.nbytes for array in arrays)

    def order_by(self, texts: HashedTexts) -> None:
        """Fix the order of rarity by texts that are known beforehand; the index must be empty."""
        hashes, counts = np.unique(texts.tokens, return_counts=True)
        self._intern(hashes[np.argsort(-counts, kind="stable")])
        self._frozen_order = True

    def add(self, texts: HashedTexts, *, check: bool = True) -> tuple[Rows, Floats]:
        """Hold each text in turn unless one held is as like as asked.

        Returns for each text the number of the closest one held (-1: it is held now) and their score.
        Without ``check`` all are held.
        """
        partner = np.full(len(texts), -1, np.int64)
        score = np.zeros(len(texts), np.float32)
        start = 0
        while start < len(texts):
            many = len(texts) if self._frozen_order else max(_FIRST_ROWS, self._rows // 4)
            stop = min(len(texts), start + many)
            self._add(_part(texts, start, stop), check, partner[start:stop], score[start:stop])
            start = stop
        return partner, score

    def check(self, texts: HashedTexts) -> tuple[Rows, Floats]:
        """Return for each text the number of the closest one held that is as like as asked, and their score.

        -1 where there is none.  Nothing is held.
        """
        partner = np.full(len(texts), -1, np.int64)
        score = np.zeros(len(texts), np.float32)
        self._run(texts, True, False, False, self.least, self._rows, partner, score)
        return partner, score

    def closest(self, texts: HashedTexts, *, before: int | None = None) -> tuple[Rows, Floats]:
        """Return for each text the closest of the first ``before`` held (all by default) and their score.

        Compares with each one whose length allows a better score; -1 where nothing is shared.
        """
        partner = np.full(len(texts), -1, np.int64)
        score = np.zeros(len(texts), np.float32)
        among = self._rows if before is None else min(before, self._rows)
        self._run(texts, True, True, False, 0.0, among, partner, score)
        return partner, score

    def _add(self, texts: HashedTexts, check: bool, partner: Rows, score: Floats) -> None:
        if not self._frozen_order and self._rows >= self._ordered_at:
            self._reorder()
        self._run(texts, check, False, True, self.least, self._rows, partner, score)

    def _run(
        self, texts: HashedTexts, check: bool, compare_all: bool, hold: bool, least: float, among: int,
        partner: Rows, score: Floats,
    ) -> None:  # fmt: skip
        ids = self._intern(texts.tokens)
        rarity = -1 - ids
        kernel(_sort_each)(rarity, texts.offsets)
        if hold:
            self._reserve(len(texts), len(ids))
        at = 0
        while at < len(texts):
            state = np.array([self._rows, self._used, self._arena_used, self._clock, among], np.int64)
            at = kernel(_admit)(
                ids, rarity, texts.offsets, at, check, compare_all, hold, self.ordered, least,
                self._tokens, self._rarity, self._offsets, self._lists, self._arena, self._signs,
                self._looked, self._place, self._stamp, state, partner, score,
            )  # fmt: skip
            self._rows, self._used, self._arena_used, self._clock = state[:4].tolist()
            if at < len(texts):
                self._arena = _grown(self._arena, 2 * len(self._arena))
                self._signs = _grown(self._signs, len(self._arena))

    def _intern(self, hashes: NDArray[np.uint32]) -> Ints:
        """Return the ids of hashes; new ones get the next, which count as the rarest."""
        ids = np.empty(len(hashes), np.int32)
        at = 0
        while at < len(hashes):
            at, self._vocabulary = kernel(_intern)(
                hashes, at, self._slots, self._slot_ids, self._vocabulary, ids
            )
            if at < len(hashes):
                slots, slot_ids = self._slots, self._slot_ids
                self._slots = np.zeros(2 * len(slots), np.uint32)
                self._slot_ids = np.full(2 * len(slots), _EMPTY, np.int32)
                kernel(_move_slots)(slots, slot_ids, self._slots, self._slot_ids)
        if self._vocabulary > len(self._lists):
            lists = np.zeros((max(self._vocabulary, 2 * len(self._lists)), 3), np.int64)
            lists[: len(self._lists)] = self._lists
            self._lists = lists
            self._place = _grown(self._place, len(lists))
            self._stamp = _grown(self._stamp, len(lists))
        return ids

    def _reserve(self, rows: int, tokens: int) -> None:
        if self._rows + rows > len(self._looked):
            wanted = max(self._rows + rows, 2 * len(self._looked))
            self._looked = _grown(self._looked, wanted)
            self._offsets = _grown(self._offsets, wanted + 1)
        if self._used + tokens > len(self._rarity):
            wanted = max(self._used + tokens, 2 * len(self._rarity))
            self._rarity = _grown(self._rarity, wanted)
            if self.ordered:
                self._tokens = _grown(self._tokens, wanted)

    def _reorder(self) -> None:
        """Renumber the tokens by how often they occur, with all prefixes."""
        offsets, rarity = self._offsets[: self._rows + 1], self._rarity[: self._used]
        old = -1 - rarity
        counts = np.bincount(old, minlength=self._vocabulary)
        number = np.empty(self._vocabulary, np.int32)
        number[np.argsort(-counts, kind="stable")] = np.arange(self._vocabulary, dtype=np.int32)
        known = self._slot_ids != _EMPTY
        self._slot_ids[known] = number[self._slot_ids[known]]
        if self.ordered:
            self._tokens[: self._used] = number[self._tokens[: self._used]]
        rarity[:] = -1 - number[old]
        kernel(_sort_each)(rarity, offsets)
        self._lists[:] = 0
        self._arena_used = kernel(_size_lists)(rarity, offsets, self.least, self._lists)
        if self._arena_used > len(self._arena):
            self._arena = np.empty(self._arena_used * 3 // 2, np.int64)
            self._signs = np.empty(len(self._arena), np.int64)
        kernel(_fill_lists)(rarity, offsets, self.least, self._lists, self._arena, self._signs)
        self._ordered_at = int(self._rows * _GROWTH)


def _part(texts: HashedTexts, start: int, stop: int) -> HashedTexts:
    edges = texts.offsets[start : stop + 1]
    return HashedTexts(texts.tokens[edges[0] : edges[-1]], edges - edges[0])


def _grown(array: Any, size: int) -> Any:
    """Return a copy with room; what is new is zero."""
    new = np.zeros(size, array.dtype)
    new[: len(array)] = array
    return new


def _sort_each(tokens: Any, offsets: Any) -> None:
    for t in range(len(offsets) - 1):
        tokens[offsets[t] : offsets[t + 1]].sort()


def _intern(hashes: Any, at: int, slots: Any, slot_ids: Any, vocabulary: int, ids: Any) -> Any:
    """Find or give ids from hash ``at`` on; return where the table was half full, and how many ids there are.

    Slots are probed one after the other (Knuth, volume 3, algorithm 6.4L).
    """
    mask = len(slots) - 1
    for i in range(at, len(hashes)):
        key = hashes[i]
        slot = np.int64(np.uint32(key * np.uint32(2654435769)) >> np.uint32(3)) & mask
        while slot_ids[slot] >= 0 and slots[slot] != key:
            slot = (slot + 1) & mask
        if slot_ids[slot] < 0:
            if 2 * vocabulary >= len(slots):
                return i, vocabulary
            slots[slot] = key
            slot_ids[slot] = vocabulary
            vocabulary += 1
        ids[i] = slot_ids[slot]
    return len(hashes), vocabulary


def _move_slots(slots: Any, slot_ids: Any, new: Any, new_ids: Any) -> None:
    mask = len(new) - 1
    for i in range(len(slots)):
        if slot_ids[i] >= 0:
            slot = np.int64(np.uint32(slots[i] * np.uint32(2654435769)) >> np.uint32(3)) & mask
            while new_ids[slot] >= 0:
                slot = (slot + 1) & mask
            new[slot] = slots[i]
            new_ids[slot] = slot_ids[i]


def _size_lists(rarity: Any, offsets: Any, least: float, lists: Any) -> int:
    """Give every token a list with room to grow: where it starts, how much it holds (0), its room."""
    for t in range(len(offsets) - 1):
        size = offsets[t + 1] - offsets[t]
        shortest = np.int64(np.ceil(size * least / (2 - least) - 1e-9))
        prefix = size - np.int64(np.ceil(least / 2 * (size + shortest) - 1e-9)) + 1 if size else 0
        for p in range(offsets[t], offsets[t] + prefix):
            if p == offsets[t] or rarity[p] != rarity[p - 1]:
                lists[-1 - rarity[p], 2] += 1
    total = 0
    for x in range(len(lists)):
        if lists[x, 2]:
            lists[x, 0] = total
            lists[x, 2] += lists[x, 2] // 2
            total += lists[x, 2]
    return total


def _fill_lists(rarity: Any, offsets: Any, least: float, lists: Any, arena: Any, signs: Any) -> None:
    for t in range(len(offsets) - 1):
        size = offsets[t + 1] - offsets[t]
        shortest = np.int64(np.ceil(size * least / (2 - least) - 1e-9))
        prefix = size - np.int64(np.ceil(least / 2 * (size + shortest) - 1e-9)) + 1 if size else 0
        sign = np.int64(0)
        for p in range(offsets[t], offsets[t + 1]):
            sign |= np.int64(1) << ((np.int64(rarity[p]) * 0x9E3779B1 >> 7) & 63)
        for p in range(offsets[t], offsets[t] + prefix):
            if p == offsets[t] or rarity[p] != rarity[p - 1]:
                x = -1 - rarity[p]
                end = lists[x, 0] + lists[x, 1]
                reach = np.int64(np.floor(2 * (offsets[t + 1] - p) / least - size + 1e-6))
                arena[end] = (np.int64(t) << 32) | (min(size, _MOST) << 16) | min(reach, _MOST)
                signs[end] = sign
                lists[x, 1] += 1


def _admit(
    seq: Any, by: Any, edges: Any, at: int, check: bool, compare_all: bool, hold: bool, ordered: bool,
    least: float,
    tokens: Any, rarity: Any, offsets: Any, lists: Any, arena: Any, signs: Any, looked: Any,
    place: Any, stamp: Any, state: Any, partner: Any, score: Any,
) -> int:  # fmt: skip
    """Go through texts from number ``at`` on; return the first for which the arena has no room.

    ``state``: texts held, their tokens, arena in use, clock, how many to compare with where all are.
    An entry of a list is (text, its length, greatest length of one that may be as like given the place of the
    token in its order of rarity), the last two at most 65,535; beside it stand the signs of all its tokens.
    """
    tiny = 1e-9
    for row in range(at, len(edges) - 1):
        start, stop = edges[row], edges[row + 1]
        size = stop - start
        # LCS >= least / 2 (size + other), and other >= size least / (2 - least).
        shortest = np.int64(np.ceil(size * least / (2 - least) - tiny))
        needed = np.int64(np.ceil(least / 2 * (size + shortest) - tiny))
        prefix = size - needed + 1 if size else 0
        if hold:
            extra = 0
            for p in range(start, start + prefix):
                x = -1 - by[p]
                if lists[x, 1] == lists[x, 2]:
                    extra += 2 * lists[x, 2] + 2
            if state[2] + extra > len(arena):
                return row
        sign = np.int64(0)
        for p in range(start, stop):
            sign |= np.int64(1) << ((np.int64(by[p]) * 0x9E3779B1 >> 7) & 63)
        best, closest, threshold = 0.0, np.int64(-1), least
        if check and size:
            state[3] += 1
            clock = state[3]
            ready = False
            words = (size + 63) // 64
            bits = np.empty(words, np.uint64)
            masks = np.empty(0, np.uint64)
            scanned = np.int64(1) if compare_all else prefix
            for p in range(start, start + scanned):
                x = -1 - by[p]
                first, last = lists[x, 0], lists[x, 0] + lists[x, 1]
                if compare_all:
                    first, last = np.int64(0), state[4]
                elif p > start and by[p] == by[p - 1]:
                    continue
                # Of longer texts too much stands before this place, or after it in the other's order.
                longest = min(np.int64(np.floor(2 * (stop - p) / max(least, tiny) - size + 1e-6)), _MOST)
                fits = min(size, _MOST)
                for e in range(first, last):
                    other = np.int64(e)
                    if not compare_all:
                        entry = arena[e]
                        much = (entry >> 16) & _MOST
                        if much > longest or (entry & _MOST) < fits:
                            continue
                        # Every bit that one has and the other lacks is a token not shared.
                        wanted = np.int64(np.ceil(threshold / 2 * (size + much) - tiny))
                        lacks = np.uint64(sign & ~signs[e])
                        lacks -= (lacks >> np.uint64(1)) & np.uint64(0x5555555555555555)
                        lacks = (lacks & np.uint64(0x3333333333333333)) + (
                            (lacks >> np.uint64(2)) & np.uint64(0x3333333333333333)
                        )
                        lacks = (lacks + (lacks >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
                        if size - np.int64((lacks * np.uint64(0x0101010101010101)) >> np.uint64(56)) < wanted:
                            continue
                        lacks = np.uint64(signs[e] & ~sign)
                        lacks -= (lacks >> np.uint64(1)) & np.uint64(0x5555555555555555)
                        lacks = (lacks & np.uint64(0x3333333333333333)) + (
                            (lacks >> np.uint64(2)) & np.uint64(0x3333333333333333)
                        )
                        lacks = (lacks + (lacks >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
                        if much - np.int64((lacks * np.uint64(0x0101010101010101)) >> np.uint64(56)) < wanted:
                            continue
                        other = entry >> 32
                        if looked[other] == clock:
                            continue
                        looked[other] = clock
                    begin, end = offsets[other], offsets[other + 1]
                    much = end - begin
                    wanted = max(np.int64(np.ceil(threshold / 2 * (size + much) - tiny)), np.int64(1))
                    if min(size, much) < wanted:
                        continue
                    i, j, common = p, begin, 0
                    while i < stop and j < end and common + min(stop - i, end - j) >= wanted:
                        if by[i] == rarity[j]:
                            common += 1
                            i += 1
                            j += 1
                        elif by[i] < rarity[j]:
                            i += 1
                        else:
                            j += 1
                    if common < wanted:
                        continue
                    if ordered:
                        if not ready:
                            ready = True
                            distinct = 0
                            for q in range(start, stop):
                                if stamp[seq[q]] != clock:
                                    stamp[seq[q]] = clock
                                    place[seq[q]] = distinct
                                    distinct += 1
                            masks = np.zeros(distinct * words, np.uint64)
                            for q in range(start, stop):
                                bit = q - start
                                masks[place[seq[q]] * words + bit // 64] |= np.uint64(1) << np.uint64(
                                    bit % 64
                                )
                        for b in range(words):
                            bits[b] = np.uint64(0xFFFFFFFFFFFFFFFF)
                        for q in range(begin, end):
                            x = tokens[q]
                            if stamp[x] != clock:
                                continue
                            carry = np.uint64(0)
                            for b in range(words):
                                v = bits[b]
                                u = v & masks[place[x] * words + b]
                                total = v + u
                                over = np.uint64(1) if total < v else np.uint64(0)
                                total2 = total + carry
                                over2 = np.uint64(1) if total2 < total else np.uint64(0)
                                bits[b] = total2 | (v - u)
                                carry = over | over2
                        common = 0
                        for b in range(size):
                            if not (bits[b // 64] >> np.uint64(b % 64)) & np.uint64(1):
                                common += 1
                    found = 2 * common / (size + much)
                    if common >= wanted and (
                        found > best + tiny or (found > best - tiny and other < closest)
                    ):
                        best, closest, threshold = found, other, found
        if closest >= 0:
            partner[row] = closest
            score[row] = best
        if closest >= 0 or not hold:
            continue
        own, used = state[0], state[1]
        for p in range(start, stop):
            if ordered:
                tokens[used + p - start] = seq[p]
            rarity[used + p - start] = by[p]
        for p in range(start, start + prefix):
            if p > start and by[p] == by[p - 1]:
                continue
            x = -1 - by[p]
            if lists[x, 1] == lists[x, 2]:
                # A full list moves to the end of the arena, into twice the room.
                new = state[2]
                for k in range(lists[x, 1]):
                    arena[new + k] = arena[lists[x, 0] + k]
                    signs[new + k] = signs[lists[x, 0] + k]
                lists[x, 0] = new
                lists[x, 2] = 2 * lists[x, 2] + 1
                state[2] += lists[x, 2]
            end = lists[x, 0] + lists[x, 1]
            reach = np.int64(np.floor(2 * (stop - p) / least - size + 1e-6))
            arena[end] = (np.int64(own) << 32) | (min(size, _MOST) << 16) | min(reach, _MOST)
            signs[end] = sign
            lists[x, 1] += 1
        state[0] = own + 1
        state[1] = used + size
        offsets[own + 1] = used + size
    return len(edges) - 1
