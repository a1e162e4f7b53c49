// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_TASK_HPP
#define KDBUS_TASK_HPP

#include <kdbus/export.hpp>

#include <concepts>
#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace kdbus {

template <class T>
class Task;

namespace detail {

/// A coroutine that a connection runs, with everything it awaits.
class Strand : public std::enable_shared_from_this<Strand> {
public:
    /// How a coroutine has come to its end.
    enum class End {
        here,      ///< resumed by us: finish() is done
        elsewhere, ///< resumed by somebody else: finish() is to be called
    };

    /// @p ended is called when the coroutine has returned, thrown or been given up.
    explicit Strand(std::move_only_function<void(End)> ended) noexcept : ended_(std::move(ended)) {}
    Strand(const Strand&) = delete;
    Strand& operator=(const Strand&) = delete;
    ~Strand();

    /// Runs the coroutine until it waits for the first time. Throws what leaves it.
    void start(Task<void> task);
    /// Goes on at @p handle, which belongs to the coroutine. Throws what leaves the coroutine.
    KDBUS_EXPORT void resume(std::coroutine_handle<> handle);
    /// Ends the coroutine where it waits; if we run it, by itself that is, where it waits next.
    /// False if it may be running without our knowing: then finish() is to be called later.
    [[nodiscard]] bool give_up() noexcept;
    /// The coroutine waits for something of a connection, which will resume() it.
    void waits() noexcept { waiting_ = true; }
    /// The coroutine has come to its end.
    KDBUS_EXPORT void returned() noexcept;
    /// Destroys the coroutine, which has come to its end or is given up. Throws what has left it.
    void finish();

    /// Goes on at @p handle, of a coroutine of whatever kind.
    static void resume(Strand* strand, std::coroutine_handle<> handle) {
        if (strand != nullptr)
            strand->resume(handle);
        else
            handle.resume();
    }

private:
    void end() noexcept;

    std::coroutine_handle<> root_;
    std::move_only_function<void(End)> ended_;
    int depth_ = 0;        ///< how often we are resuming it
    bool waiting_ = false; ///< it will be us who resume it
    bool given_up_ = false;
};

/// Common to the promises of all tasks.
struct TaskPromiseBase {
    /// Goes on with whoever awaits the task.
    struct FinalAwaiter {
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        template <class Promise>
        [[nodiscard]] std::coroutine_handle<>
        await_suspend(std::coroutine_handle<Promise> handle) const noexcept {
            const TaskPromiseBase& promise = handle.promise();
            if (promise.awaiting)
                return promise.awaiting;
            promise.strand->returned();
            return std::noop_coroutine();
        }
        void await_resume() const noexcept {}
    };

    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    [[nodiscard]] FinalAwaiter final_suspend() const noexcept { return {}; }
    void unhandled_exception() noexcept { thrown = std::current_exception(); }
    void rethrow() const {
        if (thrown)
            std::rethrow_exception(thrown);
    }

    std::coroutine_handle<> awaiting; ///< none: a strand runs the task itself
    Strand* strand = nullptr;
    std::exception_ptr thrown;
};

template <class T>
struct TaskPromise : TaskPromiseBase {
    Task<T> get_return_object() noexcept;
    template <class U>
    requires std::convertible_to<U, T>
    void return_value(U&& from) { value.emplace(std::forward<U>(from)); }
    T result() {
        rethrow();
        return *std::move(value);
    }

    std::optional<T> value;
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
    Task<void> get_return_object() noexcept;
    void return_void() const noexcept {}
    void result() const { rethrow(); }
};

/// The strand that a coroutine belongs to, if it is a task of ours.
template <class Promise>
[[nodiscard]] Strand* strand_of(std::coroutine_handle<Promise> handle) noexcept {
    if constexpr (std::is_base_of_v<TaskPromiseBase, Promise>)
        return handle.promise().strand;
    else
        return nullptr;
}

} // namespace detail

