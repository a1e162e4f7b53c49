// SPDX-License-Identifier: LGPL-2.1-or-later
// Makes programs: new ones with knowledge of the interface, and changed ones with less of it.
#pragma once

#include <initializer_list>
#include <optional>
#include <random>
#include <span>
#include <string_view>

#include "coverage.hpp"
#include "program.hpp"

namespace fuzz {

class Generator {
public:
    explicit Generator(u64 seed) : random_(seed) {}

    Program generate();
    // A changed copy; `other` may lend parts.
    Program mutate(const Program& program, const Program& other);
    // A copy in which a value that the module compared with a constant is that constant.
    std::optional<Program> fulfil(const Program& program, const Comparison& comparison);

    u64 below(u64 n) { return random_() % n; }
    bool one_in(u64 n) { return below(n) == 0; }

private:
    template <class T, std::size_t N>
    const T& pick(const T (&values)[N]) {
        return values[below(N)];
    }

    u64 interesting();
    u64 attach_flags();
    u64 deadline();
    Word file();
    Word memory();
    u8 slot() { return static_cast<u8>(below(slots)); }
    u8 used_slot(const Program& program);

    void item(Block& block, u64 type, const Block& payload, u64 size);
    void item(Block& block, u64 type, std::initializer_list<Word> payload);
    void text_item(Block& block, u64 type, std::string_view text);
    void add_item(Block& block, u64 type);
    void add_items(Block& block, std::span<const u64> types, unsigned most);
    void message(Op& op);
    void command(Op& op, u32 number);

    Op hello(u8 slot);
    Op any_op(const Program& program);
    void odd(Op& op);
    void mutate_block(Block& block);
    void mutate_op(Op& op);

    std::mt19937_64 random_;
};

} // namespace fuzz
