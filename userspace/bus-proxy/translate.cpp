// SPDX-License-Identifier: LGPL-2.1-or-later
#include "translate.hpp"

#include <kdbus/wire/convert.hpp>

#include <linux/kdbus.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace kdbus::proxy {

using wire::MessageType;

namespace {

/// Buffers that grew beyond this are not kept for the next message.
constexpr std::size_t kept_capacity = 1024 * 1024;

void clear(wire::Buffer& buffer) noexcept {
    buffer.clear();
    if (buffer.capacity() > kept_capacity)
        buffer = {};
}

} // namespace

wire::Result<> ToKernel::pack(const wire::Message& message, const wire::BloomParameter& bloom) {
    release();
    wire::Message own = message;
    if (own.type != MessageType::method_call)
        own.flags |= wire::no_reply_expected;
    if (own.type != MessageType::method_return && own.type != MessageType::error)
        own.reply_serial = 0; // readers refuse it there
    const auto converted = wire::convert_message(own, wire::Format::gvariant, body_);
    if (!converted)
        return std::unexpected(converted.error());
    body_size_ = body_.size();
    const auto fields_end = wire::write_kdbus_head(*converted, head_);
    if (!fields_end)
        return std::unexpected(fields_end.error());

    auto footer = wire::append_kdbus_footer(own.signature, body_size_, *fields_end, tail_);
    if (!footer)
        return footer;

    outgoing_.cookie = own.serial;
    outgoing_.cookie_reply = own.reply_serial;
    if ((own.flags & wire::no_auto_start) != 0)
        outgoing_.flags |= KDBUS_MSG_NO_AUTO_START;
    if (own.expects_reply())
        outgoing_.flags |= KDBUS_MSG_EXPECT_REPLY;
    if (own.type == MessageType::signal) {
        outgoing_.flags |= KDBUS_MSG_SIGNAL;
        filter_.resize(bloom.words());
        // Made from what was checked already, but foreign byte order may still matter.
        if (auto made = wire::make_signal_filter(*converted, bloom, filter_); !made)
            return made;
        outgoing_.bloom = abi::BloomFilter{.generation = 0, .words = filter_};
    }

    if (body_size_ > inline_limit) {
        if (const auto error = move_body())
            return std::unexpected(error);
    } else if (!body_.append(tail_.data(), tail_.size())) {
        return wire::fail(wire::Errc::no_memory);
    }
    lay_out();
    return {};
}

bool ToKernel::use_memfd() {
    if (memfd_.fd() >= 0 || body_size_ < worth_memfd)
        return false;
    body_.truncate(body_size_);
    if (move_body())
        return false;
    lay_out();
    return true;
}

std::error_code ToKernel::move_body() {
    auto memfd = abi::SealedMemfd::copy(body_.bytes());
    if (!memfd)
        return memfd.error();
    memfd_ = std::move(*memfd);
    body_ = {};
    return {};
}

void ToKernel::release() noexcept {
    clear(head_);
    clear(body_);
    clear(tail_);
    memfd_ = {};
    outgoing_ = {};
}

void ToKernel::lay_out() {
    parts_.clear();
    parts_.push_back(abi::Part::bytes(head_.bytes()));
    if (memfd_.fd() >= 0) {
        parts_.push_back(abi::Part::memfd(memfd_.fd(), 0, body_size_));
        parts_.push_back(abi::Part::bytes(tail_.bytes()));
    } else {
        parts_.push_back(abi::Part::bytes(body_.bytes()));
    }
    outgoing_.payload = parts_;
}

wire::Result<wire::Message> FromKernel::unpack(const abi::ReceivedMessage& received,
                                               std::uint64_t own_id) {
    // A sender can claim more than it pays for, so look before anything is mapped.
    constexpr std::uint64_t max_payload = 2 * wire::max_message_size;
    if (received.payload_size() > max_payload)
        return wire::fail(wire::Errc::message_too_long);

    release();
    std::error_code failure;
    received.for_each_piece([&](const abi::Piece& piece) {
        switch (piece.kind) {
        case abi::Piece::Kind::bytes:
            pieces_.push_back({piece.data.data(), piece.data.size(), false});
            break;
        case abi::Piece::Kind::zeros:
            pieces_.push_back({nullptr, static_cast<std::size_t>(piece.size), false});
            break;
        case abi::Piece::Kind::memfd:
            if (auto mapping = abi::Mapping::map(piece.fd, piece.start, piece.size,
                                                 abi::Mapping::Access::read)) {
                pieces_.push_back({mapping->bytes().data(), mapping->bytes().size(), true});
                mappings_.push_back(std::move(*mapping));
            } else if (!failure) {
                failure = mapping.error();
            }
            break;
        }
    });
    if (failure)
        return std::unexpected(failure);

    received.metadata().for_each_owned_name(
        [&](const abi::OwnedName& owned) { sender_names_.push_back(owned.name); });

    const kdbus_msg& header = received.header();
    sender_ = wire::UniqueName(header.src_id);
    destination_ = wire::UniqueName(own_id);
    wire::KernelHead head;
    head.flags = header.flags;
    head.cookie = header.cookie;
    head.cookie_reply = (header.flags & KDBUS_MSG_EXPECT_REPLY) != 0 ? 0 : header.cookie_reply;
    head.fds = static_cast<std::uint32_t>(received.fds().size());
    const bool from_driver = std::find(sender_names_.begin(), sender_names_.end(),
                                       wire::driver_name) != sender_names_.end();
    head.sender = from_driver ? wire::driver_name : sender_.view();
    if (const auto name = received.dst_name())
        head.destination = *name;
    else if (header.dst_id != KDBUS_DST_ID_BROADCAST)
        head.destination = destination_.view();
    return wire::parse_kdbus(pieces_, head, scratch_);
}

void FromKernel::release() noexcept {
    mappings_.clear();
    pieces_.clear();
    sender_names_.clear();
    clear(scratch_);
}

wire::Result<Outgoing> to_client(const wire::Message& message) {
    /// A longer body is not copied behind its header but kept apart.
    constexpr std::size_t joined_limit = 32 * 1024;
    Outgoing outgoing;
    const auto converted = wire::convert_message(message, wire::dbus1_native, outgoing.body);
    if (!converted)
        return std::unexpected(converted.error());
    const auto written = outgoing.body.size() <= joined_limit
                             ? wire::serialise_dbus1(*converted, outgoing.head)
                             : wire::write_dbus1_header(*converted, outgoing.head);
    if (!written)
        return std::unexpected(written.error());
    if (outgoing.body.size() <= joined_limit)
        outgoing.body = {};
    return outgoing;
}

} // namespace kdbus::proxy
