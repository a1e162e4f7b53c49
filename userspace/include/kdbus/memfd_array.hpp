// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_MEMFD_ARRAY_HPP
#define KDBUS_MEMFD_ARRAY_HPP

#include <kdbus/abi/memfd.hpp>
#include <kdbus/arguments.hpp>
#include <kdbus/result.hpp>
#include <kdbus/wire/mapping.hpp>

#include <cerrno>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

/// Arrays of numbers that are written where they are sent from: in a memory file. On the kernel's
/// bus they reach their receivers without a copy.
///
///     auto samples = kdbus::MemfdArray<double>::create(1'000'000).value();
///     fill(samples.elements());
///     auto sealed = std::move(samples).seal().value();
///     bus.call(method, sealed).value();        // one argument of type ad
///
/// The receiver takes a std::span<const double>, in a handler or with Message::get(): a mapping of
/// the same memory.
namespace kdbus {

/// Numbers whose arrays look the same in memory and in a message on the kernel's bus.
template <class T>
concept ArrayElement = wire::detail::Number<T> && !std::same_as<T, wire::UnixFd>;

/// A finished array of numbers in a memory file whose contents can never change again. Passed as
/// the only argument of a call, signal or answer (Responder::send()) it is an array of T: without a
/// copy on the kernel's bus, with one over sockets, where it may have 64 MiB at most. Can be sent
/// any number of times. Movable.
template <ArrayElement T>
class SealedArray {
public:
    /// D-Bus type of the argument.
    static constexpr auto signature = wire::Mapping<std::span<const T>>::signature;

    SealedArray() noexcept = default;
    /// The contents of a sealed file. Fails with InvalidArgs if its size is not that of so many
    /// elements.
    [[nodiscard]] static Result<SealedArray> adopt(abi::SealedMemfd file) {
        if (file.size() % sizeof(T) != 0)
            return Error{error_names::invalid_args,
                         "The file's size is not a multiple of its elements'"};
        return SealedArray(std::move(file));
    }

    /// Elements.
    [[nodiscard]] std::uint64_t size() const noexcept { return file_.size() / sizeof(T); }
    /// The file behind them.
    [[nodiscard]] const abi::SealedMemfd& file() const noexcept { return file_; }

private:
    template <ArrayElement U>
    friend class MemfdArray;
    explicit SealedArray(abi::SealedMemfd file) noexcept : file_(std::move(file)) {}

    abi::SealedMemfd file_;
};

/// An array of numbers under construction in a memory file. Movable.
template <ArrayElement T>
class MemfdArray {
public:
    /// An array of @p count zeros, in memory that is used as it is written to. @p name shows up in
    /// /proc only. Errors: those of memfd_create, ftruncate and mmap.
    [[nodiscard]] static Result<MemfdArray> create(std::uint64_t count,
                                                   const char* name = "kdbus-array") {
        if (count > std::numeric_limits<std::uint64_t>::max() / sizeof(T))
            return Error::from_errno(EFBIG, "An array in a memory file");
        auto writer = abi::MemfdWriter::create(count * sizeof(T), name);
        if (!writer)
            return Error::from_code(writer.error(), "An array in a memory file");
        return MemfdArray(std::move(*writer));
    }

    /// What to fill, until seal(). Page-aligned.
    [[nodiscard]] std::span<T> elements() noexcept {
        const auto bytes = writer_.bytes();
        return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
    }

    /// Makes it immutable, to be sent; this object is used up. Fails if a copy of the mapping made
    /// by fork() still exists elsewhere.
    [[nodiscard]] Result<SealedArray<T>> seal() && {
        auto file = std::move(writer_).seal();
        if (!file)
            return Error::from_code(file.error(), "Sealing a memory file");
        return SealedArray<T>(std::move(*file));
    }

private:
    explicit MemfdArray(abi::MemfdWriter writer) noexcept : writer_(std::move(writer)) {}

    abi::MemfdWriter writer_;
};

namespace detail {

/// How with_arguments() recognises it.
template <class T>
struct MemfdArgument<SealedArray<T>> {
    static ArgumentsRef ref(const SealedArray<T>& array) noexcept {
        return ArgumentsRef(array.file(), SealedArray<T>::signature.view());
    }
};

} // namespace detail
} // namespace kdbus

#endif
