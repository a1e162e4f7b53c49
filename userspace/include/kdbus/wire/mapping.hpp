// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_MAPPING_HPP
#define KDBUS_WIRE_MAPPING_HPP

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <kdbus/wire/reader.hpp>
#include <kdbus/wire/structs.hpp>
#include <kdbus/wire/types.hpp>
#include <kdbus/wire/variant.hpp>
#include <kdbus/wire/writer.hpp>

/// Which C++ type stands for which D-Bus type, at compile time:
///
///     bool b · std::uint8_t, std::byte y · 16, 32, 64 bit integers n q i u x t · double d
///     scoped enumerations: their underlying integer
///     std::string, std::string_view, const char* s · ObjectPath(View) o · Signature(View) g
///     UnixFd h · Variant v · std::variant<T...> v, of one of these types
///     std::vector<T>, std::span<const T>, std::array<T, N> aT
///     std::list<T>, std::deque<T>, std::set<T>, std::unordered_set<T> aT
///     std::map<K, V>, std::unordered_map<K, V> a{KV}
///     std::tuple<T...>, std::pair<A, B> (T...)
///     a struct of a program's own, struct { T... }; (T...)
///
/// and, with <kdbus/descriptors.hpp>, abi::UniqueFd and BorrowedFd h.
///
/// const char* can only be written. Views that are read point into the body; spans can be read for
/// numbers only, and fail with misaligned where they cannot be read in place. A program adds its
/// own types by specialising Mapping<T> likewise.
///
/// A program's struct needs nothing: an aggregate of 1 to 32 members that all have a D-Bus type is
/// a D-Bus struct of them, in their order. No such aggregates are those with base classes, arrays
/// (use std::array), or members that `{}` does not initialise; and those for which enable_struct is
/// false. Members that cannot be assigned to can be written only. A struct that contains itself,
/// through a std::vector say, has no D-Bus type and does not compile; so do bit-fields and
/// anonymous unions.
///
/// A number that is no value of an enumeration is read as it is: what it means is for the program
/// to judge.
namespace kdbus::wire {

/// Characters of a signature, joined at compile time.
template <std::size_t N>
struct TypeString {
    std::array<char, N> text{}; ///< no NUL behind it
    /// The characters.
    [[nodiscard]] constexpr std::string_view view() const noexcept { return {text.data(), N}; }
};

/// A literal is as long as its text, without the NUL.
template <std::size_t N>
TypeString(const char (&)[N]) -> TypeString<N - 1>;

/// A TypeString of a literal.
template <std::size_t N>
[[nodiscard]] constexpr TypeString<N - 1> type_string(const char (&literal)[N]) noexcept {
    TypeString<N - 1> result;
    for (std::size_t i = 0; i + 1 < N; i++)
        result.text[i] = literal[i];
    return result;
}

/// All parts in a row.
template <std::size_t... Ns>
[[nodiscard]] constexpr auto join(const TypeString<Ns>&... parts) noexcept {
    TypeString<(Ns + ... + 0)> result;
    std::size_t at = 0;
    [[maybe_unused]] auto add = [&](std::string_view part) {
        for (char letter : part)
            result.text[at++] = letter;
    };
    (add(parts.view()), ...);
    return result;
}

/// The signature of a sequence of C++ types, "sa{sv}" for <std::string, std::map<std::string,
/// Variant>>.
template <class... Ts>
inline constexpr auto signature_string = join(Mapping<std::decay_t<Ts>>::signature...);
/// Same as text.
template <class... Ts>
inline constexpr std::string_view signature_of = signature_string<Ts...>.view();

namespace detail {

template <class T>
inline constexpr bool is_character = false;
template <>
inline constexpr bool is_character<char> = true;
template <>
inline constexpr bool is_character<signed char> = true;
template <>
inline constexpr bool is_character<wchar_t> = true;
template <>
inline constexpr bool is_character<char8_t> = true;
template <>
inline constexpr bool is_character<char16_t> = true;
template <>
inline constexpr bool is_character<char32_t> = true;

template <class T>
concept Integer = std::integral<T> && !std::same_as<T, bool> && !is_character<T>;

/// A scoped enumeration of integers; std::byte is one.
template <class T>
concept Enumeration = std::is_enum_v<T> && !std::convertible_to<T, std::underlying_type_t<T>> &&
                      Integer<std::underlying_type_t<T>>;

/// Types whose arrays look the same in memory and in a body.
template <class T>
concept Number = Integer<T> || std::same_as<T, double> || Enumeration<T> || std::same_as<T, UnixFd>;

template <class T>
consteval char number_letter() {
    if constexpr (std::same_as<T, double>)
        return 'd';
    else if constexpr (std::same_as<T, UnixFd>)
        return 'h';
    else if constexpr (std::is_enum_v<T>)
        return number_letter<std::underlying_type_t<T>>();
    else if constexpr (sizeof(T) == 1)
        return 'y';
    else if constexpr (sizeof(T) == 2)
        return std::signed_integral<T> ? 'n' : 'q';
    else if constexpr (sizeof(T) == 4)
        return std::signed_integral<T> ? 'i' : 'u';
    else
        return std::signed_integral<T> ? 'x' : 't';
}

} // namespace detail

template <>
struct Mapping<bool> {
    static constexpr auto signature = type_string("b");
    static void write(Writer& writer, bool value) noexcept { writer.append_fixed('b', value); }
    static Result<bool> read(Reader& reader) noexcept {
        auto bits = reader.read_fixed('b');
        if (!bits)
            return std::unexpected(bits.error());
        return *bits != 0;
    }
};

template <detail::Number T>
struct Mapping<T> {
    static constexpr auto signature = TypeString<1>{{detail::number_letter<T>()}};
    static void write(Writer& writer, T value) noexcept {
        if constexpr (std::same_as<T, double>)
            writer.append_fixed('d', std::bit_cast<std::uint64_t>(value));
        else if constexpr (std::same_as<T, UnixFd>)
            writer.append_fixed('h', value.index);
        else
            writer.append_fixed(signature.text[0], static_cast<std::uint64_t>(value));
    }
    static Result<T> read(Reader& reader) noexcept {
        auto bits = reader.read_fixed(signature.text[0]);
        if (!bits)
            return std::unexpected(bits.error());
        if constexpr (std::same_as<T, double>)
            return std::bit_cast<double>(*bits);
        else if constexpr (std::same_as<T, UnixFd>)
            return UnixFd{static_cast<std::uint32_t>(*bits)};
        else
            return static_cast<T>(*bits);
    }
};

namespace detail {

/// Common to everything that is text on the wire.
template <char Letter, class T>
struct TextMapping {
    static constexpr auto signature = TypeString<1>{{Letter}};
    static Result<T> read(Reader& reader) {
        auto text = reader.read_text(Letter);
        if (!text)
            return std::unexpected(text.error());
        if constexpr (requires { T{*text}.value; })
            return T{typename std::remove_cvref_t<decltype(T{}.value)>(*text)};
        else if constexpr (requires { T{}.value; })
            return T(std::string(*text));
        else
            return T(*text);
    }
};

} // namespace detail

template <>
struct Mapping<std::string_view> : detail::TextMapping<'s', std::string_view> {
    static void write(Writer& writer, std::string_view text) noexcept {
        writer.append_text('s', text);
    }
};

template <>
struct Mapping<std::string> : detail::TextMapping<'s', std::string> {
    static void write(Writer& writer, std::string_view text) noexcept {
        writer.append_text('s', text);
    }
};

template <>
struct Mapping<const char*> {
    static constexpr auto signature = type_string("s");
    static void write(Writer& writer, const char* text) noexcept { writer.append_text('s', text); }
};

template <>
struct Mapping<char*> : Mapping<const char*> {};

template <>
struct Mapping<ObjectPathView> : detail::TextMapping<'o', ObjectPathView> {
    static void write(Writer& writer, ObjectPathView path) noexcept {
        writer.append_text('o', path.value);
    }
};

template <>
struct Mapping<ObjectPath> : detail::TextMapping<'o', ObjectPath> {
    static void write(Writer& writer, const ObjectPath& path) noexcept {
        writer.append_text('o', path.value);
    }
};

template <>
struct Mapping<SignatureView> : detail::TextMapping<'g', SignatureView> {
    static void write(Writer& writer, SignatureView text) noexcept {
        writer.append_text('g', text.value);
    }
};

template <>
struct Mapping<Signature> : detail::TextMapping<'g', Signature> {
    static void write(Writer& writer, const Signature& text) noexcept {
        writer.append_text('g', text.value);
    }
};

template <>
struct Mapping<Variant> {
    static constexpr auto signature = type_string("v");
    static void write(Writer& writer, const Variant& value) noexcept {
        writer.open_variant(value.type());
        Reader reader = value.reader();
        writer.append_value(reader).close();
    }
    static Result<Variant> read(Reader& reader) {
        if (auto entered = reader.enter_variant(); !entered)
            return std::unexpected(entered.error());
        auto value = Variant::take(reader);
        if (!value)
            return value;
        if (auto left = reader.exit(); !left)
            return std::unexpected(left.error());
        return value;
    }
};

namespace detail {

template <class Range>
void write_array(Writer& writer, const Range& range, std::string_view element) {
    writer.open_array(element);
    for (const auto& value : range)
        writer.append(value);
    writer.close();
}

/// Reads the elements of an array into `add(T&&)`.
template <class T, class Add>
Result<void> read_array(Reader& reader, Add add) {
    if (auto entered = reader.enter_array(); !entered)
        return entered;
    while (!reader.at_end()) {
        auto value = Mapping<T>::read(reader);
        if (!value)
            return std::unexpected(value.error());
        add(std::move(*value));
    }
    return reader.exit();
}

} // namespace detail

template <class T, class Allocator>
requires Mapped<T>
struct Mapping<std::vector<T, Allocator>> {
    static constexpr auto signature = join(type_string("a"), Mapping<T>::signature);
    static void write(Writer& writer, const std::vector<T, Allocator>& values) {
        if constexpr (detail::Number<T>) {
            writer.append_fixed_array(Mapping<T>::signature.text[0], values.data(), values.size());
        } else if constexpr (std::same_as<T, bool>) {
            writer.open_array("b");
            for (bool value : values)
                writer.append_fixed('b', value);
            writer.close();
        } else {
            detail::write_array(writer, values, Mapping<T>::signature.view());
        }
    }
    static Result<std::vector<T, Allocator>> read(Reader& reader) {
        std::vector<T, Allocator> values;
        if constexpr (detail::Number<T>) {
            if (auto span = reader.template read_span<T>()) {
                values.assign(span->begin(), span->end());
                return values;
            } else if (span.error() != make_error_code(Errc::misaligned)) {
                return std::unexpected(span.error());
            }
        }
        auto done = detail::read_array<T>(reader, [&](T&& v) { values.push_back(std::move(v)); });
        if (!done)
            return std::unexpected(done.error());
        return values;
    }
};

template <class T>
requires Mapped<T>
struct Mapping<std::span<const T>> {
    static constexpr auto signature = join(type_string("a"), Mapping<T>::signature);
    static void write(Writer& writer, std::span<const T> values) {
        if constexpr (detail::Number<T>)
            writer.append_fixed_array(Mapping<T>::signature.text[0], values.data(), values.size());
        else
            detail::write_array(writer, values, Mapping<T>::signature.view());
    }
    static Result<std::span<const T>> read(Reader& reader) requires detail::Number<T> {
        return reader.template read_span<T>();
    }
};

template <class T>
requires Mapped<T>
struct Mapping<std::span<T>> {
    static constexpr auto signature = Mapping<std::span<const T>>::signature;
    static void write(Writer& writer, std::span<T> values) {
        Mapping<std::span<const T>>::write(writer, values);
    }
};

namespace detail {

/// Containers of which an element is added at the end, if it has one.
template <class Sequence>
struct SequenceMapping {
    using Element = typename Sequence::value_type;
    static constexpr auto signature = join(type_string("a"), Mapping<Element>::signature);
    static void write(Writer& writer, const Sequence& values) {
        write_array(writer, values, Mapping<Element>::signature.view());
    }
    static Result<Sequence> read(Reader& reader) {
        Sequence values;
        auto done = read_array<Element>(
            reader, [&](Element&& value) { values.insert(values.end(), std::move(value)); });
        if (!done)
            return std::unexpected(done.error());
        return values;
    }
};

} // namespace detail

template <class T, class Allocator>
requires Mapped<T>
struct Mapping<std::list<T, Allocator>> : detail::SequenceMapping<std::list<T, Allocator>> {
};

template <class T, class Allocator>
requires Mapped<T>
struct Mapping<std::deque<T, Allocator>> : detail::SequenceMapping<std::deque<T, Allocator>> {
};

template <class T, class Compare, class Allocator>
requires Mapped<T>
struct Mapping<std::set<T, Compare, Allocator>>
    : detail::SequenceMapping<std::set<T, Compare, Allocator>> {
};

template <class T, class Hash, class Equal, class Allocator>
requires Mapped<T>
struct Mapping<std::unordered_set<T, Hash, Equal, Allocator>>
    : detail::SequenceMapping<std::unordered_set<T, Hash, Equal, Allocator>> {
};

template <class T, std::size_t N>
requires Mapped<T>
struct Mapping<std::array<T, N>> {
    static constexpr auto signature = join(type_string("a"), Mapping<T>::signature);
    static void write(Writer& writer, const std::array<T, N>& values) {
        Mapping<std::span<const T>>::write(writer, values);
    }
    /// Fails with wrong_size, past the array, if there are not exactly N elements.
    static Result<std::array<T, N>> read(Reader& reader) {
        std::array<T, N> values{};
        std::size_t count = 0;
        auto done = detail::read_array<T>(reader, [&](T&& value) {
            if (count < N)
                values[count] = std::move(value);
            count++;
        });
        if (!done)
            return std::unexpected(done.error());
        if (count != N)
            return fail(Errc::wrong_size);
        return values;
    }
};

namespace detail {

template <class Map>
struct MapMapping {
    using Key = typename Map::key_type;
    using Value = typename Map::mapped_type;
    static constexpr auto members = join(Mapping<Key>::signature, Mapping<Value>::signature);
    static constexpr auto element = join(type_string("{"), members, type_string("}"));
    static constexpr auto signature = join(type_string("a"), element);
    static_assert(Mapping<Key>::signature.view().size() == 1 &&
                      Mapping<Key>::signature.view() != "v",
                  "a dict key is of a basic type");

