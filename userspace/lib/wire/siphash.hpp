// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_SIPHASH_HPP
#define KDBUS_WIRE_SIPHASH_HPP

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "bytes.hpp"

namespace kdbus::wire {

/// SipHash-2-4 over bytes that come in parts (Aumasson and Bernstein, "SipHash: a fast short-input
/// PRF", 2012).
class SipHash {
public:
    explicit SipHash(std::span<const std::byte, 16> key) noexcept {
        const std::uint64_t k0 = load_as<std::uint64_t>(key.data(), native_is_big);
        const std::uint64_t k1 = load_as<std::uint64_t>(key.data() + 8, native_is_big);
        v0_ = k0 ^ 0x736f6d6570736575;
        v1_ = k1 ^ 0x646f72616e646f6d;
        v2_ = k0 ^ 0x6c7967656e657261;
        v3_ = k1 ^ 0x7465646279746573;
    }

    void update(const std::byte* bytes, std::size_t size) noexcept {
        for (; size > 0 && length_ % 8 != 0; size--)
            push(*bytes++);
        for (; size >= 8; size -= 8, bytes += 8) {
            absorb(load_as<std::uint64_t>(bytes, native_is_big));
            length_ += 8;
        }
        for (; size > 0; size--)
            push(*bytes++);
    }

    void update(std::string_view text) noexcept {
        update(reinterpret_cast<const std::byte*>(text.data()), text.size());
    }

    /// The hash; the object is used up.
    std::uint64_t finish() noexcept {
        absorb(word_ | length_ << 56);
        v2_ ^= 0xFF;
        for (int i = 0; i < 4; i++)
            round();
        return v0_ ^ v1_ ^ v2_ ^ v3_;
    }

private:
    void push(std::byte byte) noexcept {
        word_ |= static_cast<std::uint64_t>(byte) << (length_ % 8 * 8);
        if (++length_ % 8 == 0) {
            absorb(word_);
            word_ = 0;
        }
    }

    void absorb(std::uint64_t word) noexcept {
        v3_ ^= word;
        round();
        round();
        v0_ ^= word;
    }

    void round() noexcept {
        v0_ += v1_;
        v1_ = std::rotl(v1_, 13) ^ v0_;
        v0_ = std::rotl(v0_, 32);
        v2_ += v3_;
        v3_ = std::rotl(v3_, 16) ^ v2_;
        v0_ += v3_;
        v3_ = std::rotl(v3_, 21) ^ v0_;
        v2_ += v1_;
        v1_ = std::rotl(v1_, 17) ^ v2_;
        v2_ = std::rotl(v2_, 32);
    }

    std::uint64_t v0_, v1_, v2_, v3_;
    std::uint64_t word_ = 0;   // bytes not yet absorbed, little-endian
    std::uint64_t length_ = 0; // of everything so far
};

} // namespace kdbus::wire

#endif
