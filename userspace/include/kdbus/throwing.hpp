// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_THROWING_HPP
#define KDBUS_THROWING_HPP

#include <kdbus/bus.hpp>
#include <kdbus/object_manager.hpp>
#include <kdbus/proxy.hpp>

#include <chrono>
#include <concepts>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

/// The same with exceptions: functions return what they are for, and throw an Exception where those
/// of namespace kdbus return its Error.
namespace kdbus::throwing {

/// The value of a result; throws its Error.
template <class T>
T or_throw(Result<T> result) {
    if constexpr (std::is_void_v<T>)
        result.value();
    else
        return std::move(result).value();
}

/// What a reply holds: nothing, a value, several as a std::tuple, or, for Out = Message, the reply
/// itself, which alone keeps text and numbers in place.
template <class... Out>
auto outputs(Result<Message> reply) {
    if constexpr (std::same_as<void(Out...), void(Message)>) {
        return or_throw(std::move(reply));
    } else {
        return or_throw(kdbus::detail::kept_outputs<Out...>(reply));
    }
}

/// Calls a method and waits for what it returns: `auto n = throwing::call<int>(bus, {...}, 1, 2)`.
/// See Connection::call(), and outputs() for what @p Out may be.
template <class... Out, class... In>
auto call(kdbus::Connection& connection, const Method& method, const In&... in) {
    return outputs<Out...>(connection.call(method, in...));
}

/// The value of a property, @p property.member.
template <class T>
T get_property(kdbus::Connection& connection, const Method& property) {
    static_assert(!kdbus::detail::is_view<T>, "points into the reply, which is gone");
    Method get = property;
    get.interface = "org.freedesktop.DBus.Properties";
    get.member = "Get";
    const auto value = call<Variant>(connection, get, property.interface, property.member);
    auto read = value.template get<T>();
    if (!read)
        throw Exception(Error::from_code(read.error(), "Property value"));
    return *std::move(read);
}

/// Sets a property, @p property.member.
template <class T>
void set_property(kdbus::Connection& connection, const Method& property, const T& value) {
    Method set = property;
    set.interface = "org.freedesktop.DBus.Properties";
    set.member = "Set";
    call<>(connection, set, property.interface, property.member, kdbus::detail::to_variant(value));
}

/// A kdbus::Connection whose functions throw. What a function does is said there; where a
/// kdbus::Connection& is wanted this can be given.
class Connection : public kdbus::Connection {
public:
    /// Takes over a connection.
    explicit Connection(kdbus::Connection&& connection) noexcept
        : kdbus::Connection(std::move(connection)) {}

    /// As in kdbus::Connection, but what would be an error is thrown.
    ///@{
    [[nodiscard]] static Connection open(std::string_view addresses,
                                         const ConnectionOptions& options = {}) {
        return Connection(or_throw(Base::open(addresses, options)));
    }
    [[nodiscard]] static Connection system(const ConnectionOptions& options = {}) {
        return Connection(or_throw(Base::system(options)));
    }
    [[nodiscard]] static Connection session(const ConnectionOptions& options = {}) {
        return Connection(or_throw(Base::session(options)));
    }
    [[nodiscard]] static Connection from_socket(abi::UniqueFd socket, PeerRole role,
                                                const ConnectionOptions& options = {}) {
        return Connection(or_throw(Base::from_socket(std::move(socket), role, options)));
    }

    template <class... Out, class... In>
    auto call(const Method& method, const In&... in) {
        return throwing::call<Out...>(*this, method, in...);
    }
    /// @p done runs with what the method returns, or @p failed with the Error.
    template <class... Out, class Done, class Failed, class... In>
    [[nodiscard]] Slot call_async(const Method& method, Done done, Failed failed, const In&... in) {
        static_assert(std::invocable<Done&, Out...>, "the callback takes what the method returns");
        static_assert(std::invocable<Failed&, const Error&>, "the other one takes the Error");
        return or_throw(Base::call_async(
            method,
            [done = std::move(done), failed = std::move(failed)](Result<Message> reply) mutable {
                auto values = arguments<Out...>(reply);
                if (values)
                    std::apply(done, *std::move(values));
                else
                    failed(values.error());
            },
            in...));
    }
    template <class... In>
    void call_no_reply(const Method& method, const In&... in) {
        or_throw(Base::call_no_reply(method, in...));
    }

