// SPDX-License-Identifier: LGPL-2.1-or-later
// Long messages and arrays in memory files, on all transports.
#include "test-buses.hpp"

#include <catch2/catch.hpp>

#include <kdbus/loop/epoll.hpp>
#include <kdbus/memfd_array.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace abi = kdbus::abi;
namespace error_names = kdbus::error_names;
using namespace std::chrono_literals;

#ifdef KDBUS_TEST_KERNEL
#define ALL_BUSES KernelBus
constexpr bool on_kernel = true;
#else
#define ALL_BUSES DaemonBus, BrokerBus, PeerPair
constexpr bool on_kernel = false;
#endif

namespace {

constexpr const char* path = "/org/example/Test";
constexpr const char* interface_name = "org.example.Test";

/// Whether an address lies in a mapped memory file whose name begins so.
bool is_in_memfd(const void* address, const std::string& name) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        std::uintptr_t from = 0, to = 0;
        char dash = 0;
        std::istringstream(line) >> std::hex >> from >> dash >> to;
        const auto at = reinterpret_cast<std::uintptr_t>(address);
        if (at >= from && at < to)
            return line.find("/memfd:" + name) != std::string::npos;
    }
    return false;
}

/// Both ends of a bus in one loop.
template <class Bus>
struct World {
    World() {
        for (kdbus::Connection* one : {&server, &client})
            attached.push_back(loop.attach(*one, [](kdbus::Error) {}).value());
    }
    template <class Condition>
    bool run_until(Condition condition, std::chrono::milliseconds limit = 20s) {
        const auto end = std::chrono::steady_clock::now() + limit;
        while (!condition() && std::chrono::steady_clock::now() < end)
            loop.step(50ms).value();
        return condition();
    }
    [[nodiscard]] kdbus::Method method(std::string_view member) const {
        return {server.unique_name(), path, interface_name, member};
    }
    template <class... A>
    kdbus::Result<kdbus::Message> ask(const kdbus::Method& what, const A&... args) {
        std::optional<kdbus::Result<kdbus::Message>> answer;
        auto call =
            client
                .call_async(
                    what,
                    [&](kdbus::Result<kdbus::Message> reply) { answer.emplace(std::move(reply)); },
                    args...)
                .value();
        REQUIRE(run_until([&] { return answer.has_value(); }));
        return std::move(*answer);
    }

    Bus bus;
    kdbus::EpollLoop loop = kdbus::EpollLoop::create().value();
    kdbus::Connection server = bus.connect();
    kdbus::Connection client = bus.connect();
    std::vector<kdbus::EpollLoop::Attachment> attached;
};

} // namespace

TEMPLATE_TEST_CASE("big data: long messages arrive", "[big]", ALL_BUSES) {
    World<TestType> world;
    kdbus::Interface interface(interface_name);
    interface.method("Echo", [](std::vector<std::uint64_t> data) { return data; });
    auto object = world.server.add_object(path, std::move(interface)).value();
    // Around what the kernel takes in one piece (2 MiB, footer included), and above what fits a
    // receiver's share.
    constexpr std::size_t longest_inline = 262'144 - 34;
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{65536}, longest_inline, longest_inline + 1,
          std::size_t{262'144}, std::size_t{262'145}, std::size_t{1'000'000}}) {
        std::vector<std::uint64_t> data(size);
        for (std::size_t i = 0; i < size; ++i)
            data[i] = i * 3;
        const auto reply = world.ask(world.method("Echo"), data).value();
        const auto back = reply.template get<std::span<const std::uint64_t>>().value();
        CHECK(std::equal(back.begin(), back.end(), data.begin(), data.end()));
        if constexpr (on_kernel)
            CHECK(is_in_memfd(back.data(), "kdbus-body") == (size > longest_inline));
    }
}

TEMPLATE_TEST_CASE("big data: messages that the pool has no room for", "[big]", ALL_BUSES) {
    World<TestType> world;
    std::size_t in_pool = 0;
    std::uint64_t sum = 0;
    std::vector<kdbus::Responder> kept;
    std::vector<kdbus::Message> messages;
    kdbus::Interface interface(interface_name);
    interface.method("Take", [&](const kdbus::Message&, std::span<const std::uint64_t> data) {
        if (!is_in_memfd(data.data(), "kdbus-body"))
            ++in_pool;
        for (const std::uint64_t number : data)
            sum += number;
    });
    auto object = world.server.add_object(path, std::move(interface)).value();
    // 16 MiB are on their way before the receiver looks at any.
    const std::vector<std::uint64_t> data(std::size_t{1} << 17, 3);
    std::size_t answers = 0;
    std::vector<kdbus::Slot> calls;
    for (int i = 0; i < 16; ++i)
        calls.push_back(world.client
                            .call_async(
                                world.method("Take"),
                                [&](kdbus::Result<kdbus::Message> reply) {
                                    CHECK(reply);
                                    ++answers;
                                },
                                data)
                            .value());
    REQUIRE(world.run_until([&] { return answers == 16; }));
    CHECK(sum == std::uint64_t{16} * 3 << 17);
    if constexpr (on_kernel) {
        CHECK(in_pool >= 1);
        CHECK(in_pool <= 5);
    }
}

TEMPLATE_TEST_CASE("big data: arrays are written and read in place", "[big]", ALL_BUSES) {
    World<TestType> world;
    kdbus::Interface interface(interface_name);
    bool in_file = false;
    kdbus::SealedArray<std::int16_t> answer;
    interface.method("Sum", [&](std::span<const double> numbers) {
        in_file = is_in_memfd(numbers.data(), "kdbus-array");
        double sum = 0;
        for (const double number : numbers)
            sum += number;
        return sum;
    });
    interface.method("Bytes", [&](std::span<const std::byte> bytes) {
        return static_cast<std::uint64_t>(bytes.size());
    });
    interface.method("Make", [&](kdbus::Responder reply) { reply.send(answer); });
    auto object = world.server.add_object(path, std::move(interface)).value();

    for (const std::uint64_t count : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 20}) {
        auto array = kdbus::MemfdArray<double>::create(count).value();
        REQUIRE(array.elements().size() == count);
        std::fill(array.elements().begin(), array.elements().end(), 0.5);
        const auto sealed = std::move(array).seal().value();
        CHECK(sealed.size() == count);
        for (int i = 0; i < 2; ++i) // any number of times
            CHECK(world.ask(world.method("Sum"), sealed).value().template get<double>().value() ==
                  static_cast<double>(count) / 2);
        CHECK(in_file == (on_kernel && count > 0));
        // Arrays of other numbers do not fit.
        CHECK(world.ask(world.method("Bytes"), sealed).error().name == error_names::invalid_args);
    }

    auto array = kdbus::MemfdArray<std::int16_t>::create(70'000).value();
    array.elements()[69'999] = -5;
    answer = std::move(array).seal().value();
    const auto reply = world.ask(world.method("Make")).value();
    CHECK(reply.signature() == "an");
    const auto got = reply.template get<std::span<const std::int16_t>>().value();
    REQUIRE(got.size() == 70'000);
    CHECK(got.back() == -5);
    CHECK(is_in_memfd(got.data(), "kdbus-array") == on_kernel);

    auto file = abi::SealedMemfd::copy(std::as_bytes(std::span("123456"))).value();
    CHECK(kdbus::SealedArray<std::int32_t>::adopt(std::move(file)).error().name ==
          error_names::invalid_args);
    CHECK(kdbus::MemfdArray<double>::create(std::uint64_t{1} << 61).error().name != std::string());
}
