"""gen.clean and gen.widths: the same design, with less for lint to say."""

import pytest

from backspike.gen.clean import WAIVED, clean, waivers
from backspike.gen.widths import even_widths

MODULE = """\
module m (a, o);
  input [3:0] a;
  output o;
  wire o;
  (* init = 1'h0 *)
  wire \\seen.by.nobody ;
  wire [3:0] \\seen.by.it ;
  reg s;
  assign \\seen.by.it  = a;
  assign \\seen.by.nobody  = \\seen.by.it [0];
  assign o = ! a[3:1];
  always @* begin
    casez (a)
      4'h0:
          s = 1'h0;
    endcase
    casez (a)
      4'h0:
          s = 1'h0;
      default:
          s = 1'h1;
    endcase
  end
endmodule
"""


def test_wires_that_nobody_reads_are_left_out():
    """With what is said of them, and with those that only they read; all others stay."""
    text = clean(MODULE)
    assert "seen" not in text
    assert "init" not in text
    assert "wire o;" in text


def test_cases_get_a_default():
    """Those that have none, at their own level."""
    text = clean(MODULE)
    assert text.count("default: ;") == 1
    assert text.count("default:") == 2


def test_a_logical_operator_of_several_bits_is_a_reduction():
    """`!` of a vector says whether all bits are zero: so does `~|`."""
    assert "assign o = ~| a[3:1];" in clean(MODULE)


def widened(expression: str, result: int = 1) -> str:
    """The expression as `even_widths` writes it; a has 4 bits, b 2, c 1."""
    lines = ["module m (a, b, \\c.d );", "  input [3:0] a;", "  input [1:0] b;"]
    lines += ["  input \\c.d ;", f"  output [{result - 1}:0] o;", f"  assign o = {expression};"]
    text = even_widths("\n".join([*lines, "endmodule", ""]))
    return text.split("assign o = ")[1].split(";")[0]


@pytest.mark.parametrize(
    ("expression", "result", "want"),
    [
        ("a == 2'h3", 1, "a == 4'h3"),
        ("b < a", 1, "{ 2'h0, b } < a"),
        ("a >= a", 1, "a >= a"),
        ("a[3:1] != { b, \\c.d  }", 1, "a[3:1] != { b, \\c.d  }"),
        ("a + \\c.d ", 5, "a + { 3'h0, \\c.d  }"),
        ("a + a", 5, "a + a"),
        ("a + a", 6, "{ 2'h0, a } + { 2'h0, a }"),
        ("b << a", 4, "{ 2'h0, b } << a"),
        ("a >> b", 1, "a >> b"),
        ("$signed(a) + $signed(b)", 5, "$signed(a) + $signed({ { 2{b[1]} }, b })"),
        ("$signed(a[2:1]) == $signed(a)", 1, "$signed({ { 2{a[2]} }, a[2:1] }) == $signed(a)"),
        ("a == { 2{b} }", 1, "a == { 2{b} }"),
        ("unknown == a", 1, "unknown == a"),
        ("a == 2'h3 ? a : b", 1, "a == 2'h3 ? a : b"),
    ],
)
def test_operands_get_equal_widths(expression, result, want):
    """The narrower operand is extended, with zeros or with its sign; what is not known stays."""
    assert widened(expression, result) == want


def test_waivers_name_the_file_and_say_why():
    """Every rule that is waived is waived for one file, after its reason."""
    lines = waivers("backspike_tiny").splitlines()
    assert lines[0] == "`verilator_config"
    assert len(lines) == 1 + 2 * len(WAIVED)
    assert all(line.startswith("// ") for line in lines[1::2])
    assert all('-file "*backspike_tiny.v"' in line for line in lines[2::2])
