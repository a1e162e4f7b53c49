// SPDX-License-Identifier: LGPL-2.1-or-later
#include "generate.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <linux/kdbus.h>
#include <optional>
#include <string>

namespace fuzz {

namespace {

// The items and flags each command takes.
struct Shape {
    u32 number;
    unsigned fixed; // words
    u64 flags;
    std::array<u64, 8> items; // ends with 0
};

constexpr Shape shapes[] = {
    {KDBUS_CMD_BUS_MAKE,
     3,
     7,
     {KDBUS_ITEM_MAKE_NAME, KDBUS_ITEM_BLOOM_PARAMETER, KDBUS_ITEM_ATTACH_FLAGS_SEND}},
    {KDBUS_CMD_ENDPOINT_MAKE, 3, 3, {KDBUS_ITEM_MAKE_NAME}},
    {KDBUS_CMD_ENDPOINT_UPDATE, 3, 0, {KDBUS_ITEM_NAME, KDBUS_ITEM_POLICY_ACCESS}},
    {KDBUS_CMD_HELLO,
     12,
     0xf,
     {KDBUS_ITEM_NAME, KDBUS_ITEM_POLICY_ACCESS, KDBUS_ITEM_CREDS, KDBUS_ITEM_PIDS,
      KDBUS_ITEM_SECLABEL, KDBUS_ITEM_CONN_DESCRIPTION}},
    {KDBUS_CMD_UPDATE,
     3,
     0,
     {KDBUS_ITEM_ATTACH_FLAGS_SEND, KDBUS_ITEM_ATTACH_FLAGS_RECV, KDBUS_ITEM_NAME,
      KDBUS_ITEM_POLICY_ACCESS}},
    {KDBUS_CMD_BYEBYE, 3, 0, {}},
    {KDBUS_CMD_FREE, 4, 0, {}},
    {KDBUS_CMD_CONN_INFO, 7, 0, {KDBUS_ITEM_NAME}},
    {KDBUS_CMD_BUS_CREATOR_INFO, 7, 0, {}},
    {KDBUS_CMD_LIST, 5, 0xf, {}},
    {KDBUS_CMD_SEND, 7, 1, {KDBUS_ITEM_CANCEL_FD}},
    {KDBUS_CMD_RECV, 8, 7, {}},
    {KDBUS_CMD_NAME_ACQUIRE, 3, 7, {KDBUS_ITEM_NAME}},
    {KDBUS_CMD_NAME_RELEASE, 3, 0, {KDBUS_ITEM_NAME}},
    {KDBUS_CMD_MATCH_ADD,
     4,
     1,
     {KDBUS_ITEM_BLOOM_MASK, KDBUS_ITEM_NAME, KDBUS_ITEM_ID, KDBUS_ITEM_DST_ID,
      KDBUS_ITEM_NAME_CHANGE, KDBUS_ITEM_ID_ADD, KDBUS_ITEM_ID_REMOVE}},
    {KDBUS_CMD_MATCH_REMOVE, 4, 0, {}},
};

constexpr u64 all_items[] = {KDBUS_ITEM_NEGOTIATE,
                             KDBUS_ITEM_PAYLOAD_VEC,
                             KDBUS_ITEM_PAYLOAD_OFF,
                             KDBUS_ITEM_PAYLOAD_MEMFD,
                             KDBUS_ITEM_FDS,
                             KDBUS_ITEM_CANCEL_FD,
                             KDBUS_ITEM_BLOOM_PARAMETER,
                             KDBUS_ITEM_BLOOM_FILTER,
                             KDBUS_ITEM_BLOOM_MASK,
                             KDBUS_ITEM_DST_NAME,
                             KDBUS_ITEM_MAKE_NAME,
                             KDBUS_ITEM_ATTACH_FLAGS_SEND,
                             KDBUS_ITEM_ATTACH_FLAGS_RECV,
                             KDBUS_ITEM_ID,
                             KDBUS_ITEM_NAME,
                             KDBUS_ITEM_DST_ID,
                             KDBUS_ITEM_TIMESTAMP,
                             KDBUS_ITEM_CREDS,
                             KDBUS_ITEM_PIDS,
                             KDBUS_ITEM_AUXGROUPS,
                             KDBUS_ITEM_OWNED_NAME,
                             KDBUS_ITEM_SECLABEL,
                             KDBUS_ITEM_CONN_DESCRIPTION,
                             KDBUS_ITEM_POLICY_ACCESS,
                             KDBUS_ITEM_NAME_ADD,
                             KDBUS_ITEM_NAME_REMOVE,
                             KDBUS_ITEM_NAME_CHANGE,
                             KDBUS_ITEM_ID_ADD,
                             KDBUS_ITEM_ID_REMOVE,
                             KDBUS_ITEM_REPLY_TIMEOUT,
                             KDBUS_ITEM_REPLY_DEAD};

constexpr u64 message_items[] = {KDBUS_ITEM_PAYLOAD_VEC,   KDBUS_ITEM_PAYLOAD_VEC,
                                 KDBUS_ITEM_PAYLOAD_MEMFD, KDBUS_ITEM_FDS,
                                 KDBUS_ITEM_BLOOM_FILTER,  KDBUS_ITEM_DST_NAME};

constexpr std::string_view names[] = {"a.b", "a.b.c", "x.y", "x.y", "a.b.*", "org.z-1.q"};
constexpr std::string_view odd_names[] = {"",      "a",   ".a.b", "a..b", "a.b.",        "*",
                                          "a.*.b", "0.b", "bus",  "0-x",  "0-fuzz-more", "7-x",
                                          "a b.c", "0-"};

constexpr std::size_t most_ops = 24;
constexpr std::size_t most_words = 32768 / 8 + 16;

Word literal(u64 value) {
    return {value, Symbol::literal};
}

Word symbol(Symbol kind, u64 value) {
    return {value, kind};
}

// The words of the block at which an item begins, as far as sizes can be followed.
std::vector<std::size_t> item_starts(const Block& block, std::size_t fixed) {
    std::vector<std::size_t> starts;
    for (std::size_t at = fixed; at + 1 < block.size();) {
        if (block[at].symbol != Symbol::literal || block[at].value < 16 ||
            block[at].value > 8 * (block.size() - at))
            break;
        starts.push_back(at);
        at += (block[at].value + 7) / 8;
    }
    return starts;
}

std::size_t fixed_words(u32 number) {
    for (const Shape& shape : shapes)
        if (shape.number == number)
            return shape.fixed;
    return 3;
}

} // namespace

u64 Generator::interesting() {
    static constexpr u64 values[] = {0,
                                     1,
                                     2,
                                     7,
                                     8,
                                     15,
                                     16,
                                     17,
                                     23,
                                     24,
                                     31,
                                     32,
                                     63,
                                     64,
                                     4095,
                                     4096,
                                     4097,
                                     8192,
                                     32767,
                                     32768,
                                     32769,
                                     1 << 20,
                                     2097152,
                                     2097153,
                                     0x7fffffff,
                                     0x80000000,
                                     0xffffffff,
                                     0x100000000,
                                     0x7fffffffffffffff,
                                     0x8000000000000000,
                                     0xfffffffffffffff0,
                                     0xfffffffffffffff8,
                                     0xffffffffffffffff,
                                     KDBUS_FLAG_NEGOTIATE,
                                     KDBUS_PAYLOAD_DBUS};
    switch (below(4)) {
    case 0:
        return random_();
    case 1:
        return u64{1} << below(64);
    default:
        return pick(values);
    }
}

u64 Generator::attach_flags() {
    switch (below(4)) {
    case 0:
        return 0;
    case 1:
        return ~u64{0};
    case 2:
        return one_in(8) ? interesting() : 0x3fff;
    default:
        return random_() & 0x3fff;
    }
}

Word Generator::file() {
    return symbol(Symbol::file, below(32));
}

Word Generator::memory() {
    return symbol(Symbol::memory, below(8) << 32 | (one_in(3) ? below(5000) : 0));
}

u8 Generator::used_slot(const Program& program) {
    std::vector<u8> used;
    for (const Op& op : program)
        if (op.action == Action::open)
            used.push_back(op.slot);
    return used.empty() || one_in(25) ? slot() : used[below(used.size())];
}

void Generator::item(Block& block, u64 type, const Block& payload, u64 size) {
    if (block.size() + 2 + payload.size() > most_words)
        return;
    block.push_back(literal(16 + size));
    block.push_back(literal(type));
    block.insert(block.end(), payload.begin(), payload.end());
}

void Generator::item(Block& block, u64 type, std::initializer_list<Word> payload) {
    item(block, type, Block(payload), 8 * payload.size());
}

void Generator::text_item(Block& block, u64 type, std::string_view text) {
    Block payload((text.size() + 1 + 7) / 8);
    for (std::size_t i = 0; i < text.size(); i++)
        payload[i / 8].value |= static_cast<u64>(static_cast<u8>(text[i])) << i % 8 * 8;
    item(block, type, payload, text.size() + 1);
}

// An item that is mostly as it should be.
void Generator::add_item(Block& block, u64 type) {
    switch (type) {
    case KDBUS_ITEM_NEGOTIATE:
        return item(block, type, {literal(pick(all_items)), literal(interesting())});
    case KDBUS_ITEM_PAYLOAD_VEC: {
        const u64 size = one_in(6) ? interesting() : below(one_in(4) ? 70'000 : 300) + 1;
        return item(block, type, {literal(size), one_in(6) ? literal(0) : memory()});
    }
    case KDBUS_ITEM_PAYLOAD_MEMFD: {
        const u64 start = one_in(4) ? interesting() : below(10);
        const u64 size = one_in(4) ? interesting() : below(4000) + 1;
        return item(
            block, type,
            {literal(start), literal(size), one_in(3) ? file() : symbol(Symbol::file, slots)});
    }
    case KDBUS_ITEM_FDS: {
        const u64 n = one_in(10) ? below(40) : below(3) + 1;
        Block payload;
        for (u64 i = 0; i < n; i += 2)
            payload.push_back(symbol(Symbol::files, below(32) | below(32) << 32));
        return item(block, type, payload, 4 * n);
    }
    case KDBUS_ITEM_CANCEL_FD: {
        Block payload{file()};
        return item(block, type, payload, 4);
    }
    case KDBUS_ITEM_BLOOM_PARAMETER:
        return item(block, type,
                    {literal(one_in(4) ? interesting() : 8 * (below(16) + 1)), literal(below(4))});
    case KDBUS_ITEM_BLOOM_FILTER:
    case KDBUS_ITEM_BLOOM_MASK: {
        Block payload;
        if (type == KDBUS_ITEM_BLOOM_FILTER)
            payload.push_back(literal(below(3)));
        for (u64 n = one_in(8) ? below(600) : one_in(3) ? 2 : 1; n > 0; n--)
            payload.push_back(literal(one_in(2) ? 0 : random_() & random_()));
        return item(block, type, payload, 8 * payload.size());
    }
    case KDBUS_ITEM_DST_NAME:
    case KDBUS_ITEM_NAME:
    case KDBUS_ITEM_SECLABEL:
        if (one_in(20))
            return text_item(block, type, std::string(below(300), 'n') + ".x");
        return text_item(block, type, one_in(12) ? pick(odd_names) : pick(names));
    case KDBUS_ITEM_MAKE_NAME:
    case KDBUS_ITEM_CONN_DESCRIPTION:
        if (one_in(6))
            return text_item(block, type, pick(odd_names));
        return text_item(block, type,
                         "0-" + std::string(below(3) ? 1 : below(70), 'a') +
                             std::to_string(below(3)));
    case KDBUS_ITEM_ATTACH_FLAGS_SEND:
    case KDBUS_ITEM_ATTACH_FLAGS_RECV:
        return item(block, type, {literal(attach_flags())});
    case KDBUS_ITEM_ID:
    case KDBUS_ITEM_DST_ID:
        return item(block, type, {one_in(3) ? literal(interesting()) : symbol(Symbol::id, slot())});
    case KDBUS_ITEM_CREDS: {
        Block payload(8);
        for (Word& word : payload)
            word.value = one_in(8) ? interesting() : one_in(3) ? 0xffffffff : below(3) * 1000;
        return item(block, type, payload, 64);
    }
    case KDBUS_ITEM_PIDS:
        return item(block, type,
                    {literal(below(3)), literal(one_in(3) ? interesting() : 1), literal(0)});
    case KDBUS_ITEM_POLICY_ACCESS:
        return item(block, type,
                    {literal(below(one_in(4) ? 6 : 4)), literal(below(one_in(4) ? 6 : 3)),
                     literal(one_in(4) ? interesting() : below(3) * 1000)});
    case KDBUS_ITEM_NAME_ADD:
    case KDBUS_ITEM_NAME_REMOVE:
    case KDBUS_ITEM_NAME_CHANGE: {
        Block ids{symbol(Symbol::id, slot()), literal(below(64)), literal(~u64{0}), literal(0)};
        if (one_in(2))
            ids[0] = literal(~u64{0});
        Block whole;
        text_item(whole, type, one_in(3) ? "" : pick(names));
        const u64 text_size = whole[0].value - 16;
        ids.insert(ids.end(), whole.begin() + 2, whole.end());
        return item(block, type + (type == KDBUS_ITEM_NAME_CHANGE ? 0 : below(2)), ids,
                    one_in(4) ? 32 : 32 + text_size);
    }
    case KDBUS_ITEM_ID_ADD:
    case KDBUS_ITEM_ID_REMOVE:
        return item(block, type,
                    {one_in(2) ? literal(~u64{0}) : symbol(Symbol::id, slot()), literal(below(2))});
    default:
        return item(block, type, {literal(interesting()), literal(random_())});
    }
}

void Generator::add_items(Block& block, std::span<const u64> types, unsigned most) {
    for (u64 n = below(most + 1); n > 0; n--)
        add_item(block, one_in(20) || types.empty() ? pick(all_items) : types[below(types.size())]);
}

u64 Generator::deadline() {
    return one_in(6) ? 0 : below(one_in(3) ? 60'000 : 3000);
}

void Generator::message(Op& op) {
    Block& m = op.message;
    const bool signal = one_in(4);
    const bool call = !signal && one_in(2);
    const bool by_name = one_in(4);
    u64 flags = (signal ? KDBUS_MSG_SIGNAL : 0) | (call ? KDBUS_MSG_EXPECT_REPLY : 0);
    if (one_in(10))
        flags |= KDBUS_MSG_NO_AUTO_START;
    if (one_in(30))
        flags = interesting();

    Word destination = symbol(one_in(3) ? Symbol::peer : Symbol::id, slot());
    if (signal && one_in(2))
        destination = literal(KDBUS_DST_ID_BROADCAST);
    else if (by_name && !one_in(4))
        destination = literal(0);
    Word last = literal(0);
    if (call)
        last = symbol(Symbol::now, deadline());
    else if (!signal && one_in(2)) {
        // A reply goes to who called.
        last = symbol(Symbol::cookie, op.slot);
        destination = symbol(Symbol::peer, op.slot);
    }
    const s64 priority = static_cast<s64>(below(5)) - 2;
    m = {literal(64),
         literal(flags),
         literal(static_cast<u64>(priority)),
         destination,
         literal(one_in(40) ? interesting() : 0),
         literal(KDBUS_PAYLOAD_DBUS),
         literal(below(6) + 1),
         last};
    if (signal)
        add_item(m, KDBUS_ITEM_BLOOM_FILTER);
    if (by_name)
        add_item(m, KDBUS_ITEM_DST_NAME);
    add_items(m, message_items, one_in(10) ? 20 : 3);
    m[0].value = 8 * m.size();
    if (call && one_in(2))
        op.command[1].value |= KDBUS_SEND_SYNC_REPLY;
}

void Generator::command(Op& op, u32 number) {
    const Shape* shape = std::find_if(std::begin(shapes), std::end(shapes),
                                      [&](const Shape& s) { return s.number == number; });
    op.number = number;
    op.command.assign(shape->fixed, Word{});
    Block& c = op.command;
    c[1].value = one_in(30) ? interesting() : random_() & random_() & shape->flags;
    c[2].value = random_();

    const auto end = std::find(shape->items.begin(), shape->items.end(), 0);
    const std::span<const u64> items(shape->items.begin(), end);
    switch (number) {
    case KDBUS_CMD_BUS_MAKE:
        add_item(c, KDBUS_ITEM_MAKE_NAME);
        add_item(c, KDBUS_ITEM_BLOOM_PARAMETER);
        break;
    case KDBUS_CMD_HELLO:
        c[1].value = one_in(3) ? below(16) : u64{KDBUS_HELLO_ACCEPT_FD};
        c[3].value = attach_flags();
        c[4].value = attach_flags();
        c[7].value = one_in(10) ? interesting() : 4096 * (one_in(4) ? below(4) + 1 : 256);
        if (c[1].value & (KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_POLICY_HOLDER)) {
            add_item(c, KDBUS_ITEM_NAME);
            add_item(c, KDBUS_ITEM_POLICY_ACCESS);
        }
        break;
    case KDBUS_CMD_FREE:
        c[3] = one_in(6) ? literal(interesting()) : symbol(Symbol::slice, op.slot);
        break;
    case KDBUS_CMD_CONN_INFO:
        c[3] = one_in(3) ? literal(0) : symbol(Symbol::id, slot());
        c[4].value = attach_flags();
        break;
    case KDBUS_CMD_BUS_CREATOR_INFO:
        c[4].value = attach_flags();
        break;
    case KDBUS_CMD_RECV:
        c[1].value = one_in(2) ? 0 : below(8);
        c[3].value = below(5) - 2;
        break;
    case KDBUS_CMD_SEND:
        c[3] = symbol(Symbol::message, 0);
        c[1].value = 0;
        break;
    case KDBUS_CMD_MATCH_ADD:
    case KDBUS_CMD_MATCH_REMOVE:
        c[3].value = below(4);
        break;
    case KDBUS_CMD_ENDPOINT_MAKE:
        add_item(c, KDBUS_ITEM_MAKE_NAME);
        break;
    case KDBUS_CMD_ENDPOINT_UPDATE:
    case KDBUS_CMD_NAME_ACQUIRE:
    case KDBUS_CMD_NAME_RELEASE:
        add_item(c, KDBUS_ITEM_NAME);
        break;
    }
    // What makes sense once was added; more of it mostly does not.
    if (number == KDBUS_CMD_MATCH_ADD || number == KDBUS_CMD_UPDATE ||
        number == KDBUS_CMD_ENDPOINT_UPDATE || number == KDBUS_CMD_HELLO || one_in(6))
        add_items(c, items, one_in(8) ? 8 : 2);
    if (one_in(40))
        add_item(c, KDBUS_ITEM_NEGOTIATE);
    if (one_in(40))
        c[1].value = KDBUS_FLAG_NEGOTIATE;
    c[0].value = 8 * c.size();
    if (number == KDBUS_CMD_SEND)
        message(op);
}

Op Generator::hello(u8 slot) {
    Op op{.slot = slot};
    command(op, KDBUS_CMD_HELLO);
    if (!one_in(4)) {
        op.command.resize(12);
        op.command[0].value = 96;
        op.command[1].value = KDBUS_HELLO_ACCEPT_FD;
        op.command[7].value = 1 << 20;
    }
    return op;
}

// Circumstances of an operation that are not its contents.
void Generator::odd(Op& op) {
    op.race = one_in(12);
    if (one_in(12))
        op.user = static_cast<u8>(1 + below(2));
    if (one_in(10))
        op.fail = static_cast<u16>(1 + below(one_in(3) ? 60 : 12));
    if (one_in(25))
        op.place = static_cast<Place>(below(static_cast<u64>(Place::count)));
    if (one_in(25))
        op.message_place = static_cast<Place>(below(static_cast<u64>(Place::count)));
}

Op Generator::any_op(const Program& program) {
    // The commands of everyday life more often than the rest.
    static constexpr u32 usual[] = {
        KDBUS_CMD_SEND,         KDBUS_CMD_SEND,      KDBUS_CMD_SEND,      KDBUS_CMD_SEND,
        KDBUS_CMD_RECV,         KDBUS_CMD_RECV,      KDBUS_CMD_RECV,      KDBUS_CMD_FREE,
        KDBUS_CMD_NAME_ACQUIRE, KDBUS_CMD_MATCH_ADD, KDBUS_CMD_CONN_INFO, KDBUS_CMD_LIST};
    Op op{.slot = used_slot(program)};
    switch (below(24)) {
    case 0:
        op.action = Action::open;
        op.slot = slot();
        op.argument = static_cast<u8>(random_());
        break;
    case 1:
        op.action = Action::close;
        break;
    case 2:
        op.action = Action::dup;
        op.argument = slot();
        break;
    case 3:
        op.action = Action::map;
        op.argument = static_cast<u8>(random_());
        break;
    case 4:
        op.action = Action::poll;
        break;
    case 5:
        op.action = Action::scribble;
        op.race = true;
        op.argument = static_cast<u8>(random_());
        return op;
    case 6:
        if (one_in(4)) {
            op.action = Action::fork;
            op.argument = static_cast<u8>(random_());
        }
        [[fallthrough]];
    default:
        command(op, one_in(3) ? pick(shapes).number : pick(usual));
        if (op.slot < first_slot) {
            // Owners are the environment's; few commands are for them.
            op.slot = endpoint_slot;
            command(op, KDBUS_CMD_ENDPOINT_UPDATE);
        }
        if (one_in(100))
            op.number = static_cast<u32>(random_());
    }
    odd(op);
    return op;
}

Program Generator::generate() {
    Program program;
    for (u64 n = below(3) + 1; n > 0; n--) {
        const u8 at = static_cast<u8>(first_slot + below(slots - first_slot));
        const u8 node = one_in(6) ? 2 : one_in(20) ? 0 : 1;
        program.push_back({.action = Action::open, .slot = at, .argument = node});
        if (one_in(8))
            program.back().user = static_cast<u8>(1 + below(2));
        program.push_back(hello(at));
    }
    for (u64 n = below(12) + 1; n > 0; n--)
        program.push_back(any_op(program));
    return program;
}

void Generator::mutate_block(Block& block) {
    if (block.empty())
        return;
    Word& word = block[below(block.size())];
    switch (below(10)) {
    case 0:
        word = literal(interesting());
        break;
    case 1:
        word.value ^= u64{1} << below(64);
        break;
    case 2:
        word.value += below(17) - 8;
        break;
    case 3:
        word = {one_in(2) ? below(32) : word.value,
                static_cast<Symbol>(below(static_cast<u64>(Symbol::count)))};
        break;
    case 4: // the size, at which everything hangs
        block[0].value = one_in(2) ? interesting() : block[0].value + below(33) - 16;
        break;
    case 5:
        block.resize(std::min<std::size_t>(most_words, below(block.size()) + 1));
        break;
    case 6:
    case 7: {
        add_item(block, pick(all_items));
        block[0].value = 8 * block.size();
        break;
    }
    case 8: { // many of the same
        const Block copy(block.begin() + static_cast<std::ptrdiff_t>(below(block.size())),
                         block.end());
        for (u64 n = below(4) + 1; n > 0 && block.size() + copy.size() < most_words; n--)
            block.insert(block.end(), copy.begin(), copy.end());
        block[0].value = 8 * block.size();
        break;
    }
    default:
        block.erase(block.begin() + static_cast<std::ptrdiff_t>(below(block.size())));
        if (!block.empty() && one_in(2))
            block[0].value = 8 * block.size();
    }
    if (block.size() > most_words)
        block.resize(most_words);
}

void Generator::mutate_op(Op& op) {
    switch (below(8)) {
    case 0:
        op.slot = slot();
        break;
    case 1:
        odd(op);
        break;
    case 2:
        op.argument = static_cast<u8>(random_());
        break;
    case 3:
        if (op.action == Action::ioctl || op.action == Action::fork) {
            // An item less, or one that changed its type.
            Block& block = op.message.empty() || one_in(2) ? op.command : op.message;
            const auto starts =
                item_starts(block, &block == &op.message ? 8 : fixed_words(op.number));
            if (starts.empty())
                break;
            const std::size_t at = starts[below(starts.size())];
            if (one_in(2)) {
                block[at + 1] = literal(pick(all_items));
                break;
            }
            const auto first = block.begin() + static_cast<std::ptrdiff_t>(at);
            const auto n = static_cast<std::ptrdiff_t>((block[at].value + 7) / 8);
            block.erase(first, first + n);
            block[0].value = 8 * block.size();
        }
        break;
    case 4:
        if (op.action == Action::ioctl && one_in(4))
            command(op, pick(shapes).number);
        break;
    default:
        mutate_block(op.message.empty() || one_in(3) ? op.command : op.message);
    }
}

Program Generator::mutate(const Program& program, const Program& other) {
    Program result = program;
    for (u64 n = one_in(3) ? below(6) + 1 : 1; n > 0; n--) {
        if (result.empty())
            return generate();
        const auto at = result.begin() + static_cast<std::ptrdiff_t>(below(result.size()));
        switch (below(10)) {
        case 0:
            result.erase(at);
            break;
        case 1: {
            const Op copy = *at;
            result.insert(at, copy);
            break;
        }
        case 2:
            std::swap(*at, result[below(result.size())]);
            break;
        case 3: { // the end of another program
            const std::size_t from = other.empty() ? 0 : below(other.size());
            result.insert(result.end(), other.begin() + static_cast<std::ptrdiff_t>(from),
                          other.end());
            break;
        }
        case 4:
        case 5:
            result.insert(at + one_in(2), any_op(result));
            break;
        default:
            mutate_op(*at);
        }
    }
    if (result.size() > most_ops)
        result.resize(most_ops);
    return result;
}

std::optional<Program> Generator::fulfil(const Program& program, const Comparison& comparison) {
    Program result = program;
    std::vector<Word*> words;
    for (Op& op : result)
        for (Block* block : {&op.command, &op.message})
            for (Word& word : *block)
                if (word.symbol == Symbol::literal && word.value == comparison.value)
                    words.push_back(&word);
    if (words.empty())
        return std::nullopt;
    words[below(words.size())]->value = comparison.constant + below(3) - 1;
    return result;
}

} // namespace fuzz
