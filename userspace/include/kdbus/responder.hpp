// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_RESPONDER_HPP
#define KDBUS_RESPONDER_HPP

#include <kdbus/arguments.hpp>
#include <kdbus/export.hpp>
#include <kdbus/result.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace kdbus {

class Message;

namespace detail {
class ConnectionCore;
}

/// The duty to answer a method call, later if need be. A method handler that takes one as its first
/// parameter (after an optional `const Message&`) answers through it instead of by returning:
///
///     interface.method("Wait", [&](kdbus::Responder reply) { waiting.push_back(std::move(reply));
///     });
///
/// Movable. If it is destroyed without an answer the caller gets the error Failed. Does nothing if
/// the caller wants no answer or the connection is gone. Not thread-safe.
class KDBUS_EXPORT Responder {
public:
    /// For the library.
    Responder(std::weak_ptr<detail::ConnectionCore> core, const Message& call);
    Responder(Responder&&) noexcept = default;
    Responder& operator=(Responder&& other) noexcept;
    ~Responder();

    /// Answers with these values. A second answer does nothing.
    template <class... A>
    void send(const A&... args) {
        send_with_fds({}, args...);
    }
    /// Same, with descriptors; arguments of type h (UnixFd) are indices into @p fds, which stay the
    /// caller's.
    template <class... A>
    void send_with_fds(std::span<const int> fds, const A&... args) {
        detail::with_arguments([&](const detail::ArgumentsRef& ref) { return answer(ref, fds); },
                               args...);
    }
    /// Answers with an error.
    void fail(const Error& error);

private:
    void answer(const detail::ArgumentsRef& args, std::span<const int> fds);
    [[nodiscard]] std::shared_ptr<detail::ConnectionCore> take_core() noexcept;

    std::weak_ptr<detail::ConnectionCore> core_;
    std::string caller_;
    std::uint64_t serial_ = 0;
};

} // namespace kdbus

#endif
