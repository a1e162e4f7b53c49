// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_BENCH_SYSTEM_HPP
#define KDBUS_BENCH_SYSTEM_HPP

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include <sys/types.h>

/// What of the operating system the measurements share. Everything throws std::system_error.
namespace kdbus::bench {

/// Throws what errno says.
[[noreturn]] void fail(const std::string& what);
void must(bool condition, const std::string& what);

/// CLOCK_MONOTONIC in nanoseconds; in a deterministic guest, instructions.
std::uint64_t now();

std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& text);

class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Fd();

    int get() const { return fd_; }

private:
    int fd_ = -1;
};

/// A read-only mapping of a descriptor.
class Mapping {
public:
    Mapping() = default;
    Mapping(int fd, std::size_t size);
    Mapping(Mapping&& other) noexcept
        : base_(std::exchange(other.base_, nullptr)), size_(other.size_) {}
    Mapping& operator=(Mapping&& other) noexcept {
        std::swap(base_, other.base_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Mapping();

    const std::byte* at(std::uint64_t offset) const { return base_ + offset; }

private:
    std::byte* base_ = nullptr;
    std::size_t size_ = 0;
};

/// A child process, ended with the object. What `run` returns is its exit status.
class Child {
public:
    /// The exit status if `run` threw; it has been told.
    static constexpr int failed = 3;

    explicit Child(const std::function<int()>& run);
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child();

    pid_t pid() const { return pid_; }
    /// Waits for its end and returns its exit status.
    int join();

private:
    pid_t pid_ = -1;
};

} // namespace kdbus::bench

#endif