    static void write(Writer& writer, const Map& map) {
        writer.open_array(element.view());
        for (const auto& [key, value] : map)
            writer.open_dict_entry(members.view()).append(key).append(value).close();
        writer.close();
    }
    /// Of equal keys the last one counts.
    static Result<Map> read(Reader& reader) {
        Map map;
        if (auto entered = reader.enter_array(); !entered)
            return std::unexpected(entered.error());
        while (!reader.at_end()) {
            if (auto entered = reader.enter_dict_entry(); !entered)
                return std::unexpected(entered.error());
            auto key = Mapping<Key>::read(reader);
            if (!key)
                return std::unexpected(key.error());
            auto value = Mapping<Value>::read(reader);
            if (!value)
                return std::unexpected(value.error());
            map.insert_or_assign(std::move(*key), std::move(*value));
            if (auto left = reader.exit(); !left)
                return std::unexpected(left.error());
        }
        if (auto left = reader.exit(); !left)
            return std::unexpected(left.error());
        return map;
    }
};

template <class Tuple>
struct TupleMapping;

template <template <class...> class Tuple, class... Ts>
struct TupleMapping<Tuple<Ts...>> {
    static_assert(sizeof...(Ts) > 0, "a struct has at least one member");
    static constexpr auto members = join(Mapping<Ts>::signature...);
    static constexpr auto signature = join(type_string("("), members, type_string(")"));

