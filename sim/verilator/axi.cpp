// Drives a Verilated model with ports clk, rst and s_axi_* (AXI4-Lite, 32-bit data) from compiled
// code: Python asks for blocks of words and numbers of cycles, never for a single cycle.
//
// The model's class is VTop (verilator --prefix VTop). A cycle is two evaluations: one with the
// clock low, in which the inputs settle and handshakes are read, one with the clock high.
// All functions that may fail return a Status.

#include <cstdint>
#include <memory>
#include <string>

#include "VTop.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

#define AXI(name) s_axi_##name
#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

enum Status : int {
    OKAY = 0,
    // 1, 2 and 3 are AXI's responses.
    TIMEOUT = 4,   // wait: the value did not come
    SILENT = 5,    // the subordinate did not move for PATIENCE cycles; only a reset helps
    NO_TRACE = 6,  // the model was built without tracing, or the file cannot be written
};

// Cycles without any handshake after which a block is given up.
constexpr uint64_t PATIENCE = 100000;

// One channel's readiness to go on, randomly withheld. xorshift32, Marsaglia 2003.
struct Stalls {
    uint32_t state = 1;
    uint32_t threshold = 0;  // in 2^-32: 0 never stalls

    bool go() {
        if (threshold == 0) return true;
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        return state >= threshold;
    }
};

struct Simulator {
    // Declared first, destroyed last: the model refers to it.
    VerilatedContext context;
    VTop top{&context, "top"};
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> vcd;
#endif
    uint64_t cycles = 0;
    bool silent = false;
    Stalls aw, w, b, ar, r;

    // First half of a cycle: afterwards the outputs are those of the inputs given.
    void settle() {
        top.clk = 0;
        top.eval();
#if VM_TRACE
        if (vcd) vcd->dump(cycles * 10);
#endif
    }

    // Second half: the clock's edge. Inputs change only after it.
    void edge() {
        top.clk = 1;
        top.eval();
#if VM_TRACE
        if (vcd) vcd->dump(cycles * 10 + 5);
#endif
        ++cycles;
    }

    void idle() {
        top.AXI(awvalid) = top.AXI(wvalid) = top.AXI(arvalid) = 0;
        top.AXI(bready) = top.AXI(rready) = 0;
    }

    void run(uint64_t n) {
        for (; n; --n) {
            settle();
            edge();
        }
    }

    void reset(uint64_t n) {
        idle();
        top.AXI(awprot) = top.AXI(arprot) = 0;
        top.AXI(wstrb) = 0xF;
        top.rst = 1;
        run(n);
        top.rst = 0;
        silent = false;
    }

    // Both blocks: after a refusal nothing new is begun, what was begun is finished.
    // `done` counts the words before the first refusal.

    int write(uint32_t address, const uint32_t* data, uint64_t n, uint32_t stride, uint64_t& done) {
        uint64_t addressed = 0, sent = 0, answered = 0, waited = 0;
        int status = OKAY;
        done = 0;
        if (silent) return SILENT;
        while (answered < n) {
            if (!top.AXI(awvalid) && addressed < n && aw.go()) {
                top.AXI(awvalid) = 1;
                top.AXI(awaddr) = address + addressed * stride;
            }
            if (!top.AXI(wvalid) && sent < n && w.go()) {
                top.AXI(wvalid) = 1;
                top.AXI(wdata) = data[sent];
            }
            top.AXI(bready) = b.go();
            settle();
            const bool aw_moves = top.AXI(awvalid) && top.AXI(awready);
            const bool w_moves = top.AXI(wvalid) && top.AXI(wready);
            const bool b_moves = top.AXI(bvalid) && top.AXI(bready);
            const int response = top.AXI(bresp);
            edge();
            if (aw_moves) top.AXI(awvalid) = 0, ++addressed;
            if (w_moves) top.AXI(wvalid) = 0, ++sent;
            if (b_moves) {
                ++answered;
                if (status == OKAY && response == OKAY) ++done;
                if (status == OKAY && response != OKAY) {
                    status = response;
                    // What one channel has shown already the other must follow.
                    const uint64_t begun_a = addressed + top.AXI(awvalid);
                    const uint64_t begun_w = sent + top.AXI(wvalid);
                    n = begun_a > begun_w ? begun_a : begun_w;
                }
            }
            waited = aw_moves || w_moves || b_moves ? 0 : waited + 1;
            if (waited > PATIENCE) return give_up();
        }
        idle();
        return status;
    }

