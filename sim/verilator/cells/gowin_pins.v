// Gowin: buffers of pins, as they are before synthesis.

module IBUF (
    input I,
    output O
);
    assign O = I;
endmodule

module TBUF (
    input I, OEN,
    output O
);
    assign O = OEN ? 1'bz : I;
endmodule
