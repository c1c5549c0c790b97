"""sim.proofs: some proofs hold and find their bugs; what does not hold is said to fail."""

import dataclasses

import pytest

from backspike.ir.errors import UserError
from backspike.sim.proofs import __main__ as command
from backspike.sim.proofs.bench import Bench
from backspike.sim.proofs.bus import bus_register
from backspike.sim.proofs.catalogue import PROOFS
from backspike.sim.proofs.check import check
from backspike.sim.proofs.proof import Bug, Proof, planted, sound

BY_NAME = {proof.name: proof for proof in PROOFS}
REGISTER = BY_NAME["bus-register"]
SOME = ("bus-register", "framer", "sums")
"""Proofs of three kinds; `make proofs`, which CI runs after the tests, checks all."""


@pytest.mark.parametrize("name", SOME)
def test_proof(name, tmp_path):
    """A proof holds, and every bug planted for it is found."""
    outcome = check(BY_NAME[name], tmp_path)
    assert outcome.failures == ()
    assert outcome.found == outcome.bugs > 0


def test_names_differ_and_all_have_bugs():
    """Proofs have different names, and each plants at least one bug."""
    assert len(BY_NAME) == len(PROOFS) > 10
    assert all(proof.bugs for proof in PROOFS)


def wrong_register(load) -> Bench:
    """Claims what is not so, and what cannot come."""
    bench = bus_register(load)
    device = bench.device(load("host.bus").BusRegister(2), "other").component
    bench.always(~device.o.request.valid)
    bench.possible(device.i.request.ready & ~device.i.request.ready)
    return bench


def test_failures_are_told(tmp_path, capsys, monkeypatch):
    """A claim, a cover, and a bug that does no harm, with their places."""
    harmless = Bug("a comment", "host.bus", "held, answered = Signal(), Signal()",
                   "held, answered = Signal(), Signal()  # so be it")  # fmt: skip
    wrong = dataclasses.replace(
        REGISTER, name="wrong", bench=wrong_register, bugs=(harmless,), search=4
    )
    true = dataclasses.replace(REGISTER, name="true", bugs=(harmless,), search=4)
    outcome = check(wrong, tmp_path)
    assert not outcome.passed
    holds, covers = outcome.failures[:2]
    assert holds.startswith("proof: FAIL, at test_proofs.py:")
    assert covers.startswith("cover: FAIL, at test_proofs.py:")
    monkeypatch.setattr(command, "PROOFS", (true,))
    assert command.main(["--out", str(tmp_path)]) == 3
    said = capsys.readouterr().out
    assert "planted bug not found: a comment (PASS)" in said
    assert "proofs: 0 of 1 hold; 0 of 1 planted bugs found" in said


@pytest.mark.parametrize(("old", "times"), [("no such text", 0), ("request", None)])
def test_a_bug_is_planted_once(old, times):
    """A bug whose text is not in its module exactly once is a ValueError."""
    bug = Bug("nothing", "host.bus", old, "")
    with pytest.raises(ValueError, match="must have it once"):
        planted(bug)("host.bus")
    assert times is None or times == 0


def test_every_bug_can_be_planted():
    """Its text is there, and only there."""
    for proof in PROOFS:
        for bug in proof.bugs:
            assert planted(bug)(bug.module) is not sound(bug.module)
            assert bug.new != bug.old


def test_copies_do_not_touch_the_modules():
    """Modules are loaded as copies for a proof; the imported ones stay."""
    from backspike.gen.host import bus as module

    copy = planted(REGISTER.bugs[0])("host.bus")
    assert copy.BusRegister is not module.BusRegister
    assert sound("host.bus").BusRegister is not module.BusRegister


def test_a_register_that_is_not_there():
    """A register is found by its name; an unknown name is a KeyError."""
    bench = Bench()
    inside = bench.device(sound("host.bus").BusRegister(2))
    assert len(inside["held"]) == 1
    with pytest.raises(KeyError, match="BusRegister drives no signal 'helt', or several"):
        inside["helt"]
    assert "module \\top.device" in bench.text()


def test_unknown_name():
    """A proof that does not exist is one sentence that lists the known ones, and exit code 2."""
    with pytest.raises(UserError, match="proof is 'nothing', must be one of axi-handshakes, "):
        command.main(["nothing"])


def test_list(capsys):
    """`--list` prints every proof's claim."""
    assert command.main(["--list"]) == 0
    said = capsys.readouterr().out
    for proof in PROOFS:
        assert proof.claim in said
        assert isinstance(proof, Proof)
