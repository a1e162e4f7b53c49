// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_CODEC_BENCH_SHAPES_HPP
#define KDBUS_CODEC_BENCH_SHAPES_HPP

#include <array>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

/// The messages that are compared, and how implementations take part.
namespace kdbus::codec_bench {

enum class Shape {
    small,   ///< su: a call as most are
    dict,    ///< a{sv}: 32 properties, most of them text
    rows,    ///< a(isd): 1000 structs
    doubles, ///< ad: 64 KiB
    nested,  ///< v: a number in 24 variants
};
inline constexpr std::array all_shapes{Shape::small, Shape::dict, Shape::rows, Shape::doubles,
                                       Shape::nested};

const char* name_of(Shape shape) noexcept;
const char* signature_of(Shape shape) noexcept;

struct Property {
    std::string key;
    std::string text;         ///< the value, unless it is a number
    std::uint32_t number = 0; ///< 0: it is text
};

struct Row {
    std::int32_t number;
    std::string text;
    double real;
};

/// What all build their messages of.
struct Data {
    std::string text;
    std::uint32_t number = 7;
    std::vector<Property> properties;
    std::vector<Row> rows;
    std::vector<double> doubles;
    unsigned variants = 24;
};
const Data& data();

namespace header {
inline constexpr const char* destination = "org.example.Service";
inline constexpr const char* path = "/org/example/Object";
inline constexpr const char* interface = "org.example.Interface";
inline constexpr const char* member = "Method";
inline constexpr std::uint32_t serial = 1;
} // namespace header

/// What reading a message must come to, so that all read all of it: numbers, whole parts of reals
/// and lengths of texts, added up; of an array of doubles its length and last element.
std::uint64_t checksum_of(Shape shape);

/// One thing done once: writing gives any number, reading the checksum.
using Task = std::function<std::uint64_t()>;

struct Contender {
    const char* name;
    Task write; ///< makes a message of the data, complete up to where it could be sent
    Task read;  ///< reads all of such a message
};

/// D-Bus 1: parses a whole message, or (read_only) reads one parsed before.
Contender ours_dbus1(Shape shape);
Contender ours_dbus1_read_only(Shape shape);
/// GVariant: body only.
Contender ours_gvariant(Shape shape);
Contender libdbus(Shape shape);
/// Its interface has no way to parse bytes: reads a message made before.
Contender sdbus(Shape shape);
Contender gdbus(Shape shape);
Contender gvariant(Shape shape);

inline void must(bool good, const char* what) {
    if (!good)
        throw std::runtime_error(what);
}

} // namespace kdbus::codec_bench

#endif
