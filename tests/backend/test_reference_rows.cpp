// SPDX-License-Identifier: MIT
#include <protonce/backend/reference.hpp>

#include <support/counting_resource.hpp>
#include <support/store_sum.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <vector>

using namespace protonce;
using test::store_sum;

TEST_CASE_TEMPLATE("reference: copy, fill, read and write move every type of value", T, float, double) {
    reference_backend<T> be;
    const std::vector<T> values{1, 2, 3};
    const std::vector<label_t> labels{4, -1, 5};
    std::vector<T> copied(3), written(3), filled(3);
    std::vector<double> sums(2);
    std::vector<label_t> read(3);
    std::vector<index_t> rows(2);

    be.copy(view_vector(values), view_vector(copied));
    be.write(view_vector(values), view_vector(written));
    be.read(view_vector(labels), view_vector(read));
    be.fill(view_vector(filled), T{7});
    be.fill(view_vector(sums), 0.5);
    be.fill(view_vector(rows), -3);

    CHECK(copied == values);
    CHECK(written == values);
    CHECK(read == labels);
    CHECK(filled == std::vector<T>{7, 7, 7});
    CHECK(sums == std::vector<double>{0.5, 0.5});
    CHECK(rows == std::vector<index_t>{-3, -3});
}

TEST_CASE_TEMPLATE("reference: row_norms are Euclidean lengths", T, float, double) {
    reference_backend<T> be;
    const std::vector<T> x{3, 4, 99, 0, 0, 99, -5, 12, 99}; // the third column is outside the view
    std::vector<T> norms(3);

    be.row_norms({x.data(), 3, 2, 3}, view_vector(norms));

    CHECK(norms == std::vector<T>{5, 0, 13});
}

TEST_CASE_TEMPLATE("reference: normalize_rows divides by the norm and keeps a zero row at zero", T, float, double) {
    reference_backend<T> be;
    std::vector<T> x{3, 4, 0, 0, 0, -2};
    std::vector<T> unit(6, T{9}), norms(3);

    be.normalize_rows(view_rows(x.data(), 3, 2), view_rows(unit.data(), 3, 2), view_vector(norms));
    be.normalize_rows(view_rows(x.data(), 3, 2), view_rows(x.data(), 3, 2), {}); // in place, without norms

    CHECK(unit == std::vector<T>{T(0.6), T(0.8), 0, 0, 0, -1});
    CHECK(norms == std::vector<T>{5, 0, 2});
    CHECK(x == unit);
}

TEST_CASE_TEMPLATE("reference: normalize_rows keeps very small and very large rows", T, float, double) {
    reference_backend<T> be;
    // 2^-100 and 2^100: their squares leave the range of float, not that of the sums.
    const std::vector<T> x{T(3 * 0x1p-100), T(4 * 0x1p-100), T(3 * 0x1p100), T(4 * 0x1p100)};
    std::vector<T> unit(4);

    be.normalize_rows(view_rows(x.data(), 2, 2), view_rows(unit.data(), 2, 2), {});

    CHECK(unit == std::vector<T>{T(0.6), T(0.8), T(0.6), T(0.8)});
}

TEST_CASE_TEMPLATE("reference: normalize_rows_gradient takes out the part along the row and divides by the norm", T,
                   float, double) {
    reference_backend<T> be;
    // x = (0, 2): u = (0, 1), g = (3, 5): (g - 5 u) / 2 = (1.5, 0). A zero row: 0.
    const std::vector<T> unit{0, 1, 0, 0}, norms{2, 0}, gradient{3, 5, 7, 7};
    std::vector<T> out(4, T{9});
    std::vector<T> in_place = gradient;

    be.normalize_rows_gradient(view_rows(unit.data(), 2, 2), view_vector(norms), view_rows(gradient.data(), 2, 2),
                               view_rows(out.data(), 2, 2));
    be.normalize_rows_gradient(view_rows(unit.data(), 2, 2), view_vector(norms), view_rows(in_place.data(), 2, 2),
                               view_rows(in_place.data(), 2, 2));

    CHECK(out == std::vector<T>{T(1.5), 0, 0, 0});
    CHECK(in_place == out);
}

TEST_CASE_TEMPLATE("reference: rows and labels are gathered and scattered, no label for an unknown row", T, float,
                   double) {
    reference_backend<T> be;
    const std::vector<T> x{0, 1, 10, 11, 20, 21};
    const std::vector<label_t> labels{5, 6, 7};
    const std::vector<index_t> ids{2, 0, 2, 1};
    const std::vector<index_t> some_unknown{2, -1, 0, -1};
    const std::vector<index_t> places{3, 0, 1};
    std::vector<T> gathered(8), scattered(8, T{-1});
    std::vector<label_t> gathered_labels(4);

    be.gather_rows(view_rows(x.data(), 3, 2), view_vector(ids), view_rows(gathered.data(), 4, 2));
    be.gather_labels(view_vector(labels), view_vector(some_unknown), view_vector(gathered_labels));
    be.scatter_rows(view_rows(x.data(), 3, 2), view_vector(places), view_rows(scattered.data(), 4, 2));

    CHECK(gathered == std::vector<T>{20, 21, 0, 1, 20, 21, 10, 11});
    CHECK(gathered_labels == std::vector<label_t>{7, -1, 5, -1});
    CHECK(scattered == std::vector<T>{10, 11, 20, 21, -1, -1, 0, 1});
}

