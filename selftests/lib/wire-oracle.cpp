// SPDX-License-Identifier: LGPL-2.1-or-later
// Random and damaged values, judged by GLib's GVariant, GDBus and libdbus.
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <memory>
#include <optional>
#include <unistd.h>

#include <dbus/dbus.h>
#include <gio/gio.h>
#include <gio/gunixfdlist.h>

#include <linux/kdbus.h>

#include <kdbus/wire/address.hpp>
#include <kdbus/wire/bloom.hpp>
#include <kdbus/wire/convert.hpp>
#include <kdbus/wire/match.hpp>
#include <kdbus/wire/names.hpp>

#include "wire-random.hpp"
#include "wire-support.hpp"

using namespace kdbus::wire;
using wire_test::Body;
using wire_test::Deadline;
using wire_test::error_of;
using wire_test::hex;
using wire_test::Random;

namespace {

struct Unref {
    void operator()(GVariant* value) const { g_variant_unref(value); }
    void operator()(GDBusMessage* message) const { g_object_unref(message); }
    void operator()(GUnixFDList* list) const { g_object_unref(list); }
    void operator()(guchar* bytes) const { g_free(bytes); }
    void operator()(DBusMessage* message) const { dbus_message_unref(message); }
};
template <class T>
using Owned = std::unique_ptr<T, Unref>;

Body random_body(std::uint64_t seed, Format format) {
    Random random(seed);
    const std::string signature = random.signature();
    Buffer buffer;
    Writer writer(buffer, format);
    random.write(writer, signature);
    REQUIRE(error_of(writer.finish()) == std::error_code());
    REQUIRE(writer.signature() == signature);
    return {signature, {writer.body().begin(), writer.body().end()}};
}

/// The body as GLib sees it: a tuple in serialised form, not trusted.
Owned<GVariant> as_glib(std::string_view signature, std::span<const std::byte> bytes) {
    const std::string type = "(" + std::string(signature) + ")";
    void* copy = g_memdup2(bytes.data(), bytes.size());
    return Owned<GVariant>(g_variant_ref_sink(g_variant_new_from_data(
        G_VARIANT_TYPE(type.c_str()), copy, bytes.size(), FALSE, g_free, copy)));
}

std::string glib_hex(GVariant* value) {
    return hex(std::span(static_cast<const std::byte*>(g_variant_get_data(value)),
                         g_variant_get_size(value)));
}

/// The value built again from nothing but its parts, so that GLib has to serialise it itself.
Owned<GVariant> rebuilt(GVariant* value) {
    const auto own = [](GVariant* made) {
        return Owned<GVariant>(g_variant_ref_sink(made));
    };
    switch (g_variant_classify(value)) {
    case G_VARIANT_CLASS_BOOLEAN:
        return own(g_variant_new_boolean(g_variant_get_boolean(value)));
    case G_VARIANT_CLASS_BYTE:
        return own(g_variant_new_byte(g_variant_get_byte(value)));
    case G_VARIANT_CLASS_INT16:
        return own(g_variant_new_int16(g_variant_get_int16(value)));
    case G_VARIANT_CLASS_UINT16:
        return own(g_variant_new_uint16(g_variant_get_uint16(value)));
    case G_VARIANT_CLASS_INT32:
        return own(g_variant_new_int32(g_variant_get_int32(value)));
    case G_VARIANT_CLASS_UINT32:
        return own(g_variant_new_uint32(g_variant_get_uint32(value)));
    case G_VARIANT_CLASS_HANDLE:
        return own(g_variant_new_handle(g_variant_get_handle(value)));
    case G_VARIANT_CLASS_INT64:
        return own(g_variant_new_int64(g_variant_get_int64(value)));
    case G_VARIANT_CLASS_UINT64:
        return own(g_variant_new_uint64(g_variant_get_uint64(value)));
    case G_VARIANT_CLASS_DOUBLE:
        return own(g_variant_new_double(g_variant_get_double(value)));
    case G_VARIANT_CLASS_STRING:
        return own(g_variant_new_string(g_variant_get_string(value, nullptr)));
    case G_VARIANT_CLASS_OBJECT_PATH:
        return own(g_variant_new_object_path(g_variant_get_string(value, nullptr)));
    case G_VARIANT_CLASS_SIGNATURE:
        return own(g_variant_new_signature(g_variant_get_string(value, nullptr)));
    case G_VARIANT_CLASS_VARIANT: {
        const Owned<GVariant> inner(g_variant_get_variant(value));
        return own(g_variant_new_variant(rebuilt(inner.get()).get()));
    }
    default: {
        GVariantBuilder builder;
        g_variant_builder_init(&builder, g_variant_get_type(value));
        for (gsize i = 0; i < g_variant_n_children(value); i++) {
            const Owned<GVariant> child(g_variant_get_child_value(value, i));
            g_variant_builder_add_value(&builder, rebuilt(child.get()).get());
        }
        return own(g_variant_builder_end(&builder));
    }
    }
}

std::string reserialised(GVariant* value) {
    return glib_hex(rebuilt(value).get());
}

/// The body of a message as GDBus reads and GLib then serialises it; empty without one. Nothing if
/// GDBus does not read the message.
std::optional<std::string> gdbus_body(std::span<const std::byte> bytes) {
    std::vector<std::byte> blob(bytes.begin(), bytes.end());
    const Owned<GDBusMessage> message(
        g_dbus_message_new_from_blob(reinterpret_cast<guchar*>(blob.data()), blob.size(),
                                     G_DBUS_CAPABILITY_FLAGS_UNIX_FD_PASSING, nullptr));
    if (!message)
        return std::nullopt;
    GVariant* body = g_dbus_message_get_body(message.get());
    return body != nullptr ? reserialised(body) : std::string();
}

/// As many descriptors as random bodies refer to.
Owned<GUnixFDList> fd_list() {
    std::array<int, wire_test::random_fds> fds;
    for (int& fd : fds)
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return Owned<GUnixFDList>(g_unix_fd_list_new_from_array(fds.data(), fds.size()));
}

/// A message of GDBus around a body, marshalled by it.
std::vector<std::byte> gdbus_blob(GVariant* body, GDBusMessageByteOrder order) {
    const Owned<GDBusMessage> message(g_dbus_message_new_method_call("a.b", "/p", "a.b", "M"));
    if (g_variant_n_children(body) > 0)
        g_dbus_message_set_body(message.get(), body);
    g_dbus_message_set_unix_fd_list(message.get(), fd_list().get());
    g_dbus_message_set_byte_order(message.get(), order);
    g_dbus_message_set_serial(message.get(), 5);
    gsize size = 0;
    GError* error = nullptr;
    const Owned<guchar> blob(g_dbus_message_to_blob(
        message.get(), &size, G_DBUS_CAPABILITY_FLAGS_UNIX_FD_PASSING, &error));
    INFO((error != nullptr ? error->message : ""));
    REQUIRE(blob);
    const auto* bytes = reinterpret_cast<const std::byte*>(blob.get());
    return {bytes, bytes + size};
}

Message call_around(const Body& body, Format format) {
    Message message;
    message.type = MessageType::method_call;
    message.serial = 5;
    message.path = "/p";
    message.interface = "a.b";
    message.member = "M";
    message.destination = ":1.5";
    message.unix_fds = wire_test::random_fds;
    message.format = format;
    message.signature = body.signature;
    message.body = body.bytes;
    return message;
}

/// Whether two GVariant bodies differ in nothing but how true is written.
bool same_but_for_booleans(std::span<const std::byte> given, std::span<const std::byte> normal) {
    if (given.size() != normal.size())
        return false;
    for (std::size_t i = 0; i < given.size(); i++)
        if (given[i] != normal[i] && !(given[i] > std::byte{1} && normal[i] == std::byte{1}))
            return false;
    return true;
}

} // namespace

