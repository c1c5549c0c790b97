"""gen.spectral.butterfly: lines as golden's butterflies and quarter turns make them."""

import functools

import numpy as np
import pytest
import torch
from amaranth.hdl import Module
from amaranth.lib import wiring

from backspike.gen.spectral.butterfly import Butterfly, Role
from backspike.golden.fft import Words, butterfly, quarter_turn
from backspike.sim.bench.array_bench import ArrayBench
from tests.support.pipelines import Together, check, fields, hard_integers, signed_field, stepped

WIDTH = 21
FORMS = {
    "first": (4, Role.FIRST),
    "second": (3, Role.SECOND),
    "long_second": (5, Role.SECOND),
    "first_of_last": (2, Role.FIRST),
    "last": (1, Role.SECOND),
    "single": (3, Role.SINGLE),
}
"""log2 of the block, role."""
LEAST, GREATEST = -(1 << WIDTH - 1), (1 << WIDTH - 1) - 1

pytestmark = pytest.mark.verilator


class Tied(wiring.Component):
    """A butterfly that skips always, or never."""

    def __init__(self, log_block: int, role: Role, skip: bool):
        self._butterfly = Butterfly(log_block=log_block, width=WIDTH, role=role)
        self._skip = skip
        ports = self._butterfly.signature.members
        super().__init__({name: ports[name] for name in ("step", "i", "o")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.butterfly = butterfly = self._butterfly
        m.d.comb += [
            butterfly.skip.eq(self._skip),
            butterfly.step.eq(self.step),
            butterfly.i.eq(self.i),
            self.o.eq(butterfly.o),
        ]
        return m


@functools.cache
def built() -> ArrayBench:
    parts = {name: Tied(*form, skip=False) for name, form in FORMS.items()}
    parts |= {f"skipped_{name}": Tied(*form, skip=True) for name, form in FORMS.items()}
    return ArrayBench(Together(dict(parts)), "butterflies")


def signs_changed(words: Words, where: torch.Tensor) -> Words:
    return Words(*(torch.where(where, -x, x) for x in words))


def golden(words: Words, log_block: int, role: Role) -> Words:
    """Lines (count, points)."""
    block, at = 1 << log_block, torch.arange(words.re.shape[-1])
    if role is Role.FIRST:
        return signs_changed(butterfly(words, block), at % block >= block // 2)
    if role is Role.SECOND:
        words = signs_changed(words, at % (2 * block) >= block)
        if len(at) > block:
            words = quarter_turn(words, 2 * block)
    return butterfly(words, block)


def line(rng, points: int, log_block: int, role: Role) -> Words:
    """A line's words; a first butterfly never gives the least number as a difference."""
    re, im = (hard_integers(rng, points, WIDTH) for _ in range(2))
    if rng.random() < 0.3:
        re, im = (rng.choice([LEAST, GREATEST], points) for _ in range(2))
    if role is Role.SECOND:
        differences = np.arange(points) >> log_block & 1 == 1
        re, im = (np.where(differences, part.clip(LEAST + 1), part) for part in (re, im))
    return Words(torch.from_numpy(re), torch.from_numpy(im))


def compare(name: str, latency: int, words: list[Words], want: list[Words], pause: float) -> None:
    def joined(lines: list[Words]) -> list[np.ndarray]:
        return [torch.cat(parts).numpy() for parts in zip(*lines, strict=True)]

    rng = np.random.default_rng(len(words))
    re, im = joined(words)
    first = np.concatenate([np.arange(len(line.re)) == 0 for line in words])
    count, after = len(re), rng.integers(-9, 9, latency)  # words after the last line, not marked
    i = fields(
        re=(np.r_[re, after], WIDTH),
        im=(np.r_[im, after], WIDTH),
        first=(np.r_[first, after * 0], 1),
    )
    run = built()
    run(rst=np.ones(1, np.uint64))
    got = stepped(run, latency, pause, rng, **{f"{name}_i": i})[f"{name}_o"][:count]
    out = WIDTH + 1
    for n, (part, right) in enumerate(zip(("re", "im"), joined(want), strict=True)):
        check(part, signed_field(got, n * out, out), right, re, im)
    check("first", got >> np.uint64(2 * out), first, re, im)


@pytest.mark.parametrize("pause", [0.0, 0.4])
@pytest.mark.parametrize("name", FORMS)
def test_lines(name, pause):
    """Of a block (then a second butterfly has nothing to turn), or of several."""
    log_block, role = FORMS[name]
    rng = np.random.default_rng(1)
    for points in (1 << log_block, 2 << log_block, 8 << log_block):
        words = [line(rng, points, log_block, role) for _ in range(40)]
        want = [golden(line, log_block, role) for line in words]
        compare(name, (1 << log_block - 1) + 1, words, want, pause)


@pytest.mark.parametrize("name", FORMS)
def test_skipped_lines(name):
    """A butterfly that is skipped passes lines on unchanged, one step later."""
    log_block, role = FORMS[name]
    rng = np.random.default_rng(2)
    words = [line(rng, 1 << log_block - 1, log_block, role) for _ in range(40)]
    compare(f"skipped_{name}", 1, words, words, 0.3)


def test_nothing_is_marked_before_a_line_came():
    """After a reset no word is marked as a line's first, whatever goes in."""
    run, rng = built(), np.random.default_rng(3)
    run(rst=np.ones(1, np.uint64))
    words = rng.integers(0, 1 << 2 * WIDTH, 200, np.uint64)
    out = run(step=np.ones(200, np.uint64), **{f"{name}_i": words for name in FORMS})
    assert not any((out[f"{name}_o"] >> np.uint64(2 * WIDTH + 2)).any() for name in FORMS)
