// SPDX-License-Identifier: LGPL-2.1-or-later
// What can be tried on a handle, whatever its role: every command, what files can do, the mapping.
#pragma once

#include "support.hpp"

namespace test {

inline const std::vector<unsigned long> setup_commands = {KDBUS_CMD_BUS_MAKE,
                                                          KDBUS_CMD_ENDPOINT_MAKE, KDBUS_CMD_HELLO};
inline const std::vector<unsigned long> connection_commands = {
    KDBUS_CMD_UPDATE,           KDBUS_CMD_BYEBYE,    KDBUS_CMD_FREE,         KDBUS_CMD_CONN_INFO,
    KDBUS_CMD_BUS_CREATOR_INFO, KDBUS_CMD_LIST,      KDBUS_CMD_SEND,         KDBUS_CMD_RECV,
    KDBUS_CMD_NAME_ACQUIRE,     KDBUS_CMD_MATCH_ADD, KDBUS_CMD_NAME_RELEASE, KDBUS_CMD_MATCH_REMOVE,
};
inline const std::vector<unsigned long> unknown_numbers = {
    // Numbers nobody has.
    _IOW(KDBUS_IOCTL_MAGIC, 0x01, kdbus_cmd),
    _IOW(KDBUS_IOCTL_MAGIC, 0x12, kdbus_cmd),
    _IOW(KDBUS_IOCTL_MAGIC, 0x87, kdbus_cmd),
    _IOW(KDBUS_IOCTL_MAGIC, 0xff, kdbus_cmd),
    // Right number, wrong direction or size.
    _IOR(KDBUS_IOCTL_MAGIC, 0x00, kdbus_cmd),
    _IOWR(KDBUS_IOCTL_MAGIC, 0x90, kdbus_cmd_send),
    _IOW(KDBUS_IOCTL_MAGIC, 0x80, kdbus_cmd_hello),
    _IOW(KDBUS_IOCTL_MAGIC, 0x91, kdbus_cmd_recv),
    _IOWR(KDBUS_IOCTL_MAGIC, 0xa0, kdbus_cmd),
    _IO(KDBUS_IOCTL_MAGIC, 0x82),
    _IOW(KDBUS_IOCTL_MAGIC, 0x83, kdbus_cmd),
    0x40209581,
    0x80309584,
    // Right number, other type.
    _IOW(0x94, 0x00, kdbus_cmd),
    0,
};

// Role errors precede all reading of the argument, so a bad address does.
inline int poke(int fd, unsigned long number) {
    return command(fd, number, reinterpret_cast<void*>(u64{1}));
}

inline void check_commands(int fd, const std::vector<unsigned long>& numbers, int error) {
    for (unsigned long number : numbers) {
        CAPTURE(number);
        CHECK(poke(fd, number) == error);
    }
}

// Every command: those that give a role, ENDPOINT_UPDATE, and those of connections.
inline void check_each(int fd, int setup, int update, int others) {
    check_commands(fd, setup_commands, setup);
    CHECK(poke(fd, KDBUS_CMD_ENDPOINT_UPDATE) == update);
    check_commands(fd, connection_commands, others);
}

inline void check_files(int fd) {
    char c = 0;
    CHECK(read(fd, &c, 1) == -1);
    CHECK(errno == EINVAL);
    CHECK(write(fd, &c, 1) == -1);
    CHECK(errno == EINVAL);
    for (int whence : {SEEK_SET, SEEK_CUR, SEEK_END}) {
        CHECK(lseek(fd, 4096, whence) >= 0);
        CHECK(lseek(fd, 0, SEEK_CUR) == 0);
    }
    check_commands(fd, unknown_numbers, ENOTTY);
}

inline int map_error(int fd) {
    void* map = mmap(nullptr, page, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return errno;
    munmap(map, page);
    return 0;
}

// The pool of a connection that has ended still holds `queued`, in the old mapping and a new one.
inline void check_pool_of_ended(const Connection& c, const Received& queued) {
    REQUIRE(queued.error == 0);
    CHECK(std::memcmp(c.at(queued.offset()), queued.bytes(), 64) == 0);
    void* map = mmap(nullptr, c.pool_size(), PROT_READ, MAP_SHARED, c.fd(), 0);
    REQUIRE(map != MAP_FAILED);
    CHECK(std::memcmp(static_cast<char*>(map) + queued.offset(), queued.bytes(), 64) == 0);
    munmap(map, c.pool_size());
}

} // namespace test