    static void write(Writer& writer, const Tuple<Ts...>& tuple) {
        writer.open_struct(members.view());
        std::apply([&](const auto&... values) { (writer.append(values), ...); }, tuple);
        writer.close();
    }
    static Result<Tuple<Ts...>> read(Reader& reader) {
        if (auto entered = reader.enter_struct(); !entered)
            return std::unexpected(entered.error());
        // Braces evaluate in order.
        std::tuple<Result<Ts>...> parts{Mapping<Ts>::read(reader)...};
        std::error_code error;
        std::apply(
            [&](const auto&... part) { ((!error&& !part ? error = part.error() : error), ...); },
            parts);
        if (error)
            return std::unexpected(error);
        if (auto left = reader.exit(); !left)
            return std::unexpected(left.error());
        return std::apply([](auto&&... part) { return Tuple<Ts...>(std::move(*part)...); },
                          std::move(parts));
    }
};

} // namespace detail

template <class K, class V, class Compare, class Allocator>
requires(Mapped<K>&& Mapped<V>) struct Mapping<std::map<K, V, Compare, Allocator>>
    : detail::MapMapping<std::map<K, V, Compare, Allocator>> {
};

template <class K, class V, class Hash, class Equal, class Allocator>
requires(Mapped<K>&& Mapped<V>) struct Mapping<std::unordered_map<K, V, Hash, Equal, Allocator>>
    : detail::MapMapping<std::unordered_map<K, V, Hash, Equal, Allocator>> {
};

template <class... Ts>
requires(Mapped<Ts>&&...) struct Mapping<std::tuple<Ts...>>
    : detail::TupleMapping<std::tuple<Ts...>> {
};

template <class A, class B>
requires(Mapped<A>&& Mapped<B>) struct Mapping<std::pair<A, B>>
    : detail::TupleMapping<std::pair<A, B>> {
};

namespace detail {

/// How many of the types there are whose signature is this one.
template <class... Ts>
consteval std::size_t count_signature(std::string_view signature) {
    return (std::size_t{0} + ... + (Mapping<Ts>::signature.view() == signature ? 1 : 0));
}

} // namespace detail

template <class... Ts>
requires(Mapped<Ts>&&...) struct Mapping<std::variant<Ts...>> {
    static_assert(
        ((detail::count_signature<Ts...>(Mapping<Ts>::signature.view()) == 1) && ...),
        "the alternatives have different D-Bus types, or which one is meant would not be known");
    static constexpr auto signature = type_string("v");

    static void write(Writer& writer, const std::variant<Ts...>& value) {
        if (value.valueless_by_exception()) {
            writer.fail(Errc::bad_signature);
            return;
        }
        std::visit(
            [&]<class T>(const T& alternative) {
                writer.open_variant(Mapping<T>::signature.view()).append(alternative).close();
            },
            value);
    }
    /// Fails with type_mismatch, past the variant, if its value is of none of these types.
    static Result<std::variant<Ts...>> read(Reader& reader) {
        const auto type = reader.enter_variant();
        if (!type)
            return std::unexpected(type.error());
        Result<std::variant<Ts...>> result = fail(Errc::type_mismatch);
        (void)((*type == Mapping<Ts>::signature.view() &&
                (result = read_alternative<Ts>(reader), true)) ||
               ...);
        if (auto left = reader.exit(); !left)
            return std::unexpected(left.error());
        return result;
    }

private:
    template <class T>
    static Result<std::variant<Ts...>> read_alternative(Reader& reader) {
        auto value = Mapping<T>::read(reader);
        if (!value)
            return std::unexpected(value.error());
        return std::variant<Ts...>(std::in_place_type<T>, std::move(*value));
    }
};

namespace detail {

/// What a tuple of references to an aggregate's members says about them.
template <class Members>
struct StructMembers;

template <class... Ms>
struct StructMembers<std::tuple<Ms...>> {
    static constexpr bool mapped = sizeof...(Ms) > 0 &&
                                   ((!std::is_array_v<std::remove_reference_t<Ms>> &&
                                     Mapped<std::remove_cvref_t<Ms>>)&&...);
    static constexpr bool readable =
        ((!std::is_const_v<std::remove_reference_t<Ms>> &&
          requires(Reader & reader) { Mapping<std::remove_cvref_t<Ms>>::read(reader); }) &&
         ...);
    /// Only of members that are mapped.
    static consteval auto signature() {
        return join(Mapping<std::remove_cvref_t<Ms>>::signature...);
    }
};

/// An aggregate of a program's own that stands for a D-Bus struct.
template <class T>
concept Struct =
    PlainAggregate<T> && !std::same_as<T, UnixFd> && StructMembers<MembersOf<T>>::mapped;

} // namespace detail

template <detail::Struct T>
struct Mapping<T> {
    static constexpr auto members = detail::StructMembers<detail::MembersOf<T>>::signature();
    static constexpr auto signature = join(type_string("("), members, type_string(")"));
    static_assert(signature.text.size() <= max_signature_length, "the struct's type is too long");

