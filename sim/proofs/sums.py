"""Sums in memories, of the lanes and of the counters: nobody reads what is being written."""

from amaranth.hdl import Cat, Mux, Signal, Value
from amaranth.lib.data import View

from backspike.gen.core.shared.events import event_layout
from backspike.gen.core.shared.lane import PART
from backspike.gen.core.shared.sum_buffer import BLOCKS
from backspike.gen.machine import DEPTH
from backspike.sim.proofs.bench import Bench, Inside
from backspike.sim.proofs.proof import Bug, Load, Proof


def ones(bits) -> Value:
    """How many bits are set."""
    return sum((bit for bit in bits), start=Value.cast(0))


def buffer(load: Load) -> Bench:
    """A block drains only when all its sums are written, and is not written until it has drained.

    Events and vectors are arbitrary. The drain may be busy only from the cycle after `start`, for
    as long as it likes.
    """
    bench = Bench()
    module = load("core.shared.accumulate")
    module.SumBuffer = load("core.shared.sum_buffer").SumBuffer
    accumulator = module.Accumulator(lanes=1, lines=2, product=False, width=PART + 1)
    inside = bench.device(accumulator)
    device, m = inside.component, bench.module
    step, buffer = inside["step"], inside.part("buffer")
    bench.given(~device.busy | bench.past(device.start | device.busy, "may_be_busy"))

    block, drain_block, ready, held = (
        buffer[name] for name in ("block", "drain_block", "ready", "held")
    )
    draining = buffer["draining"]
    complete = Cat(buffer[f"finish_{n}"] for n in range(1, buffer["written"] + 1))
    under_way = ones(complete)  # blocks that have ended, whose last sums are being written
    # Blocks of which the last event has entered, and whose term is on its way to its sum.
    coming = View(event_layout(2, DEPTH, 0), inside["event_1"])
    ending = inside["finish"] + (inside["valid_1"] & coming.end)
    bench.always(held == ending + under_way + ready + draining)
    bench.always(ending + under_way + ready + draining <= BLOCKS - 1)
    ahead = Signal.like(block, name="ahead")
    m.d.comb += ahead.eq(block - drain_block - 1)
    bench.always(ahead == under_way + ready)
    bench.always(~bench.past(complete[-1], "just_complete") | (ready != 0))
    bench.always(device.start == (~device.busy & (ready != 0)))
    bench.always(~device.busy | draining)
    bench.always(buffer["full"] == (held == BLOCKS - 1))
    bench.always(buffer["next_block"] == (drain_block + 1)[: len(block)])

    # An addition under way belongs to the block that was accumulated when it began. (What was
    # under way when a reset came is over before anything drains.)
    stages = [step] + [buffer[f"step_{n + 2}"] for n in range(len(complete))]
    age = Signal(range(len(stages) + 1), name="age")
    m.d.sync += age.eq(age + (age != len(stages)))
    past_ends = [*complete, bench.past(complete[-1], "completed")]
    for n, stage in enumerate(stages):
        begun = Signal.like(block, name=f"begun{n}")
        m.d.comb += begun.eq(block - ones(past_ends[: n + 1]))
        stage = Value.cast(stage)
        writes, of = stage[0], stage[-len(block) :]
        bench.always(~writes | (age <= n) | (of == begun))
        written = writes & (age > n)
        bench.always(~(draining & written) | (of != drain_block))
        if n < len(complete):  # the last one is written while the drain starts, before it reads
            bench.always(~(device.start & written) | (of != buffer["next_block"]))
    bench.always(~(draining | (ready != 0)) | (age == len(stages)))
    bench.always(~complete[-1] | (age >= len(complete)))

    write, read = buffer["write"], buffer["read"]
    same = write.addr == read.addr
    bench.always(~(write.en & read.en & same))
    mask = buffer["mask_write"]
    bench.always(~(mask.en & device.start & (mask.addr == buffer["next_block"])))
    bench.possible(write.en & read.en & (write.addr[:4] == read.addr[:4]))
    bench.possible(device.stall_drain & (block != BLOCKS - 1))
    return bench


def counters(load: Load) -> Bench:
    """A counter's word is written before its next turn comes, or else its old value is not used."""
    bench = Bench()
    module = load("core.control.counters")
    inside = bench.device(module.Counters())
    slot = inside["slot"]
    bench.always((slot < module.SLOTS) & (inside["at"] == (1 << slot)[: module.SLOTS]))
    write, read = inside["write"], inside["read"]
    same = write.en & (write.addr == read.addr)
    uses = inside["busy"] & inside["active"] & ~inside["first"]
    bench.always(~(same & uses))
    # The host is asked to wait until nothing is on its way.
    bench.always(~(same & ~inside["busy"]))
    bench.possible(same)
    bench.possible(~inside["busy"])
    return bench


RECURRENCE = 6
"""Of the drain's proof. The drains' own are greater; nothing but a counter's end depends on it."""


