// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_TYPES_HPP
#define KDBUS_WIRE_TYPES_HPP

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

/// C++ types for those D-Bus types that C++ does not tell apart by itself.
namespace kdbus::wire {

/// An object path (type `o`) that points at text of somebody else. Checked when it is written.
struct ObjectPathView {
    std::string_view value; ///< the path
    friend bool operator==(const ObjectPathView&, const ObjectPathView&) = default;
};

/// An object path (type `o`). Checked when it is written, not when it is made.
struct ObjectPath {
    std::string value; ///< the path
    ObjectPath() = default;
    /// Takes the text over.
    explicit ObjectPath(std::string path) : value(std::move(path)) {}
    /// Copies the text.
    explicit ObjectPath(ObjectPathView path) : value(path.value) {}
    friend bool operator==(const ObjectPath&, const ObjectPath&) = default;
    friend auto operator<=>(const ObjectPath&, const ObjectPath&) = default;
};

/// A signature (type `g`) that points at text of somebody else. Checked when it is written.
struct SignatureView {
    std::string_view value; ///< the signature
    friend bool operator==(const SignatureView&, const SignatureView&) = default;
};

/// A signature (type `g`). Checked when it is written, not when it is made.
struct Signature {
    std::string value; ///< the signature
    Signature() = default;
    /// Takes the text over.
    explicit Signature(std::string signature) : value(std::move(signature)) {}
    /// Copies the text.
    explicit Signature(SignatureView signature) : value(signature.value) {}
    friend bool operator==(const Signature&, const Signature&) = default;
    friend auto operator<=>(const Signature&, const Signature&) = default;
};

/// A file descriptor inside a body (type `h`): the index into the descriptors that travel with the
/// message, never a descriptor number.
struct UnixFd {
    std::uint32_t index = 0; ///< from 0 on
    friend bool operator==(const UnixFd&, const UnixFd&) = default;
    friend auto operator<=>(const UnixFd&, const UnixFd&) = default;
};

} // namespace kdbus::wire

#endif