    static void write(Writer& writer, const T& value) {
        writer.open_struct(members.view());
        std::apply([&](const auto&... member) { (writer.append(member), ...); },
                   detail::members_of(value));
        writer.close();
    }
    static Result<T>
    read(Reader& reader) requires(detail::StructMembers<detail::MembersOf<T>>::readable) {
        if (auto entered = reader.enter_struct(); !entered)
            return std::unexpected(entered.error());
        T value{};
        Result<void> done;
        std::apply([&](auto&... member) { (void)((done = read_into(reader, member)) && ...); },
                   detail::members_of(value));
        if (done)
            done = reader.exit();
        if (!done)
            return std::unexpected(done.error());
        return value;
    }

private:
    template <class Member>
    static Result<void> read_into(Reader& reader, Member& member) {
        auto value = Mapping<Member>::read(reader);
        if (!value)
            return std::unexpected(value.error());
        member = std::move(*value);
        return {};
    }
};

// ---- members declared elsewhere
// ------------------------------------------------------------------

template <class T>
Writer& Writer::append(const T& value) {
    static_assert(Mapped<T>, "this type has no D-Bus counterpart");
    Mapping<std::decay_t<const T&>>::write(*this, value);
    return *this;
}

template <class First, class Second, class... Rest>
Writer& Writer::append(const First& first, const Second& second, const Rest&... rest) {
    append(first);
    append(second);
    (append(rest), ...);
    return *this;
}

template <class T>
Result<T> Reader::read() {
    static_assert(Mapped<T>, "this type has no D-Bus counterpart");
    constexpr std::string_view type = Mapping<T>::signature.view();
    if (error_)
        return std::unexpected(error_);
    if constexpr (type.size() > 1) {
        if (peek_signature() != type)
            return fail(Errc::type_mismatch);
    }
    return Mapping<T>::read(*this);
}

template <class T>
Result<std::span<const T>> Reader::read_span() {
    static_assert(detail::Number<T>, "only numbers can be read in place");
    auto bytes = read_fixed_array(Mapping<T>::signature.text[0], alignof(T));
    if (!bytes)
        return std::unexpected(bytes.error());
    if (bytes->empty()) // its address may be anything
        return std::span<const T>();
    return std::span<const T>(reinterpret_cast<const T*>(bytes->data()), bytes->size() / sizeof(T));
}

template <class T>
requires(!std::same_as<std::decay_t<T>, Variant> && Mapped<T>) Variant::Variant(const T& value) {
    Buffer buffer;
    Writer writer(buffer, Format::gvariant);
    writer.append(value);
    if (!writer.finish())
        return;
    type_ = writer.signature();
    bytes_.assign(writer.body().begin(), writer.body().end());
}

template <class T>
Result<T> Variant::get() const {
    if (empty())
        return fail(Errc::type_mismatch);
    Reader reader_of_value = reader();
    return reader_of_value.template read<T>();
}

} // namespace kdbus::wire

#endif
