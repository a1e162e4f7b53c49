// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_BUFFER_HPP
#define KDBUS_WIRE_BUFFER_HPP

#include <cstddef>
#include <cstring>
#include <span>

#include <kdbus/export.hpp>

namespace kdbus::wire {

/// A growing run of bytes that keeps its memory when cleared, so that one buffer reused for many
/// messages stops allocating. The first byte is aligned to 8. Not thread-safe; movable, not
/// copyable.
///
/// Growth invalidates pointers into the buffer. No function throws: growth reports failure.
class KDBUS_EXPORT Buffer {
public:
    Buffer() noexcept = default;

    /// Uses `storage` (owned by the caller, aligned to 8, outliving the buffer) until more is
    /// needed.
    explicit Buffer(std::span<std::byte> storage) noexcept
        : data_(storage.data()), capacity_(storage.size()) {}

    Buffer(Buffer&& other) noexcept;
    Buffer& operator=(Buffer&& other) noexcept;
    ~Buffer();

    /// The bytes written so far.
    [[nodiscard]] std::byte* data() noexcept { return data_; }
    /// Same.
    [[nodiscard]] const std::byte* data() const noexcept { return data_; }
    /// How many they are.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    /// How many there is memory for.
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    /// Whether there are none.
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

    /// The bytes written so far; valid until the buffer grows or is destroyed.
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

    /// Forgets the contents, keeps the memory.
    void clear() noexcept { size_ = 0; }

    /// Cuts the contents to `size` bytes; does nothing if they are shorter.
    void truncate(std::size_t size) noexcept {
        if (size < size_)
            size_ = size;
    }

    /// Makes room for `count` more bytes. False when out of memory (contents unchanged).
    [[nodiscard]] bool reserve(std::size_t count) noexcept {
        return (data_ != nullptr && count <= capacity_ - size_) || grow(count);
    }

    /// Appends `count` uninitialised bytes and returns their address, nullptr when out of memory.
    [[nodiscard]] std::byte* extend(std::size_t count) noexcept {
        if (!reserve(count))
            return nullptr;
        std::byte* start = data_ + size_;
        size_ += count;
        return start;
    }

    /// Appends a copy of `count` bytes (which must not lie in this buffer). False when out of
    /// memory.
    [[nodiscard]] bool append(const void* bytes, std::size_t count) noexcept {
        std::byte* target = extend(count);
        if (target == nullptr)
            return false;
        if (count != 0)
            std::memcpy(target, bytes, count);
        return true;
    }

    /// Appends `count` zero bytes. False when out of memory.
    [[nodiscard]] bool append_zeros(std::size_t count) noexcept {
        std::byte* target = extend(count);
        if (target == nullptr)
            return false;
        if (count != 0)
            std::memset(target, 0, count);
        return true;
    }

private:
    bool grow(std::size_t count) noexcept;

    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
    bool owned_ = false;
};

} // namespace kdbus::wire

#endif
