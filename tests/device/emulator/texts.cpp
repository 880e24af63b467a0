// SPDX-License-Identifier: MIT
#include <device/emulator/block.hpp>

namespace emulator::detail {
namespace {

const char* name(fault_kind kind) {
    switch (kind) {
    case fault_kind::launch:
        return "launch";
    case fault_kind::divergent_barrier:
        return "divergent barrier";
    case fault_kind::divergent_warp:
        return "divergent warp";
    case fault_kind::shuffle:
        return "shuffle";
    case fault_kind::copy:
        return "copy";
    case fault_kind::unwaited_copies:
        return "unwaited copies";
    case fault_kind::barrier:
        return "barrier";
    case fault_kind::stuck:
        return "stuck";
    case fault_kind::product:
        return "product";
    case fault_kind::out_of_bounds:
        return "out of bounds";
    }
    return "";
}

} // namespace

std::string describe(fault_kind kind, int thread) {
    std::string out = std::string(name(kind)) + ": block (" + std::to_string(here.block_x) + ", " +
                      std::to_string(here.block_y) + "), ";
    return out + (thread < 0 ? "no thread in particular: " : "thread " + std::to_string(thread) + ": ");
}

std::string describe(const visit& visit) {
    const char* at = "";
    switch (visit.at) {
    case stop::block:
        at = "sync_block()";
        break;
    case stop::warp:
        at = "sync_warp()";
        break;
    case stop::shuffle:
        at = "shuffle_xor()";
        break;
    case stop::multiply_tf32:
        at = "multiply_add_tf32()";
        break;
    case stop::multiply_f16:
        at = "multiply_add_f16()";
        break;
    case stop::barrier:
        at = "wait_barrier()";
        break;
    case stop::begin_product:
        at = "begin_product()";
        break;
    case stop::wait_products:
        at = "wait_products()";
        break;
    default:
        return "has ended";
    }
    const std::string file = visit.site.file;
    return std::string("waits at ") + at + ", " + file.substr(file.find_last_of('/') + 1) + ":" +
           std::to_string(visit.site.line);
}

} // namespace emulator::detail
