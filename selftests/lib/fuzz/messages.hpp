// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_SELFTESTS_FUZZ_MESSAGES_HPP
#define KDBUS_SELFTESTS_FUZZ_MESSAGES_HPP

#include "bodies.hpp"

#include <kdbus/wire/message.hpp>

namespace fuzz {

using kdbus::wire::Message;
using kdbus::wire::MessageType;

inline bool equal(const Message& a, const Message& b) {
    return a.type == b.type && a.flags == b.flags && a.format == b.format &&
           a.unix_fds == b.unix_fds && a.serial == b.serial && a.reply_serial == b.reply_serial &&
           a.path == b.path && a.interface == b.interface && a.member == b.member &&
           a.error_name == b.error_name && a.destination == b.destination && a.sender == b.sender &&
           a.signature == b.signature && equal(a.body, b.body);
}

/// Messages of all types, their bodies in @p body.
inline std::vector<Message> example_messages(Format format, Buffer& body) {
    Writer writer(body, format);
    write_example(writer);
    REQUIRE(writer.finish());
    static std::string signature;
    signature = writer.signature();
    Message call{.type = MessageType::method_call,
                 .format = format,
                 .unix_fds = 1,
                 .serial = 7,
                 .path = "/org/example",
                 .interface = "org.example.Interface",
                 .member = "Member",
                 .destination = "org.example.Name",
                 .signature = signature,
                 .body = writer.body()};
    Message signal = call;
    signal.type = MessageType::signal;
    signal.flags = kdbus::wire::no_reply_expected;
    signal.destination = {};
    Message reply{.type = MessageType::method_return,
                  .flags = kdbus::wire::no_reply_expected,
                  .format = format,
                  .serial = 8,
                  .reply_serial = 7,
                  .destination = ":1.5"};
    Message error = reply;
    error.type = MessageType::error;
    error.error_name = "org.example.Error.Failed";
    return {call, signal, reply, error};
}

} // namespace fuzz

#endif
