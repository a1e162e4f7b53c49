// SPDX-License-Identifier: LGPL-2.1-or-later
// Several threads, as the headers allow: each connection, and what came from it, in one thread at a
// time; messages wherever they are taken; different connections at once. What can go wrong here is
// seen by the thread sanitizer (`make test-threads`).
#include "test-buses.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

#ifdef KDBUS_TEST_KERNEL
#define ALL_BUSES KernelBus
#define BUSES_WITH_NAMES KernelBus
#else
#define ALL_BUSES DaemonBus, PeerPair
#define BUSES_WITH_NAMES DaemonBus
#endif

namespace {

constexpr const char* path = "/org/example/Threads";
constexpr const char* interface_name = "org.example.Threads";

kdbus::Method method(std::string_view destination, std::string_view member) {
    return {destination, path, interface_name, member};
}

/// A thread whose exception is told to who joins it. (Assertions are for the main thread only.)
class Worker {
public:
    explicit Worker(std::function<void()> work)
        : thread_([this, work = std::move(work)] {
              try {
                  work();
              } catch (const std::exception& error) {
                  failure_ = error.what();
              }
          }) {}
    ~Worker() {
        if (thread_.joinable())
            thread_.join();
    }
    /// What went wrong in the thread, empty if nothing did.
    std::string join() {
        thread_.join();
        return failure_;
    }

private:
    std::string failure_;
    std::thread thread_;
};

void expect(bool holds, const char* what) {
    if (!holds)
        throw std::runtime_error(what);
}

/// Hands things from thread to thread.
template <class T>
class Queue {
public:
    void push(T value) {
        const std::lock_guard lock(mutex_);
        values_.push_back(std::move(value));
        changed_.notify_one();
    }
    T pop() {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, 20s, [&] { return !values_.empty(); }))
            throw std::runtime_error("nothing came");
        T value = std::move(values_.front());
        values_.pop_front();
        return value;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<T> values_;
};

/// Serves until told to stop, or there is nobody left to serve.
void serve(kdbus::Connection& connection, const std::atomic<bool>& stop) {
    kdbus::Interface interface(interface_name);
    interface.method("Twice", [](std::uint32_t value) { return 2 * value; });
    interface.method("Fd", [](const kdbus::Message& call, kdbus::UnixFd index) -> std::string {
        char text[16];
        const auto fd = call.take_fd(index).value();
        const auto size = read(fd.get(), text, sizeof text);
        return {text, size > 0 ? static_cast<std::size_t>(size) : 0};
    });
    const auto slot = connection.add_object(path, std::move(interface)).value();
    while (!stop) {
        const auto done = connection.wait(10ms);
        if (!done && done.error().name == kdbus::error_names::disconnected)
            return;
        done.value();
    }
}

void call_many(kdbus::Connection& connection, std::string_view service) {
    for (std::uint32_t i = 0; i < 200; ++i)
        expect(connection.call(method(service, "Twice"), i).value().get<std::uint32_t>().value() ==
                   2 * i,
               "the answer to this call");
    for (int i = 0; i < 20; ++i) {
        int ends[2];
        expect(pipe(ends) == 0 && write(ends[1], "through", 7) == 7, "a pipe");
        auto fd_call = method(service, "Fd");
        fd_call.fds = std::span(ends, 1);
        const auto reply = connection.call(fd_call, kdbus::UnixFd{0});
        close(ends[0]);
        close(ends[1]);
        expect(reply.value().get<std::string>().value() == "through", "the descriptor's contents");
    }
}

} // namespace

TEMPLATE_TEST_CASE("two connections in two threads call each other", "", ALL_BUSES) {
    TestType bus;
    auto a = bus.connect();
    auto b = bus.connect();
    const auto name = a.unique_name();
    std::atomic<bool> stop = false;
    Worker service([&] { serve(a, stop); });
    Worker client([&] { call_many(b, name); });
    CHECK(client.join() == "");
    stop = true;
    CHECK(service.join() == "");
}

TEMPLATE_TEST_CASE("connections come and go in all threads at once", "", BUSES_WITH_NAMES) {
    TestType bus;
    auto service_connection = bus.connect();
    const auto name = service_connection.unique_name();
    std::atomic<bool> stop = false;
    Worker service([&] { serve(service_connection, stop); });
    {
        std::deque<Worker> clients;
        std::vector<std::string> failures;
        for (int i = 0; i < 4; ++i)
            clients.emplace_back([&bus, &name, i] {
                for (int round = 0; round < 5; ++round) {
                    auto connection = bus.connect();
                    const auto own = "org.example.Thread" + std::to_string(i);
                    connection.request_name(own).value();
                    expect(connection.name_owner(own).value() == connection.unique_name(),
                           "this name is ours");
                    int heard = 0;
                    const auto slot = connection
                                          .subscribe("type='signal',interface='org.example.Threads'"
                                                     ",sender='" +
                                                         own + "'",
                                                     [&](std::uint32_t) { ++heard; })
                                          .value();
                    connection.emit({path, interface_name, "Heard"}, std::uint32_t{1}).value();
                    for (int k = 0; k < 10; ++k)
                        expect(connection.call(method(name, "Twice"), 7u)
                                       .value()
                                       .template get<std::uint32_t>()
                                       .value() == 14,
                               "the answer");
                    const auto end = std::chrono::steady_clock::now() + 10s;
                    while (heard == 0 && std::chrono::steady_clock::now() < end)
                        connection.wait(100ms).value();
                    expect(heard == 1, "our own signal");
                    expect(!connection.call(method(name, "Missing")), "no such method");
                }
            });
        for (auto& client : clients)
            CHECK(client.join() == "");
    }
    stop = true;
    CHECK(service.join() == "");
}

