// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory that takes as long as a test wants until it can be read.
#pragma once

#include "support.hpp"

#include <linux/userfaultfd.h>

namespace test {

// A page whose first access waits until fill() is called.
class SlowPage {
public:
    SlowPage() {
        fault_ = Fd(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC)));
        must(bool(fault_), "userfaultfd", errno);
        uffdio_api api{.api = UFFD_API, .features = 0, .ioctls = 0};
        must(ioctl(fault_.get(), UFFDIO_API, &api) == 0, "UFFDIO_API", errno);
        page_ = static_cast<char*>(
            mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        must(page_ != MAP_FAILED, "mmap", errno);
        uffdio_register range{};
        range.range = {reinterpret_cast<u64>(page_), page};
        range.mode = UFFDIO_REGISTER_MODE_MISSING;
        must(ioctl(fault_.get(), UFFDIO_REGISTER, &range) == 0, "UFFDIO_REGISTER", errno);
    }
    ~SlowPage() {
        fault_.reset();
        munmap(page_, page);
    }
    SlowPage(const SlowPage&) = delete;
    SlowPage& operator=(const SlowPage&) = delete;

    char* address() const { return page_; }
    // Whether somebody waits for the page.
    bool wanted(int ms = 10'000) const {
        pollfd p{fault_.get(), POLLIN, 0};
        uffd_msg message{};
        return ::poll(&p, 1, ms) == 1 &&
               read(fault_.get(), &message, sizeof message) == sizeof message;
    }
    void fill(char c) {
        alignas(4096) static char content[page];
        std::memset(content, c, page);
        uffdio_copy copy{};
        copy.dst = reinterpret_cast<u64>(page_);
        copy.src = reinterpret_cast<u64>(content);
        copy.len = page;
        must(ioctl(fault_.get(), UFFDIO_COPY, &copy) == 0, "UFFDIO_COPY", errno);
    }

private:
    Fd fault_;
    char* page_;
};

} // namespace test