TEST_CASE("random values survive every conversion", "[random]") {
    const std::uint64_t seed = wire_test::test_seed();
    const Deadline deadline;
    std::uint64_t n = 0;
    for (; !deadline.passed(); n++) {
        CAPTURE(seed, n);
        const Body gvariant = random_body(seed + n, Format::gvariant),
                   dbus1 = random_body(seed + n, dbus1_native);
        CAPTURE(gvariant.signature);
        REQUIRE(error_of(validate_body(Format::gvariant, gvariant.signature, gvariant.bytes)) ==
                std::error_code());
        REQUIRE(error_of(validate_body(dbus1_native, dbus1.signature, dbus1.bytes)) ==
                std::error_code());
        Buffer there, back;
        REQUIRE(convert_body(Format::gvariant, gvariant.signature, gvariant.bytes, dbus1_native,
                             there));
        REQUIRE(hex(there) == hex(dbus1.bytes));
        REQUIRE(convert_body(dbus1_native, dbus1.signature, dbus1.bytes, Format::gvariant, back));
        REQUIRE(hex(back) == hex(gvariant.bytes));
        // Every value as a variant, too.
        Reader reader(dbus1_native, dbus1.signature, dbus1.bytes);
        Buffer copied;
        Writer writer(copied, Format::gvariant);
        while (!reader.at_end()) {
            const auto value = Variant::take(reader);
            REQUIRE(value);
            Reader inner = value->reader();
            writer.append_value(inner);
        }
        REQUIRE(writer.finish());
        REQUIRE(hex(copied) == hex(gvariant.bytes));
    }
    CHECK(n > 50);
}

