// Drives a Verilated model with ports clk, rst, rx and tx from compiled code: bytes go in and out
// of its serial line, bit for bit.
//
// The model's class is VTop (verilator --prefix VTop). With -DLIGHTS it has ports alive and error,
// too.

#include <cstdint>
#include <deque>

#include "VTop.h"
#include "verilated.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// Made before the model, which takes its first values from it.
struct Context : VerilatedContext {
    explicit Context(int seed) {
        fatalOnError(false);  // what a model complains of is Python's to say
        const char* arguments[] = {"model", "+random"};
        commandArgs(seed ? 2 : 1, arguments);
        randSeed(seed);
    }
};

struct Line {
    Context context;
    VTop top;
    double period;  // cycles a bit, of the other end's clock
    uint64_t cycles = 0;

    std::deque<uint8_t> queue;
    unsigned sending = 0;  // bits left of the byte on its way in
    unsigned shift = 0;
    double next_bit = 0;

    unsigned receiving = 0;  // samples left of the byte on its way out
    unsigned got = 0;
    double next_sample = 0;

    Line(double period, int seed) : context(seed), top(&context), period(period) { top.rx = 1; }

    void cycle() {
        top.clk = 0;
        top.eval();
        top.clk = 1;
        top.eval();
        ++cycles;
    }

    void drive() {
        if (cycles < next_bit) return;
        if (sending == 0) {
            if (queue.empty()) {
                next_bit = 0;
                return;
            }
            shift = 0x200u | queue.front() << 1;
            queue.pop_front();
            sending = 10;
            if (next_bit == 0) next_bit = cycles;
        }
        top.rx = shift & 1;
        shift >>= 1;
        --sending;
        next_bit += period;
    }

    // Whether a byte has come whole.
    bool sample() {
        if (receiving == 0) {
            if (top.tx) return false;
            receiving = 9;
            next_sample = cycles + 1.5 * period;
        } else if (cycles >= next_sample) {
            --receiving;
            next_sample += period;
            if (receiving == 0) return true;
            got = got >> 1 | (top.tx ? 0x80u : 0u);
        }
        return false;
    }
};

}  // namespace

// seed: of a random state before the reset, where the model allows for one; 0: as initialised.
EXPORT Line* uart_create(double period, int seed) {
    auto* line = new Line(period, seed);
    line->top.rst = 1;
    line->cycle();
    line->cycle();
    line->top.rst = 0;
    return line;
}

EXPORT void uart_destroy(Line* line) {
    line->top.final();
    delete line;
}

EXPORT void uart_reset(Line* line, uint64_t cycles) {
    line->top.rst = 1;
    while (cycles--) line->cycle();
    line->top.rst = 0;
}

EXPORT void uart_send(Line* line, const uint8_t* data, uint64_t n) {
    line->queue.insert(line->queue.end(), data, data + n);
}

// Whether nothing is on its way in.
EXPORT int uart_idle(const Line* line) { return line->queue.empty() && line->sending == 0; }

// Whether the model has stopped itself.
EXPORT int uart_stopped(const Line* line) { return line->context.gotError(); }

EXPORT uint64_t uart_cycles(const Line* line) { return line->cycles; }

#ifdef LIGHTS
// alive in bit 0, error in bit 1.
EXPORT unsigned uart_lights(const Line* line) { return line->top.alive | line->top.error << 1; }
#endif

// Runs so many cycles, or until `room` bytes have come; returns how many have.
EXPORT uint64_t uart_run(Line* line, uint64_t cycles, uint8_t* data, uint64_t room) {
    uint64_t count = 0;
    while (cycles-- && count < room) {
        line->drive();
        line->cycle();
        if (line->sample()) data[count++] = line->got;
    }
    return count;
}
