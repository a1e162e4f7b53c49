// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_PROXY_HPP
#define KDBUS_PROXY_HPP

#include <kdbus/bus.hpp>
#include <kdbus/descriptors.hpp>

#include <chrono>
#include <concepts>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace kdbus {

/// How a proxy calls.
struct ProxyOptions {
    /// How long to wait for answers.
    std::chrono::nanoseconds timeout = std::chrono::seconds(25);
    bool auto_start = true;                 ///< start the service if it does not run
    bool interactive_authorization = false; ///< the service may ask the user meanwhile
    std::stop_token stop = {};              ///< ends the wait for answers, as Method::stop does
};

/// A call of a proxy on its way: `co_await` gives its result, a Result<T>. Otherwise as AsyncCall.
template <class T>
class [[nodiscard]] ProxyCall : private AsyncCall {
public:
    /// Reads the result in an answer.
    using Decode = Result<T> (*)(const Result<Message>& reply);

    /// @p start: as for AsyncCall; @p decode: what the answer means.
    template <class Start>
    ProxyCall(Decode decode, Start&& start)
        : AsyncCall(std::forward<Start>(start)), decode_(decode) {}
    using AsyncCall::ready;
    /// Waits for the result.
    [[nodiscard]] auto operator co_await() noexcept { return detail::CallAwaiter(*this); }

private:
    template <class Call>
    friend class detail::CallAwaiter;

    /// The result, which must be there.
    Result<T> result() { return decode_(AsyncCall::result()); }

    Decode decode_;
};

namespace detail {

/// What a call with these results returns: Result<void>, Result<T> or Result<std::tuple<...>>.
template <class... Out>
struct OutputsOf {
    using type = std::tuple<Out...>;
};
template <>
struct OutputsOf<> {
    using type = void;
};
template <class T>
struct OutputsOf<T> {
    using type = T;
};
template <class... Out>
using Outputs = Result<typename OutputsOf<Out...>::type>;

/// A value on its way into a variant.
template <class T>
struct InVariant {
    const T& value;
};

/// The results in a reply.
template <class... Out>
Outputs<Out...> outputs(const Result<Message>& reply) {
    if (!reply)
        return reply.error();
    auto values = reply->template get_tuple<Out...>();
    if (!values)
        return std::move(values).error();
    if constexpr (sizeof...(Out) == 0)
        return {};
    else if constexpr (sizeof...(Out) == 1)
        return std::get<0>(*std::move(values));
    else
        return *std::move(values);
}

/// The same of a reply that is gone afterwards.
template <class... Out>
Outputs<Out...> kept_outputs(const Result<Message>& reply) {
    static_assert(!(is_view<Out> || ...), "points into the reply, which is gone");
    return outputs<Out...>(reply);
}

} // namespace detail
} // namespace kdbus

namespace kdbus::wire {
template <class T>
requires Mapped<T>
struct Mapping<kdbus::detail::InVariant<T>> {
    static constexpr auto signature = type_string("v");
    static void write(Writer& writer, const kdbus::detail::InVariant<T>& in) {
        writer.open_variant(Mapping<T>::signature.view()).append(in.value).close();
    }
};
} // namespace kdbus::wire

namespace kdbus {

/// One interface of an object of somebody else: the base of the classes that kdbus-xml2cpp(1)
/// makes.
///
/// Refers to its connection, which must outlive it and stay where it is; belongs to its thread.
/// Nothing is asked of the service until a member is called.
class Proxy {
public:
    /// The service.
    [[nodiscard]] const std::string& destination() const noexcept { return destination_; }
    /// The object.
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    /// The interface.
    [[nodiscard]] const std::string& interface() const noexcept { return interface_; }

    /// Calls from now on are made so.
    void set_options(const ProxyOptions& options) noexcept { options_ = options; }

    /// All properties of the interface that can be read.
    Result<std::map<std::string, Variant>> properties() {
        return detail::outputs<std::map<std::string, Variant>>(
            connection_->call(method(properties_interface, "GetAll"), interface_));
    }

    /// Subscribes to changes of the properties. @p handler takes a `const std::map<std::string,
    /// Variant>&` of new values and a `const std::vector<std::string>&` of names whose value is to
    /// be asked for.
    template <std::invocable<const std::map<std::string, Variant>&, const std::vector<std::string>&>
                  Handler>
    [[nodiscard]] Result<Slot> on_properties_changed(Handler handler) {
        return connection_->subscribe(
            rule(properties_interface, "PropertiesChanged") + ",arg0='" + interface_ + "'",
            [handler = std::move(handler)](std::string_view,
                                           const std::map<std::string, Variant>& changed,
                                           const std::vector<std::string>& invalidated) mutable {
                handler(changed, invalidated);
            });
    }

protected:
    /// An interface of the object @p path of @p destination.
    Proxy(Connection& connection, std::string destination, std::string path,
          std::string_view interface, const ProxyOptions& options)
        : connection_(&connection), destination_(std::move(destination)), path_(std::move(path)),
          interface_(interface), options_(options) {}
    ~Proxy() = default;
    Proxy(const Proxy&) = default;
    Proxy(Proxy&&) = default;
    Proxy& operator=(const Proxy&) = default;
    Proxy& operator=(Proxy&&) = default;