def states(load: Load, *, reverse: bool = False) -> Bench:
    """A neuron's state is used again RECURRENCE cycles after its last use, or not at all.

    So it is never read in the cycle that writes it, which is RECURRENCE - 1 cycles after its use:
    not within a block, and not in one that goes on with the neurons of the block before. Blocks
    may begin whenever none drains, be heads and tails of sets as they like, go on with a batch
    before (`carry`), and take one pass through each step or two. A state is used unless a slot is
    `fresh`, which are those of a set's first step; and a second pass uses what the first has found.
    Where steps need not wait, and entries may be skipped (`free`), no state is used. The batch
    stays as it is from two cycles before a block's start on while it drains, and so does the number
    of passes while it drains.
    """
    bench = Bench()
    module = load("core.shared.time_sequencer")
    inside = bench.device(
        module.TimeSequencer(reuse=2, recurrence=RECURRENCE, reverse=reverse),
        wired=("free", "skips"),
    )
    device = inside.component
    batch, slot = device.batch, device.o
    bench.given((batch.steps != 0) & (batch.samples != 0) & (batch.steps * batch.samples <= 16))
    bench.given((batch.last_steps != 0) & (batch.last_steps <= batch.steps))
    stays = bench.past(device.busy | device.start, "stays") | device.start
    before = bench.past(batch, "batch_before")
    bench.given(~stays | (Value.cast(batch) == before))
    bench.given(~device.start | (before == bench.past(before, "batch_two_before")))
    bench.given(~(device.start & device.busy))
    drains = bench.past(device.busy | device.start, "drains")
    bench.given(~drains | (device.twice == bench.past(device.twice, "twice_before")))
    key = Cat(slot.sample, slot.phase)
    used, valid = key, slot.valid
    for n in range(1, RECURRENCE):
        used, valid = bench.past(used, f"used{n}"), bench.past(valid, f"valid{n}")
        bench.always(~(slot.valid & (~slot.fresh | slot.second) & valid & (used == key)))
    goes_on = _first_steps(bench, inside, reverse=reverse)
    # Slots go on one a cycle, and the step's cycles are counted up to its least length.
    wait, wait_over, next_valid, step_begins = (
        inside[x] for x in ("wait", "wait_over", "next_valid", "step_begins")
    )
    place, following = 2 * slot.sample + slot.phase, inside["sample"]
    last_pass = slot.second | ~device.twice
    bench.always(~slot.valid | (slot.row_end == ((slot.phase == 1) & last_pass)))
    bench.always(~slot.valid | device.twice | ~slot.second)
    bench.always(~next_valid | device.twice | ~inside["second"] | ~drains)
    bench.always(~(next_valid | slot.valid) | inside["running"])
    bench.always(~slot.valid | (slot.sample < batch.samples))
    bench.always(~next_valid | (following < batch.samples))
    bench.always(~next_valid | (step_begins == (following == 0)))
    with bench.module.If(slot.valid):
        bench.always(Mux(wait_over, place >= RECURRENCE - 1, place == wait))
        # The next entry is the next sample's, or the next step's first.
        more = slot.sample != batch.samples - 1
        bench.always(~more | (next_valid & (following == slot.sample + 1)))
        bench.always(~next_valid | (inside["second"] == Mux(more, slot.second, ~last_pass)))
        bench.always(last_pass | next_valid)
        bench.always(more | ~next_valid | step_begins)
        bench.always(inside["entry_last"] == ~next_valid)
        bench.always(slot.block_end == (slot.row_end & inside["entry_last"]))
    with bench.module.Elif(next_valid):
        bench.always(step_begins)
        # Between a block's steps; what the block before has left, a block that goes on waits for.
        first = (inside["step"] == 0) & ~inside["second"]
        bench.always(wait_over | (2 * batch.samples <= wait) | (goes_on & first))
    bench.possible(slot.valid & slot.final & ~slot.fresh & slot.block_end & ~goes_on)
    bench.possible(slot.valid & ~slot.fresh & (slot.sample == 2) & ~goes_on)
    bench.possible(slot.block_end & slot.valid & goes_on & (batch.steps == 1))
    bench.possible(slot.block_end & slot.valid & slot.second & slot.fresh)
    return bench


