// SPDX-License-Identifier: LGPL-2.1-or-later
#include "shapes.hpp"

#include <dbus/dbus.h>

#include <cstring>
#include <memory>

namespace kdbus::codec_bench {
namespace {

struct Unref {
    void operator()(DBusMessage* message) const { dbus_message_unref(message); }
};
using Message = std::unique_ptr<DBusMessage, Unref>;

void append_text(DBusMessageIter& to, const std::string& text) {
    const char* start = text.c_str();
    must(dbus_message_iter_append_basic(&to, DBUS_TYPE_STRING, &start), "string");
}

void append_body(DBusMessage* message, Shape shape) {
    const Data& from = data();
    DBusMessageIter root, array, entry, value;
    dbus_message_iter_init_append(message, &root);
    switch (shape) {
    case Shape::small:
        append_text(root, from.text);
        must(dbus_message_iter_append_basic(&root, DBUS_TYPE_UINT32, &from.number), "number");
        break;
    case Shape::dict:
        must(dbus_message_iter_open_container(&root, DBUS_TYPE_ARRAY, "{sv}", &array), "array");
        for (const Property& property : from.properties) {
            must(dbus_message_iter_open_container(&array, DBUS_TYPE_DICT_ENTRY, nullptr, &entry),
                 "entry");
            append_text(entry, property.key);
            const bool number = property.number != 0;
            must(dbus_message_iter_open_container(&entry, DBUS_TYPE_VARIANT, number ? "u" : "s",
                                                  &value),
                 "variant");
            if (number)
                must(dbus_message_iter_append_basic(&value, DBUS_TYPE_UINT32, &property.number),
                     "number");
            else
                append_text(value, property.text);
            must(dbus_message_iter_close_container(&entry, &value) &&
                     dbus_message_iter_close_container(&array, &entry),
                 "entry");
        }
        must(dbus_message_iter_close_container(&root, &array), "array");
        break;
    case Shape::rows:
        must(dbus_message_iter_open_container(&root, DBUS_TYPE_ARRAY, "(isd)", &array), "array");
        for (const Row& row : from.rows) {
            must(dbus_message_iter_open_container(&array, DBUS_TYPE_STRUCT, nullptr, &entry),
                 "struct");
            must(dbus_message_iter_append_basic(&entry, DBUS_TYPE_INT32, &row.number), "number");
            append_text(entry, row.text);
            must(dbus_message_iter_append_basic(&entry, DBUS_TYPE_DOUBLE, &row.real), "real");
            must(dbus_message_iter_close_container(&array, &entry), "struct");
        }
        must(dbus_message_iter_close_container(&root, &array), "array");
        break;
    case Shape::doubles: {
        const double* start = from.doubles.data();
        must(dbus_message_iter_open_container(&root, DBUS_TYPE_ARRAY, "d", &array), "array");
        must(dbus_message_iter_append_fixed_array(&array, DBUS_TYPE_DOUBLE, &start,
                                                  static_cast<int>(from.doubles.size())),
             "doubles");
        must(dbus_message_iter_close_container(&root, &array), "array");
        break;
    }
    case Shape::nested: {
        std::vector<DBusMessageIter> levels(from.variants + 1);
        levels[0] = root;
        for (unsigned i = 0; i < from.variants; ++i)
            must(dbus_message_iter_open_container(&levels[i], DBUS_TYPE_VARIANT,
                                                  i + 1 < from.variants ? "v" : "u",
                                                  &levels[i + 1]),
                 "variant");
        must(dbus_message_iter_append_basic(&levels.back(), DBUS_TYPE_UINT32, &from.number),
             "number");
        for (unsigned i = from.variants; i > 0; --i)
            must(dbus_message_iter_close_container(&levels[i - 1], &levels[i]), "variant");
        break;
    }
    }
}

Message make(Shape shape) {
    Message message(dbus_message_new_method_call(header::destination, header::path,
                                                 header::interface, header::member));
    append_body(message.get(), shape);
    dbus_message_set_serial(message.get(), header::serial);
    dbus_message_lock(message.get()); // completes the header: what is left is to write it
    return message;
}

template <class T>
T basic(DBusMessageIter& from) {
    T value;
    dbus_message_iter_get_basic(&from, &value);
    return value;
}

std::uint64_t text_size(DBusMessageIter& from) {
    return std::strlen(basic<const char*>(from));
}

std::uint64_t read_message(DBusMessage* message, Shape shape) {
    DBusMessageIter root, array, entry, value;
    must(dbus_message_iter_init(message, &root), "empty");
    std::uint64_t sum = 0;
    switch (shape) {
    case Shape::small:
        sum = text_size(root);
        dbus_message_iter_next(&root);
        return sum + basic<std::uint32_t>(root);
    case Shape::dict:
        dbus_message_iter_recurse(&root, &array);
        while (dbus_message_iter_get_arg_type(&array) == DBUS_TYPE_DICT_ENTRY) {
            dbus_message_iter_recurse(&array, &entry);
            sum += text_size(entry);
            dbus_message_iter_next(&entry);
            dbus_message_iter_recurse(&entry, &value);
            if (dbus_message_iter_get_arg_type(&value) == DBUS_TYPE_UINT32)
                sum += basic<std::uint32_t>(value);
            else
                sum += text_size(value);
            dbus_message_iter_next(&array);
        }
        return sum;
    case Shape::rows:
        dbus_message_iter_recurse(&root, &array);
        while (dbus_message_iter_get_arg_type(&array) == DBUS_TYPE_STRUCT) {
            dbus_message_iter_recurse(&array, &entry);
            sum += static_cast<std::uint64_t>(basic<std::int32_t>(entry));
            dbus_message_iter_next(&entry);
            sum += text_size(entry);
            dbus_message_iter_next(&entry);
            sum += static_cast<std::uint64_t>(basic<double>(entry));
            dbus_message_iter_next(&array);
        }
        return sum;
    case Shape::doubles: {
        const double* start = nullptr;
        int count = 0;
        dbus_message_iter_recurse(&root, &array);
        dbus_message_iter_get_fixed_array(&array, &start, &count);
        return static_cast<std::uint64_t>(count) + static_cast<std::uint64_t>(start[count - 1]);
    }
    case Shape::nested:
        break;
    }
    while (dbus_message_iter_get_arg_type(&root) == DBUS_TYPE_VARIANT) {
        dbus_message_iter_recurse(&root, &value);
        root = value;
    }
    return basic<std::uint32_t>(root);
}

} // namespace

Contender libdbus(Shape shape) {
    char* bytes = nullptr;
    int size = 0;
    must(dbus_message_marshal(make(shape).get(), &bytes, &size), "marshalling");
    const std::shared_ptr<char> kept(bytes, dbus_free);
    return {"libdbus",
            [shape] {
                make(shape);
                return std::uint64_t{1};
            },
            [kept, size, shape] {
                const Message message(dbus_message_demarshal(kept.get(), size, nullptr));
                must(message != nullptr, "demarshalling");
                return read_message(message.get(), shape);
            }};
}

} // namespace kdbus::codec_bench
