// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_EXPECTED_HPP
#define KDBUS_EXPECTED_HPP

/// std::expected, for clang with GNU's library, too, which needs help:
///
/// - GNU's <expected> is empty unless `__cpp_concepts >= 202002L`, which clang claims from 19 on
///   only.
/// - clang before 16 takes the first of several destructors, so that GNU's std::expected cannot be
///   destroyed if what is in it needs a destructor. For these versions std::expected is defined
///   here: as the C++23 standard describes it (without `and_then` and its like, which GNU's
///   library 12 has not either), and laid out in memory as GNU's, so that programs and libraries of
///   different compilers fit together.
///
/// Include this instead of <expected>, or before it.

#include <version>

#if defined(__clang__) && defined(__GLIBCXX__) && __cpp_concepts < 202002L
#if defined(_GLIBCXX_EXPECTED)
#error "clang's <expected> is not usable as it is: include a header of kdbus before it"
#endif

#if __clang_major__ < 16
#define KDBUS_OWN_EXPECTED
#pragma push_macro("expected")
#define expected kdbus_unusable_expected
#endif
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wbuiltin-macro-redefined"
#pragma push_macro("__cpp_concepts")
#undef __cpp_concepts
#define __cpp_concepts 202002L
#include <expected>
#pragma pop_macro("__cpp_concepts")
#pragma clang diagnostic pop
#ifdef KDBUS_OWN_EXPECTED
#pragma pop_macro("expected")
#endif
#else
#include <expected>
#endif

#ifdef KDBUS_OWN_EXPECTED
#undef KDBUS_OWN_EXPECTED

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace kdbus::detail {

struct NoValue {
    friend constexpr bool operator==(NoValue, NoValue) noexcept { return true; }
};

template <class T>
concept TrivialToPass = std::is_trivially_copy_constructible_v<T> &&
    std::is_trivially_move_constructible_v<T> && std::is_trivially_destructible_v<T>;

/// A value or an error.
template <class T, class E>
class ExpectedStorage {
public:
    template <class... A>
    constexpr explicit ExpectedStorage(std::in_place_t, A&&... args)
        : value_(std::forward<A>(args)...), has_value_(true) {}
    template <class... A>
    constexpr explicit ExpectedStorage(std::unexpect_t, A&&... args)
        : error_(std::forward<A>(args)...), has_value_(false) {}
    constexpr ExpectedStorage(const ExpectedStorage& other) requires std::copy_constructible<T> &&
        std::copy_constructible<E> : has_value_(other.has_value_) {
        construct(other);
    }
    constexpr ExpectedStorage(ExpectedStorage&& other) noexcept(
        std::is_nothrow_move_constructible_v<T>&& std::is_nothrow_move_constructible_v<E>)
        : has_value_(other.has_value_) {
        construct(std::move(other));
    }
    constexpr ExpectedStorage&
    operator=(const ExpectedStorage& other) requires std::copyable<T> && std::copyable<E> {
        if (has_value_ == other.has_value_) {
            if (has_value_)
                value_ = other.value_;
            else
                error_ = other.error_;
        } else {
            replace(ExpectedStorage(other));
        }
        return *this;
    }
    constexpr ExpectedStorage& operator=(ExpectedStorage&& other) noexcept(
        std::is_nothrow_move_constructible_v<T>&& std::is_nothrow_move_constructible_v<E>) {
        if (has_value_ == other.has_value_) {
            if (has_value_)
                value_ = std::move(other.value_);
            else
                error_ = std::move(other.error_);
        } else {
            replace(std::move(other));
        }
        return *this;
    }
    constexpr ~ExpectedStorage() { destroy(); }

    constexpr void replace(ExpectedStorage&& other) {
        destroy();
        has_value_ = other.has_value_;
        construct(std::move(other));
    }

    union {
        T value_;
        E error_;
    };
    bool has_value_;

private:
    template <class Other>
    constexpr void construct(Other&& other) {
        if (other.has_value_)
            std::construct_at(std::addressof(value_), std::forward<Other>(other).value_);
        else
            std::construct_at(std::addressof(error_), std::forward<Other>(other).error_);
    }
    constexpr void destroy() noexcept {
        if (has_value_)
            std::destroy_at(std::addressof(value_));
        else
            std::destroy_at(std::addressof(error_));
    }
};

/// Passed in registers where GNU's is.
template <TrivialToPass T, TrivialToPass E>
class ExpectedStorage<T, E> {
public:
    template <class... A>
    constexpr explicit ExpectedStorage(std::in_place_t, A&&... args)
        : value_(std::forward<A>(args)...), has_value_(true) {}
    template <class... A>
    constexpr explicit ExpectedStorage(std::unexpect_t, A&&... args)
        : error_(std::forward<A>(args)...), has_value_(false) {}
    ExpectedStorage(const ExpectedStorage&) = default;
    ExpectedStorage(ExpectedStorage&&) = default;
    constexpr ExpectedStorage& operator=(const ExpectedStorage& other) noexcept {
        std::construct_at(this, other);
        return *this;
    }

    constexpr void replace(const ExpectedStorage& other) { *this = other; }

    union {
        T value_;
        E error_;
    };
    bool has_value_;
};

template <class T>
inline constexpr bool is_unexpected = false;
template <class E>
inline constexpr bool is_unexpected<std::unexpected<E>> = true;

/// What std::expected of a value and of void have in common.
template <class T, class E>
class ExpectedBase {
public:
    using error_type = E;
    using unexpected_type = std::unexpected<E>;

    template <class... A>
    constexpr explicit ExpectedBase(std::in_place_t, A&&... args)
        : state_(std::in_place, std::forward<A>(args)...) {}
    template <class... A>
    constexpr explicit ExpectedBase(std::unexpect_t, A&&... args)
        : state_(std::unexpect, std::forward<A>(args)...) {}

    [[nodiscard]] constexpr explicit operator bool() const noexcept { return state_.has_value_; }
    [[nodiscard]] constexpr bool has_value() const noexcept { return state_.has_value_; }
    constexpr const E& error() const& noexcept { return state_.error_; }
    constexpr E& error() & noexcept { return state_.error_; }
    constexpr const E&& error() const&& noexcept { return std::move(state_.error_); }
    constexpr E&& error() && noexcept { return std::move(state_.error_); }

protected:
    constexpr void check() const& {
        if (!state_.has_value_)
            throw std::bad_expected_access<E>(state_.error_);
    }
    constexpr void check() && {
        if (!state_.has_value_)
            throw std::bad_expected_access<E>(std::move(state_.error_));
    }
    constexpr bool equals(const ExpectedBase& other) const {
        return has_value() == other.has_value() &&
               (has_value() ? state_.value_ == other.state_.value_
                            : state_.error_ == other.state_.error_);
    }

    ExpectedStorage<T, E> state_;
};

} // namespace kdbus::detail