TEST_CASE("GLib and GDBus agree on random values", "[random]") {
    const std::uint64_t seed = wire_test::test_seed();
    const Deadline deadline;
    std::uint64_t n = 0, beyond_gdbus = 0;
    for (; !deadline.passed(); n++) {
        CAPTURE(seed, n);
        const Body gvariant = random_body(seed + n, Format::gvariant),
                   dbus1 = random_body(seed + n, dbus1_native);
        CAPTURE(gvariant.signature);
        const auto glib = as_glib(gvariant.signature, gvariant.bytes);
        REQUIRE(g_variant_is_normal_form(glib.get()));
        REQUIRE(reserialised(glib.get()) == hex(gvariant.bytes));

        // GDBus marshals GLib's value: the body must be ours, byte for byte.
        const auto native = gdbus_blob(glib.get(), dbus1_native == Format::dbus1_le
                                                       ? G_DBUS_MESSAGE_BYTE_ORDER_LITTLE_ENDIAN
                                                       : G_DBUS_MESSAGE_BYTE_ORDER_BIG_ENDIAN);
        const auto parsed = parse_dbus1(native);
        REQUIRE(error_of(parsed) == std::error_code());
        REQUIRE(parsed->signature == dbus1.signature);
        REQUIRE(hex(parsed->body) == hex(dbus1.bytes));
        REQUIRE(dbus1_message_size(native) == native.size());

        // The foreign order converts to the same.
        const auto foreign = gdbus_blob(glib.get(), dbus1_native == Format::dbus1_le
                                                        ? G_DBUS_MESSAGE_BYTE_ORDER_BIG_ENDIAN
                                                        : G_DBUS_MESSAGE_BYTE_ORDER_LITTLE_ENDIAN);
        const auto foreign_parsed = parse_dbus1(foreign);
        REQUIRE(error_of(foreign_parsed) == std::error_code());
        Buffer as_gvariant, as_native;
        REQUIRE(convert_message(*foreign_parsed, Format::gvariant, as_gvariant));
        REQUIRE(hex(as_gvariant) == hex(gvariant.bytes));
        REQUIRE(convert_message(*foreign_parsed, dbus1_native, as_native));
        REQUIRE(hex(as_native) == hex(dbus1.bytes));

        // GDBus reads our message; GLib serialises what it got out of it. Some arrays that end in
        // a small element are beyond GDBus, whoever wrote them: it then loses its own ones, too.
        const std::string wanted = gvariant.signature.empty() ? std::string() : hex(gvariant.bytes);
        if (gdbus_body(native) != wanted) {
            beyond_gdbus++;
            continue;
        }
        Buffer ours;
        REQUIRE(serialise_dbus1(call_around(dbus1, dbus1_native), ours));
        REQUIRE(gdbus_body(ours.bytes()) == wanted);
    }
    CHECK(beyond_gdbus < n / 20 + 1);
    CHECK(n > 50);
}

