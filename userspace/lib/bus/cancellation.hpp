// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_CANCELLATION_HPP
#define KDBUS_LIB_BUS_CANCELLATION_HPP

#include <kdbus/abi/fd.hpp>
#include <kdbus/result.hpp>

#include <optional>
#include <stop_token>
#include <string_view>

namespace kdbus::detail {

/// What a call fails with that was cancelled.
[[nodiscard]] Error cancelled(std::string_view what);

/// A request to stop, by whichever thread, and a descriptor that becomes readable then.
class CancelFd {
public:
    /// Makes one if @p token can stop anything at all.
    [[nodiscard]] static Result<void> make(const std::stop_token& token,
                                           std::optional<CancelFd>& cancel);

    CancelFd(const std::stop_token& token, abi::UniqueFd fd)
        : token_(token), fd_(std::move(fd)), callback_(token, Signal{fd_.get()}) {}

    [[nodiscard]] int get() const noexcept { return fd_.get(); }
    /// Costs less than a look at the descriptor.
    [[nodiscard]] bool requested() const noexcept { return token_.stop_requested(); }

private:
    struct Signal {
        int fd;
        void operator()() const noexcept;
    };

    std::stop_token token_;
    abi::UniqueFd fd_;
    std::stop_callback<Signal> callback_; ///< ends before the descriptor is closed
};

/// -1: nothing cancels.
[[nodiscard]] inline int descriptor_of(const CancelFd* cancel) noexcept {
    return cancel != nullptr ? cancel->get() : -1;
}

} // namespace kdbus::detail

#endif
