// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_COROUTINE_HPP
#define KDBUS_COROUTINE_HPP

#include <kdbus/message.hpp>
#include <kdbus/result.hpp>
#include <kdbus/slot.hpp>
#include <kdbus/task.hpp>

#include <algorithm>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

/// What coroutines wait for. Made by Connection; belongs to its thread; goes on from within
/// Connection::process().
namespace kdbus {

namespace detail {

/// What awaiting a call works with.
template <class Call>
class CallAwaiter : Wait {
public:
    explicit CallAwaiter(Call& call) noexcept : call_(call) {}
    [[nodiscard]] bool await_ready() const noexcept { return call_.ready(); }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> handle) {
        call_.waiter().set(*this, handle);
    }
    auto await_resume() { return call_.result(); }

private:
    Call& call_;
};

} // namespace detail

/// A call on its way (Connection::co_call()): `co_await` gives its answer, a Result<Message>. To be
/// awaited once, at any time: several calls can be under way and be awaited one by one. Destroying
/// it forgets the answer; whoever awaits it then does so for ever. Cannot be moved.
class [[nodiscard]] AsyncCall {
public:
    /// @p start(callback) makes the call and returns a Result<Slot>, as Connection::call_async().
    template <class Start>
    requires(!std::same_as<std::remove_cvref_t<Start>, AsyncCall>) explicit AsyncCall(
        Start&& start) {
        Result<Slot> slot = start([this](Result<Message> answer) {
            answer_.emplace(std::move(answer));
            waiter_.wake();
        });
        if (slot)
            slot_ = *std::move(slot);
        else
            answer_.emplace(std::move(slot).error());
    }
    AsyncCall(const AsyncCall&) = delete;
    AsyncCall& operator=(const AsyncCall&) = delete;
    ~AsyncCall() = default;

    /// Whether the answer is there.
    [[nodiscard]] bool ready() const noexcept { return answer_.has_value(); }
    /// Waits for the answer.
    [[nodiscard]] auto operator co_await() noexcept { return detail::CallAwaiter(*this); }

protected:
    template <class Call>
    friend class detail::CallAwaiter;

    /// Who awaits it.
    [[nodiscard]] detail::Waiter& waiter() noexcept { return waiter_; }
    /// The answer, which must be there.
    Result<Message> result() { return *std::move(answer_); }

private:
    std::optional<Result<Message>> answer_;
    detail::Waiter waiter_;
    Slot slot_;
};

/// Time passing (Connection::co_sleep()): `co_await` gives a Result<void>.
class [[nodiscard]] AsyncSleep : private AsyncCall {
public:
    using AsyncCall::AsyncCall;
    using AsyncCall::ready;
    /// Waits for the end.
    [[nodiscard]] auto operator co_await() noexcept { return detail::CallAwaiter(*this); }

private:
    template <class Call>
    friend class detail::CallAwaiter;

    /// What ended the wait: nothing, if it was the time.
    Result<void> result() {
        auto ended = AsyncCall::result();
        if (ended || ended.error().name.empty())
            return {};
        return std::move(ended).error();
    }
};

namespace detail {

/// What running a task gives.
template <class T>
struct TaskResultOf {
    using type = Result<T>;
};
template <class T>
struct TaskResultOf<Result<T>> {
    using type = Result<T>;
};
template <class T>
using TaskResult = typename TaskResultOf<T>::type;

/// Runs a task and keeps its result.
template <class T>
Task<void> keep_result(Task<T> task, std::optional<TaskResult<T>>& result) {
    if constexpr (std::is_void_v<T>) {
        co_await std::move(task);
        result.emplace();
    } else {
        auto value = co_await std::move(task);
        result.emplace(std::move(value));
    }
}

} // namespace detail

/// Signals that match a rule, one after the other (Connection::signals()):
///
///     auto changes = bus.signals<std::string, std::int32_t>("type='signal',member='Changed'");
///     while (auto change = co_await changes->next()) {
///         const auto& [name, value] = change->arguments;
///
/// Signals with arguments of other types are passed over. What comes while nobody waits is kept in
/// order, up to a limit. Movable; destroying it ends the subscription, and the wait of whoever
/// still waits, who gets what was kept and then nothing.
template <class... T>
class SignalStream {
    static_assert(!(detail::is_view<T> || ...), "signals are kept when their message is gone");

public:
    /// A signal.
    struct Item {
        std::string sender;         ///< unique name; empty from peer to peer
        std::string path;           ///< object that emitted it
        std::string interface;      ///< interface of the signal
        std::string member;         ///< name of the signal
        std::tuple<T...> arguments; ///< its arguments
    };

private:
    struct State {
        std::size_t limit;
        std::deque<Item> items = {};
        std::uint64_t lost = 0;
        bool ended = false;
        detail::Waiter waiter = {};

        explicit State(std::size_t most) : limit(most) {}

        void take(const Message& signal) {
            auto arguments = signal.get_tuple<T...>();
            if (!arguments)
                return;
            if (items.size() == limit) {
                ++lost;
                return;
            }
            items.push_back({std::string(signal.sender()), std::string(signal.path()),
                             std::string(signal.interface()), std::string(signal.member()),
                             *std::move(arguments)});
            waiter.wake();
        }
        void end() {
            ended = true;
            waiter.wake();
        }
    };

public:
    /// What co_await works with.
    class Awaiter : detail::Wait {
    public:
        /// Of a stream.
        explicit Awaiter(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
        [[nodiscard]] bool await_ready() const noexcept {
            return !state_->items.empty() || state_->ended;
        }
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> handle) {
            state_->waiter.set(*this, handle);
        }
        std::optional<Item> await_resume() {
            if (state_->items.empty())
                return std::nullopt;
            std::optional<Item> item(std::move(state_->items.front()));
            state_->items.pop_front();
            return item;
        }

    private:
        std::shared_ptr<State> state_;
    };

    /// @p subscribe(handler, ended) returns a Result<Slot>; @p limit is how many signals are kept,
    /// at least one.
    template <class Subscribe>
    [[nodiscard]] static Result<SignalStream> make(std::size_t limit, Subscribe&& subscribe) {
        SignalStream stream(std::max<std::size_t>(limit, 1));
        Result<Slot> slot =
            subscribe([state = stream.state_.get()](const Message& signal) { state->take(signal); },
                      [state = stream.state_] { state->end(); });
        if (!slot)
            return std::move(slot).error();
        stream.slot_ = *std::move(slot);
        return stream;
    }

    /// Waits for the next signal: `co_await` gives an std::optional<Item>, nothing when the
    /// connection or the stream has ended. One coroutine may wait at a time; another one that tries
    /// to gets a std::logic_error.
    [[nodiscard]] Awaiter next() noexcept { return Awaiter(state_); }

    /// How many signals came while as many as the limit allows were kept already; these are lost.
    [[nodiscard]] std::uint64_t lost() const noexcept { return state_->lost; }

private:
    explicit SignalStream(std::size_t limit) : state_(std::make_shared<State>(limit)) {}

    std::shared_ptr<State> state_;
    Slot slot_; ///< ends before what its handlers use
};

} // namespace kdbus

#endif