TEST_CASE("GLib judges whole kernel-bus messages", "[random]") {
    const std::uint64_t seed = wire_test::test_seed();
    for (std::uint64_t n = 0; n < 200; n++) {
        CAPTURE(seed, n);
        const Body body = random_body(seed + n, Format::gvariant);
        const Message message = call_around(body, Format::gvariant);
        Buffer whole, tail;
        REQUIRE(serialise_kdbus(message, whole, tail));
        REQUIRE(whole.append(tail.data(), tail.size()));
        void* copy = g_memdup2(whole.data(), whole.size());
        const Owned<GVariant> glib(g_variant_ref_sink(g_variant_new_from_data(
            G_VARIANT_TYPE("(yyyyuta{tv}v)"), copy, whole.size(), FALSE, g_free, copy)));
        REQUIRE(g_variant_is_normal_form(glib.get()));
        const Owned<GVariant> boxed(g_variant_get_child_value(glib.get(), 7));
        const Owned<GVariant> inner(g_variant_get_variant(boxed.get()));
        REQUIRE(g_variant_get_type_string(inner.get()) == "(" + body.signature + ")");
        REQUIRE(glib_hex(inner.get()) == hex(body.bytes));
        REQUIRE(reserialised(glib.get()) == hex(whole));
    }
}

TEST_CASE("damaged GVariant bodies: accepted only in normal form", "[mutation]") {
    const std::uint64_t seed = wire_test::test_seed();
    Random random(seed ^ 1);
    const Deadline deadline;
    std::uint64_t accepted = 0, refused = 0;
    for (std::uint64_t n = 0; !deadline.passed(); n++) {
        const Body body = random_body(seed + n, Format::gvariant);
        for (int round = 0; round < 20; round++) {
            auto bytes = body.bytes;
            random.mutate(bytes);
            bytes.shrink_to_fit();
            CAPTURE(seed, n, round, body.signature, hex(bytes));
            const bool good = validate_body(Format::gvariant, body.signature, bytes).has_value();
            (good ? accepted : refused)++;
            const auto glib = as_glib(body.signature, bytes);
            const bool normal = g_variant_is_normal_form(glib.get());
            if (!good)
                continue;
            Buffer dbus1, again;
            if (!convert_body(Format::gvariant, body.signature, bytes, dbus1_native, dbus1))
                FAIL("valid but not convertible");
            REQUIRE(validate_body(dbus1_native, body.signature, dbus1.bytes()));
            REQUIRE(
                convert_body(dbus1_native, body.signature, dbus1.bytes(), Format::gvariant, again));
            REQUIRE(same_but_for_booleans(bytes, again.bytes()));
            REQUIRE(normal == (hex(again) == hex(bytes)));
            REQUIRE(g_variant_is_normal_form(as_glib(body.signature, again.bytes()).get()));
        }
    }
    CHECK(accepted > 10);
    CHECK(refused > 10);
}

TEST_CASE("damaged GVariant bodies of simple types: refused only if not normal", "[mutation]") {
    // Without g and v, GLib's notion of normal is ours (but for booleans, which it wants as 0 or
    // 1).
    const std::uint64_t seed = wire_test::test_seed();
    Random random(seed ^ 2);
    const Deadline deadline;
    std::uint64_t normal_ones = 0;
    for (std::uint64_t n = 0; !deadline.passed(); n++) {
        const Body body = random_body(seed + n, Format::gvariant);
        if (body.signature.find_first_of("gv") != std::string::npos)
            continue;
        for (int round = 0; round < 20; round++) {
            auto bytes = body.bytes;
            random.mutate(bytes);
            CAPTURE(seed, n, round, body.signature, hex(bytes));
            const auto glib = as_glib(body.signature, bytes);
            // It lets containers without a byte pass as normal whose offsets it would write itself.
            if (g_variant_is_normal_form(glib.get()) && reserialised(glib.get()) == hex(bytes)) {
                normal_ones++;
                REQUIRE(error_of(validate_body(Format::gvariant, body.signature, bytes)) ==
                        std::error_code());
            }
        }
    }
    CHECK(normal_ones > 10);
}