    template <class T>
    [[nodiscard]] T get_property(const Method& property) {
        return throwing::get_property<T>(*this, property);
    }
    template <class T>
    void set_property(const Method& property, const T& value) {
        throwing::set_property(*this, property, value);
    }

    [[nodiscard]] Slot add_object(std::string_view path, Interface interface) {
        return or_throw(Base::add_object(path, std::move(interface)));
    }
    [[nodiscard]] Slot add_object(std::string_view path, std::vector<Interface> interfaces) {
        return or_throw(Base::add_object(path, std::move(interfaces)));
    }
    [[nodiscard]] Slot add_object_manager(std::string_view path) {
        return or_throw(Base::add_object_manager(path));
    }
    void emit_properties_changed(std::string_view path, std::string_view interface,
                                 std::span<const std::string_view> properties) {
        or_throw(Base::emit_properties_changed(path, interface, properties));
    }

    template <class... In>
    void emit(const Signal& signal, const In&... in) {
        or_throw(Base::emit(signal, in...));
    }
    template <class... In>
    void emit_to(std::string_view destination, const Signal& signal, const In&... in) {
        or_throw(Base::emit_to(destination, signal, in...));
    }
    template <class Handler>
    [[nodiscard]] Slot subscribe(std::string_view rule, Handler handler) {
        return or_throw(Base::subscribe(rule, std::move(handler)));
    }
    template <class Handler>
    [[nodiscard]] Slot subscribe(const Match& match, Handler handler) {
        return or_throw(Base::subscribe(match, std::move(handler)));
    }

    NameState request_name(std::string_view name, NameFlags flags = NameFlags::none) {
        return or_throw(Base::request_name(name, flags));
    }
    void release_name(std::string_view name) { or_throw(Base::release_name(name)); }
    [[nodiscard]] std::string name_owner(std::string_view name) {
        return or_throw(Base::name_owner(name));
    }
    [[nodiscard]] std::vector<std::string> list_names() { return or_throw(Base::list_names()); }
    template <class Handler>
    [[nodiscard]] Slot watch_name(std::string_view name, Handler handler) {
        return or_throw(Base::watch_name(name, std::move(handler)));
    }
    /// Of a name, or of who sent a message.
    template <class Who>
    [[nodiscard]] Credentials credentials(const Who& who) {
        return or_throw(Base::credentials(who));
    }
    [[nodiscard]] ConnectionInfo info(std::string_view name,
                                      std::uint64_t what = _KDBUS_ATTACH_ANY) {
        return or_throw(Base::info(name, what));
    }
    [[nodiscard]] bool sender_changed(const Message& message) {
        return or_throw(Base::sender_changed(message));
    }

    bool process() { return or_throw(Base::process()); }
    bool wait(std::chrono::nanoseconds limit = std::chrono::nanoseconds::max()) {
        return or_throw(Base::wait(limit));
    }
    void run() { or_throw(Base::run()); }
    ///@}

private:
    using Base = kdbus::Connection;

    /// The callback's arguments, which may point into the reply.
    template <class... Out>
    static Result<std::tuple<Out...>> arguments(Result<Message>& reply) {
        if (!reply)
            return reply.error();
        if constexpr (std::same_as<void(Out...), void(Message)>) {
            return std::tuple<Message>(*std::move(reply));
        } else {
            return reply->template get_tuple<Out...>();
        }
    }
};

} // namespace kdbus::throwing

#endif
