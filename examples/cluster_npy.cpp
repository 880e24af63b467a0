// SPDX-License-Identifier: MIT
// K-means on the rows of a matrix in a .npy file; `cluster_npy --help` says how.
//
//     cluster_npy --input X.npy --clusters 100 --labels labels.npy --centroids centroids.npy
//
// Exit status: 0 done, 2 a wrong call or a file that cannot be used, 1 anything else.
#include "support/npy.hpp"

#include <protonce/backend/cpu.hpp>
#include <protonce/e_step/kmeans.hpp>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <ios>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

using namespace protonce;

namespace {

constexpr const char* usage =
    "usage: cluster_npy --input X.npy --clusters K [options]\n"
    "\n"
    "K-means on the rows of a matrix (float32 or float64, C order).\n"
    "\n"
    "  --input X.npy         the matrix, one sample per row\n"
    "  --clusters K          number of clusters\n"
    "  --iterations N        updates of the centroids, at most (20)\n"
    "  --tolerance T         stop when the squared shift of all centroids is at most T times the mean variance of a\n"
    "                        column (0: only when an assignment repeats)\n"
    "  --restarts N          runs, of which the one of least inertia is kept (1)\n"
    "  --seed S              of the random numbers (0)\n"
    "  --init WHAT           k-means++, random, or a .npy file of K x columns first centroids (k-means++)\n"
    "  --spherical           unit rows, unit centroids, nearest by inner product\n"
    "  --threads T           0: as many as OpenMP says (0)\n"
    "  --pruning on|off      leave out distances that cannot be the least; results are the same (on)\n"
    "  --memory-cap MIB      most memory that pruning may take (512)\n"
    "  --labels L.npy        where to write the cluster of each row, int32\n"
    "  --centroids C.npy     where to write the centroids, in the type of the matrix\n"
    "  --json                print one line of JSON instead of text\n"
    "  --help                print this\n";

/// A call that cannot be carried out as it stands.
struct usage_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct arguments {
    std::string input{}, labels{}, centroids{};
    std::string init = "k-means++";
    kmeans_options options{};
    cpu_options backend{};
    bool is_json = false;
    bool wants_help = false;
};

/// The whole text as a number of at least `least`.
template <class T>
T parse(std::string_view option, std::string_view text, T least) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool is_number = error == std::errc{} && end == text.data() + text.size();
    if (!is_number || !(value >= least) || !(value <= (std::numeric_limits<T>::max)())) {
        throw usage_error(std::string(option) + ": must be a number of at least " + check::text(least) + "; got '" +
                          std::string(text) + "'");
    }
    return value;
}

arguments parse_arguments(int argc, char** argv) {
    arguments out;
    for (int i = 1; i < argc; ++i) {
        const std::string_view option = argv[i];
        const auto value = [&]() -> std::string_view {
            if (i + 1 == argc) {
                throw usage_error(std::string(option) + ": must be followed by a value; got nothing");
            }
            return argv[++i];
        };
        if (option == "--input") {
            out.input = value();
        } else if (option == "--clusters") {
            out.options.num_clusters = parse<index_t>(option, value(), 1);
        } else if (option == "--iterations") {
            out.options.iterations = parse(option, value(), 0);
        } else if (option == "--tolerance") {
            out.options.tolerance = parse(option, value(), 0.0);
        } else if (option == "--restarts") {
            out.options.restarts = parse(option, value(), 1);
        } else if (option == "--seed") {
            out.options.seed = parse<std::uint64_t>(option, value(), 0);
        } else if (option == "--init") {
            out.init = value();
        } else if (option == "--spherical") {
            out.options.spherical = true;
        } else if (option == "--threads") {
            out.backend.threads = parse(option, value(), 0);
        } else if (option == "--labels") {
            out.labels = value();
        } else if (option == "--centroids") {
            out.centroids = value();
        } else if (option == "--pruning") {
            const std::string_view what = value();
            if (what != "on" && what != "off") {
                throw usage_error("--pruning: must be on or off; got '" + std::string(what) + "'");
            }
            out.backend.prune = what == "on";
        } else if (option == "--memory-cap") {
            out.backend.prune_bytes = parse<index_t>(option, value(), 0) << 20;
        } else if (option == "--json") {
            out.is_json = true;
        } else if (option == "--help" || option == "-h") {
            out.wants_help = true;
        } else {
            throw usage_error("'" + std::string(option) + "' is not an option");
        }
    }
    if (!out.wants_help && out.input.empty()) {
        throw usage_error("--input: must be given");
    }
    if (!out.wants_help && out.options.num_clusters == 0) {
        throw usage_error("--clusters: must be given");
    }
    out.options.init = out.init == "k-means++" ? kmeans_init::plus_plus
                       : out.init == "random"  ? kmeans_init::random_rows
                                               : kmeans_init::given;
    return out;
}

