// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/types.hpp>

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace fashion {

using protonce::index_t;

enum class training_method { pcl, moco, simclr };

inline constexpr std::string_view method_names[] = {"pcl", "moco", "simclr"};

inline std::string name_of(training_method method) {
    return std::string(method_names[static_cast<std::size_t>(method)]);
}

/// What the program was asked for on its command line.
struct program_options {
    training_method method = training_method::pcl;
    std::uint64_t seed = 0;
    int threads = 0;    // 0: as many as OpenMP says
    index_t epochs = 0; // 0: the recipe's
    index_t images = 0; // 0: the recipe's
    std::filesystem::path data = "/usr/share/datasets/fashion-mnist";
    std::filesystem::path out{}; // empty: out/fashion_mnist, and _moco or _simclr behind it
    bool is_quick = false;
    bool is_verbose = false;
    bool wants_compare = false;
    bool wants_self_check = false;
    bool wants_help = false;

    /// Folder of the results of one method.
    std::filesystem::path folder_of(training_method which) const {
        const std::string base = out.empty() ? "out/fashion_mnist" : out.string();
        return which == training_method::pcl ? base : base + "_" + name_of(which);
    }
    std::filesystem::path folder() const { return out.empty() ? folder_of(method) : out; }
};

inline constexpr std::string_view help_text = R"(usage: fashion_mnist [OPTION...]

Trains an encoder on Fashion-MNIST without its labels, and evaluates it.

  --method pcl|moco|simclr  PCL (default); MoCo: without E-step; SimCLR: NT-Xent within the batch
  --seed S                  of everything random (default 0); the same seed gives the same bits
  --threads T               0 (default): as many as OpenMP says; the results do not depend on it
  --epochs E                passes over the images (default: the recipe's)
  --images N                train on the first N images only (default: all 60000)
  --data DIR                folder of the four idx files, gz or plain
                            (default /usr/share/datasets/fashion-mnist)
  --out DIR                 results (default out/fashion_mnist, or out/fashion_mnist_<method>)
  --quick                   a run of seconds that passes through every part: no result of use
  --verbose                 a line an epoch on standard error, even where that is no terminal
  --compare                 print the results of the three methods side by side; with --out DIR
                            from DIR, DIR_moco and DIR_simclr
  --self-check              check the network's gradient against finite differences
  --help                    this text
)";

/// A command line that cannot be understood: exit status 2.
struct usage_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

namespace detail {

template <class T>
T parse_number(std::string_view option, std::string_view text, T least, T most) {
    T value{};
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (fault != std::errc{} || end != text.data() + text.size() || value < least || value > most) {
        throw usage_error(std::string(option) + " must be a whole number from " + std::to_string(least) + " to " +
                          std::to_string(most) + "; got '" + std::string(text) + "'");
    }
    return value;
}

inline training_method parse_method(std::string_view text) {
    for (std::size_t m = 0; m < std::size(method_names); ++m) {
        if (text == method_names[m]) {
            return static_cast<training_method>(m);
        }
    }
    throw usage_error("--method must be pcl, moco or simclr; got '" + std::string(text) + "'");
}

} // namespace detail

/// `--name value` and `--name=value`.
///
/// \throws usage_error  an unknown option, a missing or wrong value
inline program_options parse_options(const std::vector<std::string>& arguments) {
    program_options options;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view argument = arguments[i];
        const std::size_t equals = argument.find('=');
        const std::string_view name = argument.substr(0, equals);
        const auto flag = [&](bool& target) {
            if (equals != std::string_view::npos) {
                throw usage_error(std::string(name) + " takes no value");
            }
            target = true;
        };
        const auto value = [&]() -> std::string_view {
            if (equals != std::string_view::npos) {
                return argument.substr(equals + 1);
            }
            if (i + 1 == arguments.size()) {
                throw usage_error(std::string(name) + " needs a value");
            }
            return arguments[++i];
        };
        if (name == "--method") {
            options.method = detail::parse_method(value());
        } else if (name == "--seed") {
            options.seed = detail::parse_number<std::uint64_t>(name, value(), 0, UINT64_MAX);
        } else if (name == "--threads") {
            options.threads = detail::parse_number<int>(name, value(), 0, 1024);
        } else if (name == "--epochs") {
            options.epochs = detail::parse_number<index_t>(name, value(), 1, 10000);
        } else if (name == "--images") {
            options.images = detail::parse_number<index_t>(name, value(), 1024, 60000);
        } else if (name == "--data") {
            options.data = value();
        } else if (name == "--out") {
            options.out = value();
        } else if (name == "--quick") {
            flag(options.is_quick);
        } else if (name == "--verbose") {
            flag(options.is_verbose);
        } else if (name == "--compare") {
            flag(options.wants_compare);
        } else if (name == "--self-check") {
            flag(options.wants_self_check);
        } else if (name == "--help" || name == "-h") {
            flag(options.wants_help);
        } else {
            throw usage_error("unknown option '" + std::string(argument) + "'");
        }
    }
    return options;
}

} // namespace fashion
