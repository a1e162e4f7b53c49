// SPDX-License-Identifier: LGPL-2.1-or-later
#include "wire-random.hpp"

#include <cstdio>
#include <cstdlib>

#include <kdbus/wire/signature.hpp>

namespace wire_test {

std::string Random::type(unsigned depth) {
    static constexpr std::string_view basic = "ybnqiuxtdsogh";
    const auto any_basic = [&] {
        return std::string(1, basic[number(basic.size())]);
    };
    switch (depth == 0 ? 0 : number(8)) {
    case 0:
    case 1:
    case 2:
        return any_basic();
    case 3:
        return "v";
    case 4:
    case 5:
        return "a" + type(depth - 1);
    case 6:
        return "a{" + any_basic() + type(depth - 1) + "}";
    default: {
        std::string members;
        for (std::uint64_t n = 1 + number(3); n > 0; n--)
            members += type(depth - 1);
        return "(" + members + ")";
    }
    }
}

std::string Random::signature() {
    std::string types;
    for (std::uint64_t n = number(8); n > 0; n--) {
        const std::string next = type(static_cast<unsigned>(number(5)));
        if (types.size() + next.size() <= kdbus::wire::max_signature_length)
            types += next;
    }
    return types;
}

std::string Random::text() {
    static constexpr std::string_view pieces[] = {
        "a", "Z9_", "/", ".", " ", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\x7f", "\x01"};
    std::string result;
    for (std::uint64_t n = number(chance(20) ? 400 : 12); n > 0; n--)
        result += pieces[number(std::size(pieces))];
    return result;
}

void Random::write_value(kdbus::wire::Writer& writer, std::string_view type) {
    switch (type[0]) {
    case 's':
        writer.append_text('s', text());
        break;
    case 'o': {
        std::string path;
        for (std::uint64_t n = number(4); n > 0; n--)
            path += "/p" + std::to_string(number(1000));
        writer.append_text('o', path.empty() ? "/" : path);
        break;
    }
    case 'g':
        writer.append_text('g', signature());
        break;
    case 'h':
        writer.append_fixed('h', number(random_fds));
        break;
    case 'v': {
        const std::string inner = this->type(static_cast<unsigned>(number(3)));
        writer.open_variant(inner);
        write_value(writer, inner);
        writer.close();
        break;
    }
    case 'a':
        writer.open_array(type.substr(1));
        for (std::uint64_t n = number(chance(10) ? 40 : 4); n > 0; n--)
            write_value(writer, type.substr(1));
        writer.close();
        break;
    case '(':
        writer.open_struct(type.substr(1, type.size() - 2));
        write(writer, type.substr(1, type.size() - 2));
        writer.close();
        break;
    case '{':
        writer.open_dict_entry(type.substr(1, type.size() - 2));
        write(writer, type.substr(1, type.size() - 2));
        writer.close();
        break;
    case 'b':
        writer.append_fixed('b', number(2));
        break;
    default:
        writer.append_fixed(type[0], bits());
        break;
    }
}

void Random::write(kdbus::wire::Writer& writer, std::string_view signature) {
    for (std::string_view type : kdbus::wire::SignatureTypes(signature))
        write_value(writer, type);
}

void Random::mutate(std::vector<std::byte>& bytes) {
    for (std::uint64_t n = 1 + number(3); n > 0 && !bytes.empty(); n--) {
        const auto at = static_cast<std::ptrdiff_t>(number(bytes.size()));
        std::byte& target = bytes[static_cast<std::size_t>(at)];
        switch (number(8)) {
        case 0:
            target ^= static_cast<std::byte>(1U << number(8));
            break;
        case 1:
            target = static_cast<std::byte>(bits());
            break;
        case 2:
            target = std::byte{0};
            break;
        case 3:
            target = static_cast<std::byte>(static_cast<unsigned>(target) + (chance(2) ? 1 : 255));
            break;
        case 4:
            target = bytes[number(bytes.size())];
            break;
        case 5:
            bytes.resize(static_cast<std::size_t>(at));
            break;
        case 6:
            bytes.insert(bytes.begin() + at, static_cast<std::byte>(chance(2) ? 0 : bits()));
            break;
        default:
            bytes.erase(bytes.begin() + at);
            break;
        }
    }
}

std::uint64_t test_seed() {
    static const std::uint64_t seed = [] {
        const char* given = std::getenv("KDBUS_TEST_SEED");
        const std::uint64_t value =
            given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
        std::printf("KDBUS_TEST_SEED=%llu\n", static_cast<unsigned long long>(value));
        return value;
    }();
    return seed;
}

Deadline::Deadline() {
    const char* seconds = std::getenv("KDBUS_TEST_SECONDS");
    end_ = std::chrono::steady_clock::now() +
           std::chrono::seconds(seconds != nullptr ? std::atoi(seconds) : 2);
}

} // namespace wire_test
