// SPDX-License-Identifier: LGPL-2.1-or-later
// What the fuzzer executes: a program is a short sequence of operations on a few slots, each of
// which may hold a handle. Programs have a text form, one operation a line, in which they are
// reported, saved and replayed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fuzz {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s64 = std::int64_t;

constexpr unsigned slots = 10;
// Slots that the environment fills before the first program: the owners of bus and endpoint.
constexpr unsigned bus_slot = 0, endpoint_slot = 1, first_slot = 2;

// What a word of a command becomes when it is executed.
enum class Symbol : u8 {
    literal, // the value itself
    id,      // connection id of a slot
    peer,    // who sent the last message that a slot received
    cookie,  // that message's cookie
    slice,   // the pool offset a slot got last
    now,     // CLOCK_MONOTONIC in ns, plus as many microseconds
    memory,  // an address; see Executor
    message, // address of the operation's message
    file,    // low half: number of a descriptor; high half as in the value
    files,   // two descriptors
    count,
};

struct Word {
    u64 value = 0;
    Symbol symbol = Symbol::literal;

    friend bool operator==(const Word&, const Word&) = default;
};

using Block = std::vector<Word>;

// Where a block is put in memory.
enum class Place : u8 {
    before_guard, // ends where memory ends
    plain,        // with room behind it
    cut,          // the last word is missing
    misaligned,
    read_only,
    null,
    kernel,
    pool, // in the mapped pool of the slot
    count,
};

enum class Action : u8 {
    open,     // a node (argument % 4: control, bus, endpoint, O_PATH of bus) into the slot
    ioctl,    // on the slot
    fork,     // the same in a child, which is killed
    close,    // the slot
    dup,      // the slot into slot `argument`
    map,      // the slot's pool, in one of several ways
    poll,     // the slot
    scribble, // over the command that the other thread has in hand
    count,
};

struct Op {
    Action action = Action::ioctl;
    u8 slot = first_slot;
    u8 argument = 0;
    u8 user = 0;       // as whom: 0 root, 1 and 2 others
    bool race = false; // run it beside the next operation
    u16 fail = 0;      // the n-th thing that can fail in the kernel does
    u32 number = 0;    // of the ioctl
    Place place = Place::before_guard, message_place = Place::before_guard;
    Block command{}, message{};

    friend bool operator==(const Op&, const Op&) = default;
};

using Program = std::vector<Op>;

std::string to_text(const Program& program);
// Programs end at empty lines and at lines that begin with '#'. Throws std::invalid_argument.
std::vector<Program> parse_programs(std::string_view text);

} // namespace fuzz
