// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_ARGUMENTS_HPP
#define KDBUS_ARGUMENTS_HPP

#include <kdbus/abi/memfd.hpp>
#include <kdbus/wire/mapping.hpp>
#include <kdbus/wire/writer.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace kdbus::detail {

/// One argument of a message as a C++ type.
template <class T>
struct Argument {
    using Value = T;
    static constexpr bool optional = false;
    static wire::Result<T> read(wire::Reader& reader) { return reader.template read<T>(); }
};
/// One that may be missing, together with all that follow it.
template <class T>
struct Argument<std::optional<T>> {
    using Value = T;
    static constexpr bool optional = true;
    static wire::Result<std::optional<T>> read(wire::Reader& reader) {
        if (reader.at_end() && !reader.error())
            return std::optional<T>();
        auto value = reader.template read<T>();
        if (!value)
            return std::unexpected(value.error());
        return std::optional<T>(std::move(*value));
    }
};

template <class... T>
inline constexpr bool optionals_trail = [] {
    bool optional = false, good = true;
    ((good = good && (Argument<T>::optional || !optional), optional = Argument<T>::optional), ...);
    return good;
}();

/// Types of a sequence of arguments, which may be empty; the optional ones, too.
template <class... T>
[[gnu::visibility("hidden")]] inline constexpr std::string_view types_of =
    wire::signature_of<typename Argument<std::decay_t<T>>::Value...>;
template <>
inline constexpr std::string_view types_of<> = {};

/// How many of the arguments may be missing at the end.
template <class... T>
inline constexpr std::size_t optionals_of = (std::size_t{0} + ... +
                                             (Argument<std::decay_t<T>>::optional ? 1 : 0));

/// How many letters of types_of are of arguments that must be there.
template <class A>
inline constexpr std::size_t required_letters =
    Argument<A>::optional ? 0 : wire::signature_of<typename Argument<A>::Value>.size();
template <class... T>
inline constexpr std::size_t required_of = (std::size_t{0} + ... +
                                            required_letters<std::decay_t<T>>);

/// Whether a message with this (valid) signature has these arguments.
template <class... T>
[[nodiscard]] constexpr bool accepts(std::string_view signature) noexcept {
    static_assert(optionals_trail<std::decay_t<T>...>,
                  "behind an optional argument there are optional ones only");
    if constexpr (optionals_of<T...> == 0)
        return signature == types_of<T...>;
    else // what is valid and the beginning of something valid ends where a type does
        return signature.size() >= required_of<T...> && types_of<T...>.starts_with(signature);
}

/// Appends arguments, optional ones as far as they are there.
template <class... T>
void write_arguments([[maybe_unused]] wire::Writer& writer, const T&... values) {
    static_assert(optionals_trail<T...>,
                  "behind an optional argument there are optional ones only");
    [[maybe_unused]] bool missing = false;
    [[maybe_unused]] const auto write = [&]<class A>(const A& value) {
        if constexpr (!Argument<A>::optional)
            writer.append(value);
        else if (!value)
            missing = true;
        else if (missing)
            writer.fail(wire::Errc::optional_gap);
        else
            writer.append(*value);
    };
    (write(values), ...);
}

/// A reference to the arguments of a message about to be sent: something that writes them, or a
/// memory file whose contents are the only argument, an array of numbers. Used up within the call
/// it is made for, as a string_view parameter is.
class ArgumentsRef {
public:
    template <std::invocable<wire::Writer&> Write>
    explicit ArgumentsRef(const Write& write) noexcept
        : object_(&write), write_([](const void* object, wire::Writer& writer) {
              (*static_cast<const Write*>(object))(writer);
          }) {}
    /// @p signature: of an array of numbers, which the file has a whole number of; lives as long.
    ArgumentsRef(const abi::SealedMemfd& memfd, std::string_view signature) noexcept
        : memfd_(&memfd), memfd_signature_(signature) {}

    void write(wire::Writer& writer) const {
        if (write_ != nullptr)
            write_(object_, writer);
    }
    [[nodiscard]] const abi::SealedMemfd* memfd() const noexcept { return memfd_; }
    [[nodiscard]] std::string_view memfd_signature() const noexcept { return memfd_signature_; }

private:
    const void* object_ = nullptr;
    void (*write_)(const void*, wire::Writer&) = nullptr;
    const abi::SealedMemfd* memfd_ = nullptr;
    std::string_view memfd_signature_;
};

/// Types that stand for a memory file if they are the only argument have a ref() here.
template <class T>
struct MemfdArgument;
template <>
struct MemfdArgument<abi::SealedMemfd> {
    static ArgumentsRef ref(const abi::SealedMemfd& memfd) noexcept { return {memfd, "ay"}; }
};

/// Calls @p send(ArgumentsRef) with these arguments.
template <class Send, class... A>
auto with_arguments(Send&& send, const A&... args) {
    if constexpr (sizeof...(A) == 1 && (requires { MemfdArgument<A>::ref(args); } && ...)) {
        return send((MemfdArgument<A>::ref(args), ...));
    } else {
        const auto write = [&]([[maybe_unused]] wire::Writer& writer) {
            write_arguments(writer, args...);
        };
        return send(ArgumentsRef(write));
    }
}

} // namespace kdbus::detail

#endif
