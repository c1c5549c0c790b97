// iCE40: buffers of pins, as far as they are used: without registers.

module SB_IO #(
    parameter [5:0] PIN_TYPE = 0,
    parameter [0:0] PULLUP = 0,
    parameter IO_STANDARD = "SB_LVCMOS"
) (
    inout PACKAGE_PIN,
    input OUTPUT_ENABLE, D_OUT_0, CLOCK_ENABLE,
    output D_IN_0
);
    if (PIN_TYPE[1:0] != 2'b01)
        $fatal(1, "SB_IO: only inputs without register or latch are modelled");
    if (PIN_TYPE[5:2] == 4'b1010)
        assign PACKAGE_PIN = OUTPUT_ENABLE ? D_OUT_0 : 1'bz;
    else if (PIN_TYPE[5:2] != 4'b0000)
        $fatal(1, "SB_IO: only outputs with an enable and without registers are modelled");
    assign D_IN_0 = PACKAGE_PIN;
endmodule
