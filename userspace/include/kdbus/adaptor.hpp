// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_ADAPTOR_HPP
#define KDBUS_ADAPTOR_HPP

#include <kdbus/bus.hpp>
#include <kdbus/descriptors.hpp>

#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace kdbus {

/// One interface of an object of ours: the base of the classes that kdbus-xml2cpp(1) makes.
///
/// Refers to its connection, which must stay where it is and, but for the destructor, be there;
/// belongs to its thread. The interface is exported from serve() on until this is destroyed;
/// signals can be emitted before, too.
class Adaptor {
public:
    /// The object.
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    /// The interface.
    [[nodiscard]] const std::string& interface() const noexcept { return interface_; }

    /// Announces changes of several properties in one signal, as their annotations say.
    Result<void> emit_properties_changed(std::span<const std::string_view> names) {
        return connection_->emit_properties_changed(path_, interface_, names);
    }

protected:
    /// An interface of the object @p path.
    Adaptor(Connection& connection, std::string path, std::string_view interface)
        : connection_(&connection), path_(std::move(path)), interface_(interface) {}
    ~Adaptor() = default;
    Adaptor(Adaptor&&) = default;
    Adaptor& operator=(Adaptor&&) = default;

    /// Exports it.
    Result<void> add(Interface interface) {
        auto slot = connection_->add_object(path_, std::move(interface));
        if (!slot)
            return std::move(slot).error();
        slot_ = *std::move(slot);
        return {};
    }

    /// Announces a change of one property.
    Result<void> emit_changed(std::string_view property) {
        return emit_properties_changed(std::span(&property, 1));
    }

    /// Emits a signal to everybody who subscribed.
    template <class... In>
    Result<void> emit(std::string_view member, const In&... in) {
        return connection_->emit({path_, interface_, member}, in...);
    }

    /// Emits a signal to one connection.
    template <class... In>
    Result<void> emit_to(std::string_view destination, std::string_view member, const In&... in) {
        return connection_->emit_to(destination, {path_, interface_, member}, in...);
    }

private:
    Connection* connection_;
    std::string path_;
    std::string interface_;
    Slot slot_;
};

namespace detail {

/// Whether a member function takes arguments of these D-Bus types, beside what the library passes
/// by itself.
template <class F>
[[nodiscard]] consteval bool takes(std::string_view signature) {
    return ParametersOf<F>::signature == signature;
}

/// Whether a member function returns results of these D-Bus types, or will through a Responder.
template <class F>
[[nodiscard]] consteval bool returns(std::string_view signature) {
    using R = std::decay_t<typename Callable<F>::Return>;
    return ParametersOf<F>::wants_responder ? std::is_void_v<R> : Output<R>::signature == signature;
}

/// A member function of an object as a handler.
template <class Object, class R, class C, class... A>
auto bound(Object& object, R (C::*member)(A...)) {
    return [&object, member](A... in) -> std::decay_t<R> {
        return (object.*member)(std::forward<A>(in)...);
    };
}
template <class Object, class R, class C, class... A>
auto bound(Object& object, R (C::*member)(A...) const) {
    return [&object, member](A... in) -> std::decay_t<R> {
        return (object.*member)(std::forward<A>(in)...);
    };
}
template <class Object, class R, class C, class... A>
auto bound(Object& object, R (C::*member)(A...) noexcept) {
    return bound(object, static_cast<R (C::*)(A...)>(member));
}
template <class Object, class R, class C, class... A>
auto bound(Object& object, R (C::*member)(A...) const noexcept) {
    return bound(object, static_cast<R (C::*)(A...) const>(member));
}

/// Adds a method whose results have the types @p Out, whether its handler returns them or leaves
/// them to a Responder.
template <class... Out, class F>
void add_method(Interface& interface, std::string name, F handler, MethodOptions options) {
    if constexpr (ParametersOf<F>::wants_responder && sizeof...(Out) > 0)
        interface.template deferred_method<Out...>(std::move(name), std::move(handler),
                                                   std::move(options));
    else
        interface.method(std::move(name), std::move(handler), std::move(options));
}

} // namespace detail
} // namespace kdbus

#endif
