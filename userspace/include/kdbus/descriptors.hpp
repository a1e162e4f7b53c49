// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_DESCRIPTORS_HPP
#define KDBUS_DESCRIPTORS_HPP

#include <kdbus/abi/fd.hpp>
#include <kdbus/wire/mapping.hpp>

/// Descriptors as values. On the wire an argument of type h is an index (UnixFd) into what travels
/// beside the message; as one of these types it is a descriptor, however deep it lies in a value.
/// Writing them needs a Writer that collects descriptors, reading them a Reader with a source:
/// those of calls, signals, replies and handlers are, those of a Variant are not.
namespace kdbus {

using abi::UniqueFd;

/// A descriptor to pass, which stays the caller's.
class BorrowedFd {
public:
    /// None, which cannot be passed.
    BorrowedFd() noexcept = default;
    /// The descriptor to pass.
    ///@{
    BorrowedFd(int fd) noexcept : fd_(fd) {}
    BorrowedFd(const UniqueFd& fd) noexcept : fd_(fd.get()) {}
    ///@}

    /// The descriptor.
    [[nodiscard]] int get() const noexcept { return fd_; }

private:
    int fd_ = -1;
};

} // namespace kdbus

namespace kdbus::wire {

template <>
struct Mapping<BorrowedFd> {
    static constexpr auto signature = type_string("h");
    static void write(Writer& writer, BorrowedFd fd) noexcept { writer.append_fd(fd.get()); }
};

/// Written, it stays its owner's, who keeps it until the message is sent; what a handler returns is
/// kept by the library.
template <>
struct Mapping<abi::UniqueFd> {
    static constexpr auto signature = type_string("h");
    static void write(Writer& writer, const abi::UniqueFd& fd) noexcept {
        writer.append_fd(fd.get());
    }
    static Result<abi::UniqueFd> read(Reader& reader) noexcept {
        const auto fd = reader.take_fd();
        if (!fd)
            return std::unexpected(fd.error());
        return abi::UniqueFd(*fd);
    }
};

} // namespace kdbus::wire

#endif