namespace std { // NOLINT(cert-dcl58-cpp)

template <class T, class E>
class [[nodiscard]] expected : public kdbus::detail::ExpectedBase<T, E> {
    using Base = kdbus::detail::ExpectedBase<T, E>;
    using Base::state_;

public:
    using value_type = T;
    template <class U>
    using rebind = expected<U, E>;

    constexpr expected() requires default_initializable<T> : Base(in_place) {}
    template <class U = T>
    requires(!same_as<remove_cvref_t<U>, in_place_t> && !same_as<remove_cvref_t<U>, expected> &&
             !kdbus::detail::is_unexpected<remove_cvref_t<U>> &&
             is_constructible_v<T, U>) constexpr explicit(!is_convertible_v<U, T>)
        expected(U&& value)
        : Base(in_place, std::forward<U>(value)) {}
    template <class G>
    requires is_constructible_v<E, const G&>
    constexpr explicit(!is_convertible_v<const G&, E>) expected(const unexpected<G>& error)
        : Base(unexpect, error.error()) {}
    template <class G>
    requires is_constructible_v<E, G>
    constexpr explicit(!is_convertible_v<G, E>) expected(unexpected<G>&& error)
        : Base(unexpect, std::move(error).error()) {}
    template <class... A>
    requires is_constructible_v<T, A...>
    constexpr explicit expected(in_place_t, A&&... args)
        : Base(in_place, std::forward<A>(args)...) {}
    template <class... A>
    requires is_constructible_v<E, A...>
    constexpr explicit expected(unexpect_t, A&&... args)
        : Base(unexpect, std::forward<A>(args)...) {}