TEST_CASE("damaged D-Bus 1 messages: libdbus agrees", "[mutation]") {
    const std::uint64_t seed = wire_test::test_seed();
    Random random(seed ^ 3);
    const Deadline deadline;
    std::uint64_t accepted = 0, refused = 0;
    for (std::uint64_t n = 0; !deadline.passed(); n++) {
        const Body body = random_body(seed + n, dbus1_native);
        Message message = call_around(body, dbus1_native);
        Buffer whole;
        REQUIRE(serialise_dbus1(message, whole));
        for (int round = 0; round < 20; round++) {
            std::vector<std::byte> bytes(whole.bytes().begin(), whole.bytes().end());
            random.mutate(bytes);
            if (random.chance(4)) // near the front, where everything counts
                for (int i = 0; i < 2 && bytes.size() > 32; i++)
                    bytes[random.number(32)] = static_cast<std::byte>(random.number(12));
            bytes.shrink_to_fit();
            CAPTURE(seed, n, round, body.signature, hex(bytes));
            const auto parsed = parse_dbus1(bytes);
            (parsed ? accepted : refused)++;
            if (parsed) {
                Buffer again;
                REQUIRE(serialise_dbus1(*parsed, again));
                const auto reparsed = parse_dbus1(again.bytes());
                REQUIRE(reparsed);
                REQUIRE(hex(reparsed->body) == hex(parsed->body));
                Buffer converted;
                REQUIRE(convert_message(*parsed, Format::gvariant, converted));
            }
            // libdbus demarshals no messages with descriptors; leave out what speaks of them.
            if ((parsed && parsed->unix_fds != 0) || bytes.empty())
                continue;
            DBusError error = DBUS_ERROR_INIT;
            const Owned<DBusMessage> libdbus(
                dbus_message_demarshal(reinterpret_cast<const char*>(bytes.data()),
                                       static_cast<int>(bytes.size()), &error));
            // It leaves the local interface, bytes behind the message and descriptors to others,
            // and knows one field more, 10, which is not in the specification's table.
            const bool field_10 =
                parsed && error.message != nullptr &&
                std::string_view(error.message).find("Header field has wrong type") !=
                    std::string_view::npos &&
                std::find(bytes.begin(), bytes.end(), std::byte{10}) != bytes.end();
            const bool known_exception = error_of(parsed) == Errc::local_message ||
                                         error_of(parsed) == Errc::trailing_bytes ||
                                         error_of(parsed) == Errc::fds_mismatch || field_10;
            CAPTURE(error_of(parsed).message(), (error.message != nullptr ? error.message : ""));
            if (!known_exception)
                REQUIRE((libdbus != nullptr) == parsed.has_value());
            dbus_error_free(&error);
        }
    }
    CHECK(accepted > 10);
    CHECK(refused > 10);
}