    int read(uint32_t address, uint32_t* data, uint64_t n, uint32_t stride, uint64_t& done) {
        uint64_t addressed = 0, answered = 0, waited = 0;
        int status = OKAY;
        done = 0;
        if (silent) return SILENT;
        while (answered < n) {
            if (!top.AXI(arvalid) && addressed < n && ar.go()) {
                top.AXI(arvalid) = 1;
                top.AXI(araddr) = address + addressed * stride;
            }
            top.AXI(rready) = r.go();
            settle();
            const bool ar_moves = top.AXI(arvalid) && top.AXI(arready);
            const bool r_moves = top.AXI(rvalid) && top.AXI(rready);
            const int response = top.AXI(rresp);
            const uint32_t word = top.AXI(rdata);
            edge();
            if (ar_moves) top.AXI(arvalid) = 0, ++addressed;
            if (r_moves) {
                data[answered++] = word;
                if (status == OKAY && response == OKAY) ++done;
                if (status == OKAY && response != OKAY) {
                    status = response;
                    n = addressed + top.AXI(arvalid);
                }
            }
            waited = ar_moves || r_moves ? 0 : waited + 1;
            if (waited > PATIENCE) return give_up();
        }
        idle();
        return status;
    }

    int give_up() {
        idle();
        silent = true;
        return SILENT;
    }

    int wait(uint32_t address, uint32_t mask, uint32_t value, uint64_t interval, uint64_t limit,
             uint32_t& seen) {
        const uint64_t end = cycles + limit;
        for (;;) {
            uint64_t done;
            const int status = read(address, &seen, 1, 0, done);
            if (status != OKAY) return status;
            if ((seen & mask) == value) return OKAY;
            if (cycles >= end) return TIMEOUT;
            run(interval < end - cycles ? interval : end - cycles);
        }
    }

    ~Simulator() { top.final(); }
};

}  // namespace

EXPORT Simulator* sim_create() {
    auto* simulator = new Simulator;
#if VM_TRACE
    simulator->context.traceEverOn(true);
#endif
    simulator->reset(0);
    return simulator;
}

EXPORT void sim_destroy(Simulator* s) { delete s; }

EXPORT void sim_reset(Simulator* s, uint64_t cycles) { s->reset(cycles); }

EXPORT void sim_run(Simulator* s, uint64_t cycles) { s->run(cycles); }

// The bare loop that the driver's speed is measured against.
EXPORT void sim_bare(Simulator* s, uint64_t cycles) {
    VTop& top = s->top;
    for (uint64_t i = 0; i < cycles; ++i) {
        top.clk = 0;
        top.eval();
        top.clk = 1;
        top.eval();
    }
    s->cycles += cycles;
}

EXPORT uint64_t sim_cycles(const Simulator* s) { return s->cycles; }

// stride: bytes from one word's address to the next, 0 for one address. done: words before the
// first refusal.
EXPORT int sim_write(Simulator* s, uint32_t address, const uint32_t* data, uint64_t n,
                     uint32_t stride, uint64_t* done) {
    return s->write(address, data, n, stride, *done);
}

EXPORT int sim_read(Simulator* s, uint32_t address, uint32_t* data, uint64_t n, uint32_t stride,
                    uint64_t* done) {
    return s->read(address, data, n, stride, *done);
}

// Reads a word, every `interval` cycles, until word & mask = value; seen: the last word read.
EXPORT int sim_wait(Simulator* s, uint32_t address, uint32_t mask, uint32_t value,
                    uint64_t interval, uint64_t limit, uint32_t* seen) {
    return s->wait(address, mask, value, interval, limit, *seen);
}

// Each channel holds back a cycle with this probability (in 2^-32).
EXPORT void sim_stall(Simulator* s, uint32_t probability, uint32_t seed) {
    uint32_t state = seed;
    for (Stalls* channel : {&s->aw, &s->w, &s->b, &s->ar, &s->r}) {
        // splitmix32 apart, and never 0, where xorshift stays.
        state += 0x9E3779B9u;
        uint32_t z = (state ^ (state >> 16)) * 0x21F0AAADu;
        z = (z ^ (z >> 15)) * 0x735A2D97u;
        channel->state = (z ^ (z >> 15)) | 1u;
        channel->threshold = probability;
    }
}

EXPORT int sim_trace(Simulator* s, const char* path) {
#if VM_TRACE
    if (s->vcd) s->vcd->close();
    s->vcd.reset();
    if (!path) return OKAY;
    s->vcd = std::make_unique<VerilatedVcdC>();
    s->top.trace(s->vcd.get(), 99);
    s->vcd->open(path);
    if (s->vcd->isOpen()) return OKAY;
    s->vcd.reset();
#endif
    return path ? NO_TRACE : OKAY;
}
