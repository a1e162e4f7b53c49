// SPDX-License-Identifier: LGPL-2.1-or-later
// Long messages, arrays in memory files, and streams of chunks, on all transports.
#include "test-buses.hpp"

#include <catch2/catch.hpp>

#include <kdbus/loop/epoll.hpp>
#include <kdbus/memfd_array.hpp>
#include <kdbus/stream.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <fstream>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace abi = kdbus::abi;
namespace error_names = kdbus::error_names;
using namespace std::chrono_literals;

#ifdef KDBUS_TEST_KERNEL
#define ALL_BUSES KernelBus
constexpr bool on_kernel = true;
constexpr std::uint64_t stream_size = std::uint64_t{2304} << 20; // more than guests have memory
#else
#define ALL_BUSES DaemonBus, BrokerBus, PeerPair
constexpr bool on_kernel = false;
constexpr std::uint64_t stream_size = std::uint64_t{256} << 20;
#endif

namespace {

constexpr const char* path = "/org/example/Test";
constexpr const char* interface_name = "org.example.Test";
constexpr const char* stream_path = "/org/example/Stream";
/// What so much takes on a slow machine.
constexpr auto patience = 10min;

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

std::size_t open_memfds() {
    std::size_t count = 0;
    for (int fd = 0; fd < 1024; ++fd)
        if (fcntl(fd, F_GET_SEALS) >= 0)
            ++count;
    return count;
}

/// Both ends of a bus in one loop.
template <class Bus>
struct World {
    World() {
        for (kdbus::Connection* one : {&server, &client})
            attached.push_back(loop.attach(*one, [](kdbus::Error) {}).value());
    }
    template <class Condition>
    bool run_until(Condition condition, std::chrono::milliseconds limit = patience) {
        const auto end = std::chrono::steady_clock::now() + limit;
        while (!condition() && std::chrono::steady_clock::now() < end)
            loop.step(50ms).value();
        return condition();
    }
    [[nodiscard]] kdbus::Method method(std::string_view member) const {
        return {server.unique_name(), path, interface_name, member, patience};
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

/// A stream that is received in a world.
template <class Bus>
struct Received : World<Bus> {
    explicit Received(const kdbus::StreamReaderOptions& options = {}) : wanted(options) {
        reader.emplace(kdbus::StreamReader::create(
                           this->server, stream_path,
                           [this](kdbus::StreamChunk chunk) {
                               bytes += chunk.data().size();
                               in_memfd = is_in_memfd(chunk.data().data(), "kdbus-stream");
                               if (keep)
                                   kept.push_back(std::move(chunk));
                               else
                                   text.append(reinterpret_cast<const char*>(chunk.data().data()),
                                               std::min<std::size_t>(chunk.data().size(), 8));
                           },
                           [this](kdbus::Result<void> how) {
                               ++ends;
                               end = how ? "complete" : how.error().name;
                           },
                           wanted)
                           .value());
    }
    kdbus::StreamWriter write(const kdbus::StreamWriterOptions& options = {}) {
        auto writer = kdbus::StreamWriter::open(this->client, this->server.unique_name(),
                                                stream_path, options)
                          .value();
        return writer;
    }
    kdbus::Method method(std::string_view member) const {
        return {this->server.unique_name(), stream_path, "org.kdbus.Stream1", member, patience};
    }
    bool put(kdbus::StreamWriter& writer, std::string_view content) {
        if (!this->run_until([&] { return writer.ready() || writer.error(); }) || writer.error())
            return false;
        auto chunk = writer.chunk(content.size() + 100);
        REQUIRE(chunk);
        std::memcpy(chunk->data(), content.data(), content.size());
        return writer.commit(content.size()).has_value();
    }

    kdbus::StreamReaderOptions wanted;
    std::uint64_t bytes = 0;
    bool in_memfd = false;
    bool keep = false;
    std::deque<kdbus::StreamChunk> kept;
    std::string text;
    std::string end;
    int ends = 0;
    std::optional<kdbus::StreamReader> reader;
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

TEMPLATE_TEST_CASE("stream: gigabytes pass in little memory", "[big]", ALL_BUSES) {
    World<TestType> world;
    constexpr std::size_t chunk_size = std::size_t{4} << 20;
    std::uint64_t sent_sum = 0, got_sum = 0, got = 0;
    std::size_t most = 0;
    bool zero_copy = true;
    std::string end;
    const auto sum = [](std::span<const std::byte> data) {
        std::uint64_t total = 0;
        for (std::size_t at = 0; at < data.size(); at += 512) { // some of each page
            std::uint64_t word = 0;
            std::memcpy(&word, data.data() + at, sizeof word);
            total = total * 31 + word;
        }
        return total;
    };
    auto reader = kdbus::StreamReader::create(
                      world.server, stream_path,
                      [&](kdbus::StreamChunk chunk) {
                          got += chunk.data().size();
                          got_sum += sum(chunk.data());
                          zero_copy = zero_copy && is_in_memfd(chunk.data().data(), "kdbus-stream");
                      },
                      [&](kdbus::Result<void> how) { end = how ? "complete" : how.error().name; })
                      .value();
    auto writer = kdbus::StreamWriter::open(world.client, world.server.unique_name(), stream_path,
                                            {.timeout = patience})
                      .value();
    const auto before = open_memfds();
    std::uint64_t next = 0;
    REQUIRE(world.run_until([&] {
        while (writer.ready() && next < stream_size) {
            auto chunk = writer.chunk(chunk_size).value();
            for (std::size_t at = 0; at < chunk.size(); at += 512) {
                const std::uint64_t word = (next + at) * 0x9E3779B97F4A7C15U;
                std::memcpy(chunk.data() + at, &word, sizeof word);
            }
            sent_sum += sum(chunk);
            writer.commit(chunk.size()).value();
            next += chunk.size();
            most = std::max(most, writer.in_flight());
        }
        if (next == stream_size && !writer.finished() && writer.ready())
            writer.finish().value();
        return writer.finished() || writer.error();
    }));
    CHECK_FALSE(writer.error());
    CHECK(end == "complete");
    CHECK(got == stream_size);
    CHECK(got_sum == sent_sum);
    CHECK(most == 8);
    CHECK(zero_copy);
    CHECK(open_memfds() == before);
}

TEMPLATE_TEST_CASE("stream: the receiver holds the sender back", "[big]", ALL_BUSES) {
    Received<TestType> stream({.window = 3});
    stream.keep = true;
    auto writer = stream.write({.window = 5});
    CHECK_FALSE(writer.ready());
    CHECK(writer.chunk(10).error().name == error_names::limits_exceeded);
    REQUIRE(stream.put(writer, "one"));
    REQUIRE(stream.put(writer, "two"));
    REQUIRE(stream.put(writer, "three"));
    CHECK_FALSE(writer.ready());
    CHECK(writer.chunk(10).error().name == error_names::limits_exceeded);
    REQUIRE(stream.run_until([&] { return stream.kept.size() == 3; }));
    CHECK_FALSE(stream.run_until([&] { return writer.ready(); }, 50ms));
    CHECK(writer.in_flight() == 3);
    int progress = 0;
    writer.on_progress([&] { ++progress; });
    stream.kept.pop_front();
    CHECK(stream.run_until([&] { return progress == 1; }));
    CHECK(writer.ready());
    CHECK(writer.in_flight() == 2);
    const auto& data = stream.kept.back().data();
    CHECK(std::string(reinterpret_cast<const char*>(data.data()), data.size()) == "three");
    CHECK(stream.in_memfd);
    REQUIRE(writer.finish());
    CHECK(writer.finish().error().name == error_names::failed);
    CHECK(writer.chunk(1).error().name == error_names::failed);
    CHECK_FALSE(stream.run_until([&] { return writer.finished(); }, 50ms));
    CHECK(stream.end.empty());
    stream.kept.clear();
    CHECK(stream.run_until([&] { return writer.finished(); }));
    CHECK(stream.end == "complete");
    CHECK(stream.ends == 1);
}

TEMPLATE_TEST_CASE("stream: who takes no files gets arrays", "[big]", ALL_BUSES) {
    Received<TestType> stream({.files = false});
    auto writer = stream.write();
    REQUIRE(stream.put(writer, "alpha "));
    REQUIRE(stream.put(writer, ""));
    REQUIRE(stream.put(writer, "beta"));
    REQUIRE(writer.finish());
    REQUIRE(stream.run_until([&] { return writer.finished(); }));
    CHECK(stream.text == "alpha beta");
    CHECK(stream.end == "complete");
    CHECK_FALSE(stream.in_memfd);
}

TEST_CASE("stream: a sender whose own way takes no descriptors", "[big]") {
#ifndef KDBUS_TEST_KERNEL
    DaemonBus bus;
    auto server = bus.connect();
    auto client = bus.connect({.accept_fds = false});
    std::string text, end;
    auto reader = kdbus::StreamReader::create(
                      server, stream_path,
                      [&](kdbus::StreamChunk chunk) {
                          text.append(reinterpret_cast<const char*>(chunk.data().data()),
                                      chunk.data().size());
                      },
                      [&](kdbus::Result<void> how) { end = how ? "complete" : how.error().name; })
                      .value();
    auto loop = kdbus::EpollLoop::create().value();
    auto attached = loop.attach(server, [](kdbus::Error) {}).value();
    auto attached_client = loop.attach(client, [](kdbus::Error) {}).value();
    auto writer = kdbus::StreamWriter::open(client, server.unique_name(), stream_path).value();
    while (!writer.ready())
        loop.step(1s).value();
    REQUIRE(writer.chunk(5));
    REQUIRE(writer.commit(5));
    REQUIRE(writer.finish());
    while (!writer.finished() && !writer.error())
        loop.step(1s).value();
    CHECK(text.size() == 5);
    CHECK(end == "complete");
#endif
}

TEMPLATE_TEST_CASE("stream: ends before the end", "[big]", ALL_BUSES) {
    Received<TestType> stream;
    auto writer = std::make_optional(stream.write());
    REQUIRE(stream.put(*writer, "one"));
    REQUIRE(stream.run_until([&] { return stream.text == "one"; }));

    SECTION("the sender gives up") {
        writer->abort({"org.example.Error.Tired", "enough"});
        CHECK(writer->error()->name == "org.example.Error.Tired");
        CHECK(writer->chunk(5).error().name == "org.example.Error.Tired");
        REQUIRE(stream.run_until([&] { return stream.ends == 1; }));
        CHECK(stream.end == "org.example.Error.Tired");
    }
    SECTION("with a text that D-Bus does not allow") {
        writer->abort({"org.example.Error.Tired", "\xff"});
        REQUIRE(stream.run_until([&] { return stream.ends == 1; }));
        CHECK(stream.end == error_names::failed);
    }
    SECTION("the sender is destroyed") {
        writer.reset();
        REQUIRE(stream.run_until([&] { return stream.ends == 1; }));
        CHECK(stream.end == error_names::failed);
    }
    SECTION("the receiver cancels") {
        stream.keep = true;
        REQUIRE(stream.put(*writer, "two"));
        REQUIRE(stream.run_until([&] { return stream.kept.size() == 1; }));
        stream.reader->cancel({"org.example.Error.Full", "no room"});
        stream.kept.clear();
        REQUIRE(stream.run_until([&] { return writer->error().has_value(); }));
        CHECK(writer->error()->name == "org.example.Error.Full");
        CHECK(stream.ends == 0);
    }
    SECTION("the receiver is destroyed") {
        stream.reader.reset();
        CHECK(stream.put(*writer, "two"));
        REQUIRE(stream.run_until([&] { return writer->error().has_value(); }));
        CHECK(writer->error()->name == error_names::unknown_object);
    }
    SECTION("the receiver is too slow") {
        writer.reset();
        REQUIRE(stream.run_until([&] { return stream.ends == 1; }));
        for (auto limit = 200ms;; limit *= 4) {
            Received<TestType> slow;
            slow.keep = true;
            auto impatient = slow.write({.timeout = limit});
            if (slow.put(impatient, "x")) {
                REQUIRE(slow.run_until([&] { return impatient.error().has_value(); }));
                CHECK(impatient.error()->name == error_names::no_reply);
                break;
            }
            REQUIRE(limit < 10s); // opening the stream took that long already
        }
    }
    writer.reset();
}

TEMPLATE_TEST_CASE("stream: assigning another ends the one that was there", "[big]", ALL_BUSES) {
    Received<TestType> stream;
    auto writer = stream.write();
    REQUIRE(stream.put(writer, "one"));
    REQUIRE(stream.run_until([&] { return stream.text == "one"; }));
    constexpr const char* other_path = "/org/example/Other";
    std::string other_end;
    auto other =
        kdbus::StreamReader::create(
            stream.server, other_path, [](kdbus::StreamChunk) {},
            [&](kdbus::Result<void> how) { other_end = how ? "complete" : how.error().name; })
            .value();
    auto next =
        kdbus::StreamWriter::open(stream.client, stream.server.unique_name(), other_path).value();
    writer = std::move(next);
    CHECK(stream.run_until([&] { return stream.ends == 1; }));
    CHECK(stream.end == error_names::failed);
    *stream.reader = std::move(other);
    CHECK(stream.ask(stream.method("Close")).error().name == error_names::unknown_object);
    REQUIRE(stream.put(writer, "two"));
    REQUIRE(writer.finish());
    CHECK(stream.run_until([&] { return writer.finished(); }));
    CHECK(other_end == "complete");
}

TEMPLATE_TEST_CASE("stream: there must be room for something", "[big]", ALL_BUSES) {
    World<TestType> world;
    for (const kdbus::StreamReaderOptions& options :
         {kdbus::StreamReaderOptions{.window = 0}, kdbus::StreamReaderOptions{.max_chunk = 0}})
        CHECK(kdbus::StreamReader::create(
                  world.server, stream_path, [](kdbus::StreamChunk) {}, [](kdbus::Result<void>) {},
                  options)
                  .error()
                  .name == error_names::invalid_args);
    CHECK(kdbus::StreamWriter::open(world.client, world.server.unique_name(), stream_path,
                                    {.window = 0})
              .error()
              .name == error_names::invalid_args);
    // A receiver that has none.
    kdbus::Interface interface("org.kdbus.Stream1");
    interface.method("Open", [] { return std::tuple(0U, std::uint64_t{1000}, true); });
    auto object = world.server.add_object(stream_path, std::move(interface)).value();
    auto writer =
        kdbus::StreamWriter::open(world.client, world.server.unique_name(), stream_path).value();
    REQUIRE(world.run_until([&] { return writer.error().has_value(); }));
    CHECK(writer.error()->name == error_names::invalid_args);
}

TEMPLATE_TEST_CASE("stream: one end dies", "[big]", ALL_BUSES) {
    if constexpr (TestType::is_bus) {
        Received<TestType> stream;
        auto other = std::make_optional(stream.bus.connect());
        auto attached = stream.loop.attach(*other, [](kdbus::Error) {}).value();
        SECTION("the sender") {
            auto writer = std::make_optional(
                kdbus::StreamWriter::open(*other, stream.server.unique_name(), stream_path)
                    .value());
            REQUIRE(stream.put(*writer, "one"));
            REQUIRE(stream.run_until([&] { return stream.text == "one"; }));
            // No Abort can be sent any more.
            attached.reset();
            const int fd = other->fd();
            const abi::UniqueFd devnull(open("/dev/null", O_RDWR | O_CLOEXEC));
            REQUIRE(dup2(devnull.get(), fd) == fd);
            REQUIRE(stream.run_until([&] { return stream.ends == 1; }));
            CHECK(stream.end == error_names::no_reply);
        }
        SECTION("the receiver") {
            auto reader = std::make_optional(
                kdbus::StreamReader::create(
                    *other, stream_path, [](kdbus::StreamChunk) {}, [](kdbus::Result<void>) {})
                    .value());
            auto writer =
                kdbus::StreamWriter::open(stream.client, other->unique_name(), stream_path).value();
            REQUIRE(stream.put(writer, "one"));
            attached.reset();
            reader.reset();
            other.reset();
            if (!writer.error())
                (void)stream.put(writer, "two");
            REQUIRE(stream.run_until([&] { return writer.error().has_value(); }));
            const auto name = writer.error()->name;
            CHECK((name == error_names::no_reply || name == error_names::service_unknown));
        }
    }
}

TEMPLATE_TEST_CASE("stream: senders that break the rules", "[big]", ALL_BUSES) {
    Received<TestType> stream({.window = 2, .max_chunk = 1000});
    const auto file_call = [&](int fd) {
        auto method = stream.method("WriteFile");
        const std::array fds{fd};
        method.fds = fds;
        return stream.ask(method, kdbus::UnixFd{0});
    };
    CHECK(stream.ask(stream.method("Write"), std::vector<std::byte>(5)).error().name ==
          error_names::access_denied);
    CHECK(stream.ask(stream.method("Close")).error().name == error_names::access_denied);
    CHECK(stream.ask(stream.method("Open")));
    CHECK(stream.ask(stream.method("Open")).error().name == error_names::limits_exceeded);
    if constexpr (TestType::is_bus) {
        auto other = stream.bus.connect();
        auto attached = stream.loop.attach(other, [](kdbus::Error) {}).value();
        std::string outcome;
        auto call = other
                        .call_async(stream.method("Close"),
                                    [&](kdbus::Result<kdbus::Message> reply) {
                                        outcome = reply ? "closed" : reply.error().name;
                                    })
                        .value();
        CHECK(stream.run_until([&] { return !outcome.empty(); }));
        CHECK(outcome == error_names::access_denied);
    }
    CHECK(stream.ends == 0);
    SECTION("too long") {
        CHECK(stream.ask(stream.method("Write"), std::vector<std::byte>(1001)).error().name ==
              error_names::limits_exceeded);
    }
    SECTION("too long a file") {
        const auto file = abi::SealedMemfd::copy(std::vector<std::byte>(1001)).value();
        CHECK(file_call(file.fd()).error().name == error_names::limits_exceeded);
    }
    SECTION("no memory file") {
        const abi::UniqueFd fd(open("/dev/zero", O_RDWR | O_CLOEXEC));
        CHECK(file_call(fd.get()).error().name == error_names::invalid_args);
    }
    SECTION("a file that the sender can change") {
        const abi::UniqueFd fd(memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        REQUIRE(ftruncate(fd.get(), 100) == 0);
        const auto mapping =
            abi::Mapping::map(fd.get(), 0, 100, abi::Mapping::Access::write).value();
        CHECK(file_call(fd.get()).error().name == error_names::invalid_args);
    }
    SECTION("a file that cannot be sealed") {
        const abi::UniqueFd fd(memfd_create("open", MFD_CLOEXEC));
        CHECK(file_call(fd.get()).error().name == error_names::invalid_args);
    }
    SECTION("too many") {
        stream.keep = true;
        std::vector<kdbus::Slot> calls;
        for (int i = 0; i < 2; ++i)
            calls.push_back(stream.client
                                .call_async(
                                    stream.method("Write"), [](kdbus::Result<kdbus::Message>) {},
                                    std::vector<std::byte>(5))
                                .value());
        CHECK(stream.ask(stream.method("Write"), std::vector<std::byte>(5)).error().name ==
              error_names::limits_exceeded);
    }
    CHECK(stream.ends == 1);
    CHECK(stream.end != "complete");
    CHECK_FALSE(stream.ask(stream.method("Close")));
    CHECK(stream.ends == 1);
}

TEMPLATE_TEST_CASE("stream: handlers that throw or destroy", "[big]", ALL_BUSES) {
    World<TestType> world;
    std::optional<kdbus::StreamReader> reader;
    std::string end;
    bool destroy = GENERATE(false, true);
    reader.emplace(kdbus::StreamReader::create(
                       world.server, stream_path,
                       [&](kdbus::StreamChunk) {
                           if (destroy)
                               reader.reset();
                           else
                               throw kdbus::Exception("org.example.Error.X", "on purpose");
                       },
                       [&](kdbus::Result<void> how) { end = how ? "complete" : how.error().name; })
                       .value());
    auto writer =
        kdbus::StreamWriter::open(world.client, world.server.unique_name(), stream_path).value();
    REQUIRE(world.run_until([&] { return writer.ready(); }));
    for (int i = 0; i < 2; ++i) {
        REQUIRE(writer.chunk(10));
        REQUIRE(writer.commit(10));
    }
    REQUIRE(world.run_until([&] { return writer.error().has_value(); }));
    CHECK(writer.error()->name == (destroy ? error_names::failed : "org.example.Error.X"));
    CHECK(end == (destroy ? "" : "org.example.Error.X"));
}
