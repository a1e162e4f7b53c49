// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_RESULT_HPP
#define KDBUS_RESULT_HPP

#include <kdbus/export.hpp>

#include <concepts>
#include <kdbus/expected.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace kdbus {

/// What went wrong, as D-Bus says it: an error name and a text for people.
struct KDBUS_EXPORT Error {
    std::string name;    ///< "org.freedesktop.DBus.Error.ServiceUnknown", say
    std::string message; ///< may be empty

    /// The error for an errno value or std::error_code (dbus-on-kdbus.md 6.3); @p what was tried.
    [[nodiscard]] static Error from_errno(int value, std::string_view what);
    /// Same, for a code of any category.
    [[nodiscard]] static Error from_code(std::error_code code, std::string_view what);
    /// The error for the exception being handled: an Exception's own, that of a std::system_error's
    /// code, NoMemory, or Failed with the text of any other std::exception. Within a catch block
    /// only.
    [[nodiscard]] static Error from_current_exception();

    friend bool operator==(const Error&, const Error&) = default;
};

/// Names of frequent errors (D-Bus specification, "Standard errors").
namespace error_names {
/// "org.freedesktop.DBus.Error." and the name in its other spelling.
///@{
inline constexpr const char* failed = "org.freedesktop.DBus.Error.Failed";
inline constexpr const char* no_memory = "org.freedesktop.DBus.Error.NoMemory";
inline constexpr const char* service_unknown = "org.freedesktop.DBus.Error.ServiceUnknown";
inline constexpr const char* name_has_no_owner = "org.freedesktop.DBus.Error.NameHasNoOwner";
inline constexpr const char* no_reply = "org.freedesktop.DBus.Error.NoReply";
/// Not of the specification, but what an errno becomes (dbus-on-kdbus.md 6.3): cancelled by a
/// std::stop_token.
inline constexpr const char* cancelled = "System.Error.ECANCELED";
inline constexpr const char* bad_address = "org.freedesktop.DBus.Error.BadAddress";
inline constexpr const char* not_supported = "org.freedesktop.DBus.Error.NotSupported";
inline constexpr const char* limits_exceeded = "org.freedesktop.DBus.Error.LimitsExceeded";
inline constexpr const char* access_denied = "org.freedesktop.DBus.Error.AccessDenied";
inline constexpr const char* file_not_found = "org.freedesktop.DBus.Error.FileNotFound";
inline constexpr const char* disconnected = "org.freedesktop.DBus.Error.Disconnected";
inline constexpr const char* invalid_args = "org.freedesktop.DBus.Error.InvalidArgs";
inline constexpr const char* unknown_method = "org.freedesktop.DBus.Error.UnknownMethod";
inline constexpr const char* unknown_object = "org.freedesktop.DBus.Error.UnknownObject";
inline constexpr const char* unknown_interface = "org.freedesktop.DBus.Error.UnknownInterface";
inline constexpr const char* unknown_property = "org.freedesktop.DBus.Error.UnknownProperty";
inline constexpr const char* property_read_only = "org.freedesktop.DBus.Error.PropertyReadOnly";
inline constexpr const char* inconsistent_message =
    "org.freedesktop.DBus.Error.InconsistentMessage";
inline constexpr const char* match_rule_invalid = "org.freedesktop.DBus.Error.MatchRuleInvalid";
inline constexpr const char* object_path_in_use = "org.freedesktop.DBus.Error.ObjectPathInUse";
///@}
} // namespace error_names

/// An Error thrown: by Result::value(), or by a method handler that wants to answer with it.
class KDBUS_EXPORT Exception : public std::runtime_error {
public:
    /// Of an error.
    explicit Exception(Error error);
    /// Of an error with that name and text.
    Exception(std::string name, std::string message)
        : Exception(Error{std::move(name), std::move(message)}) {}
    ~Exception() override;

    /// The error.
    [[nodiscard]] const Error& error() const noexcept { return error_; }
    /// The error's name.
    [[nodiscard]] const std::string& name() const noexcept { return error_.name; }

private:
    Error error_;
};

/// A value or an Error: what every fallible function of this layer returns.
///
/// Look at it (`if (!result) ... result.error()`), or call value(), which throws
/// the error as an Exception. Nothing else here throws errors.
template <class T>
class [[nodiscard]] Result {
public:
    using value_type = T;

    /// An error.
    ///@{
    Result(Error error) : state_(std::unexpected(std::move(error))) {}
    Result(std::unexpected<Error> error) : state_(std::move(error)) {}
    ///@}
    /// A value.
    template <class U>
    requires(std::convertible_to<U, T> && !std::same_as<std::remove_cvref_t<U>, Result> &&
             !std::same_as<std::remove_cvref_t<U>, Error>) Result(U&& value)
        : state_(std::in_place, std::forward<U>(value)) {}

    /// Whether there is a value.
    ///@{
    [[nodiscard]] bool has_value() const noexcept { return state_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }
    ///@}

    /// The value; throws Exception if there is none.
    ///@{
    T& value() & {
        check();
        return *state_;
    }
    const T& value() const& {
        check();
        return *state_;
    }
    /// (Not a reference: `for (x : function().value())` would let go of what it goes through.)
    T value() && {
        check();
        return *std::move(state_);
    }
    ///@}

    /// The value, which must be there.
    T& operator*() & noexcept { return *state_; }
    const T& operator*() const& noexcept { return *state_; }
    T&& operator*() && noexcept { return *std::move(state_); }
    T* operator->() noexcept { return &*state_; }
    const T* operator->() const noexcept { return &*state_; }

    /// The error, which must be there.
    ///@{
    [[nodiscard]] const Error& error() const& noexcept { return state_.error(); }
    [[nodiscard]] Error&& error() && noexcept { return std::move(state_).error(); }
    ///@}

private:
    void check() const {
        if (!state_)
            throw Exception(state_.error());
    }

    std::expected<T, Error> state_;
};

/// Success or an Error.
template <>
class [[nodiscard]] Result<void> {
public:
    using value_type = void;

    Result() = default;
    /// An error.
    ///@{
    Result(Error error) : state_(std::unexpected(std::move(error))) {}
    Result(std::unexpected<Error> error) : state_(std::move(error)) {}
    ///@}

    /// Whether this is success.
    ///@{
    [[nodiscard]] bool has_value() const noexcept { return state_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }
    ///@}
    /// Throws Exception unless this is success.
    void value() const {
        if (!state_)
            throw Exception(state_.error());
    }
    /// The error, which must be there.
    ///@{
    [[nodiscard]] const Error& error() const& noexcept { return state_.error(); }
    [[nodiscard]] Error&& error() && noexcept { return std::move(state_).error(); }
    ///@}

private:
    std::expected<void, Error> state_;
};

} // namespace kdbus

#endif
