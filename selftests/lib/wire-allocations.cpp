// SPDX-License-Identifier: LGPL-2.1-or-later
// Counts what the program takes from the heap through operator new.
#include <cstdlib>
#include <new>

#include "wire-support.hpp"

std::atomic<std::uint64_t> wire_test::allocations;

void* operator new(std::size_t size) {
    wire_test::allocations++;
    if (void* memory = std::malloc(size))
        return memory;
    throw std::bad_alloc();
}

void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    wire_test::allocations++;
    return std::malloc(size);
}

void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
