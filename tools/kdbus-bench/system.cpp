// SPDX-License-Identifier: LGPL-2.1-or-later
#include "system.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace kdbus::bench {

void fail(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

void must(bool condition, const std::string& what) {
    if (!condition)
        fail(what);
}

std::uint64_t now() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(time.tv_nsec);
}

// The files read and written are the kernel's: no buffering, each write at once.
std::string read_file(const std::string& path) {
    const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    must(fd.get() >= 0, path);
    std::string text;
    char buffer[65536];
    ssize_t n;
    while ((n = read(fd.get(), buffer, sizeof(buffer))) > 0)
        text.append(buffer, static_cast<std::size_t>(n));
    must(n == 0, path);
    return text;
}

void write_file(const std::string& path, const std::string& text) {
    const Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC | O_TRUNC));
    must(fd.get() >= 0, path);
    must(write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()), path);
}

Fd::~Fd() {
    if (fd_ >= 0)
        close(fd_);
}

Mapping::Mapping(int fd, std::size_t size) : size_(size) {
    void* base = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    must(base != MAP_FAILED, "mmap");
    base_ = static_cast<std::byte*>(base);
}

Mapping::~Mapping() {
    if (base_)
        munmap(base_, size_);
}

Child::Child(const std::function<int()>& run) {
    std::fflush(nullptr);
    pid_ = fork();
    must(pid_ >= 0, "fork");
    if (pid_ != 0)
        return;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int status = failed;
    try {
        status = run();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "kdbus-bench: %s\n", error.what());
    }
    std::fflush(nullptr);
    _exit(status);
}

Child::~Child() {
    if (pid_ > 0) {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
}

int Child::join() {
    int status = 0;
    must(waitpid(pid_, &status, 0) == pid_, "waitpid");
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

} // namespace kdbus::bench
