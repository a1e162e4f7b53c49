// SPDX-License-Identifier: LGPL-2.1-or-later
#include "bus.hpp"

#include <kdbus/wire/bloom.hpp>

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <stdexcept>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace kdbus::bench {

namespace {

constexpr std::size_t item_header = offsetof(kdbus_item, data);

constexpr std::size_t align8(std::size_t size) {
    return (size + 7) & ~std::size_t{7};
}

const kdbus_item* next(const kdbus_item* item) {
    return reinterpret_cast<const kdbus_item*>(reinterpret_cast<const std::byte*>(item) +
                                               align8(item->size));
}

Fd open_node(const std::string& path) {
    Fd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
    must(fd.get() >= 0, path);
    return fd;
}

} // namespace

void command(int fd, unsigned long number, void* argument, const char* name) {
    if (ioctl(fd, number, argument) != 0)
        fail(name);
}

Bus::Bus() : owner_(open_node("/dev/kdbus/control")) {
    static int count = 0;
    const auto name = fmt::format("{}-bench-{}-{}", geteuid(), getpid(), ++count);
    const wire::BloomParameter bloom;
    std::vector<std::uint64_t> words(64);
    auto* make = reinterpret_cast<kdbus_cmd*>(words.data());
    auto* item = make->items;
    item->size = item_header + sizeof(kdbus_bloom_parameter);
    item->type = KDBUS_ITEM_BLOOM_PARAMETER;
    item->bloom_parameter = {bloom.size, bloom.hashes};
    item = const_cast<kdbus_item*>(next(item));
    item->size = item_header + name.size() + 1;
    item->type = KDBUS_ITEM_MAKE_NAME;
    std::memcpy(item->str, name.c_str(), name.size() + 1);
    make->size = static_cast<std::size_t>(reinterpret_cast<std::byte*>(item) -
                                          reinterpret_cast<std::byte*>(make)) +
                 item->size;
    command(owner_.get(), KDBUS_CMD_BUS_MAKE, make, "BUS_MAKE");
    path_ = fmt::format("/dev/kdbus/{}/bus", name);
}

Message::Message(std::uint64_t destination) : words_(sizeof(kdbus_msg) / 8) {
    head().size = sizeof(kdbus_msg);
    head().dst_id = destination;
    head().payload_type = KDBUS_PAYLOAD_DBUS;
}

kdbus_item& Message::item(std::uint64_t type, std::size_t payload) {
    const std::size_t at = words_.size();
    words_.resize(at + align8(item_header + payload) / 8);
    head().size = at * 8 + item_header + payload;
    auto& item = *reinterpret_cast<kdbus_item*>(&words_[at]);
    item.size = item_header + payload;
    item.type = type;
    return item;
}

void Message::set_payload(const void* data, std::size_t size) {
    if (vec_ == 0) {
        vec_ = words_.size();
        item(KDBUS_ITEM_PAYLOAD_VEC, sizeof(kdbus_vec));
    }
    auto& vec = reinterpret_cast<kdbus_item*>(&words_[vec_])->vec;
    vec.size = size;
    vec.address = reinterpret_cast<std::uintptr_t>(data);
}

void Message::set_filter(std::span<const std::uint64_t> bits) {
    if (filter_ == 0) {
        filter_ = words_.size();
        item(KDBUS_ITEM_BLOOM_FILTER, sizeof(kdbus_bloom_filter) + bits.size_bytes());
    }
    std::copy(bits.begin(), bits.end(),
              reinterpret_cast<kdbus_item*>(&words_[filter_])->bloom_filter.data);
}

std::span<const std::byte> payload_of(const kdbus_msg& message) {
    const auto* base = reinterpret_cast<const std::byte*>(&message);
    for (const auto* item = message.items;
         reinterpret_cast<const std::byte*>(item) < base + message.size; item = next(item))
        if (item->type == KDBUS_ITEM_PAYLOAD_OFF)
            return {base + item->vec.offset, item->vec.size};
    throw std::runtime_error("a message came without payload");
}

Connection::Connection(const Bus& bus, std::uint64_t wanted_metadata, std::size_t pool_size,
                       Map map)
    : fd_(open_node(bus.path())) {
    kdbus_cmd_hello hello{};
    hello.size = sizeof(hello);
    hello.attach_flags_send = _KDBUS_ATTACH_ANY;
    hello.attach_flags_recv = wanted_metadata;
    hello.pool_size = pool_size;
    command(fd_.get(), KDBUS_CMD_HELLO, &hello, "HELLO");
    id_ = hello.id;
    if (map == Map::yes)
        pool_ = Mapping(fd_.get(), pool_size);
    free(hello.offset);
}

void Connection::wait() const {
    pollfd poll_fd{fd_.get(), POLLIN, 0};
    must(poll(&poll_fd, 1, -1) == 1, "poll");
}

void Connection::send(Message& message) const {
    kdbus_cmd_send send{};
    send.size = sizeof(send);
    send.msg_address = reinterpret_cast<std::uintptr_t>(&message.head());
    command(fd_.get(), KDBUS_CMD_SEND, &send, "SEND");
}

const kdbus_msg& Connection::call(Message& message) const {
    kdbus_cmd_send send{};
    send.size = sizeof(send);
    send.flags = KDBUS_SEND_SYNC_REPLY;
    send.msg_address = reinterpret_cast<std::uintptr_t>(&message.head());
    command(fd_.get(), KDBUS_CMD_SEND, &send, "SEND");
    return message_at(send.reply.offset);
}

const kdbus_msg& Connection::receive() const {
    kdbus_cmd_recv recv{};
    recv.size = sizeof(recv);
    command(fd_.get(), KDBUS_CMD_RECV, &recv, "RECV");
    return message_at(recv.msg.offset);
}

void Connection::release(const kdbus_msg& message) const {
    free(static_cast<std::uint64_t>(reinterpret_cast<const std::byte*>(&message) - pool_.at(0)));
}

void Connection::free(std::uint64_t offset) const {
    kdbus_cmd_free free{};
    free.size = sizeof(free);
    free.offset = offset;
    command(fd_.get(), KDBUS_CMD_FREE, &free, "FREE");
}

void Connection::match(std::span<const std::uint64_t> mask) const {
    std::vector<std::uint64_t> words((sizeof(kdbus_cmd_match) + item_header) / 8 + mask.size());
    auto* match = reinterpret_cast<kdbus_cmd_match*>(words.data());
    match->size = words.size() * 8;
    match->items->size = item_header + mask.size_bytes();
    match->items->type = KDBUS_ITEM_BLOOM_MASK;
    std::copy(mask.begin(), mask.end(), match->items->data64);
    command(fd_.get(), KDBUS_CMD_MATCH_ADD, match, "MATCH_ADD");
}

void allow_many_descriptors() {
    rlimit limit{};
    must(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, 2048);
    limit.rlim_max = std::max(limit.rlim_cur, limit.rlim_max);
    must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
}

} // namespace kdbus::bench
