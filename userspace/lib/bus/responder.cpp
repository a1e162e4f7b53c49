// SPDX-License-Identifier: LGPL-2.1-or-later
#include "core.hpp"

#include <kdbus/message.hpp>
#include <kdbus/responder.hpp>

#include <new>
#include <utility>

namespace kdbus {

Responder::Responder(std::weak_ptr<detail::ConnectionCore> core, const Message& call) {
    if (!call.wire().expects_reply())
        return;
    core_ = std::move(core);
    caller_ = call.sender();
    serial_ = call.wire().serial;
}

Responder& Responder::operator=(Responder&& other) noexcept {
    if (this != &other) {
        const Responder replaced = std::move(*this);
        core_ = std::move(other.core_);
        caller_ = std::move(other.caller_);
        serial_ = other.serial_;
    }
    return *this;
}

Responder::~Responder() {
    try {
        fail({error_names::failed, "The service gave no answer"});
    } catch (const std::bad_alloc&) {
        // Then the caller's deadline has to end its wait.
    }
}

std::shared_ptr<detail::ConnectionCore> Responder::take_core() noexcept {
    return std::exchange(core_, {}).lock();
}

void Responder::answer(const detail::ArgumentsRef& args, std::span<const int> fds) {
    if (const auto core = take_core())
        core->reply(caller_, serial_, args, fds);
}

void Responder::fail(const Error& error) {
    if (const auto core = take_core())
        core->reply_error(caller_, serial_, error);
}

} // namespace kdbus
