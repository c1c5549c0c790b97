// ECP5: the PLL, and what spreads a net. Time is that of the PLL's input: both outputs are the
// input, whatever the dividers.

module EHXPLLL #(
    parameter CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 8, CLKOS_DIV = 8,
    parameter CLKOS2_DIV = 8, CLKOS3_DIV = 8,
    parameter CLKOP_ENABLE = "ENABLED", CLKOS_ENABLE = "DISABLED",
    parameter CLKOS2_ENABLE = "DISABLED", CLKOS3_ENABLE = "DISABLED",
    parameter CLKOP_CPHASE = 0, CLKOS_CPHASE = 0, CLKOP_FPHASE = 0, CLKOS_FPHASE = 0,
    parameter FEEDBK_PATH = "CLKOP"
) (
    input CLKI, CLKFB, RST, STDBY, PLLWAKESYNC, ENCLKOP, ENCLKOS,
    input PHASESEL1, PHASESEL0, PHASEDIR, PHASESTEP, PHASELOADREG,
    output CLKOP, CLKOS, LOCK
);
    localparam CYCLES = 100;  // until it locks

    if (FEEDBK_PATH != "CLKOP" || CLKOP_ENABLE != "ENABLED" || CLKOS_ENABLE != "ENABLED" ||
        CLKOS2_ENABLE != "DISABLED" || CLKOS3_ENABLE != "DISABLED")
        $fatal(1, "EHXPLLL: only CLKOP fed back and CLKOS beside it are modelled");

    reg [6:0] count = 0;
    assign CLKOP = CLKI;
    assign CLKOS = CLKI;
    assign LOCK = count == CYCLES;
    always @(posedge CLKI)
        if (RST | STDBY) count <= 0;
        else if (!LOCK) count <= count + 1;
endmodule

module DCCA (
    input CLKI, CE,
    output CLKO
);
    assign CLKO = CLKI;
    always @(posedge CLKI)
        if (!CE) $fatal(1, "DCCA: CE is low, only a buffer that is on is modelled");
endmodule
