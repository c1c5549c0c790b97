// ECP5: buffers of pins, as they are before synthesis.

module IB (
    input I,
    output O
);
    assign O = I;
endmodule

module OBZ (
    input I, T,
    output O
);
    assign O = T ? 1'bz : I;
endmodule
