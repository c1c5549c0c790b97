"""The register on the host port's bus."""

from amaranth.hdl import Signal, Value

from backspike.sim.proofs.bench import Bench
from backspike.sim.proofs.proof import Bug, Load, Proof


def bus_register(load: Load) -> Bench:
    """Requests and responses pass in order, none lost, doubled or changed."""
    bench = Bench()
    device = bench.device(load("host.bus").BusRegister(2), wired=())
    register = device.component
    bench.kept(register.i.request, given=True)
    bench.kept(register.o.request)
    m = bench.module
    came = register.i.request.valid & register.i.request.ready
    left = register.o.request.valid & register.o.request.ready
    inside = bench.count(came, left, 1, "inside")
    bench.always(register.o.request.valid == (inside != 0))
    held = Signal.like(Value.cast(register.i.request.payload), name="held_payload")
    with m.If(came):
        m.d.sync += held.eq(register.i.request.payload)
    bench.always((inside == 0) | (Value.cast(register.o.request.payload) == held))
    answer = bench.past(register.o.response.payload, "answer")
    bench.always(register.i.response.valid == bench.past(register.o.response.valid, "answered"))
    bench.always(~register.i.response.valid | (Value.cast(register.i.response.payload) == answer))
    bench.always(register.o.response.ready)
    bench.possible(left & register.o.request.payload.write)
    bench.possible(register.i.response.valid & register.i.response.payload.error)
    return bench


PROOFS = (
    Proof(
        name="bus-register",
        claim="the bus's register passes each request and response on once, in order, unchanged",
        bench=bus_register,
        depth=3,
        search=8,
        bugs=(
            Bug(
                "a request that comes while another waits takes its place",
                "host.bus",
                "self.i.request.ready.eq(~held)",
                "self.i.request.ready.eq(1)",
            ),
            Bug(
                "a request that is not taken is dropped",
                "host.bus",
                "held.eq(~self.o.request.ready)",
                "held.eq(0)",
            ),
        ),
    ),
)
