// SPDX-License-Identifier: LGPL-2.1-or-later
#include "failing-new.hpp"

#include <cstdlib>
#include <new>

thread_local int allocations_left = -1;

void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    // From 0 it goes to -1: whoever is told may need memory to clean up.
    if (allocations_left >= 0 && allocations_left-- == 0)
        return nullptr;
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
