// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/wire/error.hpp>

#include <string>

namespace kdbus::wire {

namespace {

const char* describe(Errc error) noexcept {
    switch (error) {
    case Errc::truncated:
        return "data ends inside a value";
    case Errc::trailing_bytes:
        return "data continues after the last value";
    case Errc::bad_padding:
        return "padding is not zero";
    case Errc::bad_offset:
        return "invalid framing offset";
    case Errc::bad_boolean:
        return "boolean is neither 0 nor 1";
    case Errc::bad_string:
        return "string is not NUL-terminated UTF-8";
    case Errc::bad_object_path:
        return "invalid object path";
    case Errc::bad_signature:
        return "invalid signature";
    case Errc::bad_bus_name:
        return "invalid bus name";
    case Errc::bad_interface:
        return "invalid interface name";
    case Errc::bad_member:
        return "invalid member name";
    case Errc::bad_error_name:
        return "invalid error name";
    case Errc::type_mismatch:
        return "value is of another type";
    case Errc::container_state:
        return "container is incomplete or not open";
    case Errc::too_deep:
        return "containers are nested too deeply";
    case Errc::array_too_long:
        return "array is too long or ends inside an element";
    case Errc::message_too_long:
        return "message is too long";
    case Errc::misaligned:
        return "array cannot be read in place";
    case Errc::wrong_size:
        return "array has another number of elements";
    case Errc::bad_endian:
        return "invalid byte order";
    case Errc::bad_version:
        return "unknown protocol version";
    case Errc::bad_message_type:
        return "invalid message type";
    case Errc::bad_serial:
        return "serial number is zero";
    case Errc::bad_field:
        return "invalid header field";
    case Errc::duplicate_field:
        return "header field appears twice";
    case Errc::missing_field:
        return "required header field is missing";
    case Errc::fds_mismatch:
        return "number of file descriptors does not agree";
    case Errc::no_fds:
        return "no descriptors can travel with this value";
    case Errc::no_such_fd:
        return "no such descriptor in the message, or taken before";
    case Errc::fd_lost:
        return "the descriptor could not be received";
    case Errc::bad_fd:
        return "not a descriptor";
    case Errc::too_many_fds:
        return "too many descriptors in a message";
    case Errc::optional_gap:
        return "an optional argument is left out before another one";
    case Errc::head_mismatch:
        return "message header contradicts the kernel's message head";
    case Errc::bad_pieces:
        return "payload is cut in an invalid way";
    case Errc::local_message:
        return "message uses the reserved local interface or path";
    case Errc::wrong_format:
        return "body is in the wrong format";
    case Errc::not_convertible:
        return "message cannot be represented in the other format";
    case Errc::match_rule_invalid:
        return "invalid match rule";
    case Errc::match_rule_limit:
        return "match rule is too long";
    case Errc::bad_bloom:
        return "unacceptable Bloom filter parameters";
    case Errc::bad_address:
        return "invalid D-Bus address";
    case Errc::no_memory:
        return "out of memory";
    }
    return "unknown error";
}

class WireCategory final : public std::error_category {
public:
    const char* name() const noexcept override { return "kdbus.wire"; }

    std::string message(int value) const override { return describe(static_cast<Errc>(value)); }

    std::error_condition default_error_condition(int value) const noexcept override {
        switch (static_cast<Errc>(value)) {
        case Errc::no_memory:
            return std::errc::not_enough_memory;
        case Errc::array_too_long:
        case Errc::message_too_long:
            return std::errc::message_size;
        case Errc::fd_lost:
        case Errc::too_many_fds:
            return std::errc::too_many_files_open;
        case Errc::not_convertible:
        case Errc::bad_bloom:
            return std::errc::operation_not_supported;
        case Errc::type_mismatch:
        case Errc::container_state:
        case Errc::misaligned:
        case Errc::wrong_size:
        case Errc::wrong_format:
        case Errc::no_fds:
        case Errc::no_such_fd:
        case Errc::bad_fd:
        case Errc::optional_gap:
        case Errc::match_rule_invalid:
        case Errc::match_rule_limit:
        case Errc::bad_address:
            return std::errc::invalid_argument;
        default:
            return std::errc::bad_message;
        }
    }
};

} // namespace

const std::error_category& wire_category() noexcept {
    static const WireCategory category;
    return category;
}

} // namespace kdbus::wire
