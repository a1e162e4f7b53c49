// SPDX-License-Identifier: LGPL-2.1-or-later
// Messages as the kernel hands them out: pieces, and what the kernel itself says.
#include "messages.hpp"

#include <linux/kdbus.h>

namespace wire = kdbus::wire;

namespace {

/// What the kernel says of a message that it let through.
std::uint64_t kernel_flags(const wire::Message& message) {
    return (message.flags & wire::no_reply_expected ? 0 : KDBUS_MSG_EXPECT_REPLY) |
           (message.flags & wire::no_auto_start ? KDBUS_MSG_NO_AUTO_START : 0) |
           (message.type == wire::MessageType::signal ? KDBUS_MSG_SIGNAL : 0);
}

void check_copy(wire::Message message) {
    if (!wire::validate_body(message.format, message.signature, message.body))
        return; // parse_kdbus() leaves that to who reads it
    // Of types yet unknown there may be some that are answered; of those that we send, none.
    if (message.type != wire::MessageType::method_call)
        message.flags |= wire::no_reply_expected;
    wire::Buffer head, tail, scratch;
    REQUIRE(wire::serialise_kdbus(message, head, tail));
    const wire::Piece pieces[] = {{head.data(), head.size()}, {tail.data(), tail.size()}};
    const wire::KernelHead kernel{.flags = kernel_flags(message),
                                  .cookie = message.serial,
                                  .cookie_reply = message.reply_serial,
                                  .fds = message.unix_fds,
                                  .sender = message.sender,
                                  .destination = message.destination};
    const auto again = wire::parse_kdbus(pieces, kernel, scratch);
    REQUIRE(again && fuzz::equal(*again, message));
}

} // namespace

std::vector<std::string> fuzz::seeds() {
    std::vector<std::string> seeds;
    wire::Buffer body;
    for (const auto& message : fuzz::example_messages(fuzz::Format::gvariant, body)) {
        wire::Buffer head, tail;
        REQUIRE(wire::serialise_kdbus(message, head, tail));
        // The kernel agrees with the message; two pieces, in one.
        for (const int cut : {0, 1})
            seeds.push_back(fuzz::seed(1, cut, head.size(), fuzz::view(head.bytes()),
                                       fuzz::view(tail.bytes())));
    }
    return seeds;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const auto mode = input.byte();
    // Up to three cuts: where, and what comes there.
    const unsigned cuts = input.byte() % 4;
    std::vector<std::size_t> lengths;
    for (unsigned i = 0; i < cuts + (cuts == 0); ++i)
        lengths.push_back(input.byte());
    wire::KernelHead head{.sender = ":1.5", .destination = ":1.6"};
    if ((mode & 1) == 0) {
        head.flags = input.byte() & 7;
        head.cookie = input.byte();
        head.cookie_reply = input.byte();
        head.fds = input.byte() & 3;
    }
    std::vector<std::vector<std::byte>> memory;
    for (unsigned i = 0; i < cuts; ++i)
        memory.push_back(input.bytes(lengths[i]));
    memory.push_back(input.bytes());
    std::vector<wire::Piece> pieces;
    for (std::size_t i = 0; i < memory.size(); ++i) {
        const bool inner = i != 0 && i + 1 != memory.size();
        if (inner && (mode & 2) != 0)
            pieces.push_back({nullptr, lengths[i]});
        else
            pieces.push_back({memory[i].data(), memory[i].size(), inner && (mode & 4) != 0});
    }
    if ((mode & 1) != 0 && memory[0].size() >= 16) {
        // What the payload's header says: more gets past the comparison of the two.
        wire::Message said{.type = static_cast<wire::MessageType>(memory[0][1]),
                           .flags = static_cast<std::uint8_t>(memory[0][2])};
        head.flags = kernel_flags(said);
        std::memcpy(&head.cookie, memory[0].data() + 8, sizeof head.cookie);
        const bool reply =
            said.type == wire::MessageType::method_return || said.type == wire::MessageType::error;
        head.cookie_reply = reply ? 7 : 0;
        head.fds = (mode & 8) != 0 || reply ? 0 : 1;
    }
    wire::Buffer scratch;
    const auto message = wire::parse_kdbus(pieces, head, scratch);
    if (!message)
        return 0;
    REQUIRE(wire::validate_header(*message));
    auto reader = message->reader();
    REQUIRE((fuzz::walk(reader) && reader.finish()) ==
            wire::validate_body(message->format, message->signature, message->body).has_value());
    check_copy(*message);
    return 0;
}
