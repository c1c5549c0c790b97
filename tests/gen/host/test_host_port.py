"""gen.host.host_port: its ports, and what may be constant."""

import pytest

from backspike.gen.host.host_port import HostPort
from backspike.gen.host.registers import Field, Register, RegisterMap

MAP = RegisterMap(
    title="Two registers",
    doc="To try a host port with.",
    registers=(
        Register(
            name="machine", offset=0x00, access="ro", doc="sizes", fields=(Field("size", 4, 4, ""),)
        ),
        Register(name="count", offset=0x04, access="rw", doc="a number", width=8),
    ),
    windows=(),
    addr_width=4,
)

pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")


def test_constant_registers_are_no_ports():
    """All others are, and the bus is not."""
    port = HostPort(MAP, {"machine": {"size": 5}})
    assert set(port.signature.members) == {"axi", "lock", "count"}
    assert set(HostPort(MAP, {}).signature.members) == {"axi", "lock", "count", "machine"}


@pytest.mark.parametrize(
    ("constants", "error", "message"),
    [
        ({"count": 3}, ValueError, "constant count is rw, must be ro"),
        ({"machine": {"size": 16}}, ValueError, "machine.size is 16"),
        ({"nothing": 0}, KeyError, "no register 'nothing'"),
    ],
)
def test_wrong_constants_are_refused(constants, error, message):
    """The error names the register and the value."""
    with pytest.raises(error, match=message):
        HostPort(MAP, constants)
