// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_INTERFACE_HPP
#define KDBUS_INTERFACE_HPP

#include <kdbus/export.hpp>
#include <kdbus/handler.hpp>
#include <kdbus/message.hpp>
#include <kdbus/responder.hpp>
#include <kdbus/result.hpp>
#include <kdbus/task.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace kdbus {

namespace detail {
/// A property's value as it travels; a variant in one of its own.
template <class T>
Variant to_variant(const T& value) {
    if constexpr (std::same_as<T, Variant>)
        return Variant::nested(value);
    else
        return Variant(value);
}
} // namespace detail

/// A method call being answered: what the library passes to a type-erased method.
class KDBUS_EXPORT Invocation {
public:
    /// For the library.
    Invocation(Message& call, wire::Writer& reply,
               std::weak_ptr<detail::ConnectionCore> core) noexcept
        : call_(call), reply_(reply), core_(std::move(core)) {}

    /// The call.
    [[nodiscard]] const Message& call() const noexcept { return call_; }
    /// Where the reply's arguments go; not to be used after defer().
    [[nodiscard]] wire::Writer& reply() noexcept { return reply_; }
    /// Keeps a value until the reply is sent, the owner of descriptors in it, say.
    void keep(std::shared_ptr<void> value) noexcept { kept_ = std::move(value); }
    /// Leaves the answer to a Responder.
    [[nodiscard]] Responder defer() {
        deferred_ = true;
        return Responder(core_, call_);
    }
    /// Whether defer() was called.
    [[nodiscard]] bool deferred() const noexcept { return deferred_; }
    /// Hands the call over to somebody who needs it for longer; only after defer().
    [[nodiscard]] Message take_call() noexcept { return std::move(call_); }
    /// Runs a task for as long as the object that is called is there, as Connection::spawn() does.
    void spawn(Task<void> task);
    /// For the library: under which id the object was added.
    void set_object(std::uint64_t id) noexcept { object_ = id; }

private:
    Message& call_;
    wire::Writer& reply_;
    std::weak_ptr<detail::ConnectionCore> core_;
    std::shared_ptr<void> kept_;
    std::uint64_t object_ = 0;
    bool deferred_ = false;
};

/// What introspection says about a method beyond its types.
struct MethodOptions {
    std::vector<std::string> in = {};  ///< names of the arguments
    std::vector<std::string> out = {}; ///< names of the results
    bool deprecated = false;           ///< annotated as such
    bool no_reply = false;             ///< callers shall not wait for an answer
    /// So many arguments at the end may be missing. Of those that a handler takes as std::optional
    /// the library knows by itself.
    std::size_t optional_in = 0;
};

/// The same for a signal.
struct SignalOptions {
    bool deprecated = false; ///< annotated as such
};

/// How changes of a property are announced (annotation
/// org.freedesktop.DBus.Property.EmitsChangedSignal).
enum class Emits {
    change,       ///< PropertiesChanged with the new value
    invalidation, ///< PropertiesChanged with the name only
    constant,     ///< never changes
    nothing,      ///< changes silently
};

/// The same for a property.
struct PropertyOptions {
    Emits emits = Emits::change; ///< how changes are announced
    bool deprecated = false;     ///< annotated as such
};

/// An interface of an object to be exported: data to be filled in, then given to
/// Connection::add_object(). Methods, properties and signals are described by C++ types.
///
///     kdbus::Interface counter("org.example.Counter");
///     counter.method("Add", [&](std::int32_t by) { return value += by; }, {.in = {"by"}});
///     counter.property("Value", [&] { return value; });
///     counter.signal<std::int32_t>("Changed", {"value"});
///
/// A method's parameters are the call's arguments, preceded by a `const Message&` (the call) and a
/// Responder (for a late answer), if wanted. It returns nothing, one value, several in a
/// std::tuple, a Result of these, or a Task of any of these: then it may be a coroutine, and the
/// call and what views point to stay until that ends, which it does with the object's slot at the
/// latest (callers that still wait get the error Failed). Arguments at the end that callers may
/// leave out are std::optional; such results are sent as far as they are there. What it throws
/// becomes an error reply: an Exception its own error, a std::system_error the error of its errno,
/// any other std::exception Failed with its text. Descriptors are abi::UniqueFd, also inside other
/// values: an argument is the handler's to keep, a result is closed after it was sent. Arguments of
/// type std::string_view and std::span point into the call and are gone when the handler, or its
/// task, is done.
class KDBUS_EXPORT Interface {
public:
    /// A method: reads its arguments from the call, writes its results to the reply.
    using MethodHandler = std::move_only_function<Result<void>(Invocation&)>;
    /// Gives the value of a property.
    using Getter = std::move_only_function<Result<Variant>()>;
    /// Takes the new value of a property, of the right type.
    using Setter = std::move_only_function<Result<void>(const Variant&)>;