/// A coroutine that computes a T, or does something, and may wait meanwhile: what a function
/// returns that uses co_await. It does not run before it is awaited (once, as `co_await
/// std::move(task)` or `co_await function()`), given to Connection::spawn() or Connection::run(),
/// or returned by a method handler. What it throws is thrown where it is awaited.
///
/// As with every coroutine, its parameters are kept until it ends, but not what references and
/// views among them refer to; nor is a lambda that is one.
///
/// It may await whatever can be awaited, ours or not.
///
/// Movable; destroying it ends it where it waits. Not thread-safe: a task that waits for something
/// of a connection, or that a connection runs, belongs to the connection's thread.
template <class T = void>
class [[nodiscard]] Task {
    static_assert(!std::is_reference_v<T>, "a task has a value");

public:
    using promise_type = detail::TaskPromise<T>;
    using value_type = T;

    /// What co_await works with. Owns the task: it ends with whoever awaits it.
    class Awaiter {
    public:
        /// For the compiler.
        explicit Awaiter(Task task) noexcept : task_(std::move(task)) {}
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        template <class Promise>
        [[nodiscard]] std::coroutine_handle<>
        await_suspend(std::coroutine_handle<Promise> awaiting) const noexcept {
            task_.handle_.promise().awaiting = awaiting;
            task_.handle_.promise().strand = detail::strand_of(awaiting);
            return task_.handle_;
        }
        T await_resume() const { return task_.handle_.promise().result(); }

    private:
        Task task_;
    };

    /// For the compiler.
    explicit Task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
    Task& operator=(Task&& other) noexcept {
        if (this != &other) {
            destroy();
            handle_ = std::exchange(other.handle_, {});
        }
        return *this;
    }
    ~Task() { destroy(); }

    /// Runs the task and gives its result. Any coroutine may await it.
    [[nodiscard]] Awaiter operator co_await() && noexcept { return Awaiter(std::move(*this)); }

private:
    friend class detail::Strand;

    void destroy() noexcept {
        if (handle_)
            handle_.destroy();
    }

    std::coroutine_handle<promise_type> handle_;
};

namespace detail {

template <class T>
Task<T> TaskPromise<T>::get_return_object() noexcept {
    return Task<T>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}
inline Task<void> TaskPromise<void>::get_return_object() noexcept {
    return Task<void>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

template <class T>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<Task<T>> = true;

class Waiter;

/// A coroutine that waits, in what it awaits with: it and the Waiter may go in any order.
class Wait {
public:
    Wait() noexcept = default;
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    ~Wait();

private:
    friend class Waiter;

    Waiter* waiter_ = nullptr;
    std::coroutine_handle<> handle_;
    Strand* strand_ = nullptr;
};

/// Where a coroutine may wait for something of a connection.
class Waiter {
public:
    Waiter() noexcept = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    ~Waiter() {
        if (wait_ != nullptr)
            wait_->waiter_ = nullptr;
    }

    /// The coroutine waits. Throws std::logic_error if another one does.
    template <class Promise>
    void set(Wait& wait, std::coroutine_handle<Promise> handle) {
        if (wait_ != nullptr)
            throw std::logic_error("Another coroutine waits for the same");
        wait.waiter_ = this;
        wait.handle_ = handle;
        wait.strand_ = strand_of(handle);
        if (wait.strand_ != nullptr)
            wait.strand_->waits();
        wait_ = &wait;
    }
    /// Goes on, if somebody waits. What the waiter belongs to may be gone afterwards.
    void wake() {
        if (Wait* const wait = std::exchange(wait_, nullptr)) {
            wait->waiter_ = nullptr;
            Strand::resume(wait->strand_, wait->handle_);
        }
    }

private:
    friend class Wait;

    Wait* wait_ = nullptr;
};

inline Wait::~Wait() {
    if (waiter_ != nullptr)
        waiter_->wait_ = nullptr;
}

} // namespace detail
} // namespace kdbus

#endif
