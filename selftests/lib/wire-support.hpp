// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_SELFTESTS_WIRE_SUPPORT_HPP
#define KDBUS_SELFTESTS_WIRE_SUPPORT_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <kdbus/wire/buffer.hpp>
#include <kdbus/wire/error.hpp>
#include <kdbus/wire/mapping.hpp>
#include <kdbus/wire/message.hpp>

/// What the tests of the wire layer share.
namespace wire_test {

/// Bytes of a hex dump; everything but hex digits is passed over.
inline std::vector<std::byte> bytes_of(std::string_view hex) {
    std::vector<std::byte> bytes;
    int high = -1;
    for (char c : hex) {
        int digit;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if (c >= 'a' && c <= 'f')
            digit = c - 'a' + 10;
        else
            continue;
        if (high < 0) {
            high = digit;
        } else {
            bytes.push_back(static_cast<std::byte>(high << 4 | digit));
            high = -1;
        }
    }
    return bytes;
}

inline std::string hex(std::span<const std::byte> bytes) {
    constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (std::byte b : bytes) {
        text += digits[static_cast<unsigned>(b) >> 4];
        text += digits[static_cast<unsigned>(b) & 15];
    }
    return text;
}

inline std::string hex(const kdbus::wire::Buffer& buffer) {
    return hex(buffer.bytes());
}

/// How often the program has called operator new.
extern std::atomic<std::uint64_t> allocations;

/// The code of a failed result; equal to no Errc if it did not fail.
template <class T>
std::error_code error_of(const kdbus::wire::Result<T>& result) {
    return result ? std::error_code() : result.error();
}

/// A body together with its signature, as a writer left it.
struct Body {
    std::string signature;
    std::vector<std::byte> bytes;
};

template <class... Ts>
Body body_of(kdbus::wire::Format format, const Ts&... values) {
    kdbus::wire::Buffer buffer;
    kdbus::wire::Writer writer(buffer, format);
    (writer.append(values), ...);
    if (!writer.finish())
        return {"invalid", {}};
    return {std::string(writer.signature()),
            std::vector<std::byte>(writer.body().begin(), writer.body().end())};
}

} // namespace wire_test

#endif