def _first_steps(bench: Bench, inside: Inside, *, reverse: bool) -> Signal:
    """Claims that steps come in order, and that of all slots those of a set's first step are fresh,
    and those of its last step final; returns whether the block goes on with the neurons of the
    block before."""
    device, m = inside.component, bench.module
    batch, slot = device.batch, device.o
    goes_on, ends, tail = Signal(name="goes_on"), Signal(name="ends"), Signal(name="is_tail")
    opens, closes = (device.tail, device.head) if reverse else (device.head, device.tail)
    with m.If(device.start):
        m.d.sync += [goes_on.eq(~opens | device.carry), ends.eq(closes), tail.eq(device.tail)]
    steps = Mux(tail, batch.last_steps, batch.steps)
    running, step, next_valid = (inside[name] for name in ("running", "step", "next_valid"))
    at = steps - 1 - step if reverse else step
    earliest, latest = slot.entry < batch.samples, slot.entry >= (steps - 1) * batch.samples
    opening, closing = (latest, earliest) if reverse else (earliest, latest)
    with m.If(running):
        bench.always((inside["first"] == ~goes_on) & (inside["final"] == ends))
        bench.always(inside["last_step"] == steps - 1)
    with m.If(next_valid):
        bench.always((step < steps) & (inside["entry"] == at * batch.samples + inside["sample"]))
        bench.always(inside["base"] == at * batch.samples)
    with m.If(slot.valid):
        bench.always(slot.fresh == (~goes_on & opening))
        bench.always(slot.final == (ends & closing))
        bench.always(slot.entry < steps * batch.samples)
        # From a pass's last entry to the next one's first, of the same step or of the next one.
        leap = Mux(device.twice & ~slot.second, batch.samples, 2 * batch.samples * reverse)
        followed = slot.entry + 1 - Mux(slot.sample == batch.samples - 1, leap, 0)
        bench.always(~next_valid | (inside["entry"] == followed))
    return goes_on


PROOFS = (
    Proof(
        name="sums",
        claim="a block of sums drains when all are written, and no sum is read while another is "
        "written in its place",
        bench=buffer,
        depth=4,
        search=24,
        cut="t:$add r:A_WIDTH>20 %i",
        bugs=(
            Bug(
                "a block drains a cycle before its last sum is written",
                "core.shared.sum_buffer",
                "ready.eq(ready + complete - self.start)",
                "ready.eq(ready + pipeline.get('finish', at=1) - self.start)",
            ),
            Bug(
                "a block that drains has its place taken",
                "core.shared.sum_buffer",
                "full.eq(held_next == BLOCKS - 1)",
                "full.eq(held_next == BLOCKS)",
            ),
            Bug(
                "a block's end is counted when it is added, not when it comes",
                "core.shared.accumulate",
                "buffer.reserve.eq(enter & end)",
                "buffer.reserve.eq(finish)",
            ),
        ),
    ),
    Proof(
        name="counters",
        claim="no counter's word is used that is written in the cycle of its reading",
        bench=counters,
        depth=5,
        search=60,
        cut="t:$add r:A_WIDTH>20 %i",
        bugs=(
            Bug(
                "a layer is settled just before the turn of its word",
                "core.control.counters",
                "SETTLE = (7, 23)",
                "SETTLE = (7, WORDS['wg_bound'] - 3)",
            ),
        ),
    ),
    Proof(
        name="states",
        claim="a drain does not come back to a neuron before its state has been written, not in "
        "a second pass nor in the next block of its samples either; what is fresh has no step "
        "before it",
        bench=states,
        depth=RECURRENCE + 2,
        search=16,
        bugs=(
            Bug(
                "steps follow each other a cycle too soon",
                "core.shared.time_sequencer",
                "m.If(wait == self._recurrence - 2)",
                "m.If(wait == self._recurrence - 3)",
            ),
            Bug(
                "a block that goes on with the neurons of the one before does not wait for it",
                "core.shared.time_sequencer",
                "m.If(self.start & opens)",
                "m.If(self.start)",
            ),
            Bug(
                "a batch that goes on with the one before does not wait for it",
                "core.shared.time_sequencer",
                "m.If(self.start & opens)",
                "m.If(self.start & self.head)",
            ),
            Bug(
                "a second pass does not wait for the first",
                "core.shared.time_sequencer",
                "(~step_begins | wait_over | self.free)",
                "(~step_begins | wait_over | second | self.free)",
            ),
            Bug(
                "the first step of every block is fresh",
                "core.shared.time_sequencer",
                "o.fresh.eq(first & (step == 0))",
                "o.fresh.eq(step == 0)",
            ),
        ),
    ),
    Proof(
        name="states-reverse",
        claim="the same backward in time, where the last span comes first",
        bench=lambda load: states(load, reverse=True),
        depth=RECURRENCE + 2,
        search=16,
        bugs=(
            Bug(
                "a set begins with its head in reverse, too",
                "core.shared.time_sequencer",
                "(self.tail, self.head) if self._reverse",
                "(self.head, self.tail) if self._reverse",
            ),
            Bug(
                "a last span that is shorter begins where others do",
                "core.shared.time_sequencer",
                "start.eq(Mux(self.tail, begins[1], begins[0]))",
                "start.eq(begins[0])",
            ),
            Bug(
                "a second pass is through the next step",
                "core.shared.time_sequencer",
                "m.d.sync += [sample.eq(0), second.eq(~pass_last), entry.eq(base)]",
                "m.d.sync += [sample.eq(0), second.eq(~pass_last), entry.eq(following)]",
            ),
        ),
    ),
)
