// Gowin: the PLL. Time is that of its input: the output is the input, whatever the dividers.

module rPLL #(
    parameter FCLKIN = "100.0", DEVICE = "GW1N-1", CLKFB_SEL = "internal",
    parameter IDIV_SEL = 0, FBDIV_SEL = 0, ODIV_SEL = 8,
    parameter DYN_IDIV_SEL = "false", DYN_FBDIV_SEL = "false", DYN_ODIV_SEL = "false"
) (
    input CLKIN, CLKFB, RESET, RESET_P,
    input [5:0] FBDSEL, IDSEL, ODSEL,
    input [3:0] PSDA, DUTYDA, FDLY,
    output CLKOUT, LOCK
);
    localparam CYCLES = 100;  // until it locks

    if (CLKFB_SEL != "internal" || DYN_IDIV_SEL != "false" || DYN_FBDIV_SEL != "false" ||
        DYN_ODIV_SEL != "false")
        $fatal(1, "rPLL: only internal feedback and fixed dividers are modelled");

    reg [6:0] count = 0;
    assign CLKOUT = CLKIN;
    assign LOCK = count == CYCLES;
    always @(posedge CLKIN)
        if (RESET | RESET_P) count <= 0;
        else if (!LOCK) count <= count + 1;
endmodule
