// SPDX-License-Identifier: LGPL-2.1-or-later
// Structs, enumerations, typed variants and sequences of a program's own as D-Bus types.
#include <catch2/catch.hpp>

#include <deque>
#include <list>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_set>
#include <variant>

#include <fcntl.h>

#include <kdbus/descriptors.hpp>

#include "wire-random.hpp"
#include "wire-support.hpp"

using namespace kdbus::wire;
using wire_test::Body;
using wire_test::body_of;
using wire_test::Deadline;
using wire_test::error_of;
using wire_test::Random;

namespace {

enum class Colour : std::int16_t { red = -1, green = 0, blue = 7 };
enum Plain { one, two };
enum class Letter : char { a = 'a' };

struct Point {
    double x, y;
    std::string label;
    friend bool operator==(const Point&, const Point&) = default;
};

struct Shape {
    Colour colour;
    std::vector<Point> points;
    std::map<std::string, Point> named;
    std::tuple<std::uint8_t, Point> pair;
    std::variant<std::int32_t, std::string, Point> extra;
    std::array<std::uint16_t, 2> size;
    bool closed;
    friend bool operator==(const Shape&, const Shape&) = default;
};

struct One {
    ObjectPath path;
};

struct Text {
    const char* text;
};
struct Constant {
    const std::int32_t value;
};
struct Nothing {};
struct Base {
    int a;
};
struct Derived : Base {
    int b;
};
struct EmptyDerived : Nothing {
    int b;
};
struct WithArray {
    int a[2];
    int b;
};
struct WithText {
    char text[8];
};
struct WithReference {
    int& to;
};
struct WithUnmapped {
    int a;
    void* b;
};
union Union {
    int a;
    double b;
};
class Private {
public:
    int a = 0;

private:
    int b_ = 0;
};
struct Secret {
    std::string password;
};
struct Own {
    int hundredths;
    friend bool operator==(const Own&, const Own&) = default;
};

struct Most {
    std::uint8_t a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8;
    std::uint32_t c1, c2, c3, c4, c5, c6, c7, c8, d1, d2, d3, d4, d5, d6, d7, d8;
    friend bool operator==(const Most&, const Most&) = default;
};
struct TooMany {
    Most most;
    std::uint8_t a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8;
    std::uint32_t c1, c2, c3, c4, c5, c6, c7, c8, d1, d2, d3, d4, d5, d6, d7, d8;
};

} // namespace

template <>
inline constexpr bool kdbus::wire::enable_struct<Secret> = false;
/// A type's own mapping goes before that of aggregates.
template <>
struct kdbus::wire::Mapping<Own> {
    static constexpr auto signature = type_string("d");
    static void write(Writer& writer, const Own& value) { writer.append(value.hundredths / 100.0); }
    static Result<Own> read(Reader& reader) {
        const auto value = reader.read<double>();
        if (!value)
            return std::unexpected(value.error());
        return Own{static_cast<int>(*value * 100)};
    }
};

