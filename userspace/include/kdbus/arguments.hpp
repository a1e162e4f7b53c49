// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_ARGUMENTS_HPP
#define KDBUS_ARGUMENTS_HPP

#include <kdbus/abi/memfd.hpp>
#include <kdbus/wire/mapping.hpp>
#include <kdbus/wire/writer.hpp>

#include <concepts>
#include <string_view>
#include <tuple>
#include <type_traits>

namespace kdbus::detail {

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
            (writer.append(args), ...);
        };
        return send(ArgumentsRef(write));
    }
}

} // namespace kdbus::detail

#endif
