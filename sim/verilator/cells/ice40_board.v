// iCE40: the PLL. Time is that of its input: the output is the input, whatever the dividers.

module SB_PLL40_PAD #(
    parameter FEEDBACK_PATH = "SIMPLE",
    parameter [3:0] DIVR = 0,
    parameter [6:0] DIVF = 0,
    parameter [2:0] DIVQ = 0, FILTER_RANGE = 0,
    parameter PLLOUT_SELECT = "GENCLK"
) (
    input PACKAGEPIN, RESETB, BYPASS,
    output PLLOUTCORE, PLLOUTGLOBAL, LOCK
);
    localparam CYCLES = 100;  // until it locks

    if (FEEDBACK_PATH != "SIMPLE" || PLLOUT_SELECT != "GENCLK")
        $fatal(1, "SB_PLL40_PAD: only the simple feedback and the plain output are modelled");

    reg [6:0] count = 0;
    assign PLLOUTCORE = PACKAGEPIN;
    assign PLLOUTGLOBAL = PACKAGEPIN;
    assign LOCK = count == CYCLES;
    always @(posedge PACKAGEPIN)
        if (!RESETB) count <= 0;
        else if (!LOCK) count <= count + 1;
endmodule