namespace {

static_assert(signature_of<Point> == "(dds)");
static_assert(signature_of<Shape> == "(na(dds)a{s(dds)}(y(dds))vaqb)");
static_assert(signature_of<One> == "(o)");
static_assert(signature_of<std::vector<One>> == "a(o)");
static_assert(signature_of<Most> == "(yyyyyyyyyyyyyyyyuuuuuuuuuuuuuuuu)");
static_assert(signature_of<Colour> == "n");
static_assert(signature_of<std::vector<Colour>> == "an");
static_assert(signature_of<std::byte> == "y");
static_assert(signature_of<std::variant<int, std::string>> == "v");
static_assert(signature_of<std::set<std::string>> == "as");
static_assert(signature_of<Text, Constant> == "(s)(i)");
static_assert(signature_of<Own> == "d");
static_assert(signature_of<UnixFd> == "h");
static_assert(signature_of<ObjectPathView, SignatureView> == "og");
static_assert(signature_of<kdbus::UniqueFd, std::vector<kdbus::BorrowedFd>> == "hah");

// None of these is taken for a D-Bus type by accident.
static_assert(!Mapped<Nothing> && !Mapped<Derived> && !Mapped<EmptyDerived>);
static_assert(!Mapped<WithArray> && !Mapped<WithText> && !Mapped<WithReference>);
static_assert(!Mapped<WithUnmapped> && !Mapped<Union> && !Mapped<Private> && !Mapped<TooMany>);
static_assert(!Mapped<Secret> && !Mapped<std::vector<Secret>>);
static_assert(!Mapped<Plain> && !Mapped<Letter>);
static_assert(!Mapped<std::array<Secret, 1>> && !Mapped<std::optional<int>>);

// What can only be written is refused when it is read, at compile time.
template <class T>
concept Readable = requires(Reader& reader) {
    Mapping<T>::read(reader);
};
static_assert(Readable<Point> && Readable<Shape>);
static_assert(!Readable<Text> && !Readable<Constant>);

/// Writes a value in both formats and reads it back; both are what a tuple of its members is.
template <class T, class Equivalent>
void check_same(const T& value, const Equivalent& equivalent) {
    for (Format format : {Format::gvariant, dbus1_native}) {
        const Body body = body_of(format, value);
        const Body other = body_of(format, equivalent);
        CHECK(body.signature == other.signature);
        CHECK(body.bytes == other.bytes);
        Reader reader(format, body.signature, body.bytes);
        const auto read = reader.read<T>();
        REQUIRE(read);
        CHECK(*read == value);
        CHECK(reader.finish());
    }
    if constexpr (std::same_as<Equivalent, Variant>)
        CHECK(Variant(value) == Variant::nested(equivalent));
    else
        CHECK(Variant(value) == Variant(equivalent));
    CHECK(Variant(value).get<T>().value() == value);
}

std::string random_text(Random& random) {
    return std::string(random.number(20), static_cast<char>('a' + random.number(26)));
}

Point random_point(Random& random) {
    return {static_cast<double>(random.number(1000)), -0.5, random_text(random)};
}

Shape random_shape(Random& random) {
    Shape shape{};
    shape.colour = static_cast<Colour>(random.bits());
    for (auto n = random.number(5); n > 0; --n)
        shape.points.push_back(random_point(random));
    for (auto n = random.number(5); n > 0; --n)
        shape.named.emplace(random_text(random), random_point(random));
    shape.pair = {static_cast<std::uint8_t>(random.bits()), random_point(random)};
    switch (random.number(3)) {
    case 0:
        shape.extra = static_cast<std::int32_t>(random.bits());
        break;
    case 1:
        shape.extra = random_text(random);
        break;
    default:
        shape.extra = random_point(random);
        break;
    }
    shape.size = {static_cast<std::uint16_t>(random.bits()), 2};
    shape.closed = random.chance(2);
    return shape;
}

/// The shape in types that tests elsewhere trust.
auto in_tuples(const Shape& shape) {
    using P = std::tuple<double, double, std::string>;
    const auto point = [](const Point& p) {
        return P(p.x, p.y, p.label);
    };
    std::vector<P> points;
    for (const Point& p : shape.points)
        points.push_back(point(p));
    std::map<std::string, P> named;
    for (const auto& [name, p] : shape.named)
        named.emplace(name, point(p));
    Variant extra;
    if (const auto* number = std::get_if<std::int32_t>(&shape.extra))
        extra = Variant(*number);
    else if (const auto* text = std::get_if<std::string>(&shape.extra))
        extra = Variant(*text);
    else
        extra = Variant(point(std::get<Point>(shape.extra)));
    return std::tuple(static_cast<std::int16_t>(shape.colour), points, named,
                      std::tuple(std::get<0>(shape.pair), point(std::get<1>(shape.pair))), extra,
                      shape.size, shape.closed);
}

} // namespace

