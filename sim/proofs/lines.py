"""Lines of registers and rings of memory through which the spectral unit's words pass."""

from amaranth.hdl import Cat, Signal, Value

from backspike.sim.proofs.bench import Bench
from backspike.sim.proofs.proof import Bug, Load, Proof

WIDTH = 2
"""Bits of a word that is only carried: every bit is treated alike."""
STEPS = 15
"""Of the delay line: the shortest that is a block RAM."""


def delay(load: Load) -> Bench:
    """Any one word comes out STEPS steps later; no place of the ring is read while it is written.

    Which steps are gone by when the reset comes does not matter: the ring goes on from anywhere.
    """
    bench = Bench()
    inside = bench.device(load("spectral.delay").Delay(width=WIDTH, steps=STEPS))
    device, m = inside.component, bench.module
    memory = inside.module.submodules.ring
    write, read = memory.write_ports[0], memory.read_ports[0]
    bench.always(~(write.en & read.en & (write.addr == read.addr)))
    bench.always(inside["behind0"] == (read.addr - 1)[:4])
    bench.always(write.addr == (read.addr - 2)[:4])
    chosen, followed = bench.free(Signal(name="chosen")), Signal(name="followed")
    word, age = Signal(WIDTH, name="word"), Signal(range(STEPS + 1), name="age")
    place = Signal(4, name="place")
    with m.If(device.step & ~followed & chosen):
        m.d.sync += [followed.eq(1), word.eq(device.i), age.eq(1), place.eq(write.addr)]
    # It lies in the ring until it is read, and then in the memory's register.
    spy = memory.read_port(domain="comb")
    m.d.comb += spy.addr.eq(place)
    with m.If(followed):
        with m.If(device.step):
            m.d.sync += age.eq(age + 1)
        with m.If(age == STEPS):
            bench.always(device.o == word)
            with m.If(device.step):
                m.d.sync += followed.eq(0)
        with m.Else():
            bench.always((age != 0) & (spy.data == word))
        bench.always((place + age + 2)[:4] == read.addr)
    bench.possible(followed & (age == STEPS) & (word == 2))
    return bench


class Pipeline:
    """A component that moves all its words a place whenever the last is taken, or not there."""

    def __init__(self, bench: Bench, inside, *, tag_in: Value, tag_out: Value, tags):
        device, m = inside.component, bench.module
        latency, present = device.latency, inside["present"]
        bench.kept(device.o)
        came, left = device.i.valid & device.i.ready, device.o.valid & device.o.ready
        total = bench.count(came, left, latency, "inside")
        bench.always(total == sum((bit for bit in present), start=Value.cast(0)))
        # Any one word, by the places that it has come through; its tag is with it.
        chosen, followed = bench.free(Signal(name="chosen")), Signal(name="followed")
        tag, at = Signal(len(tag_in), name="tag"), Signal(range(latency), name="at")
        step = inside["step"]
        with m.If(step & came & chosen & ~followed):
            m.d.sync += [followed.eq(1), tag.eq(tag_in), at.eq(0)]
        with m.If(followed):
            bench.always(at < latency)
            bench.always(Cat(present[n] & (at == n) for n in range(latency)).any())
            bench.always(Cat((tags[n] == tag) & (at == n) for n in range(latency)).any())
            with m.If(step):
                m.d.sync += [at.eq(at + 1), followed.eq(at != latency - 1)]
            bench.always((at != latency - 1) | (device.o.valid & (tag_out == tag)))
        bench.always(~left | step)
        bench.possible(followed & left & (at == latency - 1) & (total == 1))
        bench.possible(total == latency)


def align(load: Load) -> Bench:
    """`Align` gives each sample once, in order, with its own mark, and keeps it until taken."""
    bench = Bench()
    inside = bench.device(load("spectral.align").Align())
    device = inside.component
    first = inside["first"]
    Pipeline(
        bench,
        inside,
        tag_in=device.i.payload.first,
        tag_out=device.o.payload.first,
        tags=[first[n] for n in range(device.latency)],
    )
    return bench


def pack(load: Load) -> Bench:
    """`Pack` gives each word once, in order, with its own tag, and keeps it until taken."""
    bench = Bench()
    inside = bench.device(load("spectral.pack").Pack(width=20, tag_width=WIDTH))
    device = inside.component
    Pipeline(
        bench,
        inside,
        tag_in=device.i.payload.tag,
        tag_out=device.o.payload.tag,
        tags=[*(inside[f"tag{n}"] for n in range(device.latency - 1)), device.o.payload.tag],
    )
    return bench


PROOFS = (
    Proof(
        name="delay",
        claim="a delay line's ring gives every word so many steps later, and is never read where "
        "it is written",
        bench=delay,
        depth=2,
        search=18,
        bugs=(
            Bug(
                "the ring is written where it is read",
                "spectral.delay",
                "write.addr.eq(behind)",
                "write.addr.eq(place)",
            ),
            Bug(
                "the ring is not as long as it says",
                "spectral.delay",
                "init=depth - n - 1",
                "init=depth - n - 2",
            ),
        ),
    ),
    Proof(
        name="align",
        claim="words on their way to a scale: each once, in order, with its mark, until taken",
        bench=align,
        depth=2,
        search=8,
        bugs=(
            Bug(
                "words move on although the last was not taken",
                "spectral.align",
                "step.eq(~self.o.valid | self.o.ready)",
                "step.eq(1)",
            ),
            Bug(
                "marks do not wait with their words",
                "spectral.align",
                "self.o.payload.first.eq(first[-1])",
                "self.o.payload.first.eq(first[-2])",
            ),
        ),
    ),
    Proof(
        name="pack",
        claim="words that become samples: each once, in order, with its tag, until taken",
        bench=pack,
        depth=2,
        search=8,
        bugs=(
            Bug(
                "words move on although the last was not taken",
                "spectral.pack",
                "step.eq(~self.o.valid | self.o.ready)",
                "step.eq(1)",
            ),
            Bug(
                "a tag goes on without its word",
                "spectral.pack",
                "self.o.payload.tag.eq(tag)",
                "self.o.payload.tag.eq(self.i.payload.tag)",
            ),
        ),
    ),
)
