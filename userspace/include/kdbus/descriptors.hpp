// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_DESCRIPTORS_HPP
#define KDBUS_DESCRIPTORS_HPP

#include <kdbus/abi/fd.hpp>
#include <kdbus/message.hpp>
#include <kdbus/result.hpp>

#include <concepts>
#include <cstdint>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

/// Descriptors as values. On the wire an argument of type h is an index (UnixFd) into what travels
/// beside the message; in typed interfaces it is a descriptor, however deep it lies in a value.
namespace kdbus {

using abi::UniqueFd;

/// A descriptor to pass, which stays the caller's.
class BorrowedFd {
public:
    BorrowedFd(int fd) noexcept : fd_(fd) {}
    BorrowedFd(const UniqueFd& fd) noexcept : fd_(fd.get()) {}

    [[nodiscard]] int get() const noexcept { return fd_; }

private:
    int fd_;
};

} // namespace kdbus

namespace kdbus::detail {

/// How a value is sent: as it is, unless there are descriptors in it, which are added to @p fds and
/// replaced by their indices.
template <class T>
struct Sent {
    using Wire = T;
    static const T& take(const T& value, std::vector<int>&) { return value; }
};
/// How a value is received, likewise.
template <class T>
struct Received {
    using Wire = T;
    static Result<T> take(const Message&, T&& value) { return std::move(value); }
};

template <class T>
using SentWire = typename Sent<T>::Wire;
template <class T>
using ReceivedWire = typename Received<T>::Wire;

template <class T>
concept SentWithFds = !std::same_as<T, SentWire<T>>;
template <class T>
concept ReceivedWithFds = !std::same_as<T, ReceivedWire<T>>;

template <>
struct Sent<BorrowedFd> {
    using Wire = UnixFd;
    static UnixFd take(BorrowedFd fd, std::vector<int>& fds) {
        fds.push_back(fd.get());
        return UnixFd{static_cast<std::uint32_t>(fds.size() - 1)};
    }
};
template <>
struct Received<UniqueFd> {
    using Wire = UnixFd;
    static Result<UniqueFd> take(const Message& message, UnixFd index) {
        return message.take_fd(index);
    }
};

template <SentWithFds T>
struct Sent<std::vector<T>> {
    using Wire = std::vector<SentWire<T>>;
    static Wire take(const std::vector<T>& values, std::vector<int>& fds) {
        Wire wire;
        for (const T& value : values)
            wire.push_back(Sent<T>::take(value, fds));
        return wire;
    }
};
template <ReceivedWithFds T>
struct Received<std::vector<T>> {
    using Wire = std::vector<ReceivedWire<T>>;
    static Result<std::vector<T>> take(const Message& message, Wire&& wire) {
        std::vector<T> values;
        for (auto& element : wire) {
            auto value = Received<T>::take(message, std::move(element));
            if (!value)
                return std::move(value).error();
            values.push_back(*std::move(value));
        }
        return values;
    }
};

template <class K, SentWithFds V>
struct Sent<std::map<K, V>> {
    using Wire = std::map<K, SentWire<V>>;
    static Wire take(const std::map<K, V>& values, std::vector<int>& fds) {
        Wire wire;
        for (const auto& [key, value] : values)
            wire.emplace(key, Sent<V>::take(value, fds));
        return wire;
    }
};
template <class K, ReceivedWithFds V>
struct Received<std::map<K, V>> {
    using Wire = std::map<K, ReceivedWire<V>>;
    static Result<std::map<K, V>> take(const Message& message, Wire&& wire) {
        std::map<K, V> values;
        for (auto& [key, element] : wire) {
            auto value = Received<V>::take(message, std::move(element));
            if (!value)
                return std::move(value).error();
            values.emplace(key, *std::move(value));
        }
        return values;
    }
};

template <class... T>
requires(SentWithFds<T> || ...) struct Sent<std::tuple<T...>> {
    using Wire = std::tuple<SentWire<T>...>;
    static Wire take(const std::tuple<T...>& values, std::vector<int>& fds) {
        // Braces evaluate in order.
        return std::apply([&](const T&... value) { return Wire{Sent<T>::take(value, fds)...}; },
                          values);
    }
};
/// Also what takes all arguments of a message.
template <class... T>
Result<std::tuple<T...>> take_all(const Message& message, std::tuple<ReceivedWire<T>...>&& wire) {
    return std::apply(
        [&](auto&&... element) -> Result<std::tuple<T...>> {
            std::tuple<Result<T>...> parts{Received<T>::take(message, std::move(element))...};
            const Error* error = nullptr;
            std::apply(
                [&](const auto&... part) {
                    ((error == nullptr&& !part ? error = &part.error() : error), ...);
                },
                parts);
            if (error != nullptr)
                return *error;
            return std::apply([](auto&&... part) { return std::tuple<T...>(*std::move(part)...); },
                              std::move(parts));
        },
        std::move(wire));
}
template <class... T>
requires(ReceivedWithFds<T> || ...) struct Received<std::tuple<T...>> {
    using Wire = std::tuple<ReceivedWire<T>...>;
    static Result<std::tuple<T...>> take(const Message& message, Wire&& wire) {
        return take_all<T...>(message, std::move(wire));
    }
};

} // namespace kdbus::detail

#endif
