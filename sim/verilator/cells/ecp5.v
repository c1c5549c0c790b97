// The cells of Lattice's ECP5 that Yosys brings no behaviour of, block RAM and multiplier, and pins
// as Verilator likes them: it takes Yosys' for drivers of a top's inputs.
//
// They are modelled as far as Yosys uses them. Whatever else is asked for stops the simulation with
// a message: as it is built if a parameter asks, as it runs if a signal does. Sources: Lattice,
// FPGA-TN-02204 (memory) and FPGA-TN-02205 (sysDSP); Project Trellis for what a memory begins with.

// 2048 bytes of nine bits behind two ports of one clock.
//
// A port of 18 or 36 bits takes two or four bytes at once, and the lowest bits of its address, of
// which it has no other use, enable each byte for writing. One of 1, 2 or 4 bits leaves the ninth
// bit of a byte alone, and the lowest bits of its address choose among the other eight. If a port
// is 36 bits wide, A writes and B reads; B's pins then carry the word's upper half.
//
// An output begins at zero. In a cycle in which its port reads, it becomes what is there; in one in
// which its port writes, it stays (NORMAL), or becomes what is written (WRITETHROUGH) or what was
// there before (READBEFOREWRITE). What a port reads where the other one writes is undefined: here it
// is the inverse of what is written, so that nobody can live on it.
module DP16KD (
  input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
    DIA4, DIA3, DIA2, DIA1, DIA0,
  input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
  input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
    DOA4, DOA3, DOA2, DOA1, DOA0,
  input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
    DIB4, DIB3, DIB2, DIB1, DIB0,
  input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
  input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
    DOB4, DOB3, DOB2, DOB1, DOB0
);
  parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18;
  parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
  parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG";
  parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000";
  parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB";
  parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC";
  parameter GSR = "ENABLED";  // says what the cell GSR does, which has no model: there is none
  parameter WID = 0, INIT_DATA = "STATIC";  // about a bitstream's making
  // Sixteen words of two bytes each, in steps of twenty bits.
  parameter [319:0] INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0, INITVAL_04 =
    0, INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0, INITVAL_08 = 0, INITVAL_09 = 0, INITVAL_0A
    = 0, INITVAL_0B = 0, INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0, INITVAL_0F = 0,
    INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0, INITVAL_14 = 0, INITVAL_15 =
    0, INITVAL_16 = 0, INITVAL_17 = 0, INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B
    = 0, INITVAL_1C = 0, INITVAL_1D = 0, INITVAL_1E = 0, INITVAL_1F = 0, INITVAL_20 = 0,
    INITVAL_21 = 0, INITVAL_22 = 0, INITVAL_23 = 0, INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 =
    0, INITVAL_27 = 0, INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0, INITVAL_2C
    = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0, INITVAL_30 = 0, INITVAL_31 = 0,
    INITVAL_32 = 0, INITVAL_33 = 0, INITVAL_34 = 0, INITVAL_35 = 0, INITVAL_36 = 0, INITVAL_37 =
    0, INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0, INITVAL_3C = 0, INITVAL_3D
    = 0, INITVAL_3E = 0, INITVAL_3F = 0;

  localparam PSEUDO = DATA_WIDTH_A == 36 || DATA_WIDTH_B == 36;  // A writes, B reads
  // The codes of the characters 0 and 1 differ in the lowest bit.
  localparam [39:0] CODE_A = CSDECODE_A, CODE_B = CSDECODE_B;
  localparam [2:0] SELECT_A = {CODE_A[16], CODE_A[8], CODE_A[0]};
  localparam [2:0] SELECT_B = {CODE_B[16], CODE_B[8], CODE_B[0]};

  function known_width(input integer width);
    case (width)
      1, 2, 4, 9, 18, 36: known_width = 1;
      default: known_width = 0;
    endcase
  endfunction

  // What is written can be read before by whole bytes only.
  function known_mode(input [119:0] mode, input integer width);
    known_mode = mode == "NORMAL" || mode == "WRITETHROUGH"
        || (mode == "READBEFOREWRITE" && width >= 9);
  endfunction

  function known_code(input [39:0] code);
    known_code = (code & ~40'h010101) == "0b000";
  endfunction

  generate
    if (!known_width(DATA_WIDTH_A))
      $error("DP16KD: DATA_WIDTH_A is %0d: 1, 2, 4, 9, 18 and 36 are modelled", DATA_WIDTH_A);
    if (!known_width(DATA_WIDTH_B))
      $error("DP16KD: DATA_WIDTH_B is %0d: 1, 2, 4, 9, 18 and 36 are modelled", DATA_WIDTH_B);
    if (!known_mode(WRITEMODE_A, DATA_WIDTH_A))
      $error("DP16KD: WRITEMODE_A is %0s for %0d bits: not modelled", WRITEMODE_A, DATA_WIDTH_A);
    if (!known_mode(WRITEMODE_B, DATA_WIDTH_B))
      $error("DP16KD: WRITEMODE_B is %0s for %0d bits: not modelled", WRITEMODE_B, DATA_WIDTH_B);
    if (REGMODE_A != "NOREG") $error("DP16KD: REGMODE_A is %0s: NOREG is modelled", REGMODE_A);
    if (REGMODE_B != "NOREG") $error("DP16KD: REGMODE_B is %0s: NOREG is modelled", REGMODE_B);
    if (!known_code(CODE_A)) $error("DP16KD: CSDECODE_A is %0s: 0b000 to 0b111 are", CSDECODE_A);
    if (!known_code(CODE_B)) $error("DP16KD: CSDECODE_B is %0s: 0b000 to 0b111 are", CSDECODE_B);
    if (CLKAMUX != "CLKA") $error("DP16KD: CLKAMUX is %0s: CLKA is modelled", CLKAMUX);
    if (CLKBMUX != "CLKB") $error("DP16KD: CLKBMUX is %0s: CLKB is modelled", CLKBMUX);
    if (RESETMODE != "SYNC" && RESETMODE != "ASYNC")
      $error("DP16KD: RESETMODE is %0s: SYNC and ASYNC are modelled", RESETMODE);
    if (ASYNC_RESET_RELEASE != RESETMODE)
      $error("DP16KD: ASYNC_RESET_RELEASE is %0s: RESETMODE's is modelled", ASYNC_RESET_RELEASE);
  endgenerate

  wire [17:0] di_a = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7,
    DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
  wire [13:0] ad_a = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2,
    ADA1, ADA0};
  wire [17:0] di_b = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7,
    DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
  wire [13:0] ad_b = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2,
    ADB1, ADB0};
  wire [35:0] word_a = {DATA_WIDTH_A == 36 ? di_b : 18'b0, di_a};
  wire [35:0] word_b = {18'b0, di_b};
  wire on_a = CEA && {CSA2, CSA1, CSA0} == SELECT_A;
  wire on_b = CEB && {CSB2, CSB1, CSB0} == SELECT_B;
  wire write_a = on_a && WEA;
  wire write_b = on_b && WEB;

  reg [8:0] bytes[0:2047];
  localparam [64*320-1:0] INITS = {INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B,
    INITVAL_3A, INITVAL_39, INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34,
    INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D,
    INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26,
    INITVAL_25, INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F,
    INITVAL_1E, INITVAL_1D, INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18,
    INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11,
    INITVAL_10, INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A,
    INITVAL_09, INITVAL_08, INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03,
    INITVAL_02, INITVAL_01, INITVAL_00};
  integer n;
  initial
    for (n = 0; n < 1024; n = n + 1)
      {bytes[2 * n + 1], bytes[2 * n]} = INITS[n * 20 +: 18];

  // A port's word lies in four bytes from the first one on, shifted by some bits.

  function [10:0] first(input integer width, input [13:0] address);
    case (width)
      18: first = {address[13:4], 1'b0};
      36: first = {address[13:5], 2'b0};
      default: first = address[13:3];
    endcase
  endfunction

  function [2:0] shift(input integer width, input [13:0] address);
    case (width)
      1: shift = address[2:0];
      2: shift = {address[2:1], 1'b0};
      4: shift = {address[2], 2'b0};
      default: shift = 0;
    endcase
  endfunction

  // Bits of these four bytes that a write changes.
  function [35:0] mask(input integer width, input [13:0] address);
    case (width)
      18: mask = {18'b0, {9{address[1]}}, {9{address[0]}}};
      36: mask = {{9{address[3]}}, {9{address[2]}}, {9{address[1]}}, {9{address[0]}}};
      default: mask = ((36'd1 << width) - 1) << shift(width, address);
    endcase
  endfunction

  function [35:0] stored(input [10:0] at);
    stored = {bytes[at + 11'd3], bytes[at + 11'd2], bytes[at + 11'd1], bytes[at]};
  endfunction

  // Of four bytes that lie at `there`, those that are among the four at `at`.
  function [35:0] common(input [10:0] at, input [10:0] there, input [35:0] four);
    integer j, k;
    begin
      common = 0;
      for (j = 0; j < 4; j = j + 1)
        for (k = 0; k < 4; k = k + 1)
          if (at + j[10:0] == there + k[10:0]) common[9 * j +: 9] = four[9 * k +: 9];
    end
  endfunction

  wire [10:0] at_a = first(DATA_WIDTH_A, ad_a), at_b = first(DATA_WIDTH_B, ad_b);
  wire [35:0] mask_a = mask(DATA_WIDTH_A, ad_a), mask_b = mask(DATA_WIDTH_B, ad_b);
  wire [35:0] data_a = word_a << shift(DATA_WIDTH_A, ad_a);
  wire [35:0] data_b = word_b << shift(DATA_WIDTH_B, ad_b);
  wire [35:0] hit_a = write_b ? common(at_a, at_b, mask_b) : 36'b0;
  wire [35:0] hit_b = write_a ? common(at_b, at_a, mask_a) : 36'b0;

  // What a port reads, of as many bits as it has.
  function [35:0] word(input integer width, input [13:0] address, input [35:0] four);
    word = four >> shift(width, address) & ((37'd1 << width) - 1);
  endfunction

  wire [35:0] by_a = common(at_b, at_a, data_a);
  wire [35:0] seen_a = (stored(at_a) & ~hit_a) | (~common(at_a, at_b, data_b) & hit_a);
  wire [35:0] seen_b = (stored(at_b) & ~hit_b) | (~by_a & hit_b);
  wire through_a = write_a && WRITEMODE_A == "WRITETHROUGH";
  wire through_b = write_b && WRITEMODE_B == "WRITETHROUGH";
  wire [35:0] next_a = word(DATA_WIDTH_A, ad_a, through_a ? data_a : seen_a);
  wire [35:0] next_b = word(DATA_WIDTH_B, ad_b, through_b ? data_b : seen_b);
  wire turn_a = on_a && !PSEUDO && !(write_a && WRITEMODE_A == "NORMAL");
  wire turn_b = on_b && !(write_b && WRITEMODE_B == "NORMAL");

  reg [35:0] out_a = 0, out_b = 0;
  generate
    if (RESETMODE == "ASYNC") begin : resets
      always @(posedge CLKA, posedge RSTA)
        if (RSTA) out_a <= 0;
        else if (turn_a) out_a <= next_a;
      always @(posedge CLKB, posedge RSTB)
        if (RSTB) out_b <= 0;
        else if (turn_b) out_b <= next_b;
    end else begin : resets
      always @(posedge CLKA)
        if (RSTA) out_a <= 0;
        else if (turn_a) out_a <= next_a;
      always @(posedge CLKB)
        if (RSTB) out_b <= 0;
        else if (turn_b) out_b <= next_b;
    end
  endgenerate

  task write(input [10:0] at, input [35:0] old, input [35:0] data, input [35:0] where);
    integer j;
    for (j = 0; j < 4; j = j + 1)
      if (where[9 * j +: 9] != 0)
        bytes[at + j[10:0]] <=
            (old[9 * j +: 9] & ~where[9 * j +: 9]) | (data[9 * j +: 9] & where[9 * j +: 9]);
  endtask

  always @(posedge CLKA) begin
    if (write_a) write(at_a, stored(at_a), data_a, mask_a);
    // The later assignment to a byte stays, and keeps what A writes to other bits of it.
    if (write_b) write(at_b, (stored(at_b) & ~hit_b) | (by_a & hit_b), data_b, mask_b);
    if (write_a && write_b && (hit_b & mask_b) != 0) $error("DP16KD: both ports write one place");
    if (write_b && PSEUDO) $error("DP16KD: port B of a pseudo dual-port memory writes");
    if (RSTA && write_a || RSTB && write_b) $error("DP16KD: a port writes under its reset");
    if (write_a && !PSEUDO && DATA_WIDTH_A == 18 && WRITEMODE_A != "READBEFOREWRITE"
        && ad_a[1:0] != 3) $error("DP16KD: port A shows a word of which it writes a part");
    if (write_b && DATA_WIDTH_B == 18 && WRITEMODE_B != "READBEFOREWRITE" && ad_b[1:0] != 3)
      $error("DP16KD: port B shows a word of which it writes a part");
    if (on_b && CLKB != CLKA) $error("DP16KD: two clocks: one is modelled");
  end
  always @(posedge CLKB)
    if (on_b && CLKB != CLKA) $error("DP16KD: two clocks: one is modelled");

  wire [17:0] do_a = DATA_WIDTH_B == 36 ? out_b[17:0] : out_a[17:0];
  wire [17:0] do_b = DATA_WIDTH_B == 36 ? out_b[35:18] : out_b[17:0];
  assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
    DOA4, DOA3, DOA2, DOA1, DOA0} = do_a;
  assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
    DOB4, DOB3, DOB2, DOB1, DOB0} = do_b;
endmodule

// The product of two numbers of 18 bits, each signed or not, without registers.
module MULT18X18D (
  input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0,
  output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
    P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  parameter REG_INPUTA_CLK = "NONE", REG_INPUTB_CLK = "NONE", REG_INPUTC_CLK = "NONE";
  parameter REG_PIPELINE_CLK = "NONE", REG_OUTPUT_CLK = "NONE";
  parameter REG_OUTPUT_CE = "CE0", REG_OUTPUT_RST = "RST0", RESETMODE = "SYNC", GSR = "ENABLED";

  generate
    if (REG_INPUTA_CLK != "NONE" || REG_INPUTB_CLK != "NONE" || REG_INPUTC_CLK != "NONE"
        || REG_PIPELINE_CLK != "NONE")
      $error("MULT18X18D: it has registers before the product: none are modelled");
    if (REG_OUTPUT_CLK != "NONE" && (REG_OUTPUT_CLK != "CLK0" || REG_OUTPUT_CE != "CE0"
        || REG_OUTPUT_RST != "RST0" || RESETMODE != "SYNC" || GSR != "DISABLED"))
      $error("MULT18X18D: its register has another clock, enable or reset: not modelled");
  endgenerate

  // The third input goes to the next cell's pins, which there are none of here.
  wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1,
    A0};
  wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1,
    B0};
  wire signed [37:0] product =
      $signed({SIGNEDA & A17, a}) * $signed({SIGNEDB & B17, b});
  reg [35:0] register = 0;
  always @(posedge CLK0)
    if (RST0) register <= 0;
    else if (CE0) register <= product[35:0];
  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
    P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} =
    REG_OUTPUT_CLK == "NONE" ? product[35:0] : register;
  always @*
    if (SOURCEA || SOURCEB) $error("MULT18X18D: it takes another's operand: not modelled");
endmodule

// A pin that is an input, or an output with an enable, active low.
module TRELLIS_IO (inout B, input I, T, output O);
  parameter DIR = "INPUT";

  generate
    if (DIR == "INPUT") assign O = B;
    else if (DIR == "OUTPUT") begin : drives
      assign B = T ? 1'bz : I;
      assign O = 1'b0;
    end else $error("TRELLIS_IO: DIR is %0s: INPUT and OUTPUT are modelled", DIR);
  endgenerate
endmodule
