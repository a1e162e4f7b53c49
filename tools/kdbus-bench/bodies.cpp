// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <kdbus/abi/connection.hpp>
#include <kdbus/abi/memfd.hpp>
#include <kdbus/abi/send.hpp>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bus.hpp"
#include "measurements.hpp"
#include "system.hpp"

namespace kdbus::bench {

namespace {

using Words = std::vector<std::uint64_t>;

/// How a body travels.
enum class Way {
    kept,      ///< inline, written into memory that the sender keeps
    fresh,     ///< inline, written into memory allocated for this message
    copied,    ///< written into kept memory, from there with write() into a memory file
    mapped,    ///< written into a mapped memory file
    populated, ///< the same, all pages made at once
};

struct Column {
    Way way;
    const char* name;
};
constexpr std::array columns{
    Column{Way::kept, "inline, memory kept"}, Column{Way::fresh, "inline, memory allocated"},
    Column{Way::copied, "copied into a memory file"}, Column{Way::mapped, "made in a memory file"},
    Column{Way::populated, "made in one with MAP_POPULATE"}};
constexpr std::size_t sizes[] = {64 << 10, 128 << 10, 256 << 10, 512 << 10,
                                 1 << 20,  2 << 20,   4 << 20};

/// As much as one piece may have.
constexpr std::size_t max_piece = KDBUS_MSG_MAX_PAYLOAD_VEC_SIZE;

class Unmap {
public:
    explicit Unmap(std::size_t size) : size_(size) {}
    void operator()(void* address) const { munmap(address, size_); }

private:
    std::size_t size_;
};
using Mapped = std::unique_ptr<void, Unmap>;

Mapped map(int fd, std::size_t size, int protection, bool populate) {
    void* address =
        mmap(nullptr, size, protection, MAP_SHARED | (populate ? MAP_POPULATE : 0), fd, 0);
    must(address != MAP_FAILED, "mmap");
    return {address, Unmap(size)};
}

std::uint64_t sum(const void* data, std::size_t size) {
    std::uint64_t total = 0;
    for (std::size_t at = 0; at < size; at += sizeof total) {
        std::uint64_t word = 0;
        std::memcpy(&word, static_cast<const std::byte*>(data) + at, sizeof word);
        total += word;
    }
    return total;
}

class Bodies {
public:
    Bodies(const Bus& bus, std::size_t size, Way way)
        : way_(way), source_(size / sizeof(std::uint64_t), 3),
          caller_(abi::Connection::open(bus.path(), {.pool_size = 64 << 20}).value()),
          service_(abi::Connection::open(bus.path(), {.pool_size = 64 << 20}).value()),
          child_([this]() -> int { serve(); }) {}

    void run(int count) {
        while (count-- > 0)
            once();
    }

private:
    [[nodiscard]] std::size_t size() const { return source_.size() * sizeof(std::uint64_t); }

    void once() {
        source_.front()++;
        switch (way_) {
        case Way::kept:
            kept_.resize(source_.size());
            std::memcpy(kept_.data(), source_.data(), size());
            send_inline(kept_.data());
            break;
        case Way::fresh: {
            const std::unique_ptr<void, void (*)(void*)> memory(std::malloc(size()), std::free);
            std::memcpy(memory.get(), source_.data(), size());
            send_inline(memory.get());
            break;
        }
        case Way::copied: {
            kept_.resize(source_.size());
            std::memcpy(kept_.data(), source_.data(), size());
            const auto file = abi::SealedMemfd::copy(std::as_bytes(std::span(kept_))).value();
            send_file(file.fd());
            break;
        }
        case Way::mapped:
        case Way::populated: {
            const Fd file(memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING));
            must(ftruncate(file.get(), static_cast<off_t>(size())) == 0, "ftruncate");
            std::memcpy(
                map(file.get(), size(), PROT_READ | PROT_WRITE, way_ == Way::populated).get(),
                source_.data(), size());
            must(fcntl(file.get(), F_ADD_SEALS,
                       F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0,
                 "sealing");
            send_file(file.get());
            break;
        }
        }
    }

    void send_inline(const void* data) {
        std::vector<abi::Part> parts{head()};
        for (std::span rest(static_cast<const std::byte*>(data), size()); !rest.empty();) {
            const std::size_t piece = std::min(rest.size(), max_piece);
            parts.push_back(abi::Part::bytes(rest.first(piece)));
            rest = rest.subspan(piece);
        }
        call(parts);
    }

    void send_file(int fd) {
        const std::array parts{head(), abi::Part::memfd(fd, 0, size())};
        call(parts);
    }

    [[nodiscard]] abi::Part head() const {
        return abi::Part::bytes(std::as_bytes(std::span(head_)));
    }

    void call(std::span<const abi::Part> parts) {
        abi::OutgoingMessage message;
        message.dst_id = service_.id();
        message.flags = KDBUS_MSG_EXPECT_REPLY;
        message.timeout_ns = std::uint64_t{1} << 62;
        message.cookie = ++cookie_;
        message.payload = parts;
        const auto reply = caller_.call(message).value();
        reply.for_each_piece([&](const abi::Piece& piece) {
            std::uint64_t total = 0;
            std::memcpy(&total, piece.data.data(), sizeof total);
            if (total != source_.front() + 3 * (source_.size() - 1))
                throw std::runtime_error("the body did not arrive");
        });
    }

    [[noreturn]] void serve() const {
        for (std::uint64_t cookie = 1;; ++cookie) {
            pollfd entry{.fd = service_.fd(), .events = POLLIN, .revents = 0};
            must(poll(&entry, 1, -1) == 1, "poll");
            const auto received = service_.recv().value();
            std::uint64_t total = 0;
            bool first = true;
            received.message->for_each_piece([&](const abi::Piece& piece) {
                if (!std::exchange(first, false)) // the head
                    total += piece.kind == abi::Piece::Kind::bytes
                                 ? sum(piece.data.data(), piece.size)
                                 : sum(map(piece.fd, piece.size, PROT_READ, way_ == Way::populated)
                                           .get(),
                                       piece.size);
            });
            const std::array parts{abi::Part::bytes(std::as_bytes(std::span(&total, 1)))};
            abi::OutgoingMessage reply;
            reply.dst_id = caller_.id();
            reply.cookie = cookie;
            reply.cookie_reply = received.message->header().cookie;
            reply.payload = parts;
            service_.send(reply).value();
        }
    }

    Way way_;
    std::array<std::uint64_t, 8> head_{};
    Words source_, kept_;
    abi::Connection caller_, service_;
    std::uint64_t cookie_ = 0;
    Child child_;
};

} // namespace

void measure_bodies(Report& report, const Options&) {
    report.title("A call with a large body, written and read once, and an answer of 8 bytes");
    const Bus bus;
    for (const std::size_t size : sizes)
        for (const auto& column : columns) {
            Bodies bodies(bus, size, column.way);
            const int count = static_cast<int>(std::max<std::size_t>((16 << 20) / size, 8));
            const double time = measure(count, [&](int n) { bodies.run(n); });
            report.note(fmt::format("{} KiB, {}", size >> 10, column.name),
                        fmt::format("{:.0f} ns", time));
        }
}

} // namespace kdbus::bench