TEST_CASE_TEMPLATE("reference: axpby adds scaled values, and with b = 0 does not read the old ones", T, float, double) {
    reference_backend<T> be;
    const std::vector<T> x{1, 2, -4};
    std::vector<T> y{10, 20, 40};
    std::vector<T> fresh(3, std::numeric_limits<T>::quiet_NaN());

    be.axpby(0.5, view_vector(x), 0.25, view_vector(y));
    be.axpby(2, view_vector(x), 0, view_vector(fresh));

    CHECK(y == std::vector<T>{3, 6, 8});
    CHECK(fresh == std::vector<T>{2, 4, -8});
}

TEST_CASE("reference: axpby computes in double and rounds once") {
    reference_backend<float> be;
    const std::vector<float> x{1.0f};
    std::vector<float> y{0x1p-24f}; // half a unit in the last place of 1
    std::vector<float> z{1.0f};

    // 1 + 2^-24 (1 + 2^-26) is above the tie, so that it rounds up; with the second product rounded first it would not.
    be.axpby(1, view_vector(x), 1 + 0x1p-26, view_vector(y));
    be.axpby(0.999, view_vector(x), 0.001, view_vector(z));

    CHECK(y[0] == 1.0f + 0x1p-23f);
    CHECK(z[0] == 1.0f);
}

TEST_CASE_TEMPLATE("reference: mean_rows divides by the counts and leaves rows without any as they are", T, float,
                   double) {
    reference_backend<T> be;
    const std::vector<double> sum{2, 4, 7, 7, -3, 6};
    const std::vector<double> count{4, 0, 1.5};
    std::vector<T> mean{9, 9, 8, 8, 9, 9};

    be.mean_rows(view_rows(sum.data(), 3, 2), view_vector(count), view_rows(mean.data(), 3, 2));

    CHECK(mean == std::vector<T>{T(0.5), 1, 8, 8, -2, 4});
}

TEST_CASE_TEMPLATE("reference: first_nonfinite_row is the lowest one, and looks only at the columns of the view", T,
                   float, double) {
    reference_backend<T> be;
    const T nan = std::numeric_limits<T>::quiet_NaN();
    const T inf = std::numeric_limits<T>::infinity();
    const std::vector<T> x{1, 2, nan, 3, 4, nan, 5, -inf, nan, nan, 6, nan};

    CHECK(be.first_nonfinite_row({x.data(), 4, 2, 3}) == 2);
    CHECK(be.first_nonfinite_row({x.data(), 2, 2, 3}) == -1);
    CHECK(be.first_nonfinite_row({x.data() + 9, 1, 2, 3}) == 0);
}

TEST_CASE_TEMPLATE("reference: sum_rows adds each row in double", T, float, double) {
    reference_backend<T> be;
    const std::vector<T> values{T(0x1p24), 1, 1, 99, 3, 2, 1, 99}; // in float 2^24 + 1 is 2^24
    const std::vector<double> doubles{0.5, 0.25};
    std::vector<double> sum(2), sum_of_doubles(1), none{9, 9};

    detail::sum_rows(be, matrix_view<const T>(values.data(), 2, 3, 4), store_sum{sum.data()});
    detail::sum_rows(be, matrix_view<const double>(doubles.data(), 1, 2), store_sum{sum_of_doubles.data()});
    detail::sum_rows(be, matrix_view<const T>(values.data(), 2, 0), store_sum{none.data()});

    CHECK(sum == std::vector<double>{0x1p24 + 2, 6});
    CHECK(sum_of_doubles[0] == 0.75);
    CHECK(none == std::vector<double>{0, 0});
}

TEST_CASE_TEMPLATE("reference: top_rows are the largest inner products, descending, the lowest row first if equal", T,
                   float, double) {
    reference_backend<T> be;
    const std::vector<T> queries{1, 0, 0, 2};
    const std::vector<T> bank{1, 5, 3, 0, 3, 1, -1, 9, 2, 5};
    std::vector<label_t> rows(6);
    std::vector<T> similarity(6);

    be.top_rows(view_rows(queries.data(), 2, 2), view_rows(bank.data(), 5, 2), view_rows(rows.data(), 2, 3),
                view_rows(similarity.data(), 2, 3));

    CHECK(rows == std::vector<label_t>{1, 2, 4, 3, 0, 4});
    CHECK(similarity == std::vector<T>{3, 3, 2, 18, 10, 10});
}

TEST_CASE_TEMPLATE("reference: top_rows puts NaN last and can return the whole bank", T, float, double) {
    reference_backend<T> be;
    const T nan = std::numeric_limits<T>::quiet_NaN();
    const std::vector<T> query{1};
    const std::vector<T> bank{nan, -3, nan, 2};
    std::vector<label_t> rows(4);
    std::vector<T> similarity(4);

    be.top_rows(view_rows(query.data(), 1, 1), view_rows(bank.data(), 4, 1), view_rows(rows.data(), 1, 4),
                view_rows(similarity.data(), 1, 4));

    CHECK(rows == std::vector<label_t>{3, 1, 0, 2});
    CHECK(similarity[0] == 2);
    CHECK(similarity[3] != similarity[3]);
}

TEST_CASE("reference: memory and the check of features are what the options say") {
    test::counting_resource memory;
    reference_backend<float> be({.memory = &memory, .check_finite = false});
    reference_backend<float> by_default;

    CHECK(be.memory() == &memory);
    CHECK_FALSE(be.check_finite());
    CHECK(by_default.memory() == std::pmr::get_default_resource());
    CHECK(by_default.check_finite());
    {
        workspace<host>::scope scope(be.scratch());
        scope.vector<float>(3);
    }
    CHECK(memory.allocations() == 1);
}
