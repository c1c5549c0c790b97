"""The host port, and the registers on its bus's way."""

from amaranth.hdl import Signal, Value

from backspike.sim.proofs.bench import Bench
from backspike.sim.proofs.proof import Bug, Load, Proof


def relay(load: Load) -> Bench:
    """Requests and responses pass in order, none lost, doubled or changed."""
    bench = Bench()
    device = bench.device(load("host.relay").Relay(2), wired=())
    relay = device.component
    bench.kept(relay.i.request, given=True)
    bench.kept(relay.o.request)
    m = bench.module
    came = relay.i.request.valid & relay.i.request.ready
    left = relay.o.request.valid & relay.o.request.ready
    inside = bench.count(came, left, 1, "inside")
    bench.always(relay.o.request.valid == (inside != 0))
    held = Signal.like(Value.cast(relay.i.request.payload), name="held_payload")
    with m.If(came):
        m.d.sync += held.eq(relay.i.request.payload)
    bench.always((inside == 0) | (Value.cast(relay.o.request.payload) == held))
    answer = bench.past(relay.o.response.payload, "answer")
    bench.always(relay.i.response.valid == bench.past(relay.o.response.valid, "answered"))
    bench.always(~relay.i.response.valid | (Value.cast(relay.i.response.payload) == answer))
    bench.always(relay.o.response.ready)
    bench.possible(left & relay.o.request.payload.write)
    bench.possible(relay.i.response.valid & relay.i.response.payload.error)
    return bench


PROOFS = (
    Proof(
        name="relay",
        claim="the bus's relay hands on each request and each response once, in order, unchanged",
        bench=relay,
        depth=3,
        search=8,
        bugs=(
            Bug(
                "a request that comes while another waits takes its place",
                "host.relay",
                "self.i.request.ready.eq(~held)",
                "self.i.request.ready.eq(1)",
            ),
            Bug(
                "a request that is not taken is dropped",
                "host.relay",
                "held.eq(~self.o.request.ready)",
                "held.eq(0)",
            ),
        ),
    ),
)