TEMPLATE_TEST_CASE("messages are read and destroyed in another thread", "", ALL_BUSES) {
    TestType bus;
    auto receiver = bus.connect();
    auto sender = bus.connect();
    constexpr std::uint32_t count = 200;
    Queue<std::optional<kdbus::Message>> messages;
    std::atomic<std::uint32_t> checked = 0;
    // The receiver keeps receiving while another thread takes apart what came before.
    Worker receives([&, name = sender.unique_name()] {
        std::uint32_t sent = 0;
        std::vector<kdbus::Slot> slots;
        std::uint32_t answered = 0;
        while (answered < count) {
            while (sent < count && sent < answered + 8) {
                slots.push_back(receiver
                                    .call_async(
                                        method(name, "Twice"),
                                        [&](kdbus::Result<kdbus::Message> reply) {
                                            ++answered;
                                            messages.push(std::move(reply).value());
                                        },
                                        sent)
                                    .value());
                ++sent;
            }
            receiver.wait(1s).value();
        }
        messages.push(std::nullopt);
    });
    Worker reads([&] {
        std::vector<kdbus::Message> kept;
        while (auto message = messages.pop()) {
            expect(message->template get<std::uint32_t>().value() % 2 == 0, "an even number");
            expect(message->type() == kdbus::MessageType::method_return, "a reply");
            (void)message->credentials();
            (void)message->metadata();
            (void)message->timestamp();
            ++checked;
            // Some live longer than what came after them.
            if (checked % 3 == 0)
                kept.push_back(*std::move(message));
            if (kept.size() > 10)
                kept.clear();
        }
    });
    std::atomic<bool> stop = false;
    Worker service([&] { serve(sender, stop); });
    CHECK(receives.join() == "");
    CHECK(reads.join() == "");
    CHECK(checked == count);
    stop = true;
    CHECK(service.join() == "");
}

TEMPLATE_TEST_CASE("messages outlive their connection in another thread", "", ALL_BUSES) {
    TestType bus;
    Queue<kdbus::Message> messages;
    auto service_connection = bus.connect();
    const auto name = service_connection.unique_name();
    std::atomic<bool> stop = false;
    Worker service([&] { serve(service_connection, stop); });
    std::optional<Worker> client;
    client.emplace([&, connection = std::make_shared<kdbus::Connection>(bus.connect())] {
        for (std::uint32_t i = 0; i < 20; ++i)
            messages.push(connection->call(method(name, "Twice"), i).value());
    });
    std::uint32_t sum = 0;
    for (int i = 0; i < 20; ++i)
        sum += messages.pop().template get<std::uint32_t>().value();
    CHECK(sum == 380);
    CHECK(client->join() == "");
    client.reset();
    stop = true;
    CHECK(service.join() == "");
}

TEMPLATE_TEST_CASE("a connection moves from thread to thread with all that is its own", "",
                   ALL_BUSES) {
    TestType bus;
    struct Ours {
        kdbus::Connection connection;
        std::vector<kdbus::Slot> slots = {};
        std::vector<kdbus::Responder> waiting = {};
        std::uint32_t answers = 0;
    };
    Ours ours{bus.connect()};
    auto other = bus.connect();
    const auto other_name = other.unique_name();
    std::atomic<bool> stop = false;
    // The other end calls "Wait" and serves "Twice" in a thread of its own.
    std::atomic<std::uint32_t> released = 0;
    Worker peer([&, name = ours.connection.unique_name()] {
        std::vector<kdbus::Slot> slots;
        for (int i = 0; i < 3; ++i)
            slots.push_back(other
                                .call_async(method(name, "Wait"),
                                            [&](const kdbus::Result<kdbus::Message>& reply) {
                                                if (reply)
                                                    ++released;
                                            })
                                .value());
        serve(other, stop);
    });
    Worker([&] {
        kdbus::Interface interface(interface_name);
        interface.method("Wait", [&](kdbus::Responder responder) {
            ours.waiting.push_back(std::move(responder));
        });
        ours.slots.push_back(ours.connection.add_object(path, std::move(interface)).value());
        while (ours.waiting.size() < 3)
            ours.connection.wait(1s).value();
    }).join();
    // From here on in another thread, and then in this one.
    Worker([&] {
        ours.waiting.back().send();
        ours.waiting.pop_back();
        for (std::uint32_t i = 0; i < 5; ++i)
            ours.slots.push_back(ours.connection
                                     .call_async(
                                         method(other_name, "Twice"),
                                         [&](const kdbus::Result<kdbus::Message>& reply) {
                                             ours.answers += reply ? 1 : 0;
                                         },
                                         i)
                                     .value());
        ours.connection.process().value();
    }).join();
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (ours.answers < 5 && std::chrono::steady_clock::now() < end)
        ours.connection.wait(100ms).value();
    CHECK(ours.answers == 5);
    ours.waiting.front().send();
    ours.waiting.clear(); // one is answered by nobody
    ours.slots.clear();
    while (released < 2 && std::chrono::steady_clock::now() < end)
        ours.connection.wait(10ms).value();
    CHECK(released == 2);
    stop = true;
    CHECK(peer.join() == "");
}
