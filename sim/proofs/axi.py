"""The host port: AXI4-Lite's handshakes, and that each access is answered once, in order."""

from amaranth.hdl import Cat, Mux, Signal, Value
from amaranth.lib import enum

from backspike.gen.host.bus import OUTSTANDING
from backspike.sim.proofs.bench import Bench, Spy
from backspike.sim.proofs.proof import Bug, Load, Proof


class Stage(enum.Enum, shape=2):
    """Where the read that a proof follows is: nowhere, unasked, asked, answered."""

    NONE = 0
    QUEUED = 1
    ASKED = 2
    KNOWN = 3


class Port:
    """The subordinate with a manager that does as it likes, not even AXI's rules excepted, and a
    bus that answers whenever it owes an answer; and how its registers belong together."""

    def __init__(self, load: Load):
        self.bench = bench = Bench()
        module = load("host.axi4lite")
        self.responses = module.Response
        inside = bench.device(module.AXI4LiteSubordinate(4))
        device = inside.component
        self.axi = axi = device.axi
        self.request, self.response = request, response = device.request, device.response
        self.queue, self.answers = inside.part("ar"), inside.part("r")
        self.queued, self.unread = Spy(bench, self.queue), Spy(bench, self.answers)

        self.aw, self.w, self.b = (
            getattr(axi, f"{name}valid") & getattr(axi, f"{name}ready") for name in ("aw", "w", "b")
        )
        self.ar, self.r = axi.arvalid & axi.arready, axi.rvalid & axi.rready
        asked, write = request.valid & request.ready, request.payload.write
        self.writes = bench.count(asked & write, response.valid & inside["writing"], 1, "writes")
        self.reads = bench.count(
            asked & ~write, response.valid & (self.writes == 0), OUTSTANDING, "reads"
        )
        bench.given(~response.valid | (self.writes != 0) | (self.reads != 0))

        level, unread = self.queue.component.level, self.answers.component.level
        # A refusal waits a cycle, alone, for its answer.
        self.refused, was_read = inside["refused"], inside["was_read"]
        self.pending = self.reads + (self.refused & was_read)
        bench.always(~self.refused | ((self.writes == 0) & (self.reads == 0)))
        bench.always(inside["writing"] == self.writes + (self.refused & ~was_read))
        bench.always(inside["pending"] == self.pending)
        bench.always(inside["claimed"] == self.pending + unread)
        bench.always(inside["claimed"] <= OUTSTANDING)
        self.aw_owed = bench.count(self.aw, self.b, 2, "aw_owed")
        self.w_owed = bench.count(self.w, self.b, 2, "w_owed")
        self.ar_owed = bench.count(self.ar, self.r, OUTSTANDING + 2, "ar_owed")
        begun = inside["writing"] + axi.bvalid
        bench.always(self.aw_owed == inside["aw_full"] + begun)
        bench.always(self.w_owed == inside["w_full"] + begun)
        bench.always(begun <= 1)
        bench.always(self.ar_owed == level + self.pending + unread)
        can_write = inside["aw_full"] & inside["w_full"] & ~axi.bvalid
        can_read = (level != 0) & (inside["claimed"] != OUTSTANDING)
        bench.always(~inside["offered"] | Mux(inside["was_read"], can_read, can_write))
        self.inside = inside


def kept(address: Value) -> Value:
    """What the port keeps of an address: the word's, and whether it is no word's."""
    return Cat(address[2:], address[:2].any())


