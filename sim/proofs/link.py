"""The serial link: a well-behaved AXI4-Lite manager, whose buffer is never torn."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from backspike.gen.host.bus import WORD
from backspike.gen.link.deframer import LONGEST
from backspike.gen.link.framer import OUTGOING
from backspike.gen.link.protocol import REQUEST
from backspike.gen.link.uart import RECEIVED, Rate
from backspike.gen.memory.rows import read_signature, write_signature
from backspike.sim.proofs.bench import Bench, MemorySpy
from backspike.sim.proofs.proof import Bug, Load, Proof

ADDRESS = 8
"""Bits of a byte address: there are some within, and some beyond."""


WORDS = 4
"""Words of a frame here: fewer than there are, but no other number has a meaning either."""


class AnyDeframer(wiring.Component):
    """Like `Deframer`, but says whatever it likes, and keeps only the rule that `held` proves."""

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(RECEIVED, always_ready=True)),
                "hold": In(1),
                "header": Out(REQUEST),
                "words": Out(write_signature(WORD, WORDS)),
                "done": Out(1),
                "damaged": Out(1),
                "length": Out(range(LONGEST + 2)),
            }
        )
        self.like = (Signal(REQUEST), Signal(), Signal(), Signal(range(WORDS)), Signal(WORD))
        self.said = (self.damaged, self.length)

    def elaborate(self, platform):
        m = Module()
        header, done, enable, address, word = self.like
        m.d.comb += [
            self.done.eq(done & ~self.hold),
            self.words.en.eq(enable & ~self.hold),
            self.words.addr.eq(address),
            self.words.data.eq(word),
        ]
        with m.If(~self.hold):
            m.d.sync += self.header.eq(header)
        return m


class AnyFramer(wiring.Component):
    """Like `Framer`, but sends and reads what it likes, as long as it likes."""

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(OUTGOING)),
                "words": Out(read_signature(WORD, WORDS)),
                "o": Out(stream.Signature(8)),
            }
        )
        self.busy = Signal()
        self.ends = Signal()
        self.said = (self.words.addr, self.o.valid, self.o.payload)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.i.ready.eq(~self.busy)
        with m.If(self.busy):
            m.d.sync += self.busy.eq(~self.ends)
        with m.Else():
            m.d.sync += self.busy.eq(self.i.valid)
        return m


def bridge(load: Load) -> Bench:
    """AXI4-Lite's rules for a manager; one access at a time; the buffer's readers see whole words.

    Requests are arbitrary, and the subordinate answers what it owes when it likes, with what it
    likes.
    """
    bench = Bench()
    module = load("link.bridge")
    module.Deframer, module.Framer, module.WORDS = AnyDeframer, AnyFramer, WORDS
    module.BusManager = load("link.bus_manager").BusManager
    inside = bench.device(module.Bridge(Rate(1_000_000, 100_000), ADDRESS))
    deframer, framer = (inside.module.submodules[name] for name in ("deframer", "framer"))
    for signal in (*deframer.like, *deframer.said, framer.ends, *framer.said):
        bench.free(signal)
    axi = inside.component.axi
    aw, w, b, ar, r = (
        getattr(axi, f"{name}valid") & getattr(axi, f"{name}ready")
        for name in ("aw", "w", "b", "ar", "r")
    )
    reads = bench.count(ar, r, 1, "reads")
    addresses = bench.count(aw, b, 1, "addresses")
    words = bench.count(w, b, 1, "words")
    bench.given(~axi.rvalid | (reads != 0))
    bench.given(~axi.bvalid | ((addresses != 0) & (words != 0)))

    bench.stands(axi.arvalid, axi.arready, axi.araddr)
    bench.stands(axi.awvalid, axi.awready, axi.awaddr)
    bench.stands(axi.wvalid, axi.wready, Cat(axi.wdata, axi.wstrb))
    # One access at a time: AW and W once for every B, and no read beside a write.
    bench.always(~axi.arvalid | ((reads == 0) & (addresses == 0) & (words == 0)))
    bench.always(~axi.awvalid | ((reads == 0) & (addresses == 0)))
    bench.always(~axi.wvalid | ((reads == 0) & (words == 0) & axi.wstrb.all()))

    state = inside.state
    manager, writes = inside.part("manager"), inside["writes"]
    bench.always(manager["ar_done"] == (reads != 0))
    bench.always(manager["aw_done"] == (addresses != 0))
    bench.always(manager["w_done"] == (words != 0))
    bench.always((state("ACCESS") & ~writes) | (reads == 0))
    bench.always((state("ACCESS") & writes) | ((addresses == 0) & (words == 0)))
    bench.always(~state("FETCH", "FETCHED") | writes)

    # The buffer: what is read in the cycle that writes it must not be used. The frame may use
    # whatever it reads while it is busy; the bridge uses what it has had the address of since
    # FETCH, and all that time the word stands.
    buffer = inside.part("words")
    memory, port = MemorySpy(bench, buffer), buffer.component
    fetches = state("FETCH", "FETCHED") | (state("ACCESS") & writes)
    same = port.write.addr == port.read0.addr
    bench.always(~((framer.busy | fetches) & port.write.en & same))
    bench.always(~(framer.busy & port.write.en & port.write.addr[-1]))
    bench.always(~framer.busy | port.read0.addr[-1])
    accesses = state("ACCESS", "HELLO", "KEEP", "SEND") | fetches
    bench.always(~framer.busy | ~accesses | state("SEND"))
    word = memory.word(inside["done"][:-1])
    bench.always(~(fetches & ~state("FETCH")) | (memory.register == word))
    bench.always(~(state("ACCESS") & writes) | (Value.cast(port.read0.data) == word))
    bench.possible(axi.rvalid)
    bench.possible(axi.wvalid & ~axi.awvalid)
    return bench


def held(load: Load) -> Bench:
    """While a request is carried out, what comes touches neither it nor its words."""
    bench = Bench()
    inside = bench.device(load("link.deframer").Deframer())
    device = inside.component
    held = bench.past(device.hold, "held")
    header = bench.past(device.header, "header_before")
    bench.always(~held | (Value.cast(device.header) == header))
    bench.always(~(device.hold & (device.done | device.words.en)))
    # A frame of which a byte came meanwhile is dropped whole.
    torn = Signal(name="torn")
    came = bench.past(device.i.valid, "came_before")
    ends = bench.past(~device.i.payload.error & (device.i.payload.data == 0x7E), "flag_before")
    bench.always((inside["came"] == came) & (~came | (inside["flag"] == ends)))
    with bench.module.If(came):
        bench.module.d.sync += torn.eq(~ends & (torn | device.hold))
    bench.always(~(torn & (device.done | device.words.en)))
    bench.always((inside["skip"] == torn) & (device.length <= LONGEST + 1))
    bench.possible(device.done & device.damaged)
    bench.possible(torn & came & ends)
    return bench


def framer(load: Load) -> Bench:
    """Bytes stay until they are taken; a frame is a flag, bytes, and two flags."""
    bench = Bench()
    inside = bench.device(load("link.framer").Framer())
    device, m = inside.component, bench.module
    bench.kept(device.o)
    bench.always(device.i.ready == inside.state("IDLE"))
    bench.always(~(device.i.ready & device.o.valid))
    flags = Signal(2, name="flags_sent")
    left = device.o.valid & device.o.ready
    with m.If(device.i.ready):
        bench.always((flags == 0) | (flags == 3))
        m.d.sync += flags.eq(0)
    with m.Elif(left & (device.o.payload == 0x7E)):
        m.d.sync += flags.eq(flags + 1)
    outer = inside.state("OPEN", "CLOSE")
    bench.always(~device.o.valid | ((device.o.payload == 0x7E) == outer))
    byte, sends = inside["rest"][:8], inside.state("BYTES")
    bench.always(~sends | (inside["special"] == ((byte == 0x7E) | (byte == 0x7D))))
    within = inside.state("INSPECT", "BYTES", "LOOK", "WAIT", "LOAD")
    bench.always(~within | ~inside["escaped"] | (sends & inside["special"]))
    bench.always(~inside.state("OPEN") | (flags == 0))
    bench.always(~within | (flags == 1))
    closing = inside["flags"]
    bench.always(Mux(inside.state("CLOSE"), flags == closing + 1, closing == 0))
    bench.possible(left & (device.o.payload == 0x7D))
    return bench


BRIDGE = "link.bridge"
PROOFS = (
    Proof(
        name="bridge",
        claim="the link's manager keeps AXI4-Lite's rules, does one access at a time, and uses no "
        "word of its buffer that was written in the cycle of its reading",
        bench=bridge,
        depth=3,
        search=18,
        bugs=(
            Bug(
                "AW is offered again after it was taken",
                "link.bus_manager",
                "axi.awvalid.eq(write & ~aw_done)",
                "axi.awvalid.eq(write)",
            ),
            Bug(
                "a request is carried out while the answer before is being sent",
                BRIDGE,
                "with m.If(~framer.i.ready):\n                    pass",
                "with m.If(0):\n                    pass",
            ),
            Bug(
                "frames are taken in while a request is carried out",
                BRIDGE,
                "deframer.hold.eq(1),",
                "deframer.hold.eq(0),",
            ),
        ),
    ),
    Proof(
        name="deframer",
        claim="what comes while a request is carried out touches neither it nor its words, and is "
        "dropped whole",
        bench=held,
        depth=2,
        search=6,
        bugs=(
            Bug(
                "a torn frame is not dropped",
                "link.deframer",
                "skip.eq(skip | self.hold)",
                "skip.eq(skip)",
            ),
            Bug(
                "a held header is shifted",
                "link.deframer",
                "with m.If(take & ~self.hold & ~skip):",
                "with m.If(take & ~skip):",
            ),
        ),
    ),
    Proof(
        name="framer",
        claim="bytes to send stay until taken; no flag within a frame, one before, two behind",
        bench=framer,
        depth=2,
        search=8,
        bugs=(
            Bug(
                "flags are not escaped",
                "link.framer",
                "special.eq((byte == FLAG) | (byte == ESCAPE))",
                "special.eq(byte == ESCAPE)",
            ),
        ),
    ),
)
