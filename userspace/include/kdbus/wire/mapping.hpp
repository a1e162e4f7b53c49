// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_MAPPING_HPP
#define KDBUS_WIRE_MAPPING_HPP

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include <kdbus/wire/reader.hpp>
#include <kdbus/wire/types.hpp>
#include <kdbus/wire/variant.hpp>
#include <kdbus/wire/writer.hpp>

/// Which C++ type stands for which D-Bus type, at compile time:
///
///     bool b · std::uint8_t, std::byte y · 16, 32, 64 bit integers n q i u x t · double d
///     std::string, std::string_view, const char* s · ObjectPath(View) o · Signature(View) g
///     UnixFd h · Variant v
///     std::vector<T>, std::span<const T>, std::array<T, N> aT
///     std::map<K, V>, std::unordered_map<K, V> a{KV}
///     std::tuple<T...>, std::pair<A, B> (T...)
///
/// const char* can only be written. Views that are read point into the body; spans can be read for
/// numbers only. A program adds its own types by specialising Mapping<T> likewise.
namespace kdbus::wire {

/// Characters of a signature, joined at compile time.
template <std::size_t N>
struct TypeString {
    std::array<char, N> text{};
    [[nodiscard]] constexpr std::string_view view() const noexcept { return {text.data(), N}; }
};

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

/// Types whose arrays look the same in memory and in a body.
template <class T>
concept Number =
    Integer<T> || std::same_as<T, double> || std::same_as<T, std::byte> || std::same_as<T, UnixFd>;

template <class T>
consteval char number_letter() {
    if constexpr (std::same_as<T, double>)
        return 'd';
    else if constexpr (std::same_as<T, UnixFd>)
        return 'h';
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
