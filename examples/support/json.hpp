// SPDX-License-Identifier: MIT
#pragma once
#include <cctype>
#include <charconv>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

/// As much JSON as the examples write and read: objects, arrays, numbers, strings of ASCII, true, false and null.
namespace support {

/// One value; which of the members counts says `kind`.
struct json_value {
    enum class type { null, boolean, number, text, array, object };

    type kind = type::null;
    bool boolean = false;
    double number = 0;
    std::string text{};
    std::vector<json_value> items{};
    std::map<std::string, json_value> members{};

    /// \throws std::runtime_error  not an object, or no member of this name
    const json_value& at(const std::string& name) const {
        const auto found = members.find(name);
        if (kind != type::object || found == members.end()) {
            throw std::runtime_error("no member '" + name + "'");
        }
        return found->second;
    }
    /// \throws std::runtime_error  not a number
    double as_number() const {
        if (kind != type::number) {
            throw std::runtime_error("not a number");
        }
        return number;
    }
    /// \throws std::runtime_error  not a string
    const std::string& as_text() const {
        if (kind != type::text) {
            throw std::runtime_error("not a string");
        }
        return text;
    }
};

namespace detail {

class json_parser {
public:
    explicit json_parser(std::string_view source) : source_(source) {}

    json_value parse() {
        json_value value = parse_value(0);
        skip_blanks();
        if (position_ != source_.size()) {
            fail("something behind the end");
        }
        return value;
    }

private:
    static constexpr int deepest = 32;

    [[noreturn]] void fail(const std::string& what) const {
        throw std::runtime_error("broken JSON, " + what + " at byte " + std::to_string(position_));
    }
    void skip_blanks() {
        while (position_ < source_.size() && std::isspace(static_cast<unsigned char>(source_[position_])) != 0) {
            ++position_;
        }
    }
    bool take(char expected) {
        skip_blanks();
        if (position_ < source_.size() && source_[position_] == expected) {
            ++position_;
            return true;
        }
        return false;
    }
    void need(char expected) {
        if (!take(expected)) {
            fail(std::string("no '") + expected + "'");
        }
    }
    bool take_word(std::string_view word) {
        if (source_.substr(position_, word.size()) != word) {
            return false;
        }
        position_ += word.size();
        return true;
    }

    std::string parse_text() {
        need('"');
        std::string text;
        while (position_ < source_.size() && source_[position_] != '"') {
            if (source_[position_] == '\\') {
                ++position_;
                if (position_ == source_.size() || (source_[position_] != '"' && source_[position_] != '\\')) {
                    fail("unknown escape");
                }
            }
            text += source_[position_++];
        }
        need('"');
        return text;
    }

    json_value parse_value(int depth) {
        if (depth > deepest) {
            fail("too deep");
        }
        skip_blanks();
        json_value value;
        if (position_ == source_.size()) {
            fail("no value");
        }
        if (source_[position_] == '{') {
            value.kind = json_value::type::object;
            parse_list('{', '}', [&] {
                std::string name = parse_text();
                need(':');
                value.members.insert_or_assign(std::move(name), parse_value(depth + 1));
            });
        } else if (source_[position_] == '[') {
            value.kind = json_value::type::array;
            parse_list('[', ']', [&] { value.items.push_back(parse_value(depth + 1)); });
        } else if (source_[position_] == '"') {
            value.kind = json_value::type::text;
            value.text = parse_text();
        } else if (take_word("true") || take_word("false")) {
            value.kind = json_value::type::boolean;
            value.boolean = source_[position_ - 2] == 'u'; // of "true"
        } else if (!take_word("null")) {
            value.kind = json_value::type::number;
            const auto [end, fault] =
                std::from_chars(source_.data() + position_, source_.data() + source_.size(), value.number);
            if (fault != std::errc{}) {
                fail("no value");
            }
            position_ = static_cast<std::size_t>(end - source_.data());
        }
        return value;
    }

    template <class Element>
    void parse_list(char open, char close, const Element& element) {
        need(open);
        if (take(close)) {
            return;
        }
        do {
            element();
        } while (take(','));
        need(close);
    }

    std::string_view source_;
    std::size_t position_ = 0;
};

} // namespace detail

/// \throws std::runtime_error  the text is not JSON of this kind
inline json_value parse_json(std::string_view text) {
    return detail::json_parser(text).parse();
}

/// \throws std::runtime_error  the file cannot be read, or is not JSON of this kind
inline json_value read_json(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        throw std::runtime_error("cannot open " + path);
    }
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    try {
        return parse_json(text);
    } catch (const std::runtime_error& error) {
        throw std::runtime_error(path + ": " + error.what());
    }
}

/// A number so that reading it gives the same bits.
inline std::string json_number(double value) {
    char buffer[32];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
    return std::string(buffer, end);
}

/// A string between quotation marks.
inline std::string json_text(std::string_view value) {
    std::string text = "\"";
    for (const char c : value) {
        if (c == '"' || c == '\\') {
            text += '\\';
        }
        text += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return text + '"';
}

} // namespace support
