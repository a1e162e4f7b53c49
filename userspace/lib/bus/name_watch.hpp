// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_NAME_WATCH_HPP
#define KDBUS_LIB_BUS_NAME_WATCH_HPP

#include <kdbus/wire/match.hpp>

#include <functional>
#include <string>
#include <string_view>

namespace kdbus::detail {

/// The rule for all changes of a name's owner.
[[nodiscard]] wire::MatchRule owner_rule(std::string_view name);

/// Somebody who wants to know who owns a name, and what was told so far.
class NameWatch {
public:
    using Handler = std::move_only_function<void(std::string_view, std::string_view)>;

    NameWatch(std::string name, Handler handler)
        : name_(std::move(name)), handler_(std::move(handler)) {}

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Empty if there is none.
    [[nodiscard]] const std::string& owner() const noexcept { return owner_; }

    /// Whether there may be another owner by now.
    [[nodiscard]] bool doubtful() const noexcept { return doubtful_; }
    void set_doubtful(bool doubtful) noexcept { doubtful_ = doubtful; }

    /// Notes an owner; tells if it is another one and the first one was told of.
    void change(std::string_view owner);
    /// Tells of the first owner.
    void report();

private:
    std::string name_;
    std::string owner_;
    Handler handler_;
    bool reported_ = false;
    bool doubtful_ = false;
};

} // namespace kdbus::detail

#endif
