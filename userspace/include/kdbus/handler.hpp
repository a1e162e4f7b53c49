// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_HANDLER_HPP
#define KDBUS_HANDLER_HPP

#include <kdbus/message.hpp>
#include <kdbus/responder.hpp>
#include <kdbus/result.hpp>
#include <kdbus/task.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

/// How lambdas become method and signal handlers: their parameters and result say which D-Bus
/// signature they have.
namespace kdbus::detail {

template <class F>
struct Callable : Callable<decltype(&F::operator())> {};
template <class R, class... A>
struct Callable<R (*)(A...)> {
    using Return = R;
    template <template <class...> class T>
    using Apply = T<A...>;
};
template <class R, class... A>
struct Callable<R (*)(A...) noexcept> : Callable<R (*)(A...)> {};
template <class R, class C, class... A>
struct Callable<R (C::*)(A...)> : Callable<R (*)(A...)> {};
template <class R, class C, class... A>
struct Callable<R (C::*)(A...) const> : Callable<R (*)(A...)> {};
template <class R, class C, class... A>
struct Callable<R (C::*)(A...) noexcept> : Callable<R (*)(A...)> {};
template <class R, class C, class... A>
struct Callable<R (C::*)(A...) const noexcept> : Callable<R (*)(A...)> {};

/// Splits what the library passes by itself off a handler's parameters.
template <class... A>
struct Parameters {
    static constexpr bool wants_message = false;
    static constexpr bool wants_responder = false;
    using Values = std::tuple<std::decay_t<A>...>;
    static constexpr std::string_view signature = types_of<A...>;
    static constexpr std::size_t optionals = optionals_of<A...>;
    static_assert(optionals_trail<std::decay_t<A>...>,
                  "behind an optional argument there are optional ones only");
};
template <class... A>
struct Parameters<Responder, A...> : Parameters<A...> {
    static constexpr bool wants_responder = true;
};
template <class... A>
struct Parameters<const Message&, A...> : Parameters<A...> {
    static constexpr bool wants_message = true;
};
template <class... A>
struct Parameters<const Message&, Responder, A...> : Parameters<A...> {
    static constexpr bool wants_message = true;
    static constexpr bool wants_responder = true;
};

template <class F>
using ParametersOf = typename Callable<std::decay_t<F>>::template Apply<Parameters>;

/// What a handler's result means on the wire.
template <class R>
struct Output {
    static constexpr std::string_view signature = types_of<R>;
    static void write(wire::Writer& writer, const R& value) { write_arguments(writer, value); }
};
template <>
struct Output<void> {
    static constexpr std::string_view signature = "";
};
template <class... T>
struct Output<std::tuple<T...>> {
    static constexpr std::string_view signature = types_of<T...>;
    static void write([[maybe_unused]] wire::Writer& writer, const std::tuple<T...>& values) {
        std::apply([&](const auto&... value) { write_arguments(writer, value...); }, values);
    }
};
template <class R>
struct Output<Result<R>> : Output<R> {
    static void write(wire::Writer& writer, const Result<R>& value) {
        Output<R>::write(writer, *value);
    }
};

template <class R>
struct Output<Task<R>> : Output<R> {};

template <class R>
inline constexpr bool is_result = false;
template <class R>
inline constexpr bool is_result<Result<R>> = true;

/// Answers with a handler's result.
template <class T>
void send_result(Responder& responder, const T& value) {
    responder.send(value);
}
template <class... T>
void send_result(Responder& responder, const std::tuple<T...>& values) {
    std::apply([&](const auto&... value) { responder.send(value...); }, values);
}
template <class R>
void send_result(Responder& responder, const Result<R>& result) {
    if constexpr (std::is_void_v<R>)
        responder.send();
    else
        send_result(responder, *result);
}

/// Calls a handler with the arguments of @p message, and with the message or a responder if it
/// wants them.
template <class F>
decltype(auto) call_handler(F& handler, const Message& message,
                            [[maybe_unused]] Responder* responder,
                            typename ParametersOf<F>::Values&& values) {
    using P = ParametersOf<F>;
    return std::apply(
        [&](auto&&... value) -> decltype(auto) {
            if constexpr (P::wants_message && P::wants_responder)
                return std::invoke(handler, message, std::move(*responder), std::move(value)...);
            else if constexpr (P::wants_message)
                return std::invoke(handler, message, std::move(value)...);
            else if constexpr (P::wants_responder)
                return std::invoke(handler, std::move(*responder), std::move(value)...);
            else
                return std::invoke(handler, std::move(value)...);
        },
        std::move(values));
}

/// Reads all arguments of a message into a tuple.
template <class... T>
Result<std::tuple<T...>> read_values(const Message& message, std::type_identity<std::tuple<T...>>) {
    return message.get_tuple<T...>();
}

} // namespace kdbus::detail

#endif