    /// A method, its types as signatures.
    struct Method {
        std::string in_signature;  ///< types of the arguments
        std::size_t in_required;   ///< letters of in_signature that a call must have
        std::string out_signature; ///< types of the results
        MethodOptions options;     ///< as given
        MethodHandler handler;     ///< what to call
    };
    /// A property.
    struct Property {
        std::string signature;   ///< one complete type
        PropertyOptions options; ///< as given
        Getter getter;           ///< none: write-only
        Setter setter;           ///< none: read-only
    };
    /// A signal.
    struct Signal {
        std::string signature;          ///< types of the arguments
        std::vector<std::string> names; ///< of the arguments; may be too few
        SignalOptions options = {};     ///< as given
    };

    /// Names are checked by Connection::add_object().
    explicit Interface(std::string name) : name_(std::move(name)) {}
    Interface(Interface&&) = default;
    Interface& operator=(Interface&&) = default;
    ~Interface() = default;

    /// Adds a method, or replaces the one of that name.
    template <class F>
    Interface& method(std::string name, F handler, MethodOptions options = {}) {
        using P = detail::ParametersOf<F>;
        using R = typename detail::Callable<std::decay_t<F>>::Return;
        static_assert(!P::wants_responder || std::is_void_v<R>,
                      "a method with a Responder answers through it and returns nothing");
        options.optional_in = P::optionals;
        // A deferred answer may have any type: introspection cannot tell from the handler's.
        std::string in(P::signature), out(detail::Output<std::decay_t<R>>::signature);
        if constexpr (detail::is_task<std::decay_t<R>>) {
            static_assert(!P::wants_responder, "a method that returns a task answers with that");
            // A coroutine that takes its object off the bus runs on until it waits.
            return add_method(
                std::move(name), std::move(in), std::move(out),
                [handler = std::make_shared<F>(std::move(handler))](Invocation& invocation) {
                    return start(handler, invocation);
                },
                std::move(options));
        } else {
            return add_method(
                std::move(name), std::move(in), std::move(out),
                [handler = std::move(handler)](Invocation& invocation) mutable {
                    return invoke(handler, invocation);
                },
                std::move(options));
        }
    }
    /// Same for a handler with a Responder, whose results have these types.
    template <class... Out, class F>
    requires(sizeof...(Out) > 0) Interface& deferred_method(std::string name, F handler,
                                                            MethodOptions options = {}) {
        using P = detail::ParametersOf<F>;
        static_assert(P::wants_responder, "a deferred method takes a Responder");
        options.optional_in = P::optionals;
        return add_method(
            std::move(name), std::string(P::signature), std::string(detail::types_of<Out...>),
            [handler = std::move(handler)](Invocation& invocation) mutable {
                return invoke(handler, invocation);
            },
            std::move(options));
    }

    /// Adds a read-only property. @p getter returns the value or a Result of it.
    template <class Get>
    Interface& property(std::string name, Get getter, PropertyOptions options = {}) {
        return add_property(std::move(name), signature_of_getter<Get>(),
                            erase_getter(std::move(getter)), {}, options);
    }
    /// Adds a property that can be written. @p setter takes the value and returns nothing or a
    /// Result<void>; what it throws becomes an error reply. A successful Set over the bus announces
    /// the change as @p options say.
    template <class Get, class Set>
    requires(!std::convertible_to<Set, PropertyOptions>) Interface& property(
        std::string name, Get getter, Set setter, PropertyOptions options = {}) {
        static_assert(detail::ParametersOf<Set>::signature ==
                          detail::Output<typename detail::Callable<Get>::Return>::signature,
                      "getter and setter have the same type");
        return add_property(std::move(name), signature_of_getter<Get>(),
                            erase_getter(std::move(getter)), erase_setter(std::move(setter)),
                            options);
    }

    /// Adds a property that can only be written; changes are not announced with their value.
    template <class Set>
    Interface& write_only_property(std::string name, Set setter, PropertyOptions options = {}) {
        return add_property(std::move(name), std::string(detail::ParametersOf<Set>::signature), {},
                            erase_setter(std::move(setter)), options);
    }

    /// Announces in the introspection data that the object emits such a signal.
    template <class... A>
    Interface& signal(std::string name, std::vector<std::string> names = {},
                      SignalOptions options = {}) {
        signals_.insert_or_assign(std::move(name), Signal{std::string(detail::types_of<A...>),
                                                          std::move(names), options});
        return *this;
    }

    /// Adds a method by signature, for programs that learn their types at run time. Of descriptors
    /// that it appends to the reply the handler lets the invocation keep() the owner.
    Interface& add_method(std::string name, std::string in_signature, std::string out_signature,
                          MethodHandler handler, MethodOptions options = {});
    /// Adds a property by signature.
    Interface& add_property(std::string name, std::string signature, Getter getter, Setter setter,
                            PropertyOptions options = {});

