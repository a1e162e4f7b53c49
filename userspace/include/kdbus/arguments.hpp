// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_ARGUMENTS_HPP
#define KDBUS_ARGUMENTS_HPP

#include <kdbus/abi/memfd.hpp>
#include <kdbus/wire/mapping.hpp>
#include <kdbus/wire/writer.hpp>

#include <concepts>
#include <tuple>
#include <type_traits>

namespace kdbus::detail {

/// A reference to the arguments of a message about to be sent: something that writes them, or a
/// memory file whose contents are the only argument, of type ay. Used up within the call it is
/// made for, as a string_view parameter is.
class ArgumentsRef {
public:
    template <std::invocable<wire::Writer&> Write>
    explicit ArgumentsRef(const Write& write) noexcept
        : object_(&write), write_([](const void* object, wire::Writer& writer) {
              (*static_cast<const Write*>(object))(writer);
          }) {}
    explicit ArgumentsRef(const abi::SealedMemfd& memfd) noexcept : memfd_(&memfd) {}

    void write(wire::Writer& writer) const {
        if (write_ != nullptr)
            write_(object_, writer);
    }
    [[nodiscard]] const abi::SealedMemfd* memfd() const noexcept { return memfd_; }

private:
    const void* object_ = nullptr;
    void (*write_)(const void*, wire::Writer&) = nullptr;
    const abi::SealedMemfd* memfd_ = nullptr;
};

/// Calls @p send(ArgumentsRef) with these arguments.
template <class Send, class... A>
auto with_arguments(Send&& send, const A&... args) {
    if constexpr (sizeof...(A) == 1 && (std::same_as<A, abi::SealedMemfd> && ...)) {
        return send(ArgumentsRef(args...));
    } else {
        const auto write = [&]([[maybe_unused]] wire::Writer& writer) {
            (writer.append(args), ...);
        };
        return send(ArgumentsRef(write));
    }
}

} // namespace kdbus::detail

#endif
