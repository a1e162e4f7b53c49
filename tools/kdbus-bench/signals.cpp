// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/wire/bloom.hpp>

#include <array>
#include <fmt/format.h>
#include <list>
#include <string>
#include <vector>

#include "bus.hpp"
#include "measurements.hpp"
#include "profile.hpp"
#include "system.hpp"

namespace kdbus::bench {

namespace {

constexpr wire::BloomParameter bloom;
using Bits = std::array<std::uint64_t, bloom.size / 8>;

constexpr std::size_t pool_size = 1 << 20;
constexpr unsigned rules_per_connection = KDBUS_MATCH_MAX;
constexpr int count = 100;

/// What a rule for a signal of one object asks for: the library's mask for
/// type='signal',interface=...,member=...,path=...
Bits make_mask(const std::string& interface, const std::string& member, const std::string& path) {
    Bits bits{};
    wire::bloom_add(bits, bloom, "message-type", "signal");
    wire::bloom_add(bits, bloom, "interface", interface);
    wire::bloom_add(bits, bloom, "member", member);
    wire::bloom_add(bits, bloom, "path", path);
    return bits;
}

/// What the library sends with such a signal that has a string as its argument.
Bits make_filter(const std::string& interface, const std::string& member, const std::string& path,
                 const std::string& argument) {
    Bits bits = make_mask(interface, member, path);
    wire::bloom_add_prefixes(bits, bloom, "path-slash-prefix", path, '/');
    wire::bloom_add(bits, bloom, "arg0", argument);
    wire::bloom_add_prefixes(bits, bloom, "arg0-dot-prefix", argument, '.');
    wire::bloom_add_prefixes(bits, bloom, "arg0-slash-prefix", argument, '/');
    return bits;
}

const std::string wanted_interface = "org.example.Clock", wanted_member = "Tick",
                  wanted_path = "/org/example/clock";

/// Rules of programs that wait for something else: all are different.
Bits other_mask(unsigned n) {
    return make_mask(fmt::format("org.example.Interface{}", n % 61),
                     fmt::format("Member{}", n % 17), fmt::format("/org/example/object/{}", n));
}

class Signals {
public:
    Signals() : sender_(bus_, 0, pool_size), message_(KDBUS_DST_ID_BROADCAST) {
        message_.head().flags = KDBUS_MSG_SIGNAL;
        message_.set_filter(Bits{});
        message_.set_payload(payload_.data(), sizeof(payload_));
        subscriber_ = &subscribe(make_mask(wanted_interface, wanted_member, wanted_path));
    }

    std::size_t subscribers() const { return connections_.size(); }
    unsigned rules() const { return rules_; }
    void add_subscriber() { subscribe(other_mask(rules_)); }

    /// Sends and receives the same signal again and again.
    void repeat(int n) {
        message_.set_filter(filter("same"));
        while (n-- > 0)
            deliver();
    }

    /// Sends and receives signals that have never been sent before.
    void vary(int n, std::span<const Bits> filters) {
        for (int i = 0; i < n; i++) {
            message_.set_filter(filters[static_cast<std::size_t>(i)]);
            deliver();
        }
    }

    std::vector<Bits> new_filters(int n) {
        std::vector<Bits> filters;
        while (n-- > 0)
            filters.push_back(filter(fmt::format("value.{}", arguments_++)));
        return filters;
    }

private:
    static Bits filter(const std::string& argument) {
        return make_filter(wanted_interface, wanted_member, wanted_path, argument);
    }

    const Connection& subscribe(const Bits& first) {
        const auto& connection = connections_.emplace_back(bus_, 0, pool_size);
        connection.match(first);
        rules_++;
        for (unsigned n = 1; n < rules_per_connection; n++)
            connection.match(other_mask(rules_++));
        return connection;
    }

    void deliver() {
        message_.head().cookie++;
        sender_.send(message_);
        subscriber_->wait();
        subscriber_->release(subscriber_->receive());
    }

    Bus bus_;
    Connection sender_;
    Message message_;
    std::list<Connection> connections_;
    const Connection* subscriber_ = nullptr;
    std::array<std::uint64_t, 8> payload_{};
    unsigned rules_ = 0;
    unsigned arguments_ = 0;
};

/// As measure(), with the filters made beforehand.
double measure_varied(Signals& signals) {
    std::vector<std::vector<Bits>> filters;
    for (int run = 0; run < 3; run++)
        filters.push_back(signals.new_filters(count));
    std::size_t run = 0;
    return measure(count, [&](int n) { signals.vary(n, filters[run++]); });
}

} // namespace

void measure_signals(Report& report, const Options& options) {
    report.title(fmt::format("A signal that one of N subscribers wants, each with {} rules",
                             rules_per_connection));
    constexpr std::size_t sizes[] = {1, 10, 100, 1000};
    Signals signals;
    double alone = 0;
    for (const auto size : sizes) {
        const auto start = now();
        const unsigned before = signals.rules();
        while (signals.subscribers() < size)
            signals.add_subscriber();
        if (signals.rules() > before)
            report.note(fmt::format("adding {} rules", signals.rules() - before),
                        fmt::format("{:.3f} s", static_cast<double>(now() - start) / 1e9));

        const double repeated = measure(count, [&](int n) { signals.repeat(n); });
        const double varied = measure_varied(signals);
        if (size == sizes[0])
            alone = repeated;
        const double more = (repeated / alone - 1) * 100;
        report.check(more <= options.signal_margin, fmt::format("same signal, N = {}", size),
                     fmt::format("{:.0f} ns: {:+.1f} %; at most {:+} %", repeated, more,
                                 options.signal_margin));
        // Nothing can be remembered of these: their cost is told, not bounded.
        report.note(fmt::format("ever new argument, N = {}", size),
                    fmt::format("{:.0f} ns", varied));
        if (options.profile) {
            const auto filters = signals.new_filters(count);
            profile("ever new argument", count, [&](int n) { signals.vary(n, filters); });
        }
    }
}

} // namespace kdbus::bench
