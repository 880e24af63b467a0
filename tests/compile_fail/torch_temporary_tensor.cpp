// SPDX-License-Identifier: MIT
// expect: a temporary tensor may be gone before its view is used; give it a name first
// A view of a temporary tensor would dangle. The type stands for at::Tensor, with the members that are asked for.
#include <protonce/adapt/torch.hpp>

#include <cstdint>
#include <string>
#include <vector>

enum class scalar { real };
const char* toString(scalar);
const char* toString(scalar) {
    return "Float";
}

struct place {
    std::string str() const { return "cpu"; }
};

struct tensor {
    std::vector<float> values = std::vector<float>(6);

    bool defined() const { return true; }
    std::int64_t dim() const { return 2; }
    std::int64_t size(std::int64_t d) const { return d == 0 ? 2 : 3; }
    std::int64_t stride(std::int64_t d) const { return d == 0 ? 3 : 1; }
    bool is_cpu() const { return true; }
    bool is_cuda() const { return false; }
    place device() const { return {}; }
    scalar scalar_type() const { return scalar::real; }
    void* data_ptr() const { return const_cast<float*>(values.data()); }
};

protonce::index_t rows();

protonce::index_t rows() {
#ifdef PROTONCE_MUST_FAIL
    return protonce::view_rows<float>(tensor{}).rows();
#else
    const tensor array;
    return protonce::view_rows<float>(array).rows();
#endif
}