/// A matrix of either type, as T.
template <class T>
support::npy_matrix<T> read_as(const std::string& path) {
    if (support::read_npy_header(path).type == support::npy_name<T>()) {
        return support::read_npy<T>(path);
    }
    using other = std::conditional_t<sizeof(T) == 4, double, float>;
    const auto stored = support::read_npy<other>(path);
    support::npy_matrix<T> out{.rows = stored.rows, .cols = stored.cols};
    for (const other value : stored.values) {
        out.values.push_back(static_cast<T>(value));
    }
    return out;
}

void print(const arguments& args, index_t rows, index_t cols, const kmeans_report& report,
           const std::vector<double>& shares, double seconds, int threads) {
    const auto number = [](double value) { return check::is_finite(value) ? check::text(value) : std::string("null"); };
    const char* text =
        args.is_json ? "{\"rows\": %lld, \"cols\": %lld, \"clusters\": %lld, \"iterations\": %d, \"inertia\": %s, "
                       "\"seconds\": %s, \"seconds_init\": %s, \"threads\": %d, \"empty_reseeded\": %lld, "
                     : "%lld rows, %lld columns, %lld clusters\n%d iterations, inertia %s\n%s s, and %s s for the "
                       "first centroids, %d threads\n%lld empty clusters reseeded\n";
    std::printf(text, static_cast<long long>(rows), static_cast<long long>(cols),
                static_cast<long long>(args.options.num_clusters), report.iterations, number(report.inertia).c_str(),
                number(seconds).c_str(), number(report.init_seconds).c_str(), threads,
                static_cast<long long>(report.num_reseeded));
    const search_report& search = report.search;
    const char* how = args.is_json
                          ? "\"method\": \"%s\", \"columns_multiplied\": %lld, \"pruning_bytes\": %lld, "
                            "\"share_of_distances\": ["
                          : "search: %s, %lld columns, %lld bytes for it, %s %% of the distances computed in full\n";
    const std::string method(search.method);
    std::printf(how, method.c_str(), static_cast<long long>(search.columns), static_cast<long long>(search.bytes),
                number(100 * search.full_share).c_str());
    for (std::size_t n = 0; n < shares.size() && args.is_json; ++n) {
        std::printf("%s%.4g", n > 0 ? ", " : "", shares[n]);
    }
    std::fputs(args.is_json ? "]}\n" : "", stdout);
}

/// An output that cannot be written is found out before the work, not after it.
void check_writable(std::string_view option, const std::string& path) {
    if (!path.empty() && !std::ofstream(path, std::ios::binary | std::ios::app)) {
        throw usage_error(std::string(option) + ": must be a file that can be written; got '" + path + "'");
    }
}

template <class T>
void run(const arguments& args) {
    check_writable("--labels", args.labels);
    check_writable("--centroids", args.centroids);
    const auto matrix = support::read_npy<T>(args.input);
    support::npy_matrix<T> init;
    if (args.options.init == kmeans_init::given) {
        init = read_as<T>(args.init);
    }

    auto options = args.options;
    std::vector<double> shares; // of the distances computed in full, by search
    options.observer = {.context = &shares, .on_search = [](void* context, const search_report& search) {
                            static_cast<std::vector<double>*>(context)->push_back(search.full_share);
                        }};
    const auto start = std::chrono::steady_clock::now();
    cpu_backend<T> be(args.backend);
    clustering<cpu_backend<T>> level(be, matrix.rows, matrix.cols, args.options.num_clusters);
    const auto report = kmeans(be,
                               {.features = view_rows(matrix.values.data(), matrix.rows, matrix.cols),
                                .initial_centroids = view_rows(init.values.data(), init.rows, init.cols)},
                               options, level);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;

    if (!args.labels.empty()) {
        support::write_npy(args.labels, level.assignment().data(), {matrix.rows});
    }
    if (!args.centroids.empty()) {
        support::write_npy(args.centroids, level.centroids().data(), {args.options.num_clusters, matrix.cols});
    }
    print(args, matrix.rows, matrix.cols, report, shares, elapsed.count() - report.init_seconds, be.team().workers());
}

} // namespace

int main(int argc, char** argv) {
    try {
        const arguments args = parse_arguments(argc, argv);
        if (args.wants_help) {
            std::fputs(usage, stdout);
            return 0;
        }
        const std::string type = support::read_npy_header(args.input).type;
        if (type == support::npy_name<float>()) {
            run<float>(args);
        } else if (type == support::npy_name<double>()) {
            run<double>(args);
        } else {
            throw usage_error(args.input + ": must hold float32 or float64 (<f4, <f8); got " + type);
        }
        return 0;
    } catch (const usage_error& error) {
        std::fprintf(stderr, "cluster_npy: %s\n(cluster_npy --help lists the options)\n", error.what());
        return 2;
    } catch (const std::invalid_argument& error) { // refused by the library
        std::fprintf(stderr, "cluster_npy: %s\n", error.what());
        return 2;
    } catch (const std::runtime_error& error) { // a file
        std::fprintf(stderr, "cluster_npy: %s\n", error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "cluster_npy: %s\n", error.what());
        return 1;
    }
}
