// SPDX-License-Identifier: LGPL-2.1-or-later
// What the project's own event loops can do besides connections.
#include "loop-drivers.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace abi = kdbus::abi;
namespace error_names = kdbus::error_names;
using namespace std::chrono_literals;

#define LOOPS kdbus::EpollLoop, kdbus::UringLoop

namespace {

struct Pipe {
    Pipe() {
        std::array<int, 2> fds{};
        REQUIRE(pipe2(fds.data(), O_CLOEXEC | O_NONBLOCK) == 0);
        reader.reset(fds[0]);
        writer.reset(fds[1]);
    }
    void put(std::size_t count = 1) {
        const std::string bytes(count, 'x');
        REQUIRE(write(writer.get(), bytes.data(), count) == static_cast<ssize_t>(count));
    }
    void take() {
        char byte = 0;
        REQUIRE(read(reader.get(), &byte, 1) == 1);
    }
    abi::UniqueFd reader;
    abi::UniqueFd writer;
};

} // namespace

TEMPLATE_TEST_CASE("own loops: timers run in time and order", "[loops]", LOOPS) {
    if (!drivers::can_make<TestType>())
        return;
    auto loop = TestType::create().value();
    const auto began = std::chrono::steady_clock::now();
    std::string order;
    typename TestType::Handle last;
    auto third = loop.call_at(began + 60ms, [&] {
        order += '3';
        CHECK(std::chrono::steady_clock::now() - began >= 60ms);
        last = loop.call_after(20ms, [&] {
            order += '4';
            CHECK(std::chrono::steady_clock::now() - began >= 80ms);
            loop.stop();
        });
    });
    auto first = loop.call_at(began, [&] { order += '1'; });
    typename TestType::Handle second;
    second = loop.call_at(began + 20ms, [&] {
        order += '2';
        second = loop.call_at(began + 20ms, [&] { order += '+'; }); // replaces what runs just now
    });
    {
        auto never = loop.call_after(1ms, [&] { order += '!'; });
    }
    loop.call_at(began + 5ms, [&] { order += 'd'; }).detach();
    REQUIRE(loop.run());
    // Where all of them are due at once, what one of them adds comes next time.
    CHECK((order == "1d2+34" || order == "1d23+4"));
}

TEMPLATE_TEST_CASE("own loops: a timer that is always due starves nobody", "[loops]", LOOPS) {
    if (!drivers::can_make<TestType>())
        return;
    auto loop = TestType::create().value();
    Pipe pipe;
    int turns = 0;
    typename TestType::Handle again;
    std::function<void()> turn = [&] {
        if (++turns == 3)
            pipe.put();
        again = loop.call_at({}, turn);
    };
    turn();
    auto watch = loop.watch(pipe.reader.get(), POLLIN, [&](short) { loop.stop(); }).value();
    REQUIRE(loop.run());
    CHECK(turns < 10);
}

TEMPLATE_TEST_CASE("own loops: descriptors are level-triggered", "[loops]", LOOPS) {
    if (!drivers::can_make<TestType>())
        return;
    auto loop = TestType::create().value();
    Pipe pipe;
    int calls = 0;
    auto watch = loop.watch(pipe.reader.get(), POLLIN,
                            [&](short events) {
                                CHECK((events & POLLIN) != 0);
                                pipe.take();
                                ++calls;
                            })
                     .value();
    CHECK_FALSE(loop.step(10ms).value());
    pipe.put(3);
    while (calls < 3 && loop.step(30s).value()) {
    }
    CHECK(calls == 3);
    CHECK_FALSE(loop.step(10ms).value());
    watch.reset();
    pipe.put();
    CHECK_FALSE(loop.step(10ms).value());
    pipe.take();

    // The end of what is written is told whatever was asked for.
    short seen = 0;
    watch = loop.watch(pipe.reader.get(), POLLIN,
                       [&](short events) {
                           seen = events;
                           watch.reset(); // by itself
                       })
                .value();
    pipe.writer.reset();
    CHECK(loop.step(30s).value());
    CHECK((seen & POLLHUP) != 0);
    CHECK_FALSE(loop.step(10ms).value());
}

TEMPLATE_TEST_CASE("own loops: a removed watch holds no file open", "[loops]", LOOPS) {
    if (!drivers::can_make<TestType>())
        return;
    auto loop = TestType::create().value();
    Pipe pipe;
    auto watch = loop.watch(pipe.writer.get(), POLLOUT | POLLIN, [](short) {}).value();
    auto idle = loop.watch(pipe.reader.get(), POLLIN, [](short) {}).value();
    CHECK(loop.step(30s).value()); // it is writable
    watch.reset();
    idle.reset();
    pipe.writer.reset();
    char byte = 0;
    const auto end = std::chrono::steady_clock::now() + 30s;
    ssize_t got = -1;
    while ((got = read(pipe.reader.get(), &byte, 1)) < 0 && std::chrono::steady_clock::now() < end)
        std::this_thread::sleep_for(1ms);
    CHECK(got == 0);
}

TEMPLATE_TEST_CASE("own loops: what cannot be watched", "[loops]", LOOPS) {
    if (!drivers::can_make<TestType>())
        return;
    auto loop = TestType::create().value();
    CHECK_FALSE(loop.watch(-1, POLLIN, [](short) {}));
    Pipe pipe;
    const int closed = pipe.reader.get();
    pipe.reader.reset();
    CHECK_FALSE(loop.watch(closed, POLLIN, [](short) {}));
    CHECK_FALSE(loop.step(10ms).value());
}

