// SPDX-License-Identifier: LGPL-2.1-or-later
#include "shapes.hpp"

#include <kdbus/wire/buffer.hpp>
#include <kdbus/wire/mapping.hpp>
#include <kdbus/wire/message.hpp>

#include <memory>
#include <string_view>

namespace kdbus::codec_bench {
namespace {

using wire::Format;

struct ReadRow {
    std::int32_t number;
    std::string_view text;
    double real;
};

void write_body(wire::Writer& writer, Shape shape) {
    const Data& from = data();
    switch (shape) {
    case Shape::small:
        writer.append(from.text, from.number);
        break;
    case Shape::dict:
        writer.open_array("{sv}");
        for (const Property& property : from.properties) {
            writer.open_dict_entry("sv").append(property.key);
            if (property.number != 0)
                writer.open_variant("u").append(property.number).close();
            else
                writer.open_variant("s").append(property.text).close();
            writer.close();
        }
        writer.close();
        break;
    case Shape::rows:
        writer.append(from.rows);
        break;
    case Shape::doubles:
        writer.append(from.doubles);
        break;
    case Shape::nested:
        for (unsigned i = 1; i < from.variants; ++i)
            writer.open_variant("v");
        writer.open_variant("u").append(from.number);
        for (unsigned i = 0; i < from.variants; ++i)
            writer.close();
        break;
    }
}

std::uint64_t read_body(wire::Reader& reader, Shape shape) {
    std::uint64_t sum = 0;
    switch (shape) {
    case Shape::small:
        sum = reader.read<std::string_view>().value().size();
        sum += reader.read<std::uint32_t>().value();
        break;
    case Shape::dict:
        must(reader.enter_array().has_value(), "dict");
        while (reader.enter_dict_entry()) {
            sum += reader.read<std::string_view>().value().size();
            must(reader.enter_variant().has_value(), "variant");
            if (reader.peek_type() == 'u')
                sum += reader.read<std::uint32_t>().value();
            else
                sum += reader.read<std::string_view>().value().size();
            must(reader.exit() && reader.exit(), "entry");
        }
        must(reader.exit().has_value(), "dict");
        break;
    case Shape::rows:
        must(reader.enter_array().has_value(), "rows");
        while (!reader.at_end()) {
            const auto row = reader.read<ReadRow>().value();
            sum += static_cast<std::uint64_t>(row.number) + row.text.size() +
                   static_cast<std::uint64_t>(row.real);
        }
        must(reader.exit().has_value(), "rows");
        break;
    case Shape::doubles: {
        const auto doubles = reader.read<std::span<const double>>().value();
        sum = doubles.size() + static_cast<std::uint64_t>(doubles.back());
        break;
    }
    case Shape::nested:
        while (reader.enter_variant()) {
        }
        sum = reader.read<std::uint32_t>().value();
        break;
    }
    must(reader.finish().has_value(), "finish");
    return sum;
}

wire::Message message_of(const wire::Writer& writer) {
    wire::Message message;
    message.type = wire::MessageType::method_call;
    message.format = writer.format();
    message.serial = header::serial;
    message.path = header::path;
    message.interface = header::interface;
    message.member = header::member;
    message.destination = header::destination;
    message.signature = writer.signature();
    message.body = writer.body();
    return message;
}

/// What a connection keeps: buffers that are used again.
struct State {
    wire::Buffer head;
    wire::Buffer body;
};

std::uint64_t write_dbus1(State& state, Shape shape) {
    state.head.clear();
    state.body.clear();
    wire::Writer writer(state.body, wire::dbus1_native);
    write_body(writer, shape);
    must(writer.finish().has_value(), "body");
    must(write_dbus1_header(message_of(writer), state.head).has_value(), "header");
    return state.head.size() + state.body.size();
}

} // namespace

Contender ours_dbus1(Shape shape) {
    auto state = std::make_shared<State>();
    write_dbus1(*state, shape);
    auto whole = std::make_shared<wire::Buffer>();
    must(whole->append(state->head.data(), state->head.size()) &&
             whole->append(state->body.data(), state->body.size()),
         "memory");
    return {"kdbus", [state, shape] { return write_dbus1(*state, shape); },
            [whole, shape] {
                const auto message = wire::parse_dbus1(whole->bytes());
                must(message.has_value(), "parsing");
                auto reader = message->reader();
                return read_body(reader, shape);
            }};
}

Contender ours_dbus1_read_only(Shape shape) {
    auto state = std::make_shared<State>();
    write_dbus1(*state, shape);
    return {"kdbus", [state, shape] { return write_dbus1(*state, shape); },
            [state, shape] {
                wire::Reader reader(wire::dbus1_native, signature_of(shape), state->body.bytes());
                return read_body(reader, shape);
            }};
}

Contender ours_gvariant(Shape shape) {
    auto buffer = std::make_shared<wire::Buffer>();
    const auto write = [shape](wire::Buffer& into) {
        into.clear();
        wire::Writer writer(into, Format::gvariant);
        write_body(writer, shape);
        must(writer.finish().has_value(), "body");
        return into.size();
    };
    auto made = std::make_shared<wire::Buffer>();
    write(*made);
    return {"kdbus", [buffer, write] { return write(*buffer); },
            [made, shape] {
                wire::Reader reader(Format::gvariant, signature_of(shape), made->bytes());
                return read_body(reader, shape);
            }};
}

} // namespace kdbus::codec_bench
