// SPDX-License-Identifier: LGPL-2.1-or-later
// `interop-service ADDRESS NAME`: our service.
#include "interface.hpp"
#include "pipes.hpp"

#include <kdbus/bus.hpp>

#include <cstdio>
#include <exception>
#include <map>
#include <string>
#include <tuple>
#include <vector>

using namespace kdbus;

namespace {

using Basics =
    std::tuple<std::uint8_t, bool, std::int16_t, std::uint16_t, std::int32_t, std::uint32_t,
               std::int64_t, std::uint64_t, double, std::string, ObjectPath, Signature>;
using Pair = std::tuple<std::int32_t, std::string>;

Interface make(Connection& bus, std::int32_t& value) {
    Interface interface(interop::interface_name);
    interface.method("Basics", [](std::uint8_t y, bool b, std::int16_t n, std::uint16_t q,
                                  std::int32_t i, std::uint32_t u, std::int64_t x, std::uint64_t t,
                                  double d, std::string s, ObjectPath o, Signature g) {
        return Basics{y, b, n, q, i, u, x, t, d, s, o, g};
    });
    interface.method(
        "Containers",
        [](std::vector<std::string> texts, std::map<std::string, Variant> values, Pair pair,
           std::vector<std::uint8_t> bytes) { return std::tuple(texts, values, pair, bytes); });
    interface.method("Echo", [](const Variant& it) { return it; });
    interface.method("ReadFd", [](const Message& call, UnixFd index) {
        return interop::read_from(call.take_fd(index).value().get());
    });
    interface.deferred_method<UnixFd>("MakeFd", [](Responder responder, const std::string& text) {
        const abi::UniqueFd fd(interop::pipe_with(text));
        const int fds[] = {fd.get()};
        responder.send_with_fds(fds, UnixFd{0});
    });
    interface.method("Fail", []() -> Result<void> {
        return Error{interop::error_name, interop::error_text};
    });
    interface.method("Emit", [&bus](const std::string& text) {
        return bus.emit({interop::path, interop::interface_name, "Happened"}, text,
                        static_cast<std::uint32_t>(text.size()));
    });
    interface.signal<std::string, std::uint32_t>("Happened", {"text", "length"});
    interface.property(
        "Value", [&value] { return value; }, [&value](std::int32_t now) { value = now; });
    interface.property("Name", [] { return std::string("Interop"); }, {.emits = Emits::constant});
    return interface;
}

} // namespace

int main(int argc, char** argv) try {
    if (argc != 3)
        throw std::runtime_error("usage: interop-service ADDRESS NAME");
    auto bus = Connection::open(argv[1]).value();
    std::int32_t value = 5;
    const auto slot = bus.add_object(interop::path, make(bus, value)).value();
    bus.request_name(argv[2]).value();
    std::puts("ready");
    std::fflush(stdout);
    bus.run().value();
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
