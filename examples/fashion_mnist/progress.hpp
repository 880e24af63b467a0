// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/types.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

namespace fashion {

using protonce::index_t;

/// Seconds since construction.
class stopwatch {
public:
    double seconds() const { return std::chrono::duration<double>(clock::now() - start_).count(); }

private:
    using clock = std::chrono::steady_clock;
    clock::time_point start_ = clock::now();
};

/// "1:05" for 65 seconds.
inline std::string clock_text(double seconds) {
    const auto whole = static_cast<index_t>(seconds + 0.5);
    const std::string rest = std::to_string(whole % 60);
    return std::to_string(whole / 60) + (rest.size() == 1 ? ":0" : ":") + rest;
}

/// Bar and lines on standard error. On a terminal both; elsewhere neither, or the lines alone if they are asked for.
class progress {
public:
    explicit progress(bool wants_lines)
        : is_terminal_(isatty(STDERR_FILENO) == 1), has_lines_(wants_lines || is_terminal_) {}
    progress(const progress&) = delete;
    progress& operator=(const progress&) = delete;
    ~progress() { clear(); }

    /// Begins a piece of work of `total` equal steps.
    void begin(const std::string& what, index_t total) {
        what_ = what;
        total_ = std::max<index_t>(total, 1);
        watch_ = stopwatch{};
        last_drawn_ = -1.0;
        update(0);
    }

    /// Draws the bar anew, ten times a second at most: `[######........]  42 %  0:31, 0:43 left`.
    void update(index_t done) {
        const double spent = watch_.seconds();
        if (!is_terminal_ || (done < total_ && last_drawn_ >= 0 && spent - last_drawn_ < 0.1)) {
            return;
        }
        last_drawn_ = spent;
        constexpr index_t width = 30;
        const auto filled = static_cast<std::size_t>(width * done / total_);
        const std::string bar = std::string(filled, '#') + std::string(width - filled, '.');
        const std::string left =
            done == 0 ? std::string("-:--")
                      : clock_text(spent * static_cast<double>(total_ - done) / static_cast<double>(done));
        std::fprintf(stderr, "\r\x1b[K%-18s [%s] %3d %%  %s, %s left", what_.c_str(), bar.c_str(),
                     static_cast<int>(100 * done / total_), clock_text(spent).c_str(), left.c_str());
        std::fflush(stderr);
        is_drawn_ = true;
    }

    /// A line that stays, above the bar.
    void line(const std::string& text) {
        clear();
        if (has_lines_) {
            std::fprintf(stderr, "%s\n", text.c_str());
        }
    }

    /// Removes the bar.
    void clear() {
        if (is_drawn_) {
            std::fprintf(stderr, "\r\x1b[K");
            std::fflush(stderr);
            is_drawn_ = false;
        }
    }

private:
    bool is_terminal_;
    bool has_lines_;
    bool is_drawn_ = false;
    std::string what_{};
    index_t total_ = 1;
    stopwatch watch_{};
    double last_drawn_ = -1.0;
};

} // namespace fashion
