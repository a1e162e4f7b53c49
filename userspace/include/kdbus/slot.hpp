// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_SLOT_HPP
#define KDBUS_SLOT_HPP

#include <kdbus/export.hpp>

#include <cstdint>
#include <memory>
#include <utility>

namespace kdbus {

namespace detail {
class ConnectionCore;
}

/// Something a connection does for us until this object is destroyed: an exported interface, a
/// subscription, an open call, a task. May outlive the connection. May be destroyed from within its
/// own handler. Belongs to the connection's thread.
class KDBUS_EXPORT Slot {
public:
    /// What it stands for.
    enum class Kind : std::uint8_t { object, subscription, call, task };

    Slot() noexcept = default;
    /// For the library.
    Slot(std::weak_ptr<detail::ConnectionCore> core, Kind kind, std::uint64_t id) noexcept
        : core_(std::move(core)), id_(id), kind_(kind) {}
    Slot(Slot&&) noexcept = default;
    Slot& operator=(Slot&& other) noexcept;
    ~Slot() { reset(); }

    /// Ends it now.
    void reset() noexcept;
    /// Leaves it in place for as long as the connection lives.
    void detach() noexcept { core_.reset(); }

private:
    std::weak_ptr<detail::ConnectionCore> core_;
    std::uint64_t id_ = 0;
    Kind kind_ = Kind::object;
};

} // namespace kdbus

#endif
