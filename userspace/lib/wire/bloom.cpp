// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/wire/bloom.hpp>

#include <algorithm>
#include <bit>
#include <charconv>

#include "siphash.hpp"

namespace kdbus::wire {

namespace {

constexpr std::size_t key_count = 8;
constexpr std::uint8_t keys[key_count][16] = {
    {0xb9, 0x66, 0x0b, 0xf0, 0x46, 0x70, 0x47, 0xc1, 0x88, 0x75, 0xc4, 0x9c, 0x54, 0xb9, 0xbd,
     0x15},
    {0xaa, 0xa1, 0x54, 0xa2, 0xe0, 0x71, 0x4b, 0x39, 0xbf, 0xe1, 0xdd, 0x2e, 0x9f, 0xc5, 0x4a,
     0x3b},
    {0x63, 0xfd, 0xae, 0xbe, 0xcd, 0x82, 0x48, 0x12, 0xa1, 0x6e, 0x41, 0x26, 0xcb, 0xfa, 0xa0,
     0xc8},
    {0x23, 0xbe, 0x45, 0x29, 0x32, 0xd2, 0x46, 0x2d, 0x82, 0x03, 0x52, 0x28, 0xfe, 0x37, 0x17,
     0xf5},
    {0x56, 0x3b, 0xbf, 0xee, 0x5a, 0x4f, 0x43, 0x39, 0xaf, 0xaa, 0x94, 0x08, 0xdf, 0xf0, 0xfc,
     0x10},
    {0x31, 0x80, 0xc8, 0x73, 0xc7, 0xea, 0x46, 0xd3, 0xaa, 0x25, 0x75, 0x0f, 0x9e, 0x4c, 0x09,
     0x29},
    {0x7d, 0xf7, 0x18, 0x4b, 0x7b, 0xa4, 0x44, 0xd5, 0x85, 0x3c, 0x06, 0xe0, 0x65, 0x53, 0x96,
     0x6d},
    {0xf2, 0x77, 0xe9, 0x6f, 0x93, 0xb5, 0x4e, 0x71, 0x9a, 0x0c, 0x34, 0x88, 0x39, 0x25, 0xbf,
     0x35},
};

/// Bytes taken from the hash stream per index: enough for any bit of the filter.
std::size_t index_width(std::uint64_t filter_size) noexcept {
    const auto log2 = static_cast<std::size_t>(std::bit_width(filter_size * 8) - 1);
    return (log2 + 7) / 8;
}

/// "arg<n><suffix>" in the caller's memory.
std::string_view argument_label(std::array<char, 32>& text, unsigned n,
                                std::string_view suffix) noexcept {
    std::memcpy(text.data(), "arg", 3);
    char* end = std::to_chars(text.data() + 3, text.data() + 5, n).ptr;
    end = std::copy(suffix.begin(), suffix.end(), end);
    return {text.data(), static_cast<std::size_t>(end - text.data())};
}

/// Adds one argument; false if it is of a type that ends the scan.
bool add_argument(std::span<std::uint64_t> filter, const BloomParameter& parameter, Reader& reader,
                  unsigned n) noexcept {
    std::array<char, 32> label;
    const char type = reader.peek_type();
    if (type == 's' || type == 'o' || type == 'g') {
        const auto text = reader.read_text(type);
        if (!text)
            return false;
        bloom_add(filter, parameter, argument_label(label, n, ""), *text);
        bloom_add_prefixes(filter, parameter, argument_label(label, n, "-dot-prefix"), *text, '.');
        bloom_add_prefixes(filter, parameter, argument_label(label, n, "-slash-prefix"), *text,
                           '/');
        return true;
    }
    const auto array = reader.peek_signature();
    if (array != "as" && array != "ao" && array != "ag")
        return false;
    if (!reader.enter_array())
        return false;
    const auto has = argument_label(label, n, "-has");
    while (!reader.at_end()) {
        const auto text = reader.read_text(array[1]);
        if (!text)
            return false;
        bloom_add(filter, parameter, has, *text);
    }
    return reader.exit().has_value();
}

} // namespace

bool BloomParameter::acceptable() const noexcept {
    if (size == 0 || size % 8 != 0 || size > std::uint64_t{1} << 32 || hashes == 0)
        return false;
    return hashes <= key_count * 8 / index_width(size);
}

std::uint64_t siphash24(std::span<const std::byte> bytes,
                        std::span<const std::byte, 16> key) noexcept {
    SipHash hash(key);
    hash.update(bytes.data(), bytes.size());
    return hash.finish();
}

void bloom_add(std::span<std::uint64_t> filter, const BloomParameter& parameter,
               std::string_view label, std::string_view value) noexcept {
    const std::size_t width = index_width(parameter.size);
    const std::uint64_t mask = parameter.size * 8 - 1; // a mask even where it is not 2^n - 1
    std::uint64_t hash = 0;
    std::size_t key = 0, left = 0; // bytes of `hash` not yet used
    for (std::uint64_t k = 0; k < parameter.hashes; k++) {
        std::uint64_t index = 0;
        for (std::size_t i = 0; i < width; i++) {
            if (left == 0) {
                SipHash siphash(std::as_bytes(std::span(keys[key++])));
                siphash.update(label);
                siphash.update(":");
                siphash.update(value);
                hash = siphash.finish();
                left = 8;
            }
            index = index << 8 | (hash & 0xFF);
            hash >>= 8;
            left--;
        }
        index &= mask;
        filter[index / 64] |= std::uint64_t{1} << (index % 64);
    }
}

void bloom_add_prefixes(std::span<std::uint64_t> filter, const BloomParameter& parameter,
                        std::string_view label, std::string_view value, char separator) noexcept {
    bloom_add(filter, parameter, label, value);
    for (std::size_t at = value.rfind(separator); at != std::string_view::npos;
         at = value.rfind(separator)) {
        bloom_add(filter, parameter, label, value.substr(0, at + 1));
        if (at == 0)
            break;
        value = value.substr(0, at);
        bloom_add(filter, parameter, label, value);
    }
}

Result<void> make_signal_filter(const Message& signal, const BloomParameter& parameter,
                                std::span<std::uint64_t> filter) noexcept {
    if (!parameter.acceptable() || filter.size() != parameter.words())
        return fail(Errc::bad_bloom);
    std::fill(filter.begin(), filter.end(), 0);
    bloom_add(filter, parameter, "message-type", message_type_name(signal.type));
    if (!signal.interface.empty())
        bloom_add(filter, parameter, "interface", signal.interface);
    if (!signal.member.empty())
        bloom_add(filter, parameter, "member", signal.member);
    if (!signal.path.empty()) {
        bloom_add(filter, parameter, "path", signal.path);
        bloom_add_prefixes(filter, parameter, "path-slash-prefix", signal.path, '/');
    }
    if (signal.signature.empty())
        return {};
    Reader reader = signal.reader();
    for (unsigned n = 0; n < 64 && !reader.at_end(); n++)
        if (!add_argument(filter, parameter, reader, n))
            break;
    if (reader.error())
        return std::unexpected(reader.error());
    return {};
}

bool bloom_passes(std::span<const std::uint64_t> filter,
                  std::span<const std::uint64_t> mask) noexcept {
    if (filter.size() != mask.size())
        return false;
    for (std::size_t i = 0; i < mask.size(); i++)
        if ((filter[i] & mask[i]) != mask[i])
            return false;
    return true;
}

} // namespace kdbus::wire