    /// Name of the interface.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// All methods, by name.
    [[nodiscard]] const std::map<std::string, Method, std::less<>>& methods() const noexcept {
        return methods_;
    }
    /// All properties, by name.
    [[nodiscard]] const std::map<std::string, Property, std::less<>>& properties() const noexcept {
        return properties_;
    }
    /// All signals, by name.
    [[nodiscard]] const std::map<std::string, Signal, std::less<>>& signals() const noexcept {
        return signals_;
    }
    /// The method of that name, or nullptr.
    [[nodiscard]] Method* find_method(std::string_view name) noexcept;
    /// The property of that name, or nullptr.
    [[nodiscard]] Property* find_property(std::string_view name) noexcept;

private:
    template <class F>
    static Result<void> invoke(F& handler, Invocation& invocation) {
        using P = detail::ParametersOf<F>;
        using R = typename detail::Callable<std::decay_t<F>>::Return;
        auto values =
            detail::read_values(invocation.call(), std::type_identity<typename P::Values>{});
        if (!values)
            return std::move(values).error();
        std::optional<Responder> responder;
        if constexpr (P::wants_responder)
            responder.emplace(invocation.defer());
        const auto call = [&]() -> decltype(auto) {
            return detail::call_handler(handler, invocation.call(),
                                        responder ? &*responder : nullptr, std::move(*values));
        };
        if constexpr (std::is_void_v<R>) {
            call();
        } else {
            auto&& result = call();
            if constexpr (detail::is_result<R>) {
                if (!result)
                    return result.error();
            }
            if constexpr (!std::same_as<R, Result<void>>) {
                detail::Output<std::decay_t<R>>::write(invocation.reply(), result);
                // A reference is to something that the handler keeps.
                if constexpr (!std::is_reference_v<R>)
                    if (invocation.reply().unix_fds_needed() != 0)
                        invocation.keep(std::make_shared<R>(std::move(result)));
            }
        }
        return {};
    }

    template <class F>
    static Result<void> start(const std::shared_ptr<F>& handler, Invocation& invocation) {
        auto values = detail::read_values(
            invocation.call(), std::type_identity<typename detail::ParametersOf<F>::Values>{});
        if (!values)
            return std::move(values).error();
        Responder responder = invocation.defer();
        invocation.spawn(
            serve(handler, invocation.take_call(), std::move(responder), *std::move(values)));
        return {};
    }
    /// Answers with what a task of the application's returns or throws.
    template <class F, class Values>
    static Task<void> serve(std::shared_ptr<F> handler, Message call, Responder responder,
                            Values values) {
        std::optional<Error> error;
        try {
            auto task = detail::call_handler(*handler, call, nullptr, std::move(values));
            using R = typename decltype(task)::value_type;
            if constexpr (std::is_void_v<R>) {
                co_await std::move(task);
                responder.send();
            } else {
                auto result = co_await std::move(task);
                if constexpr (detail::is_result<R>) {
                    if (result)
                        detail::send_result(responder, result);
                    else
                        error = std::move(result).error();
                } else {
                    detail::send_result(responder, result);
                }
            }
        } catch (...) {
            error = Error::from_current_exception();
        }
        if (error)
            responder.fail(*error);
    }

    template <class Get>
    static std::string signature_of_getter() {
        using R = typename detail::Callable<std::decay_t<Get>>::Return;
        if constexpr (detail::is_result<R>)
            return std::string(wire::signature_of<typename R::value_type>);
        else
            return std::string(wire::signature_of<R>);
    }
    template <class Get>
    static Getter erase_getter(Get getter) {
        return [getter = std::move(getter)]() mutable -> Result<Variant> {
            using R = typename detail::Callable<Get>::Return;
            if constexpr (detail::is_result<R>) {
                auto value = getter();
                if (!value)
                    return std::move(value).error();
                return detail::to_variant(*value);
            } else {
                return detail::to_variant(getter());
            }
        };
    }
    template <class Set>
    static Setter erase_setter(Set setter) {
        return [setter = std::move(setter)](const Variant& variant) mutable -> Result<void> {
            using Values = typename detail::ParametersOf<Set>::Values;
            static_assert(std::tuple_size_v<Values> == 1, "a setter takes the new value");
            auto value = variant.get<std::tuple_element_t<0, Values>>();
            if (!value)
                return Error::from_code(value.error(), "Property value");
            if constexpr (std::is_void_v<typename detail::Callable<Set>::Return>) {
                setter(std::move(*value));
                return {};
            } else {
                return setter(std::move(*value));
            }
        };
    }

    std::string name_;
    std::map<std::string, Method, std::less<>> methods_;
    std::map<std::string, Property, std::less<>> properties_;
    std::map<std::string, Signal, std::less<>> signals_;
};

} // namespace kdbus

#endif