TEST_CASE("damaged kernel-bus messages", "[mutation]") {
    const std::uint64_t seed = wire_test::test_seed();
    Random random(seed ^ 4);
    const Deadline deadline;
    std::uint64_t accepted = 0, refused = 0;
    for (std::uint64_t n = 0; !deadline.passed(); n++) {
        const Body body = random_body(seed + n, Format::gvariant);
        const Message message = call_around(body, Format::gvariant);
        Buffer head, tail, scratch;
        REQUIRE(serialise_kdbus(message, head, tail));
        for (int round = 0; round < 20; round++) {
            std::vector<std::byte> first(head.bytes().begin(), head.bytes().end()),
                last(tail.bytes().begin(), tail.bytes().end());
            random.mutate(random.chance(2) ? first : last);
            first.shrink_to_fit();
            last.shrink_to_fit();
            KernelHead kernel;
            kernel.flags = KDBUS_MSG_EXPECT_REPLY;
            kernel.cookie = 5;
            kernel.fds = wire_test::random_fds;
            kernel.sender = ":1.7";
            // Cut anywhere, to have everything in pieces now and then.
            const std::size_t cut = random.number(last.size() + 1);
            std::vector<std::byte> middle(last.begin(),
                                          last.begin() + static_cast<std::ptrdiff_t>(cut));
            std::vector<std::byte> end(last.begin() + static_cast<std::ptrdiff_t>(cut), last.end());
            const std::vector<Piece> pieces =
                random.chance(2)
                    ? std::vector<Piece>{{first.data(), first.size()}, {last.data(), last.size()}}
                    : std::vector<Piece>{{first.data(), first.size()},
                                         {middle.data(), middle.size(), true},
                                         {end.data(), end.size()}};
            CAPTURE(seed, n, round, hex(first), hex(last), cut);
            const auto parsed = parse_kdbus(pieces, kernel, scratch);
            (parsed ? accepted : refused)++;
            if (!parsed)
                continue;
            REQUIRE(validate_header(*parsed));
            REQUIRE(parsed->serial == 5);
            Buffer converted;
            const auto dbus1 = convert_message(*parsed, dbus1_native, converted);
            REQUIRE(dbus1.has_value() ==
                    (error_of(validate_body(Format::gvariant, parsed->signature, parsed->body)) ==
                         std::error_code() &&
                     *validate_body(Format::gvariant, parsed->signature, parsed->body) <=
                         parsed->unix_fds));
            std::vector<std::uint64_t> filter(8);
            (void)make_signal_filter(*parsed, BloomParameter{}, filter);
            if (dbus1) {
                Buffer bytes;
                REQUIRE(serialise_dbus1(*dbus1, bytes));
                REQUIRE(parse_dbus1(bytes.bytes()));
            }
        }
    }
    CHECK(accepted > 10);
    CHECK(refused > 10);
}

TEST_CASE("damaged texts", "[mutation]") {
    const std::uint64_t seed = wire_test::test_seed();
    Random random(seed ^ 5);
    const Deadline deadline;
    static constexpr std::string_view rules[] = {
        "type='signal',sender='org.a.b',interface='a.b',member='M',path='/x/"
        "y',arg0='it'\\''s',arg1path='/p/',arg2has='q'",
        "path_namespace='/a',destination=':1.5',arg0namespace='org.x',eavesdrop=true",
    };
    static constexpr std::string_view addresses[] = {
        "kernel:path=/dev/kdbus/0-system/bus;unix:path=/run/a%20b,guid=00ff",
        "unix:abstract=x;tcp:host=a,port=1"};
    const auto damage = [&](std::string_view text) {
        const auto bytes = std::as_bytes(std::span(text));
        std::vector<std::byte> copy(bytes.begin(), bytes.end());
        random.mutate(copy);
        return std::string(reinterpret_cast<const char*>(copy.data()), copy.size());
    };
    std::uint64_t accepted = 0, refused = 0;
    while (!deadline.passed()) {
        const std::string text = damage(rules[random.number(std::size(rules))]);
        CAPTURE(seed, text);
        const auto rule = MatchRule::parse(text, MatchSyntax::extended);
        (rule ? accepted : refused)++;
        if (rule) {
            const auto again = MatchRule::parse(rule->canonical(), MatchSyntax::extended);
            REQUIRE(again);
            REQUIRE(*again == *rule);
            (void)rule->compile(BloomParameter{});
        }
        const std::string address_text = damage(addresses[random.number(std::size(addresses))]);
        CAPTURE(address_text);
        const auto list = parse_addresses(address_text);
        (list ? accepted : refused)++;
        if (list) {
            for (const Address& address : *list) {
                const auto again = parse_addresses(address.text());
                REQUIRE(again);
                REQUIRE(again->at(0) == address);
            }
        }
        const std::string signature = damage(random.signature() + "a{sv}");
        CAPTURE(signature);
        // GLib knows D-Bus signatures too; it accepts the empty tuple.
        if (signature.find("()") == std::string::npos && signature.find('\0') == std::string::npos)
            REQUIRE(is_signature(signature) ==
                    static_cast<bool>(dbus_signature_validate(signature.c_str(), nullptr)));
    }
    CHECK(accepted > 10);
    CHECK(refused > 10);
}