    template <class... A>
    requires is_nothrow_constructible_v<T, A...>
    constexpr T& emplace(A&&... args) noexcept {
        state_.replace(kdbus::detail::ExpectedStorage<T, E>(in_place, T(std::forward<A>(args)...)));
        return state_.value_;
    }
    constexpr void swap(expected& other) {
        expected old = std::move(*this);
        *this = std::move(other);
        other = std::move(old);
    }
    friend constexpr void swap(expected& a, expected& b) { a.swap(b); }

    constexpr const T* operator->() const noexcept { return addressof(state_.value_); }
    constexpr T* operator->() noexcept { return addressof(state_.value_); }
    constexpr const T& operator*() const& noexcept { return state_.value_; }
    constexpr T& operator*() & noexcept { return state_.value_; }
    constexpr const T&& operator*() const&& noexcept { return std::move(state_.value_); }
    constexpr T&& operator*() && noexcept { return std::move(state_.value_); }
    constexpr const T& value() const& {
        this->check();
        return state_.value_;
    }
    constexpr T& value() & {
        this->check();
        return state_.value_;
    }
    constexpr const T&& value() const&& {
        this->check();
        return std::move(state_.value_);
    }
    constexpr T&& value() && {
        std::move(*this).check();
        return std::move(state_.value_);
    }
    template <class U>
    constexpr T value_or(U&& otherwise) const& {
        return state_.has_value_ ? state_.value_ : static_cast<T>(std::forward<U>(otherwise));
    }
    template <class U>
    constexpr T value_or(U&& otherwise) && {
        return state_.has_value_ ? std::move(state_.value_)
                                 : static_cast<T>(std::forward<U>(otherwise));
    }

    friend constexpr bool operator==(const expected& a, const expected& b) { return a.equals(b); }
    template <class U>
    requires(!kdbus::detail::is_unexpected<U> && !same_as<U, expected>) friend constexpr bool
    operator==(const expected& a, const U& value) {
        return a.has_value() && static_cast<bool>(*a == value);
    }
    template <class G>
    friend constexpr bool operator==(const expected& a, const unexpected<G>& error) {
        return !a.has_value() && static_cast<bool>(a.error() == error.error());
    }
};

template <class T, class E>
requires is_void_v<T>
class [[nodiscard]] expected<T, E> : public kdbus::detail::ExpectedBase<kdbus::detail::NoValue, E> {
    using Base = kdbus::detail::ExpectedBase<kdbus::detail::NoValue, E>;
    using Base::state_;

public:
    using value_type = T;
    template <class U>
    using rebind = expected<U, E>;

    constexpr expected() noexcept : Base(in_place) {}
    constexpr explicit expected(in_place_t) noexcept : Base(in_place) {}
    template <class G>
    requires is_constructible_v<E, const G&>
    constexpr explicit(!is_convertible_v<const G&, E>) expected(const unexpected<G>& error)
        : Base(unexpect, error.error()) {}
    template <class G>
    requires is_constructible_v<E, G>
    constexpr explicit(!is_convertible_v<G, E>) expected(unexpected<G>&& error)
        : Base(unexpect, std::move(error).error()) {}
    template <class... A>
    requires is_constructible_v<E, A...>
    constexpr explicit expected(unexpect_t, A&&... args)
        : Base(unexpect, std::forward<A>(args)...) {}

    constexpr void emplace() noexcept {
        state_.replace(kdbus::detail::ExpectedStorage<kdbus::detail::NoValue, E>(in_place));
    }
    constexpr void swap(expected& other) {
        expected old = std::move(*this);
        *this = std::move(other);
        other = std::move(old);
    }
    friend constexpr void swap(expected& a, expected& b) { a.swap(b); }

    constexpr void operator*() const noexcept {}
    constexpr void value() const& { this->check(); }
    constexpr void value() && { std::move(*this).check(); }

    friend constexpr bool operator==(const expected& a, const expected& b) { return a.equals(b); }
    template <class G>
    friend constexpr bool operator==(const expected& a, const unexpected<G>& error) {
        return !a.has_value() && static_cast<bool>(a.error() == error.error());
    }
};

} // namespace std

#endif

#endif
