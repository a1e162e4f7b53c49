// SPDX-License-Identifier: LGPL-2.1-or-later
#include "shapes.hpp"

#include <gio/gio.h>

#include <cstring>
#include <memory>

namespace kdbus::codec_bench {
namespace {

struct Unref {
    void operator()(GVariant* value) const { g_variant_unref(value); }
    void operator()(GDBusMessage* message) const { g_object_unref(message); }
    void operator()(void* bytes) const { g_free(bytes); }
};
using Value = std::unique_ptr<GVariant, Unref>;
using Message = std::unique_ptr<GDBusMessage, Unref>;
using Bytes = std::unique_ptr<guchar, Unref>;

/// The body: a tuple of the arguments, floating.
GVariant* make_body(Shape shape) {
    const Data& from = data();
    GVariantBuilder builder;
    GVariant* only = nullptr;
    switch (shape) {
    case Shape::small:
        return g_variant_new("(su)", from.text.c_str(), from.number);
    case Shape::dict:
        g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sv}"));
        for (const Property& property : from.properties)
            g_variant_builder_add(&builder, "{sv}", property.key.c_str(),
                                  property.number != 0
                                      ? g_variant_new_uint32(property.number)
                                      : g_variant_new_string(property.text.c_str()));
        only = g_variant_builder_end(&builder);
        break;
    case Shape::rows:
        g_variant_builder_init(&builder, G_VARIANT_TYPE("a(isd)"));
        for (const Row& row : from.rows)
            g_variant_builder_add(&builder, "(isd)", row.number, row.text.c_str(), row.real);
        only = g_variant_builder_end(&builder);
        break;
    case Shape::doubles:
        only = g_variant_new_fixed_array(G_VARIANT_TYPE_DOUBLE, from.doubles.data(),
                                         from.doubles.size(), sizeof(double));
        break;
    case Shape::nested:
        only = g_variant_new_uint32(from.number);
        for (unsigned i = 0; i < from.variants; ++i)
            only = g_variant_new_variant(only);
        break;
    }
    return g_variant_new_tuple(&only, 1);
}

std::uint64_t read_body(GVariant* body, Shape shape) {
    std::uint64_t sum = 0;
    GVariantIter iter;
    const char* text = nullptr;
    if (shape == Shape::small) {
        guint32 number = 0;
        g_variant_get(body, "(&su)", &text, &number);
        return std::strlen(text) + number;
    }
    Value only(g_variant_get_child_value(body, 0));
    switch (shape) {
    case Shape::small:
        break;
    case Shape::dict: {
        GVariant* value = nullptr;
        g_variant_iter_init(&iter, only.get());
        while (g_variant_iter_loop(&iter, "{&sv}", &text, &value)) {
            sum += std::strlen(text);
            if (g_variant_is_of_type(value, G_VARIANT_TYPE_UINT32))
                sum += g_variant_get_uint32(value);
            else
                sum += std::strlen(g_variant_get_string(value, nullptr));
        }
        return sum;
    }
    case Shape::rows: {
        gint32 number = 0;
        double real = 0;
        g_variant_iter_init(&iter, only.get());
        while (g_variant_iter_loop(&iter, "(i&sd)", &number, &text, &real))
            sum += static_cast<std::uint64_t>(number) + std::strlen(text) +
                   static_cast<std::uint64_t>(real);
        return sum;
    }
    case Shape::doubles: {
        gsize count = 0;
        const auto* start = static_cast<const double*>(
            g_variant_get_fixed_array(only.get(), &count, sizeof(double)));
        return count + static_cast<std::uint64_t>(start[count - 1]);
    }
    case Shape::nested:
        while (g_variant_is_of_type(only.get(), G_VARIANT_TYPE_VARIANT))
            only.reset(g_variant_get_variant(only.get()));
        return g_variant_get_uint32(only.get());
    }
    return 0;
}

std::pair<Bytes, gsize> write_message(Shape shape) {
    const Message message(g_dbus_message_new_method_call(header::destination, header::path,
                                                         header::interface, header::member));
    g_dbus_message_set_serial(message.get(), header::serial);
    g_dbus_message_set_body(message.get(), make_body(shape));
    gsize size = 0;
    Bytes bytes(
        g_dbus_message_to_blob(message.get(), &size, G_DBUS_CAPABILITY_FLAGS_NONE, nullptr));
    must(bytes != nullptr, "g_dbus_message_to_blob");
    return {std::move(bytes), size};
}

} // namespace

Contender gdbus(Shape shape) {
    auto [bytes, size] = write_message(shape);
    const std::shared_ptr<guchar> kept(std::move(bytes));
    return {"GDBus", [shape] { return std::uint64_t{write_message(shape).second}; },
            [kept, length = size, shape] {
                const Message message(g_dbus_message_new_from_blob(
                    kept.get(), length, G_DBUS_CAPABILITY_FLAGS_NONE, nullptr));
                must(message != nullptr, "g_dbus_message_new_from_blob");
                return read_body(g_dbus_message_get_body(message.get()), shape);
            }};
}

Contender gvariant(Shape shape) {
    const Value made(g_variant_ref_sink(make_body(shape)));
    const std::shared_ptr<void> kept(
        g_memdup2(g_variant_get_data(made.get()), g_variant_get_size(made.get())), g_free);
    const std::string type = "(" + std::string(signature_of(shape)) + ")";
    return {"GVariant",
            [shape] {
                const Value body(g_variant_ref_sink(make_body(shape)));
                must(g_variant_get_data(body.get()) != nullptr, "g_variant_get_data");
                return std::uint64_t{g_variant_get_size(body.get())};
            },
            [kept, type, size = g_variant_get_size(made.get()), shape] {
                // As bytes of somebody else: they are checked.
                const Value body(g_variant_ref_sink(g_variant_new_from_data(
                    G_VARIANT_TYPE(type.c_str()), kept.get(), size, FALSE, nullptr, nullptr)));
                return read_body(body.get(), shape);
            }};
}

} // namespace kdbus::codec_bench
