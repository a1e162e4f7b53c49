// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/wire/buffer.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace kdbus::wire {

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)), owned_(std::exchange(other.owned_, false)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    std::swap(owned_, other.owned_);
    return *this;
}

Buffer::~Buffer() {
    if (owned_)
        std::free(data_);
}

bool Buffer::grow(std::size_t count) noexcept {
    constexpr std::size_t smallest = 256;
    if (count > PTRDIFF_MAX - size_)
        return false;
    const std::size_t wanted = std::max({size_ + count, capacity_ + capacity_ / 2, smallest});
    auto* data = static_cast<std::byte*>(std::realloc(owned_ ? data_ : nullptr, wanted));
    if (data == nullptr)
        return false;
    if (!owned_ && size_ != 0)
        std::memcpy(data, data_, size_);
    data_ = data;
    capacity_ = wanted;
    owned_ = true;
    return true;
}

} // namespace kdbus::wire
