// SPDX-License-Identifier: LGPL-2.1-or-later
#include "failing-new.hpp"

#include <cstdlib>
#include <new>

thread_local int allocations_left = -1;
thread_local bool fails_once = false;

void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    if (allocations_left == 0) {
        if (fails_once)
            allocations_left = -1;
        return nullptr;
    }
    if (allocations_left > 0)
        --allocations_left;
    return std::malloc(size);
}
void* operator new(std::size_t size) {
    if (void* memory = operator new(size, std::nothrow))
        return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
