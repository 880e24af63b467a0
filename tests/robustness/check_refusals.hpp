// SPDX-License-Identifier: MIT
#pragma once
#include "refusals_e_step.hpp"
#include "refusals_m_step.hpp"
#include "refusals_run.hpp"

#include <doctest/doctest.h>

#include <exception>
#include <string>
#include <typeinfo>

namespace robustness {

/// Every case of every function.
template <class B>
refusals<B> all_refusals() {
    refusals<B> out;
    for (const auto& part : {core_refusals<B>(), kmeans_refusals<B>(), assignment_refusals<B>(), info_nce_refusals<B>(),
                             two_view_refusals<B>(), proto_nce_refusals<B>(), m_step_refusals<B>(),
                             momentum_refusals<B>(), objective_refusals<B>(), metrics_refusals<B>()}) {
        out.insert(out.end(), part.begin(), part.end());
    }
    return out;
}

/// The exception of a call, its exact type, and its text.
template <class B>
std::string thrown_by(const refusal<B>& one, world<B>& w, kind& exception) {
    try {
        one.call(w);
    } catch (const shape_error& error) {
        exception = kind::shape;
        return error.what();
    } catch (const argument_error& error) {
        exception = kind::argument;
        return error.what();
    } catch (const backend_error& error) {
        exception = kind::backend;
        return error.what();
    } catch (const std::exception& error) {
        return std::string("an exception of another type: ") + typeid(error).name() + ": " + error.what();
    }
    return "no exception";
}

/// One bad call: type and text of its exception, and that it changed nothing.
template <class B>
void check_refusal(const refusal<B>& one, world<B>& w, const std::string& state) {
    kind exception{};
    const std::string text = thrown_by(one, w, exception);
    INFO(std::string(one.function), ": ", std::string(one.argument), ", given ", std::string(one.given),
         "; the text: ", text);
    const std::string begin = std::string(one.function) + ": " + std::string(one.argument) + ": ";
    REQUIRE(text.compare(0, begin.size(), begin) == 0);
    CHECK(exception == one.exception);
    if (one.exception == kind::backend) {
        CHECK(text.find(one.given, begin.size()) != std::string::npos);
    } else {
        // Needed, then given: both are there.
        const std::size_t got = text.rfind("; got ");
        REQUIRE(got != std::string::npos);
        CHECK(got > begin.size());
        CHECK(text.find(one.given, got) != std::string::npos);
    }
    CHECK(w.outputs_untouched());
    CHECK(w.state() == state);
}

template <class B>
void check_all_refusals() {
    const auto cases = all_refusals<B>();
    REQUIRE(cases.size() >= 100);
    world<B> w;
    const std::string state = w.state();
    for (const auto& one : cases) {
        check_refusal(one, w, state);
    }
    // The poison was really laid out: most cases have an output.
    CHECK(w.values.num_outputs() + w.doubles.num_outputs() + w.labels.num_outputs() + w.indices.num_outputs() >= 100);
}

} // namespace robustness
