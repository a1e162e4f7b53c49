// SPDX-License-Identifier: LGPL-2.1-or-later
#include "shapes.hpp"

#include <sys/socket.h>
#include <systemd/sd-bus.h>

#include <array>
#include <cstring>
#include <memory>

namespace kdbus::codec_bench {
namespace {

struct Unref {
    void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, Unref>;

/// Messages belong to a bus: one that never sends anything.
sd_bus* bus() {
    static sd_bus* const made = [] {
        std::array<int, 2> fds{};
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()) == 0,
             "socketpair");
        sd_bus* bus = nullptr;
        must(sd_bus_new(&bus) >= 0 && sd_bus_set_fd(bus, fds[0], fds[0]) >= 0 &&
                 sd_bus_start(bus) >= 0,
             "sd_bus_start");
        return bus;
    }();
    return made;
}

void append_body(sd_bus_message* to, Shape shape) {
    const Data& from = data();
    bool good = true;
    switch (shape) {
    case Shape::small:
        good = sd_bus_message_append_basic(to, 's', from.text.c_str()) >= 0 &&
               sd_bus_message_append_basic(to, 'u', &from.number) >= 0;
        break;
    case Shape::dict:
        good = sd_bus_message_open_container(to, 'a', "{sv}") >= 0;
        for (const Property& property : from.properties) {
            const bool number = property.number != 0;
            const void* value =
                number ? static_cast<const void*>(&property.number) : property.text.c_str();
            good = good && sd_bus_message_open_container(to, 'e', "sv") >= 0 &&
                   sd_bus_message_append_basic(to, 's', property.key.c_str()) >= 0 &&
                   sd_bus_message_open_container(to, 'v', number ? "u" : "s") >= 0 &&
                   sd_bus_message_append_basic(to, number ? 'u' : 's', value) >= 0 &&
                   sd_bus_message_close_container(to) >= 0 &&
                   sd_bus_message_close_container(to) >= 0;
        }
        good = good && sd_bus_message_close_container(to) >= 0;
        break;
    case Shape::rows:
        good = sd_bus_message_open_container(to, 'a', "(isd)") >= 0;
        for (const Row& row : from.rows)
            good = good && sd_bus_message_open_container(to, 'r', "isd") >= 0 &&
                   sd_bus_message_append_basic(to, 'i', &row.number) >= 0 &&
                   sd_bus_message_append_basic(to, 's', row.text.c_str()) >= 0 &&
                   sd_bus_message_append_basic(to, 'd', &row.real) >= 0 &&
                   sd_bus_message_close_container(to) >= 0;
        good = good && sd_bus_message_close_container(to) >= 0;
        break;
    case Shape::doubles:
        good = sd_bus_message_append_array(to, 'd', from.doubles.data(),
                                           from.doubles.size() * sizeof(double)) >= 0;
        break;
    case Shape::nested:
        for (unsigned i = 1; i <= from.variants; ++i)
            good =
                good && sd_bus_message_open_container(to, 'v', i < from.variants ? "v" : "u") >= 0;
        good = good && sd_bus_message_append_basic(to, 'u', &from.number) >= 0;
        for (unsigned i = 0; i < from.variants; ++i)
            good = good && sd_bus_message_close_container(to) >= 0;
        break;
    }
    must(good, "sd-bus: appending");
}

Message make(Shape shape) {
    sd_bus_message* made = nullptr;
    must(sd_bus_message_new_method_call(bus(), &made, header::destination, header::path,
                                        header::interface, header::member) >= 0,
         "sd_bus_message_new_method_call");
    Message message(made);
    append_body(made, shape);
    must(sd_bus_message_seal(made, header::serial, 0) >= 0, "sd_bus_message_seal");
    return message;
}

std::uint64_t read_text(sd_bus_message* from) {
    const char* text = nullptr;
    must(sd_bus_message_read_basic(from, 's', &text) > 0, "sd-bus: text");
    return std::strlen(text);
}

template <class T>
T read_basic(sd_bus_message* from, char type) {
    T value{};
    must(sd_bus_message_read_basic(from, type, &value) > 0, "sd-bus: basic");
    return value;
}

std::uint64_t read_message(sd_bus_message* from, Shape shape) {
    must(sd_bus_message_rewind(from, 1) >= 0, "sd_bus_message_rewind");
    std::uint64_t sum = 0;
    const auto leave = [&] {
        must(sd_bus_message_exit_container(from) >= 0, "sd-bus: leaving");
    };
    switch (shape) {
    case Shape::small:
        sum = read_text(from);
        sum += read_basic<std::uint32_t>(from, 'u');
        break;
    case Shape::dict:
        must(sd_bus_message_enter_container(from, 'a', "{sv}") > 0, "sd-bus: dict");
        while (sd_bus_message_enter_container(from, 'e', "sv") > 0) {
            sum += read_text(from);
            const char* contents = nullptr;
            must(sd_bus_message_peek_type(from, nullptr, &contents) > 0, "sd-bus: variant");
            const bool number = contents[0] == 'u';
            must(sd_bus_message_enter_container(from, 'v', number ? "u" : "s") > 0,
                 "sd-bus: variant");
            sum += number ? read_basic<std::uint32_t>(from, 'u') : read_text(from);
            leave();
            leave();
        }
        leave();
        break;
    case Shape::rows:
        must(sd_bus_message_enter_container(from, 'a', "(isd)") > 0, "sd-bus: rows");
        while (sd_bus_message_enter_container(from, 'r', "isd") > 0) {
            sum += static_cast<std::uint64_t>(read_basic<std::int32_t>(from, 'i'));
            sum += read_text(from);
            sum += static_cast<std::uint64_t>(read_basic<double>(from, 'd'));
            leave();
        }
        leave();
        break;
    case Shape::doubles: {
        const void* start = nullptr;
        std::size_t size = 0;
        must(sd_bus_message_read_array(from, 'd', &start, &size) > 0, "sd-bus: array");
        const std::size_t count = size / sizeof(double);
        sum = count + static_cast<std::uint64_t>(static_cast<const double*>(start)[count - 1]);
        break;
    }
    case Shape::nested:
        for (unsigned i = 1; i <= data().variants; ++i)
            must(sd_bus_message_enter_container(from, 'v', i < data().variants ? "v" : "u") > 0,
                 "sd-bus: variant");
        sum = read_basic<std::uint32_t>(from, 'u');
        for (unsigned i = 1; i <= data().variants; ++i)
            leave();
        break;
    }
    must(sd_bus_message_at_end(from, 1) > 0, "sd-bus: end");
    return sum;
}

} // namespace

Contender sdbus(Shape shape) {
    const std::shared_ptr<sd_bus_message> made(make(shape));
    return {"sd-bus",
            [shape] {
                make(shape);
                return std::uint64_t{1};
            },
            [made, shape] {
                return read_message(made.get(), shape);
            }};
}

} // namespace kdbus::codec_bench
