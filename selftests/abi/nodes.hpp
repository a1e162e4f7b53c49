// SPDX-License-Identifier: LGPL-2.1-or-later
// What the nodes of buses and of custom endpoints have in common: how long they are there, and the
// form of their names.
#pragma once

#include "support.hpp"

namespace test {

inline struct stat stat_of(const std::string& path) {
    struct stat st {};
    INFO(path);
    REQUIRE(stat(path.c_str(), &st) == 0);
    return st;
}

// The node at `path` is there while its owner handle is open, and gone when close returns.
inline void check_life_of_node(const std::string& path, Fd owner) {
    CHECK(access(path.c_str(), R_OK | W_OK) == 0);
    CHECK(S_ISCHR(stat_of(path).st_mode));
    CHECK(open_error(path) == 0);
    CHECK(in_child([&] { return open_error(path); }) == 0);
    owner.reset();
    CHECK(access(path.c_str(), F_OK) == -1);
    CHECK(open_error(path) == ENOENT);
}

// abi.md 2.2/1-4. `make` tries a MAKE_NAME item of exactly the bytes given, and returns the errno.
template <class F>
void check_forms_of_names(F make) {
    const std::string nul(1, '\0'), own = std::to_string(geteuid()) + "-";
    struct Row {
        std::string payload;
        int error;
    };
    const Row rows[] = {
        {"", EINVAL},
        {nul, EINVAL},
        {"a", EINVAL},
        {own + std::string(61, 'a') + nul, 0},
        {own + std::string(62, 'a') + nul, ENAMETOOLONG}, // 13.4
        {own + std::string(62, 'a'), EINVAL},
        {own + std::string(63, 'a'), ENAMETOOLONG},
        {own + std::string(200, 'a') + nul, ENAMETOOLONG},
        {std::string(65, '/'), ENAMETOOLONG},
        {std::string(65, '\0'), ENAMETOOLONG},
        {own + "abc", EINVAL},
        {own + "ab" + nul + "c" + nul, EINVAL},
        {own + "abc" + nul + nul, EINVAL},
        {own + nul, EINVAL},
        {own + "-" + nul, EINVAL},
        {own + "a-" + nul, EINVAL},
        {own + "a." + nul, EINVAL},
        {own + "a@b" + nul, EINVAL},
        {own + "a/b" + nul, EINVAL},
        {own + "a!b" + nul, EINVAL},
        {own + "a b" + nul, EINVAL},
        {own + "a\nb" + nul, EINVAL},
        {own + "a:b" + nul, EINVAL},
        {own + "\xe9" + nul, EINVAL},
        {own + "a\xe9z" + nul, EINVAL},
        {own + "a\xffz" + nul, EINVAL},
        {own + "a\x80z" + nul, EINVAL},
        {own + "_" + nul, 0},
        {own + "-a" + nul, 0},
        {own + ".a" + nul, 0},
        {own + "a..b--c" + nul, 0},
        {own + "aZ09_z" + nul, 0},
        {own + "..a-_Z9" + nul, 0},
    };
    for (const Row& row : rows) {
        CAPTURE(row.payload);
        CHECK(make(row.payload) == row.error);
    }
}

} // namespace test