def handshakes(load: Load) -> Bench:
    """What is offered stays; nothing is answered that was not asked."""
    port = Port(load)
    bench, axi = port.bench, port.axi
    bench.stands(axi.bvalid, axi.bready, axi.bresp)
    bench.stands(axi.rvalid, axi.rready, Cat(axi.rdata, axi.rresp))
    bench.kept(port.request)
    bench.always(~axi.bvalid | ((port.aw_owed != 0) & (port.w_owed != 0)))
    bench.always(~axi.rvalid | (port.ar_owed != 0))
    okay, error = port.responses.OKAY, port.responses.SLVERR
    bench.always((axi.bresp == okay) | (axi.bresp == error))
    bench.always((axi.rresp == okay) | (axi.rresp == error))
    # The bus's own rule: a write waits for all answers, and all wait for the answer to a write.
    asks, write = port.request.valid, port.request.payload.write
    bench.always(~asks | (port.writes == 0))
    bench.always(~(asks & write) | (port.reads == 0))
    bench.always(~asks | write | (port.reads < OUTSTANDING))
    bench.possible(port.reads == OUTSTANDING)
    bench.possible(axi.bvalid & axi.rvalid & (port.ar_owed == OUTSTANDING + 2))
    return bench


def reads(load: Load) -> Bench:
    """Any one read, followed from its address to its data."""
    port = Port(load)
    bench, axi, m = port.bench, port.axi, port.bench.module
    chosen = bench.free(Signal(name="chosen"))
    stage = Signal(Stage)
    address = Signal.like(axi.araddr, name="address")
    answer = Signal(33, name="answer")
    ahead = Signal(range(OUTSTANDING + 3))  # reads to be answered before
    place = Signal(range(OUTSTANDING + 1))  # of them in the same stage

    queue, answers = port.queue.component, port.answers.component
    leaves = queue.r_rdy & queue.r_en
    answered = (port.response.valid & (port.writes == 0)) | (port.refused & port.inside["was_read"])
    ours = (stage == Stage.KNOWN) & (ahead == 0)
    m.d.sync += ahead.eq(ahead - (port.r & (ahead != 0)))
    with m.If((stage == Stage.NONE) & chosen & port.ar):
        m.d.sync += [
            stage.eq(Stage.QUEUED),
            address.eq(axi.araddr),
            ahead.eq(port.ar_owed - port.r),
            place.eq(queue.level - leaves),
        ]
    with m.If((stage == Stage.QUEUED) & leaves):
        m.d.sync += place.eq(place - 1)
        with m.If(place == 0):
            m.d.sync += [stage.eq(Stage.ASKED), place.eq(port.pending - answered)]
            with m.If(address[:2].any()):
                bench.always(~port.request.valid)
            with m.Else():
                bench.always(port.request.valid & port.request.ready)
                bench.always(~port.request.payload.write)
                bench.always(port.request.payload.address == address[2:])
    with m.If((stage == Stage.ASKED) & answered):
        m.d.sync += place.eq(place - 1)
        with m.If(place == 0):
            m.d.sync += stage.eq(Stage.KNOWN)
            m.d.sync += answer.eq(Cat(port.response.payload.data, port.response.payload.error))
            with m.If(port.refused):
                m.d.sync += answer.eq(1 << 32)
    with m.If(axi.rvalid & (stage != Stage.NONE) & (ahead == 0)):
        bench.always(ours)
        bench.always(axi.rdata == answer[:32])
        bench.always((axi.rresp == port.responses.SLVERR) == answer[32])
        with m.If(axi.rready):
            m.d.sync += stage.eq(Stage.NONE)

    level, unread = queue.level, answers.level
    with m.If(stage == Stage.QUEUED):
        bench.always((place < level) & (ahead == unread + port.pending + place))
        bench.always(port.queued.word(place) == kept(address))
    with m.If(stage == Stage.ASKED):
        bench.always((place < port.pending) & (ahead == unread + place))
        bench.always(port.refused == address[:2].any())
    with m.If(stage == Stage.KNOWN):
        bench.always(ahead < unread)
        bench.always(port.unread.word(ahead) == answer)
    bench.possible(ours & port.r & answer[32] & (answer[:32] != 0))
    bench.possible(ours & port.r & address[:2].any() & bench.past(ahead, "ahead_before").any())
    return bench