TEST_CASE("structs are D-Bus structs") {
    check_same(Point{1, 2, "a"}, std::tuple(1.0, 2.0, std::string("a")));
    Most most{};
    most.a8 = 8;
    most.d8 = 0xFFFFFFFF;
    for (Format format : {Format::gvariant, dbus1_native}) {
        const Body body = body_of(format, most);
        CHECK(Reader(format, body.signature, body.bytes).read<Most>().value() == most);
    }
    CHECK(Variant(Own{150}) == Variant(1.5));
    CHECK(Variant(Own{150}).get<Own>().value() == Own{150});
}

TEST_CASE("random structs survive a round trip") {
    const auto seed = wire_test::test_seed();
    Deadline deadline;
    for (std::uint64_t i = 0; i < 50 || !deadline.passed(); ++i) {
        INFO("seed " << seed + i);
        Random random(seed + i);
        const Shape shape = random_shape(random);
        check_same(shape, in_tuples(shape));
    }
}

TEST_CASE("structs from damaged bytes are refused or read as tuples are") {
    const auto seed = wire_test::test_seed();
    Deadline deadline;
    for (std::uint64_t i = 0; i < 50 || !deadline.passed(); ++i) {
        INFO("seed " << seed + i);
        Random random(seed + i);
        const Shape shape = random_shape(random);
        for (Format format : {Format::gvariant, dbus1_native}) {
            Body body = body_of(format, shape);
            random.mutate(body.bytes);
            Reader reader(format, body.signature, body.bytes);
            Reader plain(format, body.signature, body.bytes);
            const auto read = reader.read<Shape>();
            const auto expected = plain.read<decltype(in_tuples(shape))>();
            if (read)
                CHECK((expected && body_of(format, in_tuples(*read)).bytes ==
                                       body_of(format, *expected).bytes));
            else // a damaged variant may have become one of another type
                CHECK((!expected || read.error() == Errc::type_mismatch));
        }
    }
}

TEST_CASE("structs of another type are not read") {
    const Body body = body_of(Format::gvariant, std::tuple(1.0, std::string("a")));
    Reader reader(Format::gvariant, body.signature, body.bytes);
    CHECK(error_of(reader.read<Point>()) == Errc::type_mismatch);
    CHECK(reader.read<std::tuple<double, std::string>>().has_value());
}

TEST_CASE("enumerations are their underlying integers") {
    check_same(Colour::red, std::int16_t{-1});
    check_same(std::vector{Colour::blue, Colour::red}, std::vector<std::int16_t>{7, -1});
    check_same(std::map<Colour, bool>{{Colour::green, true}},
               std::map<std::int16_t, bool>{{0, true}});
    // A value of none of the names is kept.
    CHECK(Variant(std::int16_t{99}).get<Colour>().value() == static_cast<Colour>(99));
}

TEST_CASE("typed variants hold one of their types") {
    using Value = std::variant<bool, std::string, std::vector<Point>>;
    check_same(Value(true), Variant(true));
    check_same(Value("text"), Variant("text"));
    check_same(Value(std::vector{Point{1, 2, "a"}}),
               Variant(std::vector{std::tuple(1.0, 2.0, std::string("a"))}));
    check_same(std::vector<Value>{true, "text"}, std::vector{Variant(true), Variant("text")});

    for (Format format : {Format::gvariant, dbus1_native}) {
        // What is none of them is passed by.
        const Body body = body_of(format, Variant(std::int32_t{5}), std::int32_t{6});
        Reader reader(format, body.signature, body.bytes);
        CHECK(error_of(reader.read<Value>()) == Errc::type_mismatch);
        CHECK(reader.read<std::int32_t>().value() == 6);
    }
    // One that holds nothing cannot be written.
    struct Throws {
        operator Point() const { throw 1; }
    };
    std::variant<bool, Point> none(true);
    CHECK_THROWS(none.emplace<Point>(Throws{}));
    REQUIRE(none.valueless_by_exception());
    Buffer buffer;
    Writer writer(buffer, Format::gvariant);
    CHECK(error_of(writer.append(none).finish()) == Errc::bad_signature);
}