    /// Calls a method that has results @p Out, and waits.
    template <class... Out, class... In>
    detail::Outputs<Out...> call(std::string_view member, const In&... in) {
        return detail::kept_outputs<Out...>(connection_->call(method(interface_, member), in...));
    }

    /// Same; @p callback takes the Result.
    template <class... Out, class Callback, class... In>
    Result<Slot> call_async(std::string_view member, Callback callback, const In&... in) {
        static_assert(std::invocable<Callback&, detail::Outputs<Out...>>,
                      "the callback takes the Result that the blocking call returns");
        return connection_->call_async(method(interface_, member),
                                       decoded<Out...>(std::move(callback)), in...);
    }

    /// Same, to be awaited.
    template <class... Out, class... In>
    ProxyCall<typename detail::Outputs<Out...>::value_type> co_call(std::string_view member,
                                                                    const In&... in) {
        return {detail::kept_outputs<Out...>, [&](auto callback) {
                    return connection_->call_async(method(interface_, member), std::move(callback),
                                                   in...);
                }};
    }

    /// Calls a method whose answer nobody wants.
    template <class... In>
    Result<void> call_no_reply(std::string_view member, const In&... in) {
        return connection_->call_no_reply(method(interface_, member), in...);
    }

    /// Asks for a property.
    template <class T>
    Result<T> get_property(std::string_view name) {
        static_assert(!detail::is_view<T>, "points into the reply, which is gone");
        return property_value<T>(
            connection_->call(method(properties_interface, "Get"), interface_, name));
    }

    /// Same; @p callback takes the Result.
    template <class T, class Callback>
    Result<Slot> get_property_async(std::string_view name, Callback callback) {
        static_assert(std::invocable<Callback&, Result<T>>,
                      "the callback takes the Result that the blocking call returns");
        return connection_->call_async(
            method(properties_interface, "Get"),
            [callback = std::move(callback)](Result<Message> reply) mutable {
                callback(property_value<T>(reply));
            },
            interface_, name);
    }

    /// Same, to be awaited.
    template <class T>
    ProxyCall<T> co_get_property(std::string_view name) {
        static_assert(!detail::is_view<T>, "points into the reply, which is gone");
        return {property_value<T>, [&](auto callback) {
                    return connection_->call_async(method(properties_interface, "Get"),
                                                   std::move(callback), interface_, name);
                }};
    }

    /// Sets a property.
    template <class T>
    Result<void> set_property(std::string_view name, const T& value) {
        return detail::outputs<>(connection_->call(method(properties_interface, "Set"), interface_,
                                                   name, detail::InVariant<T>{value}));
    }

    /// Same; @p callback takes the Result.
    template <class T, class Callback>
    Result<Slot> set_property_async(std::string_view name, Callback callback, const T& value) {
        static_assert(std::invocable<Callback&, Result<void>>,
                      "the callback takes the Result that the blocking call returns");
        return connection_->call_async(method(properties_interface, "Set"),
                                       decoded<>(std::move(callback)), interface_, name,
                                       detail::InVariant<T>{value});
    }

    /// Same, to be awaited.
    template <class T>
    ProxyCall<void> co_set_property(std::string_view name, const T& value) {
        return {detail::outputs<>, [&](auto callback) {
                    return connection_->call_async(method(properties_interface, "Set"),
                                                   std::move(callback), interface_, name,
                                                   detail::InVariant<T>{value});
                }};
    }

    /// @p In are the types of the signal's arguments.
    template <class... In, class Handler>
    Result<Slot> subscribe(std::string_view member, Handler handler) {
        using P = detail::ParametersOf<Handler>;
        static_assert(P::signature == detail::types_of<In...> ||
                          (P::wants_message && P::signature.empty()),
                      "the handler takes the signal's arguments, a const Message&, or both");
        return connection_->subscribe(rule(interface_, member), std::move(handler));
    }

private:
    static constexpr std::string_view properties_interface = "org.freedesktop.DBus.Properties";

    [[nodiscard]] Method method(std::string_view interface, std::string_view member) const {
        return {.destination = destination_,
                .path = path_,
                .interface = interface,
                .member = member,
                .timeout = options_.timeout,
                .auto_start = options_.auto_start,
                .interactive_authorization = options_.interactive_authorization,
                .stop = options_.stop};
    }

    [[nodiscard]] std::string rule(std::string_view interface, std::string_view member) const {
        std::string rule = "type='signal',path='" + path_ + "',interface='";
        rule.append(interface).append("',member='").append(member).append("'");
        if (!destination_.empty())
            rule.append(",sender='").append(destination_).append("'");
        return rule;
    }

    template <class... Out, class Callback>
    static auto decoded(Callback callback) {
        return [callback = std::move(callback)](Result<Message> reply) mutable {
            callback(detail::outputs<Out...>(reply));
        };
    }

    template <class T>
    static Result<T> property_value(const Result<Message>& reply) {
        if (!reply)
            return reply.error();
        auto value = reply->template get<std::variant<T>>();
        if (!value)
            return std::move(value).error();
        return std::get<0>(*std::move(value));
    }

    Connection* connection_;
    std::string destination_;
    std::string path_;
    std::string interface_;
    ProxyOptions options_;
};

} // namespace kdbus

#endif
