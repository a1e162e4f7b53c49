// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_WIRE_VARIANT_HPP
#define KDBUS_WIRE_VARIANT_HPP

#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <kdbus/wire/error.hpp>
#include <kdbus/wire/reader.hpp>
#include <kdbus/wire/signature.hpp>

namespace kdbus::wire {

class Writer;
class Variant;

template <class T>
struct Mapping;

/// C++ types that correspond to a D-Bus type: see <kdbus/wire/mapping.hpp>, which must be included
/// to make or take apart a Variant.
template <class T>
concept Mapped = requires {
    Mapping<std::decay_t<T>>::signature.view();
};

/// A value of any D-Bus type (type `v`), however deep. It owns its value, serialised, so copying
/// costs one copy of bytes, and equal values compare equal. Not thread-safe while modified.
class KDBUS_EXPORT Variant {
public:
    /// Holds nothing: it cannot be written (bad_signature).
    Variant() noexcept = default;

    /// Holds `value`; holds nothing if it is not representable (text that is not UTF-8, say).
    template <class T>
    requires(!std::same_as<std::decay_t<T>, Variant> && Mapped<T>) explicit Variant(const T& value);

    /// Holds another variant: type v inside v.
    [[nodiscard]] static Variant nested(const Variant& inner);

    /// Takes the next complete value of `source`, of any type, as it stands.
    [[nodiscard]] static Result<Variant> take(Reader& source);

    /// Whether it holds nothing.
    [[nodiscard]] bool empty() const noexcept { return type_.empty(); }
    /// The one complete type of the value; empty if there is none.
    [[nodiscard]] std::string_view type() const noexcept { return type_; }

    /// The value as a C++ type; type_mismatch if it is of another. Views point into the variant.
    template <class T>
    [[nodiscard]] Result<T> get() const;

    /// Reads the value: a body with one argument. Refers to the variant.
    [[nodiscard]] Reader reader() const noexcept { return {Format::gvariant, type_, bytes_}; }

    friend bool operator==(const Variant&, const Variant&) = default;

private:
    std::string type_;
    std::vector<std::byte> bytes_; // GVariant form
};

} // namespace kdbus::wire

#endif
