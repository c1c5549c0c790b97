"""The order in which a block's sums leave: step by step, and phase by phase in a drain unit."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.core.layout import BATCH, STEPS_BITS
from backspike.gen.machine import DEPTH


def slot_layout(reuse: int) -> data.StructLayout:
    """One sum leaves: entry = t * samples + s of lane `phase` of every drain unit."""
    return data.StructLayout(
        {
            "valid": 1,
            "entry": range(DEPTH),
            "sample": range(DEPTH),
            "phase": range(max(2, reuse)),
            "skip": 1,  # of all phases at once: there is nothing to add
            "second": 1,  # the second of two passes through the step
            "row_end": 1,  # last phase of the last pass: the row of all lanes is complete
            "fresh": 1,  # no step comes before it, in this order
            "final": 1,  # none comes after it
            "block_end": 1,  # last slot of the block
        }
    )


class TimeSequencer(wiring.Component):
    """Runs through a block step by step, forward or (`reverse`) backward in time.

    Within a step samples and the `reuse` phases of a drain unit follow each other, once or twice. A
    pass takes at least `recurrence` cycles, the latency after which a neuron's state can be used
    again: so does the last one of a block, if the next block goes on with its neurons.

    The entry after the one in hand is found while that one has its phases, so `o` comes out of
    registers.

    Latency: 2 cycles from start to the first slot. Throughput: one slot a cycle; a block takes
    steps * passes * max(samples * reuse, recurrence) cycles and one more.
    """

    def __init__(self, *, reuse: int, recurrence: int, reverse: bool):
        self._reuse, self._recurrence, self._reverse = reuse, recurrence, reverse
        super().__init__(
            {
                "start": In(1),  # one cycle, while not busy
                "head": In(1),  # beside start: the block is of the first span
                "tail": In(1),  # likewise: of the last
                "carry": In(1),  # what neurons keep goes on from batch to batch
                "twice": In(1),  # a step has two passes
                "batch": In(BATCH),  # constant from two cycles before start
                "free": In(1),  # no step has to wait for another
                "skips": In(DEPTH),  # entries of one slot instead of `reuse`, from after start on
                "o": Out(slot_layout(reuse)),
                "busy": Out(1),  # from the cycle after start until that of the last slot
            }
        )

    def elaborate(self, platform):
        m = Module()
        batch, o = self.batch, self.o
        running = Signal()  # the last slot is not over

        # The next entry; `base` is the first one of its step.
        next_valid = Signal()
        step_begins = Signal()  # it is the first one of its step
        step, sample = Signal(STEPS_BITS), Signal(STEPS_BITS)
        entry, base, start = Signal(range(DEPTH)), Signal(range(DEPTH)), Signal(range(DEPTH))
        last_sample, last_step = Signal(STEPS_BITS), Signal(STEPS_BITS)
        m.d.sync += last_sample.eq(batch.samples - 1)
        # The last step, and where a block begins, of a full span and of the last one.
        ends, begins = [], []
        for n, steps in enumerate((batch.steps, batch.last_steps)):
            ends.append(Signal(STEPS_BITS, name=f"end{n}"))
            begins.append(Signal(range(DEPTH), name=f"begin{n}"))
            m.d.sync += ends[n].eq(steps - 1)
            if self._reverse:
                m.d.sync += begins[n].eq(ends[n] * batch.samples)
        m.d.comb += start.eq(Mux(self.tail, begins[1], begins[0]))
        opens, closes = (self.tail, self.head) if self._reverse else (self.head, self.tail)
        opens = opens & ~self.carry
        first, final = Signal(), Signal()  # block of its samples, in this order
        sample_last = sample == last_sample
        step_last = step == last_step

        # The entry in hand.
        entry_last = Signal()
        m.d.comb += self.busy.eq(running & ~(o.valid & o.block_end))
        wait_over = Signal()  # the next pass need not wait
        second = Signal()  # the next entry is of the second pass
        phases_over = Signal()  # the slot in hand is the entry's last
        wait = Signal(range(self._recurrence))
        slot_over = ~o.valid | phases_over
        pass_last = ~self.twice | second  # of the step
        take = next_valid & slot_over & (~step_begins | wait_over | self.free)
        with m.If(slot_over):
            m.d.sync += [o.valid.eq(take), o.phase.eq(0)]
        with m.Else():
            phase_last = o.phase == self._reuse - 2
            m.d.sync += [
                o.phase.eq(o.phase + 1),
                phases_over.eq(phase_last),
                o.row_end.eq(phase_last & (~self.twice | o.second)),
                o.block_end.eq(phase_last & entry_last),
            ]
        m.d.sync += wait.eq(wait + 1)
        if self._recurrence > 1:
            with m.If(wait == self._recurrence - 2):
                m.d.sync += wait_over.eq(1)
        with m.If(take):
            skip, last = self.skips.bit_select(entry, 1), sample_last & step_last & pass_last
            over = skip | (self._reuse == 1)
            m.d.sync += [
                o.entry.eq(entry),
                o.sample.eq(sample),
                o.fresh.eq(first & (step == 0)),
                o.final.eq(final & step_last),
                o.skip.eq(skip),
                o.second.eq(second),
                phases_over.eq(over),
                o.row_end.eq(over & pass_last),
                o.block_end.eq(over & last),
                entry_last.eq(last),
                entry.eq(entry + 1),
                sample.eq(sample + 1),
                step_begins.eq(sample_last),
                next_valid.eq(~last),
            ]
            following = base - batch.samples if self._reverse else base + batch.samples
            with m.If(sample_last):
                m.d.sync += [sample.eq(0), second.eq(~pass_last), entry.eq(base)]
                with m.If(pass_last):
                    m.d.sync += [step.eq(step + 1), entry.eq(following), base.eq(following)]
            with m.If(step_begins):
                m.d.sync += [wait.eq(0), wait_over.eq(self._recurrence == 1)]
        with m.If(o.valid & o.block_end):
            m.d.sync += running.eq(0)
        with m.If(self.start):
            m.d.sync += [running.eq(1), next_valid.eq(1), step_begins.eq(1)]
            m.d.sync += [first.eq(opens), final.eq(closes)]
            m.d.sync += last_step.eq(Mux(self.tail, ends[1], ends[0]))
            m.d.sync += [entry.eq(start), base.eq(start), sample.eq(0), step.eq(0), second.eq(0)]
        with m.If(self.start & opens):
            m.d.sync += wait_over.eq(1)
        return m