TEST_CASE("sequences are arrays") {
    const std::vector<std::string> texts{"a", "b", "c"};
    check_same(std::list<std::string>(texts.begin(), texts.end()), texts);
    check_same(std::deque<std::string>(texts.begin(), texts.end()), texts);
    check_same(std::set<std::string>(texts.begin(), texts.end()), texts);
    check_same(std::deque<std::uint64_t>{1, 2}, std::vector<std::uint64_t>{1, 2});
    check_same(std::unordered_set<std::int32_t>{3}, std::vector<std::int32_t>{3});
    const Body body = body_of(dbus1_native, std::vector<std::string>{"a", "a"});
    CHECK(Reader(dbus1_native, "as", body.bytes).read<std::set<std::string>>()->size() == 1);
}

TEST_CASE("descriptors are collected and handed out") {
    const kdbus::UniqueFd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
    struct WithFd {
        std::string name;
        kdbus::UniqueFd fd;
    };
    static_assert(signature_of<WithFd> == "(sh)");
    WithFd value{"null", file.duplicate().value()};

    Buffer buffer;
    Writer writer(buffer, dbus1_native);
    FdList fds;
    writer.collect_fds(fds);
    writer.append(kdbus::BorrowedFd(file), value, std::vector<kdbus::BorrowedFd>{5, 6});
    REQUIRE(writer.finish());
    CHECK(writer.signature() == "h(sh)ah");
    CHECK(std::vector(fds.all().begin(), fds.all().end()) ==
          std::vector{file.get(), value.fd.get(), 5, 6});
    CHECK(writer.unix_fds_needed() == 4);

    Reader reader(dbus1_native, "h(sh)ah", writer.body());
    CHECK(error_of(Reader(reader).read<kdbus::UniqueFd>()) == Errc::no_fds);
    std::vector<std::uint32_t> taken;
    reader.set_fd_source({&taken, [](void* object, std::uint32_t index) -> Result<int> {
                              static_cast<std::vector<std::uint32_t>*>(object)->push_back(index);
                              if (index > 1)
                                  return fail(Errc::no_such_fd);
                              return open("/dev/null", O_RDONLY | O_CLOEXEC);
                          }});
    CHECK(reader.read<kdbus::UniqueFd>().value());
    CHECK(reader.read<WithFd>()->fd);
    CHECK(error_of(reader.read<std::vector<kdbus::UniqueFd>>()) == Errc::no_such_fd);
    CHECK(taken == std::vector<std::uint32_t>{0, 1, 2});
}

TEST_CASE("descriptors that cannot travel are refused") {
    const auto error_with = [](FdList* fds, const auto& value) {
        Buffer buffer;
        Writer writer(buffer, Format::gvariant);
        if (fds != nullptr)
            writer.collect_fds(*fds);
        return error_of(writer.append(value).finish());
    };
    CHECK(error_with(nullptr, kdbus::BorrowedFd(1)) == Errc::no_fds);
    FdList none;
    CHECK(error_with(&none, kdbus::UniqueFd()) == Errc::bad_fd);
    CHECK(none.empty());
    FdList few;
    CHECK(error_with(&few, std::vector<kdbus::BorrowedFd>(FdList::max_size, 1)) ==
          std::error_code());
    CHECK(error_with(&few, kdbus::BorrowedFd(1)) == Errc::too_many_fds);
    FdList all;
    CHECK_FALSE(all.add(std::vector<int>(FdList::max_size + 1)));
    CHECK(all.empty());
    CHECK(Variant(kdbus::BorrowedFd(1)).empty());
}
