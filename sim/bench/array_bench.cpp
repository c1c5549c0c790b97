// Drives every port of a Verilated model from arrays, a row per cycle: testbenches of millions of
// operations. bench_ports.h, generated beside this file, lists the ports.

#include <cstdint>

#include "VTop.h"
#include "verilated.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// A port's value lies in rows of `limbs` 64-bit words, lowest first. Verilator wants no ones
// above an input's width.
template <unsigned width, typename Port>
void put(Port& port, const uint64_t* row) {
    port = static_cast<Port>(width < 64 ? *row & ((uint64_t{1} << (width % 64)) - 1) : *row);
}

template <unsigned width, std::size_t words>
void put(VlWide<words>& port, const uint64_t* row) {
    for (std::size_t n = 0; n < words; ++n) port[n] = row[n / 2] >> (n % 2 * 32);
    if constexpr (width % 32 != 0) port[words - 1] &= (uint32_t{1} << (width % 32)) - 1;
}

template <typename Port>
void get(const Port& port, uint64_t* row) {
    *row = port;
}

template <std::size_t words>
void get(const VlWide<words>& port, uint64_t* row) {
    for (std::size_t n = 0; n < (words + 1) / 2; ++n) row[n] = 0;
    for (std::size_t n = 0; n < words; ++n) row[n / 2] |= uint64_t{port[n]} << (n % 2 * 32);
}

constexpr std::size_t limbs(unsigned width) { return (width + 63) / 64; }

struct ArrayBench {
    VerilatedContext context;
    VTop top{&context};
};

}  // namespace

EXPORT void* bench_create() { return new ArrayBench; }

EXPORT void bench_destroy(void* handle) { delete static_cast<ArrayBench*>(handle); }

// In each cycle: inputs, then outputs as they are before the clock's edge.
EXPORT void bench_run(void* handle, uint64_t cycles, const uint64_t* const* in,
                     uint64_t* const* out) {
    VTop& top = static_cast<ArrayBench*>(handle)->top;
    for (uint64_t cycle = 0; cycle < cycles; ++cycle) {
        unsigned port = 0;
#define INPUT(name, width) put<width>(top.name, in[port++] + cycle * limbs(width));
#define OUTPUT(name, width)
#include "bench_ports.h"
#undef INPUT
#undef OUTPUT
        top.clk = 0;
        top.eval();
        port = 0;
#define INPUT(name, width)
#define OUTPUT(name, width) get(top.name, out[port++] + cycle * limbs(width));
#include "bench_ports.h"
#undef INPUT
#undef OUTPUT
        top.clk = 1;
        top.eval();
    }
}
