// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/wire/address.hpp>

#include <algorithm>
#include <optional>

#include "hex.hpp"

namespace kdbus::wire {

namespace {

constexpr bool needs_no_escape(char c) noexcept {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("-_/.\\*").find(c) != std::string_view::npos;
}

std::optional<std::string> unescape(std::string_view text) {
    std::string value;
    for (std::size_t i = 0; i < text.size(); i++) {
        if (needs_no_escape(text[i])) {
            value += text[i];
            continue;
        }
        if (text[i] != '%' || text.size() - i < 3)
            return std::nullopt;
        const auto high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
        if (!high || !low || (*high | *low) == 0)
            return std::nullopt;
        value += static_cast<char>(*high << 4 | *low);
        i += 2;
    }
    return value;
}

/// Calls `part` with every piece of `text` between separators; stops when it returns false.
template <class Part>
bool split(std::string_view text, char separator, Part part) {
    for (;;) {
        const std::size_t end = text.find(separator);
        if (!part(text.substr(0, end)))
            return false;
        if (end == std::string_view::npos)
            return true;
        text.remove_prefix(end + 1);
    }
}

std::optional<Address> parse_entry(std::string_view text) {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos || colon == 0)
        return std::nullopt;
    Address address;
    address.transport = text.substr(0, colon);
    if (!std::all_of(address.transport.begin(), address.transport.end(), needs_no_escape))
        return std::nullopt;
    text.remove_prefix(colon + 1);
    if (text.empty())
        return address;
    const bool good = split(text, ',', [&](std::string_view pair) {
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos || equals == 0)
            return false;
        const std::string_view key = pair.substr(0, equals);
        auto value = unescape(pair.substr(equals + 1));
        if (!value || address.find(key) != nullptr)
            return false;
        address.parameters.emplace_back(key, std::move(*value));
        return true;
    });
    if (!good)
        return std::nullopt;
    return address;
}

} // namespace

const std::string* Address::find(std::string_view key) const noexcept {
    for (const auto& [name, value] : parameters)
        if (name == key)
            return &value;
    return nullptr;
}

std::string Address::text() const {
    std::string result = transport;
    char separator = ':';
    for (const auto& [key, value] : parameters) {
        result.append(1, separator).append(key).append("=").append(escape_address_value(value));
        separator = ',';
    }
    if (parameters.empty())
        result += ':';
    return result;
}

Result<std::vector<Address>> parse_addresses(std::string_view list) {
    std::vector<Address> addresses;
    if (list.ends_with(';'))
        list.remove_suffix(1);
    const bool good = split(list, ';', [&](std::string_view entry) {
        auto address = parse_entry(entry);
        if (!address)
            return false;
        addresses.push_back(std::move(*address));
        return true;
    });
    if (!good)
        return fail(Errc::bad_address);
    return addresses;
}

Result<void> check_transport(const Address& address, bool listen) noexcept {
    if (address.transport == "kernel") {
        const std::string* path = address.find("path");
        if (path == nullptr || path->empty())
            return fail(Errc::bad_address);
    } else if (address.transport == "unix") {
        unsigned connectable = 0, listenable = 0;
        for (std::string_view key : {"path", "abstract"})
            connectable += address.find(key) != nullptr;
        for (std::string_view key : {"dir", "tmpdir", "runtime"})
            listenable += address.find(key) != nullptr;
        const std::string* runtime = address.find("runtime");
        if (connectable + listenable != 1 || (listenable != 0 && !listen) ||
            (runtime != nullptr && *runtime != "yes"))
            return fail(Errc::bad_address);
        for (std::string_view key : {"path", "abstract", "dir", "tmpdir"})
            if (const std::string* value = address.find(key); value != nullptr && value->empty())
                return fail(Errc::bad_address);
    }
    return {};
}

std::string escape_address_value(std::string_view value) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (char c : value) {
        if (needs_no_escape(c)) {
            text += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            text.append(1, '%').append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
        }
    }
    return text;
}

} // namespace kdbus::wire
