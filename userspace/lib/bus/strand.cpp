// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/task.hpp>

#include <utility>

namespace kdbus::detail {

Strand::~Strand() {
    end();
}

void Strand::start(Task<void> task) {
    const auto root = std::exchange(task.handle_, {});
    root.promise().strand = this;
    root_ = root;
    resume(root);
}

void Strand::resume(std::coroutine_handle<> handle) {
    const auto alive = shared_from_this();
    waiting_ = false;
    ++depth_;
    handle.resume();
    if (--depth_ > 0)
        return;
    if (!root_.done() && !given_up_)
        return;
    ended_(End::here);
    finish();
}

void Strand::returned() noexcept {
    if (depth_ == 0)
        ended_(End::elsewhere);
}

void Strand::finish() {
    std::exception_ptr thrown;
    if (root_.done())
        thrown = std::coroutine_handle<TaskPromise<void>>::from_address(root_.address())
                     .promise()
                     .thrown;
    end();
    if (thrown)
        std::rethrow_exception(thrown);
}

bool Strand::give_up() noexcept {
    if (depth_ > 0)
        given_up_ = true;
    else if (waiting_)
        end();
    else
        return false;
    return true;
}

void Strand::end() noexcept {
    if (const auto root = std::exchange(root_, {}))
        root.destroy();
}

} // namespace kdbus::detail