TEMPLATE_TEST_CASE("own loops: many descriptors at once", "[loops]", LOOPS) {
    if (!drivers::can_make<TestType>())
        return;
    auto loop = TestType::create().value();
    std::vector<Pipe> pipes(300); // more than there are places in the ring
    std::vector<typename TestType::Handle> watches;
    std::size_t calls = 0;
    for (Pipe& pipe : pipes) {
        watches.push_back(loop.watch(pipe.reader.get(), POLLIN,
                                     [&](short) {
                                         pipe.take();
                                         ++calls;
                                     })
                              .value());
        pipe.put();
    }
    while (calls < pipes.size() && loop.step(30s).value()) {
    }
    CHECK(calls == pipes.size());
}

TEMPLATE_TEST_CASE("own loops: other threads post and stop", "[loops]", LOOPS) {
    if (!drivers::can_make<TestType>())
        return;
    auto loop = TestType::create().value();
    std::vector<int> got;
    std::thread other([&] {
        for (int i = 0; i < 1000; ++i)
            loop.post([&got, i] { got.push_back(i); });
        std::this_thread::sleep_for(20ms);
        loop.post([&] { got.push_back(-1); });
        loop.stop();
    });
    REQUIRE(loop.run());
    other.join();
    while (loop.step(0ms).value()) {
    }
    REQUIRE(got.size() == 1001);
    CHECK(got[999] == 999);
    CHECK(got.back() == -1);
    // Posted by a callback: comes next time, not at once.
    bool late = false;
    loop.post([&] { loop.post([&] { late = true; }); });
    CHECK(loop.step().value());
    CHECK_FALSE(late);
    CHECK(loop.step().value());
    CHECK(late);
    loop.stop();
    REQUIRE(loop.run()); // returns at once
}

TEMPLATE_TEST_CASE("own loops: a stop is for run, not for step", "[loops]", LOOPS) {
    if (!drivers::can_make<TestType>())
        return;
    auto loop = TestType::create().value();
    std::string order;
    loop.stop();
    CHECK_FALSE(loop.step().value()); // ends the wait, once
    int steps = 0;                    // signals may end some early
    for (const auto end = std::chrono::steady_clock::now() + 50ms;
         std::chrono::steady_clock::now() < end; ++steps)
        CHECK_FALSE(loop.step(50ms).value());
    CHECK(steps <= 5);
    loop.post([&] { order += '1'; });
    loop.post([&] { order += '2'; });
    CHECK(loop.step().value());
    CHECK(order == "12");

    // One that callbacks ask for leaves the rest of the step alone, too.
    loop.post([&] {
        order += '3';
        loop.stop();
        CHECK(loop.run().error().name == error_names::failed);
    });
    loop.post([&] { order += '4'; });
    CHECK(loop.step().value());
    CHECK(order == "1234");

    // All that is one stop, for the next run.
    loop.post([&] { order += '5'; });
    REQUIRE(loop.run());
    CHECK(order == "1234");
    loop.post([&] {
        order += '6';
        loop.stop();
    });
    loop.post([&] { order += '7'; });
    REQUIRE(loop.run());
    CHECK(order == "123456");
    CHECK(loop.step().value());
    CHECK(order == "1234567");
}

TEMPLATE_TEST_CASE("own loops: exceptions lose nothing", "[loops]", LOOPS) {
    if (!drivers::can_make<TestType>())
        return;
    auto loop = TestType::create().value();
    std::array<Pipe, 2> pipes;
    std::string order;
    std::vector<typename TestType::Handle> watches;
    for (Pipe& pipe : pipes) {
        pipe.put();
        watches.push_back(loop.watch(pipe.reader.get(), POLLIN,
                                     [&](short) {
                                         pipe.take();
                                         order += 'w';
                                         throw std::domain_error("watch");
                                     })
                              .value());
    }
    auto timer = loop.call_after(0ms, [&] {
        order += 't';
        throw std::domain_error("timer");
    });
    for (int i = 0; i < 2; ++i)
        loop.post([&] {
            order += 'p';
            throw std::domain_error("post");
        });
    const auto end = std::chrono::steady_clock::now() + 30s;
    int thrown = 0;
    while (thrown < 5 && std::chrono::steady_clock::now() < end)
        try {
            loop.step(10ms).value();
        } catch (const std::domain_error&) {
            ++thrown;
        }
    CHECK(order.size() == 5);
    CHECK(thrown == 5);
    CHECK_FALSE(loop.step(0ms).value());
}

TEMPLATE_TEST_CASE("own loops: no loop in a loop; handles may outlive it", "[loops]", LOOPS) {
    if (!drivers::can_make<TestType>())
        return;
    typename TestType::Handle timer;
    typename TestType::Handle watch;
    Pipe pipe;
    {
        auto loop = TestType::create().value();
        std::string outcome;
        loop.post([&] { outcome = loop.step().error().name; });
        CHECK(loop.step().value());
        CHECK(outcome == error_names::failed);
        timer = loop.call_after(1h, [] {});
        watch = loop.watch(pipe.reader.get(), POLLIN, [](short) {}).value();
        auto moved = std::move(loop);
        pipe.put();
        int calls = 0;
        moved.post([&] { ++calls; });
        CHECK(moved.step().value());
        CHECK(calls == 1);
        // Destroyed with something left to do.
        moved.post([] {});
    }
    timer.reset();
    watch.reset();
}

TEMPLATE_TEST_CASE("own loops: signal handlers stop them", "[loops]", LOOPS) {
    if (!drivers::can_make<TestType>())
        return;
    static TestType* current = nullptr;
    auto loop = TestType::create().value();
    current = &loop;
    const auto before = std::signal(SIGALRM, [](int) { current->stop(); });
    alarm(1);
    CHECK(loop.run());
    std::signal(SIGALRM, before);
}
