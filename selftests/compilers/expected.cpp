// SPDX-License-Identifier: LGPL-2.1-or-later
// std::expected as kdbus/expected.hpp gives it to a compiler: what the library and its users need,
// and that it lies in memory as GNU's own does.

#include <kdbus/expected.hpp>

#include <cstdio>
#include <memory>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

namespace {

using Text = std::expected<std::string, std::error_code>;
using Pointer = std::expected<std::unique_ptr<int>, std::error_code>;
using Flag = std::expected<bool, std::error_code>;
using Done = std::expected<void, std::error_code>;
using DoneText = std::expected<void, std::string>;

template <class T, std::size_t bytes>
constexpr bool lies_flat =
    sizeof(T) == bytes&& std::is_trivially_copy_constructible_v<T>&& std::
                     is_trivially_move_constructible_v<T>&& std::is_trivially_destructible_v<T>;
static_assert(lies_flat<Flag, 24> && lies_flat<Done, 24> && lies_flat<std::expected<int, int>, 8>);
static_assert(sizeof(Text) == sizeof(std::string) + 8 && sizeof(DoneText) == sizeof(Text));
static_assert(std::is_copy_constructible_v<Text> && std::is_copy_assignable_v<Text> &&
              std::is_nothrow_move_constructible_v<Text> &&
              !std::is_trivially_destructible_v<Text>);
static_assert(!std::is_copy_constructible_v<Pointer> && !std::is_copy_assignable_v<Pointer> &&
              std::is_move_constructible_v<Pointer> && std::is_move_assignable_v<Pointer>);
static_assert(std::is_convertible_v<const char*, Text> && !std::is_convertible_v<int, Text>);

int failed = 0;
void check(bool holds, int line) {
    if (holds)
        return;
    std::printf("expected.cpp:%d: does not hold\n", line);
    failed = 1;
}
#define CHECK(condition) check(static_cast<bool>(condition), __LINE__)

const std::error_code io = std::make_error_code(std::errc::io_error);
const std::string text = "longer than what fits into a std::string itself";

void values() {
    Text a = text;
    CHECK(a && a.has_value() && *a == text && a->size() == text.size() && a == text);
    Text b = a;
    CHECK(b == a);
    Text c = std::unexpected(io);
    CHECK(!c && c.error() == io && c != a && c == std::unexpected(io));
    CHECK(c.value_or("other") == "other" && a.value_or("other") == text);
    b = c; // from value to error, to error, back
    CHECK(b == c);
    b = std::unexpected(std::make_error_code(std::errc::bad_message));
    CHECK(b.error() == std::errc::bad_message);
    b = a;
    CHECK(b == a);
    b = std::string("short");
    CHECK(*b == "short");
    swap(b, c);
    CHECK(*c == "short" && b.error() == io);
    c.emplace();
    CHECK(c && c->empty());
    std::string taken = *std::move(a);
    CHECK(taken == text);
    try {
        (void)b.value();
        CHECK(false);
    } catch (const std::bad_expected_access<std::error_code>& e) {
        CHECK(e.error() == io);
    }
}

void moved_only() {
    Pointer a = std::make_unique<int>(3);
    Pointer b = std::move(a);
    CHECK(b && **b == 3);
    b = std::unexpected(io);
    CHECK(b.error() == io);
    b = std::make_unique<int>(4);
    CHECK(**b == 4);
    CHECK(*std::move(b).value() == 4);
}

void nothing() {
    DoneText a;
    CHECK(a);
    a = std::unexpected(text);
    CHECK(!a && a.error() == text);
    const DoneText b = a;
    CHECK(b == a);
    a.emplace();
    CHECK(a && a != b);
    a.value();
    Done c = std::unexpected(io);
    CHECK(c.error() == io);
    c = {};
    CHECK(c);
    Flag d = false;
    CHECK(d && !*d);
    d = std::unexpected(io);
    CHECK(!d && d.error() == io);
}

} // namespace

int main() {
    values();
    moved_only();
    nothing();
    return failed;
}