def writes(load: Load) -> Bench:
    """Every write goes to the bus once, as it came, or is refused."""
    port = Port(load)
    bench, axi, m = port.bench, port.axi, port.bench.module
    address = Signal.like(axi.awaddr, name="address")
    word, strobes = Signal(32, name="word"), Signal(4, name="strobes")
    with m.If(port.aw):
        m.d.sync += address.eq(axi.awaddr)
    with m.If(port.w):
        m.d.sync += [word.eq(axi.wdata), strobes.eq(axi.wstrb)]
    bench.always(~port.inside["aw_full"] | (port.inside["aw_held"] == kept(address)))
    bench.always(~port.inside["w_full"] | (port.inside["w_held"] == Cat(word, ~strobes.all())))
    wrong = address[:2].any() | ~strobes.all()
    payload = port.request.payload
    with m.If(port.request.valid & payload.write):
        bench.always((port.aw_owed != 0) & (port.w_owed != 0) & ~wrong)
        bench.always((payload.address == address[2:]) & (payload.data == word))

    # An answer comes from the bus or is a refusal, and says which.
    stood = bench.past(axi.bvalid & ~axi.bready, "stood")
    from_bus = bench.past(port.response.valid & (port.writes != 0), "from_bus")
    error = bench.past(port.response.payload.error, "error")
    just_wrong = bench.past(wrong, "just_wrong")
    was_wrong = bench.past(just_wrong, "was_wrong")
    bench.always(~port.refused | port.inside["was_read"] | just_wrong)
    with m.If(axi.bvalid & ~stood):
        bench.always(from_bus | was_wrong)
        bench.always((axi.bresp == port.responses.SLVERR) == (~from_bus | error))
    bench.always(~from_bus | (axi.bvalid & ~stood))
    bench.possible(axi.bvalid & from_bus & ~error & (word == 0x1234))
    bench.possible(axi.bvalid & ~stood & was_wrong & (address == 0))
    return bench


MODULE = "host.axi4lite"
PROOFS = (
    Proof(
        name="axi-handshakes",
        claim="host port: what is offered stays until taken; no answer without a request; the "
        f"bus's rules are kept; at most {OUTSTANDING} reads and one write are on their way",
        bench=handshakes,
        depth=3,
        search=16,
        bugs=(
            Bug(
                "BVALID falls by itself",
                MODULE,
                "with m.If(axi.bready):",
                "with m.If(1):",
            ),
            Bug(
                "a request changes sides while it is offered",
                MODULE,
                "Mux(offered, was_read, may_read & ~(may_write & was_read))",
                "may_read & ~(may_write & was_read)",
            ),
            Bug(
                "a read goes out without a place for its answer",
                MODULE,
                "ar.r_rdy & ~claimed[exact_log2(OUTSTANDING)]",
                "ar.r_rdy",
            ),
            Bug(
                "reads do not wait for the answer to a write",
                MODULE,
                "(may_write | may_read) & ~writing &",
                "(may_write | may_read) &",
            ),
        ),
    ),
    Proof(
        name="axi-reads",
        claim="host port: every read is answered once, in order, with what the bus answered to it",
        bench=reads,
        depth=3,
        search=16,
        bugs=(
            Bug(
                "a read asks for the address of a write",
                MODULE,
                "Mux(read, ar.r_data, aw_held)[:-1]",
                "Mux(was_read, ar.r_data, aw_held)[:-1]",
            ),
            Bug(
                "a refusal overtakes the reads before it",
                MODULE,
                "((read & ~refuse) | (pending == 0))",
                "(read | (pending == 0))",
            ),
        ),
    ),
    Proof(
        name="axi-writes",
        claim="host port: a write reaches the bus once, unchanged, or is refused; BRESP says which",
        bench=writes,
        depth=3,
        search=12,
        bugs=(
            Bug(
                "strobes are ignored",
                MODULE,
                "aw_held[-1] | w_wrong",
                "aw_held[-1]",
            ),
            Bug(
                "a write channel takes a transfer while it is full",
                MODULE,
                "ready.eq(~full)",
                "ready.eq(1)",
            ),
        ),
    ),
)
