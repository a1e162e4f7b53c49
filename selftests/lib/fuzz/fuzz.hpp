// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_SELFTESTS_FUZZ_HPP
#define KDBUS_SELFTESTS_FUZZ_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// What the programs that fuzz parsers share. Each has LLVMFuzzerTestOneInput() and fuzz::seeds().
namespace fuzz {

/// Inputs to begin with.
std::vector<std::string> seeds();

/// Ends the program unless @p holds: what was tested is wrong.
inline void require(bool holds, const char* what) {
    if (holds)
        return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}
#define REQUIRE(condition) ::fuzz::require(static_cast<bool>(condition), #condition)

/// An input, taken apart: numbers that say what to do, then what to do it with.
class Input {
public:
    Input(const std::uint8_t* data, std::size_t size)
        : rest_(reinterpret_cast<const char*>(data), size) {}

    /// 0 if there is nothing any more.
    std::uint8_t byte() {
        if (rest_.empty())
            return 0;
        const auto byte = static_cast<std::uint8_t>(rest_.front());
        rest_.remove_prefix(1);
        return byte;
    }
    std::uint64_t number() {
        std::uint64_t value = 0;
        for (int i = 0; i < 8; ++i)
            value = value << 8 | byte();
        return value;
    }
    /// Text in memory of its own, so that no byte beside it can be read unnoticed.
    std::vector<char> text(std::size_t size) {
        size = std::min(size, rest_.size());
        std::vector<char> text(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(size));
        text.shrink_to_fit();
        rest_.remove_prefix(size);
        return text;
    }
    std::vector<char> text() { return text(rest_.size()); }
    std::vector<std::byte> bytes(std::size_t size) {
        const auto from = text(size);
        const auto* data = reinterpret_cast<const std::byte*>(from.data());
        return {data, data + from.size()};
    }
    std::vector<std::byte> bytes() { return bytes(rest_.size()); }

private:
    std::string_view rest_;
};

inline std::string_view view(const std::vector<char>& text) {
    return {text.data(), text.size()};
}
inline std::string_view view(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline bool equal(std::span<const std::byte> a, std::span<const std::byte> b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

/// A seed of numbers and text.
template <class... Parts>
std::string seed(const Parts&... parts) {
    std::string seed;
    const auto add = [&](const auto& part) {
        if constexpr (requires { std::string_view(part); })
            seed.append(std::string_view(part));
        else
            seed.push_back(static_cast<char>(part));
    };
    (add(parts), ...);
    return seed;
}

} // namespace fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

#endif
