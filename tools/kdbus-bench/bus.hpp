// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_BENCH_BUS_HPP
#define KDBUS_BENCH_BUS_HPP

#include <linux/kdbus.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "system.hpp"

/// The kernel's interface as it is: a command is one ioctl.
namespace kdbus::bench {

void command(int fd, unsigned long number, void* argument, const char* name);

/// A bus that ends with the object. Its Bloom filters are those of the library's defaults.
class Bus {
public:
    Bus();
    const std::string& path() const { return path_; }

private:
    Fd owner_;
    std::string path_;
};

/// A message to be sent: header and items, in words.
class Message {
public:
    explicit Message(std::uint64_t destination);

    kdbus_msg& head() { return *reinterpret_cast<kdbus_msg*>(words_.data()); }
    kdbus_item& item(std::uint64_t type, std::size_t payload);
    /// Its only payload; may be changed to another of the same size.
    void set_payload(const void* data, std::size_t size);
    /// Its Bloom filter, for broadcasts.
    void set_filter(std::span<const std::uint64_t> bits);

private:
    std::vector<std::uint64_t> words_;
    std::size_t vec_ = 0, filter_ = 0; // positions of these items, 0: none
};

/// The first payload of a received message, where it is.
std::span<const std::byte> payload_of(const kdbus_msg& message);

/// A connection and its mapped pool.
class Connection {
public:
    enum class Map { no, yes };

    Connection(const Bus& bus, std::uint64_t wanted_metadata, std::size_t pool_size,
               Map map = Map::yes);

    std::uint64_t id() const { return id_; }
    void wait() const; ///< poll() until there is something to receive
    void send(Message& message) const;
    const kdbus_msg& call(Message& message) const; ///< with KDBUS_SEND_SYNC_REPLY
    const kdbus_msg& receive() const;
    void release(const kdbus_msg& message) const;
    void match(std::span<const std::uint64_t> mask) const;

private:
    const kdbus_msg& message_at(std::uint64_t offset) const {
        return *reinterpret_cast<const kdbus_msg*>(pool_.at(offset));
    }
    void free(std::uint64_t offset) const;

    Fd fd_;
    Mapping pool_;
    std::uint64_t id_ = 0;
};

/// Lets this process have a thousand connections.
void allow_many_descriptors();

} // namespace kdbus::bench

#endif
