// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_SELFTESTS_INTEROP_PIPES_HPP
#define KDBUS_SELFTESTS_INTEROP_PIPES_HPP

#include <fcntl.h>
#include <stdexcept>
#include <string>
#include <unistd.h>

namespace interop {

/// The reading end of a pipe that holds a short text; the caller's.
inline int pipe_with(const std::string& text) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        throw std::runtime_error("no pipe");
    const bool written =
        write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
    close(ends[1]);
    if (!written)
        throw std::runtime_error("the pipe takes no text");
    return ends[0];
}

inline std::string read_from(int fd) {
    char text[100];
    const auto size = read(fd, text, sizeof text);
    if (size < 0)
        throw std::runtime_error("the descriptor is not to be read from");
    return {text, static_cast<std::size_t>(size)};
}

inline void expect(bool holds, const char* what) {
    if (!holds)
        throw std::runtime_error(std::string("does not hold: ") + what);
}
#define EXPECT(condition) ::interop::expect(static_cast<bool>(condition), #condition)

} // namespace interop

#endif
