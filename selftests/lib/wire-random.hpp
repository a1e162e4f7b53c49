// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_SELFTESTS_WIRE_RANDOM_HPP
#define KDBUS_SELFTESTS_WIRE_RANDOM_HPP

#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <kdbus/wire/writer.hpp>

/// Random values of random types, the same ones for the same seed.
namespace wire_test {

/// How many descriptors the values of type h refer to.
inline constexpr std::uint32_t random_fds = 4;

class Random {
public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}

    /// 0 to below - 1, small numbers not preferred.
    std::uint64_t number(std::uint64_t below) { return engine_() % below; }
    std::uint64_t bits() { return engine_(); }
    bool chance(unsigned one_in) { return number(one_in) == 0; }

    /// One complete type, nested at most `depth` deep.
    std::string type(unsigned depth);
    /// Up to seven complete types, at most 255 letters.
    std::string signature();
    /// Appends a value of each type of `signature`.
    void write(kdbus::wire::Writer& writer, std::string_view signature);
    /// Changes some of the bytes, or their number.
    void mutate(std::vector<std::byte>& bytes);

private:
    void write_value(kdbus::wire::Writer& writer, std::string_view type);
    std::string text();

    std::mt19937_64 engine_;
};

/// The seed of this run: KDBUS_TEST_SEED from the environment, else a new one. Printed once.
std::uint64_t test_seed();

/// Runs out after some seconds (KDBUS_TEST_SECONDS, else 2).
class Deadline {
public:
    Deadline();
    [[nodiscard]] bool passed() const { return std::chrono::steady_clock::now() >= end_; }

private:
    std::chrono::steady_clock::time_point end_;
};

} // namespace wire_test

#endif
