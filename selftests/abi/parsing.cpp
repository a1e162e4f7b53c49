// SPDX-License-Identifier: LGPL-2.1-or-later
// abi.md 3.4 (content rules) and 4 (general command rules), for every command on offer and for
// the message of SEND.
#include "support.hpp"

#include <atomic>

using namespace test;

namespace {

constexpr u64 poison = 0xdeadbeefdeadbeef;
constexpr u64 negotiate = KDBUS_FLAG_NEGOTIATE;

const std::vector<u64> known_types = {
    0x1,    0x2,    0x3,    0x4,    0x5,    0x6,    0x7,    0x8,    0x9,    0xa,
    0xb,    0xc,    0xd,    0xe,    0xf,    0x10,   0x1000, 0x1001, 0x1002, 0x1003,
    0x1004, 0x1005, 0x1006, 0x1007, 0x1008, 0x1009, 0x100a, 0x100b, 0x100c, 0x100d,
    0x2000, 0x8000, 0x8001, 0x8002, 0x8003, 0x8004, 0x8005, 0x8006,
};
const std::vector<u64> unknown_types = {
    0,        0x11,   0xfff,  0x100e,           0x1fff,
    0x2001,   0x7fff, 0x8007, u64{1} << 32 | 1, u64{1} << 63 | 1,
    all_ones,
};

enum Where { ControlNode, EndpointNode, EndpointOwner, OnConnection };

struct Spec {
    const char* name;
    unsigned long number;
    std::size_t fixed;
    u64 flags;
    Where where;
    std::vector<u64> single;
    std::vector<u64> repeated;

    std::vector<u64> accepted() const {
        std::vector<u64> all = single;
        all.insert(all.end(), repeated.begin(), repeated.end());
        return all;
    }
};

const std::vector<Spec> specs = {
    {"BUS_MAKE",
     KDBUS_CMD_BUS_MAKE,
     24,
     0x3 | KDBUS_MAKE_ALLOW_UNIX_FDS,
     ControlNode,
     {KDBUS_ITEM_NEGOTIATE, KDBUS_ITEM_MAKE_NAME, KDBUS_ITEM_BLOOM_PARAMETER,
      KDBUS_ITEM_ATTACH_FLAGS_SEND},
     {}},
    {"ENDPOINT_MAKE",
     KDBUS_CMD_ENDPOINT_MAKE,
     24,
     0x3,
     EndpointNode,
     {KDBUS_ITEM_NEGOTIATE, KDBUS_ITEM_MAKE_NAME},
     {}},
    {"ENDPOINT_UPDATE",
     KDBUS_CMD_ENDPOINT_UPDATE,
     24,
     0,
     EndpointOwner,
     {KDBUS_ITEM_NEGOTIATE},
     {KDBUS_ITEM_NAME, KDBUS_ITEM_POLICY_ACCESS}},
    {"UPDATE",
     KDBUS_CMD_UPDATE,
     24,
     0,
     OnConnection,
     {KDBUS_ITEM_NEGOTIATE, KDBUS_ITEM_ATTACH_FLAGS_SEND, KDBUS_ITEM_ATTACH_FLAGS_RECV},
     {KDBUS_ITEM_NAME, KDBUS_ITEM_POLICY_ACCESS}},
    {"HELLO",
     KDBUS_CMD_HELLO,
     96,
     0xf,
     EndpointNode,
     {KDBUS_ITEM_NEGOTIATE, KDBUS_ITEM_NAME, KDBUS_ITEM_CREDS, KDBUS_ITEM_PIDS, KDBUS_ITEM_SECLABEL,
      KDBUS_ITEM_CONN_DESCRIPTION},
     {KDBUS_ITEM_POLICY_ACCESS}},
    {"BYEBYE", KDBUS_CMD_BYEBYE, 24, 0, OnConnection, {KDBUS_ITEM_NEGOTIATE}, {}},
    {"FREE", KDBUS_CMD_FREE, 32, 0, OnConnection, {KDBUS_ITEM_NEGOTIATE}, {}},
    {"CONN_INFO",
     KDBUS_CMD_CONN_INFO,
     56,
     0,
     OnConnection,
     {KDBUS_ITEM_NEGOTIATE, KDBUS_ITEM_NAME},
     {}},
    {"BUS_CREATOR_INFO",
     KDBUS_CMD_BUS_CREATOR_INFO,
     56,
     0,
     OnConnection,
     {KDBUS_ITEM_NEGOTIATE},
     {}},
    {"LIST", KDBUS_CMD_LIST, 40, 0xf, OnConnection, {KDBUS_ITEM_NEGOTIATE}, {}},
    {"SEND",
     KDBUS_CMD_SEND,
     56,
     0x1,
     OnConnection,
     {KDBUS_ITEM_NEGOTIATE, KDBUS_ITEM_CANCEL_FD},
     {}},
    {"RECV", KDBUS_CMD_RECV, 64, 0x7, OnConnection, {KDBUS_ITEM_NEGOTIATE}, {}},
    {"NAME_ACQUIRE",
     KDBUS_CMD_NAME_ACQUIRE,
     24,
     0x7,
     OnConnection,
     {KDBUS_ITEM_NEGOTIATE, KDBUS_ITEM_NAME},
     {}},
    {"NAME_RELEASE",
     KDBUS_CMD_NAME_RELEASE,
     24,
     0,
     OnConnection,
     {KDBUS_ITEM_NEGOTIATE, KDBUS_ITEM_NAME},
     {}},
    {"MATCH_ADD",
     KDBUS_CMD_MATCH_ADD,
     32,
     0x1,
     OnConnection,
     {KDBUS_ITEM_NEGOTIATE},
     {KDBUS_ITEM_BLOOM_MASK, KDBUS_ITEM_NAME, KDBUS_ITEM_ID, KDBUS_ITEM_DST_ID, KDBUS_ITEM_NAME_ADD,
      KDBUS_ITEM_NAME_REMOVE, KDBUS_ITEM_NAME_CHANGE, KDBUS_ITEM_ID_ADD, KDBUS_ITEM_ID_REMOVE}},
    {"MATCH_REMOVE", KDBUS_CMD_MATCH_REMOVE, 32, 0, OnConnection, {KDBUS_ITEM_NEGOTIATE}, {}},
};

const Spec& spec_of(unsigned long number) {
    return *std::find_if(specs.begin(), specs.end(),
                         [&](const Spec& s) { return s.number == number; });
}

// The item chain of SEND's message.
const Spec message_spec = {
    "message",
    0,
    64,
    0x7,
    OnConnection,
    {KDBUS_ITEM_NEGOTIATE, KDBUS_ITEM_FDS, KDBUS_ITEM_BLOOM_FILTER, KDBUS_ITEM_DST_NAME},
    {KDBUS_ITEM_PAYLOAD_VEC, KDBUS_ITEM_PAYLOAD_MEMFD}};

// The payload of an item whose content is right.
Bytes valid_payload(u64 type) {
    auto of_words = [](std::vector<u64> words) {
        Bytes bytes(words.size() * 8);
        std::memcpy(bytes.data(), words.data(), bytes.size());
        return bytes;
    };
    auto text = [](std::string_view s) {
        Bytes bytes(s.begin(), s.end());
        bytes.push_back(0);
        return bytes;
    };
    switch (type) {
    case KDBUS_ITEM_NEGOTIATE:
        return of_words({KDBUS_ITEM_NEGOTIATE});
    case KDBUS_ITEM_PAYLOAD_VEC:
    case KDBUS_ITEM_PAYLOAD_OFF:
    case KDBUS_ITEM_BLOOM_PARAMETER:
        return of_words({8, 1});
    case KDBUS_ITEM_PAYLOAD_MEMFD:
    case KDBUS_ITEM_PIDS:
    case KDBUS_ITEM_POLICY_ACCESS:
    case KDBUS_ITEM_TIMESTAMP:
        return of_words({1, 1, 1});
    case KDBUS_ITEM_CANCEL_FD:
    case KDBUS_ITEM_FDS:
        return {0, 0, 0, 0};
    case KDBUS_ITEM_BLOOM_FILTER:
    case KDBUS_ITEM_ID_ADD:
    case KDBUS_ITEM_ID_REMOVE:
        return of_words({0, 0});
    case KDBUS_ITEM_CREDS:
        return of_words({0, 0, 0, 0, 0, 0, 0, 0});
    case KDBUS_ITEM_DST_NAME:
    case KDBUS_ITEM_NAME:
        return text("a.b");
    case KDBUS_ITEM_MAKE_NAME:
    case KDBUS_ITEM_SECLABEL:
    case KDBUS_ITEM_CONN_DESCRIPTION:
        return text("0-abc");
    case KDBUS_ITEM_NAME_ADD:
    case KDBUS_ITEM_NAME_REMOVE:
    case KDBUS_ITEM_NAME_CHANGE:
        return of_words({0, 0, 0, 0});
    case KDBUS_ITEM_REPLY_TIMEOUT:
    case KDBUS_ITEM_REPLY_DEAD:
        return {};
    default:
        return of_words({0});
    }
}

// A raw command: the fixed part zero but for size, return_flags poisoned, and items appended.
class Raw {
public:
    explicit Raw(const Spec& spec) : fixed_(spec.fixed), words_(spec.fixed / 8) {
        words_.reserve(8192);
        words_[0] = spec.fixed;
        if (spec.number != 0)
            words_[2] = poison;
    }
    Raw& flags(u64 value) {
        words_[1] = value;
        return *this;
    }
    Raw& size(u64 value) {
        words_[0] = value;
        return *this;
    }
    // An item whose header says `declared`, or the real size.
    Raw& item(u64 type, const Bytes& payload, std::optional<u64> declared = {}) {
        const std::size_t at = words_.size();
        words_.resize(at + 2 + align8(payload.size()) / 8);
        words_[at] = declared.value_or(16 + payload.size());
        words_[at + 1] = type;
        if (!payload.empty())
            std::memcpy(&words_[at + 2], payload.data(), payload.size());
        words_[0] = at * 8 + 16 + payload.size();
        return *this;
    }
    Raw& item(u64 type) { return item(type, valid_payload(type)); }
    // `n` more bytes that belong to no item.
    Raw& leftover(std::size_t n, u64 value = 0) {
        const std::size_t end = align8(words_[0]) + n;
        const std::size_t old = words_.size();
        words_.resize(align8(end) / 8);
        for (std::size_t i = old; i < words_.size(); i++)
            words_[i] = value;
        words_[0] = end;
        return *this;
    }
    Raw& pad(std::size_t n) {
        words_[0] += n;
        return *this;
    }
    u64& word(std::size_t i) { return words_.at(i); }
    std::uint8_t* bytes() { return reinterpret_cast<std::uint8_t*>(words_.data()); }
    void* address() { return words_.data(); }
    std::size_t stored() const { return words_.size() * 8; }
    u64 return_flags() const { return words_[2]; }
    std::size_t fixed() const { return fixed_; }

private:
    std::size_t fixed_;
    std::vector<u64> words_;
};

// Handles on which each command is allowed.
struct Handles {
    Bus bus;
    Fd control = open_control();
    Fd endpoint = bus.open();
    Fd owner = make_endpoint();
    Connection connection = bus.connect({.flags = KDBUS_HELLO_ACCEPT_FD});

    Fd make_endpoint() const {
        Fd fd = bus.open();
        Plain make;
        make.text(KDBUS_ITEM_MAKE_NAME, std::to_string(geteuid()) + "-custom");
        must(command(fd.get(), KDBUS_CMD_ENDPOINT_MAKE, make.address()) == 0, "ENDPOINT_MAKE");
        return fd;
    }
    int fd(const Spec& spec) const {
        switch (spec.where) {
        case ControlNode:
            return control.get();
        case EndpointNode:
            return endpoint.get();
        case EndpointOwner:
            return owner.get();
        default:
            return connection.fd();
        }
    }
    int run(const Spec& spec, void* argument) const {
        return command(fd(spec), spec.number, argument);
    }
    int run(const Spec& spec, Raw& raw) const { return run(spec, raw.address()); }

    // The message as part of a negotiating SEND.
    int run_message(void* message, u64 flags = negotiate, u64* return_flags = nullptr) const {
        Command<kdbus_cmd_send> c;
        c->flags = flags;
        c->return_flags = poison;
        c->msg_address = address_of(message);
        const int error = connection.run(KDBUS_CMD_SEND, c.address());
        if (return_flags)
            *return_flags = c->return_flags;
        return error;
    }
};

// Runs `check` for each command, with run(raw) doing that command, and for the message of SEND.
template <class F>
void for_each_block(const Handles& h, F check) {
    for (const Spec& spec : specs) {
        INFO(spec.name);
        check(spec, [&](void* p) { return h.run(spec, p); });
    }
    INFO("message of SEND");
    check(message_spec, [&](void* p) { return h.run_message(p); });
}

} // namespace

TEST_CASE("abi 3.2 ioctl numbers") {
    CHECK(KDBUS_CMD_BUS_MAKE == 0x40189500);
    CHECK(KDBUS_CMD_ENDPOINT_MAKE == 0x40189510);
    CHECK(KDBUS_CMD_ENDPOINT_UPDATE == 0x40189511);
    CHECK(KDBUS_CMD_HELLO == 0xc0609580);
    CHECK(KDBUS_CMD_UPDATE == 0x40189581);
    CHECK(KDBUS_CMD_BUS_CREATOR_INFO == 0x80389585);
    CHECK(KDBUS_CMD_BYEBYE == 0x40189582);
    CHECK(KDBUS_CMD_FREE == 0x40209583);
    CHECK(KDBUS_CMD_CONN_INFO == 0x80389584);
    CHECK(KDBUS_CMD_LIST == 0x80289586);
    CHECK(KDBUS_CMD_SEND == 0x40389590);
    CHECK(KDBUS_CMD_RECV == 0x80409591);
    CHECK(KDBUS_CMD_NAME_ACQUIRE == 0x401895a0);
    CHECK(KDBUS_CMD_NAME_RELEASE == 0x401895a1);
    CHECK(KDBUS_CMD_MATCH_ADD == 0x402095b0);
    CHECK(KDBUS_CMD_MATCH_REMOVE == 0x402095b1);
}

TEST_CASE("abi 4.1/4-5 unaligned and unreadable addresses are EFAULT") {
    Handles h;
    std::vector<u64> memory(8192, 0);
    auto* base = reinterpret_cast<std::uint8_t*>(memory.data());
    void* nowhere = mmap(nullptr, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(nowhere != MAP_FAILED);
    for_each_block(h, [&](const Spec& spec, auto run) {
        // A message at address 0 belongs to a probe of the command alone.
        if (spec.number != 0)
            CHECK(run(nullptr) == EFAULT);
        CHECK(run(nowhere) == EFAULT);
        CHECK(run(reinterpret_cast<void*>(u64{8})) == EFAULT);
        if (sizeof(void*) == 8)
            CHECK(run(reinterpret_cast<void*>(u64{0xffff888000000000})) == EFAULT);
        CHECK(run(reinterpret_cast<void*>(all_ones - 7)) == EFAULT);
        for (int shift = 1; shift < 8; shift++) {
            // Alignment precedes the size: all sizes found there are wrong.
            CAPTURE(shift);
            CHECK(run(base + shift) == EFAULT);
        }
    });
    munmap(nowhere, page);
    CHECK(h.run_message(nullptr, 0) == EFAULT);
}

TEST_CASE("abi 4.1/5 a first word that ends at an unreadable page") {
    Handles h;
    GuardedPages pages(1);
    for_each_block(h, [&](const Spec&, auto run) {
        // size is readable: too small, too large, right but the rest is missing.
        const u64 small = 8, large = 32769, right = 96;
        CHECK(run(pages.place(&small, 8)) == EINVAL);
        CHECK(run(pages.place(&large, 8)) == EMSGSIZE);
        CHECK(run(pages.place(&right, 8)) == EFAULT);
    });
}

TEST_CASE("abi 4.1/6 size below the fixed part is EINVAL") {
    Handles h;
    for_each_block(h, [&](const Spec& spec, auto run) {
        for (u64 size :
             {u64{0}, u64{1}, u64{8}, u64{16}, u64{23}, u64{spec.fixed - 8}, u64{spec.fixed - 1}}) {
            CAPTURE(size);
            Raw raw(spec);
            raw.flags(u64{1} << 40).size(size);
            CHECK(run(raw.address()) == EINVAL);
            if (spec.number != 0)
                CHECK(raw.return_flags() == poison);
        }
    });
}

TEST_CASE("abi 4.1/7 size above 32768 is EMSGSIZE") {
    Handles h;
    for_each_block(h, [&](const Spec& spec, auto run) {
        for (u64 size : {u64{32769}, u64{32776}, u64{65536}, u64{1} << 31, u64{1} << 32,
                         (u64{1} << 32) + spec.fixed, u64{1} << 63, all_ones - 7, all_ones}) {
            CAPTURE(size);
            Raw raw(spec);
            raw.flags(u64{1} << 40).size(size);
            CHECK(run(raw.address()) == EMSGSIZE);
            if (spec.number != 0)
                CHECK(raw.return_flags() == poison);
        }
    });
}

TEST_CASE("abi 4.1/7 size 32768 is accepted, 8192 is no limit") {
    Handles h;
    for_each_block(h, [&](const Spec& spec, auto run) {
        for (std::size_t size : {8200, 32768}) {
            CAPTURE(size);
            Raw raw(spec);
            raw.flags(negotiate);
            raw.item(KDBUS_ITEM_NEGOTIATE, Bytes(size - spec.fixed - 16));
            CHECK(raw.word(0) == size);
            CHECK(run(raw.address()) == 0);
            CHECK(raw.word(1) == spec.flags);
        }
    });
}

TEST_CASE("abi 4.1/8 exactly size bytes are read") {
    Handles h;
    GuardedPages pages(1);
    for_each_block(h, [&](const Spec& spec, auto run) {
        Raw raw(spec);
        raw.flags(negotiate);
        void* at = pages.place(raw.address(), spec.fixed);
        CHECK(run(at) == 0);
        // One byte more than there is, before flags and items are looked at.
        Raw longer(spec);
        longer.flags(u64{1} << 40).size(spec.fixed + 8);
        at = pages.place(longer.address(), spec.fixed);
        CHECK(run(at) == EFAULT);
        if (spec.number != 0)
            CHECK(static_cast<u64*>(at)[2] == poison);
        longer.size(32768);
        CHECK(run(pages.place(longer.address(), spec.fixed)) == EFAULT);
    });
}

TEST_CASE("abi 4.1/9 a size that changes between the reads is never misread") {
    Handles h;
    const Spec& spec = spec_of(KDBUS_CMD_FREE);
    alignas(8) u64 words[6] = {spec.fixed, 0, 0, 0, 16, 0};
    words[3] = h.connection.pool_size();
    std::atomic<bool> stop = false;
    std::thread flipper([&] {
        auto* size = reinterpret_cast<volatile u64*>(&words[0]);
        while (!stop) {
            *size = 48; // then the item of type 0 makes it EINVAL
            *size = 24;
            *size = 32;
            *size = 32769;
        }
    });
    int seen[4] = {};
    for (int i = 0; i < 20000; i++) {
        const int error = command(h.fd(spec), spec.number, words);
        seen[error == 0 ? 0 : error == EINVAL ? 1 : error == EMSGSIZE ? 2 : 3]++;
    }
    stop = true;
    flipper.join();
    CHECK(seen[3] == 0);
}

TEST_CASE("abi 4.1/10 unknown flag bits are EINVAL and return_flags 0") {
    Handles h;
    for_each_block(h, [&](const Spec& spec, auto run) {
        for (int bit = 0; bit < 63; bit++) {
            if (spec.flags >> bit & 1)
                continue;
            CAPTURE(bit);
            Raw raw(spec);
            raw.flags(u64{1} << bit);
            CHECK(run(raw.address()) == EINVAL);
            if (spec.number != 0)
                CHECK(raw.return_flags() == 0);
            Raw probe(spec);
            probe.flags(u64{1} << bit | negotiate);
            CHECK(run(probe.address()) == EINVAL);
            CHECK(probe.word(1) == (u64{1} << bit | negotiate));
        }
    });
}

TEST_CASE("abi 4.1/11 bounds of items") {
    Handles h;
    for_each_block(h, [&](const Spec& spec, auto run) {
        auto check = [&](Raw& raw) {
            raw.flags(negotiate);
            CHECK(run(raw.address()) == EINVAL);
            if (spec.number != 0)
                CHECK(raw.return_flags() == 0);
        };
        for (u64 declared :
             {u64{0}, u64{1}, u64{8}, u64{15}, u64{25}, u64{32}, u64{1} << 31, u64{1} << 32,
              (u64{1} << 32) + 24, u64{1} << 63, all_ones - 15, all_ones - 7, all_ones}) {
            CAPTURE(declared);
            Raw raw(spec);
            raw.item(KDBUS_ITEM_NEGOTIATE, Bytes(8), declared);
            check(raw);
        }
        // Behind a good item.
        for (u64 declared : {u64{0}, u64{15}, u64{32}, all_ones - 30, all_ones}) {
            CAPTURE(declared);
            Raw raw(spec);
            raw.item(KDBUS_ITEM_NEGOTIATE, Bytes(8)).item(spec.accepted().back(), {}, declared);
            check(raw);
        }
    });
}

TEST_CASE("abi 4.3 leftover bytes that form no item are EINVAL") {
    Handles h;
    for_each_block(h, [&](const Spec& spec, auto run) {
        for (u64 value : {u64{0}, u64{8}, u64{16}, all_ones}) {
            for (std::size_t n = 1; n < 16; n++) {
                CAPTURE(value, n);
                Raw bare(spec);
                bare.leftover(n, value).flags(negotiate);
                CHECK(run(bare.address()) == EINVAL);
                Raw behind(spec);
                behind.item(KDBUS_ITEM_NEGOTIATE).leftover(n, value).flags(negotiate);
                CHECK(run(behind.address()) == EINVAL);
            }
        }
    });
}

TEST_CASE("abi 4.3 none, some or all of the last item's padding may be included") {
    Handles h;
    for (unsigned long number : {KDBUS_CMD_BUS_MAKE, KDBUS_CMD_HELLO, KDBUS_CMD_CONN_INFO,
                                 KDBUS_CMD_NAME_ACQUIRE, KDBUS_CMD_NAME_RELEASE}) {
        const Spec& spec = spec_of(number);
        const u64 type = number == KDBUS_CMD_BUS_MAKE ? KDBUS_ITEM_MAKE_NAME
                         : number == KDBUS_CMD_HELLO  ? KDBUS_ITEM_SECLABEL
                                                      : KDBUS_ITEM_NAME;
        for (std::size_t length = 3; length <= 10; length++) {
            Bytes text(length, 'a');
            text[1] = number == KDBUS_CMD_BUS_MAKE ? '-' : '.';
            text.push_back(0);
            for (std::size_t pad = 0; pad <= align8(text.size()) - text.size(); pad++) {
                CAPTURE(spec.name, length, pad);
                Raw raw(spec);
                raw.item(type, text).flags(negotiate);
                // Padding may hold anything.
                std::memset(raw.bytes() + raw.word(0), 0xff, align8(raw.word(0)) - raw.word(0));
                raw.pad(pad);
                CHECK(h.run(spec, raw) == 0);
            }
            Raw raw(spec);
            raw.item(type, text).flags(negotiate);
            raw.leftover(1);
            CHECK(h.run(spec, raw) == EINVAL);
        }
    }
    for (std::size_t pad = 0; pad <= 4; pad++) {
        CAPTURE(pad);
        Raw raw(message_spec);
        raw.item(KDBUS_ITEM_FDS, Bytes(4)).flags(negotiate).pad(pad);
        CHECK(h.run_message(raw.address()) == 0);
    }
}

TEST_CASE("abi 4.3 the gap between two items may hold anything") {
    Handles h;
    const Spec& spec = spec_of(KDBUS_CMD_NAME_ACQUIRE);
    Raw raw(spec);
    raw.item(KDBUS_ITEM_NAME).flags(negotiate);
    std::memset(raw.bytes() + raw.word(0), 0xff, align8(raw.word(0)) - raw.word(0));
    raw.item(KDBUS_ITEM_NEGOTIATE);
    CHECK(h.run(spec, raw) == 0);
}

TEST_CASE("abi 3.4/4.1/11 item types not accepted here are EINVAL") {
    Handles h;
    for_each_block(h, [&](const Spec& spec, auto run) {
        const auto accepted = spec.accepted();
        std::vector<u64> types = known_types;
        types.insert(types.end(), unknown_types.begin(), unknown_types.end());
        for (u64 type : types) {
            CAPTURE(type);
            const bool good = std::count(accepted.begin(), accepted.end(), type) > 0;
            Raw raw(spec);
            raw.item(type).flags(negotiate);
            CHECK(run(raw.address()) == (good ? 0 : EINVAL));
            if (!good && spec.number != 0)
                CHECK(raw.return_flags() == 0);
        }
    });
}

TEST_CASE("abi 4.4 repeats") {
    Handles h;
    for_each_block(h, [&](const Spec& spec, auto run) {
        for (u64 type : spec.single) {
            CAPTURE(type);
            Raw raw(spec);
            raw.item(type).item(type).flags(negotiate);
            CHECK(run(raw.address()) == EINVAL);
            if (spec.number != 0)
                CHECK(raw.return_flags() == 0);
        }
        for (u64 type : spec.repeated) {
            CAPTURE(type);
            Raw raw(spec);
            for (int i = 0; i < 20; i++)
                raw.item(type);
            raw.flags(negotiate);
            CHECK(run(raw.address()) == 0);
        }
        // Every accepted type once, in two orders.
        Raw forward(spec), backward(spec);
        auto types = spec.accepted();
        for (u64 type : types)
            forward.item(type);
        std::reverse(types.begin(), types.end());
        for (u64 type : types)
            backward.item(type);
        forward.flags(negotiate);
        backward.flags(negotiate);
        CHECK(run(forward.address()) == 0);
        CHECK(run(backward.address()) == 0);
    });
}

TEST_CASE("abi 3.4 content rules") {
    Handles h;
    auto text = [](std::string_view s) {
        return Bytes(s.begin(), s.end());
    };
    using namespace std::string_view_literals;

    auto check = [&](const Spec& spec, u64 type, const Bytes& payload, int error) {
        CAPTURE(spec.name, type, payload);
        Raw raw(spec);
        raw.item(type, payload).flags(negotiate);
        CHECK((spec.number ? h.run(spec, raw) : h.run_message(raw.address())) == error);
        if (spec.number)
            CHECK(raw.return_flags() == (error || spec.number == KDBUS_CMD_SEND ? 0 : poison));
    };
    // Payloads of n zero bytes: only `right` passes.
    auto only = [&](const Spec& spec, u64 type, std::size_t right) {
        for (std::size_t n = 0; n <= right + 16; n++)
            check(spec, type, Bytes(n), n == right ? 0 : EINVAL);
    };
    const Spec& bus_make = spec_of(KDBUS_CMD_BUS_MAKE);
    const Spec& hello = spec_of(KDBUS_CMD_HELLO);
    const Spec& match_add = spec_of(KDBUS_CMD_MATCH_ADD);
    const Spec& send = spec_of(KDBUS_CMD_SEND);

    SECTION("NEGOTIATE") {
        for_each_block(h, [&](const Spec& spec, auto) {
            for (std::size_t n = 0; n <= 24; n++)
                check(spec, KDBUS_ITEM_NEGOTIATE, Bytes(n), n % 8 ? EINVAL : 0);
        });
    }
    SECTION("fixed sizes") {
        only(bus_make, KDBUS_ITEM_BLOOM_PARAMETER, 16);
        only(bus_make, KDBUS_ITEM_ATTACH_FLAGS_SEND, 8);
        only(hello, KDBUS_ITEM_CREDS, 64);
        only(hello, KDBUS_ITEM_PIDS, 24);
        only(hello, KDBUS_ITEM_POLICY_ACCESS, 24);
        only(match_add, KDBUS_ITEM_ID, 8);
        only(match_add, KDBUS_ITEM_DST_ID, 8);
        only(match_add, KDBUS_ITEM_ID_ADD, 16);
        only(match_add, KDBUS_ITEM_ID_REMOVE, 16);
        only(send, KDBUS_ITEM_CANCEL_FD, 4);
    }
    SECTION("BLOOM_MASK of any size") {
        for (std::size_t n = 0; n <= 24; n++)
            check(match_add, KDBUS_ITEM_BLOOM_MASK, Bytes(n), 0);
    }
    SECTION("BLOOM_FILTER of at least 8 bytes") {
        for (std::size_t n = 0; n <= 24; n++)
            check(message_spec, KDBUS_ITEM_BLOOM_FILTER, Bytes(n), n < 8 ? EINVAL : 0);
    }
    SECTION("FDS of whole integers") {
        for (std::size_t n = 0; n <= 24; n++) {
            if (n != 0)
                check(message_spec, KDBUS_ITEM_FDS, Bytes(n), n % 4 ? EINVAL : 0);
        }
    }
    SECTION("PAYLOAD_VEC") {
        auto vec = [](u64 size, u64 address) {
            Bytes b(16);
            std::memcpy(b.data(), &size, 8);
            std::memcpy(b.data() + 8, &address, 8);
            return b;
        };
        for (std::size_t n : {0, 8, 15, 17, 24})
            check(message_spec, KDBUS_ITEM_PAYLOAD_VEC, Bytes(n, 1), EINVAL);
        check(message_spec, KDBUS_ITEM_PAYLOAD_VEC, vec(0, 0), EINVAL);
        check(message_spec, KDBUS_ITEM_PAYLOAD_VEC, vec(0, 4096), EINVAL);
        check(message_spec, KDBUS_ITEM_PAYLOAD_VEC, vec(1, 0), 0);
        // Too large for the data path, but representable.
        check(message_spec, KDBUS_ITEM_PAYLOAD_VEC, vec(u64{1} << 40, 0), 0);
    }
    SECTION("PAYLOAD_MEMFD: the size before the descriptor") {
        auto memfd = [](u64 size, int fd) {
            Bytes b(24);
            std::memcpy(b.data() + 8, &size, 8);
            std::memcpy(b.data() + 16, &fd, 4);
            return b;
        };
        for (std::size_t n : {0, 8, 16, 20, 23, 25, 32})
            check(message_spec, KDBUS_ITEM_PAYLOAD_MEMFD, Bytes(n, 1), EINVAL);
        check(message_spec, KDBUS_ITEM_PAYLOAD_MEMFD, memfd(0, 0), EINVAL);
        check(message_spec, KDBUS_ITEM_PAYLOAD_MEMFD, memfd(0, -1), EINVAL);
        check(message_spec, KDBUS_ITEM_PAYLOAD_MEMFD, memfd(1, -1), EBADF);
        check(message_spec, KDBUS_ITEM_PAYLOAD_MEMFD, memfd(1, INT32_MIN), EBADF);
        check(message_spec, KDBUS_ITEM_PAYLOAD_MEMFD, memfd(1, 0), 0);
        // Only checked when the message is really sent.
        check(message_spec, KDBUS_ITEM_PAYLOAD_MEMFD, memfd(1, 8000), 0);
    }
    SECTION("strings end with their first NUL; the empty string passes") {
        struct Where {
            const Spec& spec;
            u64 type;
        };
        for (const Where& w :
             {Where{hello, KDBUS_ITEM_NAME}, Where{hello, KDBUS_ITEM_SECLABEL},
              Where{spec_of(KDBUS_CMD_CONN_INFO), KDBUS_ITEM_NAME},
              Where{spec_of(KDBUS_CMD_NAME_ACQUIRE), KDBUS_ITEM_NAME},
              Where{spec_of(KDBUS_CMD_NAME_RELEASE), KDBUS_ITEM_NAME},
              Where{match_add, KDBUS_ITEM_NAME}, Where{message_spec, KDBUS_ITEM_DST_NAME}}) {
            check(w.spec, w.type, {}, EINVAL);
            check(w.spec, w.type, text("a"sv), EINVAL);
            check(w.spec, w.type, text("a.b"sv), EINVAL);
            check(w.spec, w.type, text("a.b\0\0"sv), EINVAL);
            check(w.spec, w.type, text("a\0b\0"sv), EINVAL);
            check(w.spec, w.type, text("\0\0"sv), EINVAL);
            check(w.spec, w.type, text("a\0b"sv), EINVAL);
            check(w.spec, w.type, text("\0"sv), 0);
            check(w.spec, w.type, text("a.b\0"sv), 0);
            // Syntax is not part of parsing.
            check(w.spec, w.type, text("no name!\0"sv), 0);
            check(
                w.spec, w.type,
                [] {
                    Bytes b(5000, 'x');
                    b.push_back(0);
                    return b;
                }(),
                0);
        }
    }
    SECTION("system names") {
        struct Where {
            const Spec& spec;
            u64 type;
        };
        for (const Where& w :
             {Where{bus_make, KDBUS_ITEM_MAKE_NAME}, Where{hello, KDBUS_ITEM_CONN_DESCRIPTION}}) {
            auto full = [&](std::size_t n) {
                Bytes b(n, 'a');
                b.push_back(0);
                return b;
            };
            check(w.spec, w.type, {}, EINVAL);
            check(w.spec, w.type, text("\0"sv), EINVAL);
            check(w.spec, w.type, full(1), 0);
            check(w.spec, w.type, full(63), 0);
            check(w.spec, w.type, full(64), ENAMETOOLONG);
            check(w.spec, w.type, Bytes(64, 'a'), EINVAL);
            check(w.spec, w.type, Bytes(65, 'a'), ENAMETOOLONG);
            check(w.spec, w.type, Bytes(65, '!'), ENAMETOOLONG);
            check(w.spec, w.type, text("abc"sv), EINVAL);
            check(w.spec, w.type, text("a\0c\0"sv), EINVAL);
            check(w.spec, w.type, text("-a\0"sv), EINVAL);
            check(w.spec, w.type, text(".a\0"sv), EINVAL);
            check(w.spec, w.type, text("a-\0"sv), EINVAL);
            check(w.spec, w.type, text("a.\0"sv), EINVAL);
            check(w.spec, w.type, text("a/b\0"sv), EINVAL);
            check(w.spec, w.type, text("a b\0"sv), EINVAL);
            check(w.spec, w.type, text("a\xe4 b\0"sv), EINVAL);
            check(w.spec, w.type, text("a-b.c_d\0"sv), 0);
        }
    }
    SECTION("NAME_* rules: 32 bytes, or 32 and a string") {
        for (u64 type : {KDBUS_ITEM_NAME_ADD, KDBUS_ITEM_NAME_REMOVE, KDBUS_ITEM_NAME_CHANGE}) {
            for (std::size_t n : {0, 8, 31})
                check(match_add, type, Bytes(n), EINVAL);
            check(match_add, type, Bytes(32), 0);
            auto with = [&](std::string_view s) {
                Bytes b(32);
                b.insert(b.end(), s.begin(), s.end());
                return b;
            };
            check(match_add, type, with("\0"sv), 0);
            check(match_add, type, with("a.b\0"sv), 0);
            check(match_add, type, with("not a name\0"sv), 0);
            check(match_add, type, with("a.b"sv), EINVAL);
            check(match_add, type, with("a.b\0\0"sv), EINVAL);
            check(match_add, type, with("a\0b\0"sv), EINVAL);
        }
    }
}

TEST_CASE("abi 13.18 a NAME cut before its NUL is EINVAL, an unknown one ESRCH") {
    Handles h;
    const Spec& spec = spec_of(KDBUS_CMD_CONN_INFO);
    Raw raw(spec);
    raw.item(KDBUS_ITEM_NAME, {'a', '.', 'b', 'c', 0}, 20);
    CHECK(h.run(spec, raw) == EINVAL);
    Raw whole(spec);
    whole.item(KDBUS_ITEM_NAME, {'a', '.', 'b', 'c', 0});
    CHECK(h.run(spec, whole) == ESRCH);
}

TEST_CASE("abi 4.1 the earlier of two failures decides") {
    Handles h;
    const Spec& spec = spec_of(KDBUS_CMD_BUS_MAKE);
    Bytes long_name(80, 'a');
    long_name.push_back(0);

    SECTION("flags (10) before items (11)") {
        Raw raw(spec);
        raw.item(KDBUS_ITEM_MAKE_NAME, long_name).flags(u64{1} << 20);
        CHECK(h.run(spec, raw) == EINVAL);
    }
    SECTION("items in order") {
        Raw first(spec);
        first.item(KDBUS_ITEM_MAKE_NAME, long_name).item(0x7777);
        CHECK(h.run(spec, first) == ENAMETOOLONG);
        Raw second(spec);
        second.item(0x7777).item(KDBUS_ITEM_MAKE_NAME, long_name);
        CHECK(h.run(spec, second) == EINVAL);
    }
    SECTION("an item's content before its repeat") {
        Raw raw(spec);
        raw.item(KDBUS_ITEM_MAKE_NAME).item(KDBUS_ITEM_MAKE_NAME, long_name);
        CHECK(h.run(spec, raw) == ENAMETOOLONG);
    }
    SECTION("bounds of an item before its content") {
        Raw raw(spec);
        raw.item(KDBUS_ITEM_MAKE_NAME, long_name, 16 + long_name.size() + 8);
        CHECK(h.run(spec, raw) == EINVAL);
    }
    SECTION("items (11) before the end of the chain (12)") {
        Raw raw(spec);
        raw.item(KDBUS_ITEM_MAKE_NAME, long_name).leftover(9);
        CHECK(h.run(spec, raw) == ENAMETOOLONG);
    }
    SECTION("items (11) before the mandatory ones (14)") {
        Raw raw(spec);
        raw.item(KDBUS_ITEM_MAKE_NAME, long_name);
        CHECK(h.run(spec, raw) == ENAMETOOLONG);
    }
    SECTION("the write-back (13) before the mandatory items (14), return_flags 0") {
        // The fixed part in writable memory, the NEGOTIATE item's payload in read-only memory.
        auto* base = static_cast<std::uint8_t*>(
            mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        REQUIRE(base != MAP_FAILED);
        Raw raw(spec);
        raw.item(KDBUS_ITEM_NEGOTIATE, {0xff, 0xff, 0, 0, 0, 0, 0, 0});
        auto* at = base + page - spec.fixed - 16;
        std::memcpy(at, raw.address(), raw.stored());
        REQUIRE(mprotect(base + page, page, PROT_READ) == 0);
        CHECK(h.run(spec, at) == EFAULT);
        u64 return_flags = poison;
        std::memcpy(&return_flags, at + 16, 8);
        CHECK(return_flags == 0);
        munmap(base, 2 * page);
    }
    SECTION("the command's own checks (15) come last") {
        const Spec& acquire = spec_of(KDBUS_CMD_NAME_ACQUIRE);
        Raw raw(acquire);
        raw.item(KDBUS_ITEM_NAME, {'-', 0}).item(KDBUS_ITEM_NEGOTIATE, Bytes(8));
        CHECK(h.run(acquire, raw) == EINVAL);
        CHECK(raw.return_flags() == 0);
        const Spec& remove = spec_of(KDBUS_CMD_MATCH_REMOVE);
        Raw bad(remove);
        bad.flags(1);
        CHECK(h.run(remove, bad) == EINVAL);
        Raw unknown(remove);
        CHECK(h.run(remove, unknown) == EBADSLT);
        CHECK(unknown.return_flags() == 0);
    }
}

TEST_CASE("abi 4.1/14 mandatory items") {
    Handles h;
    for (unsigned long number :
         {KDBUS_CMD_BUS_MAKE, KDBUS_CMD_NAME_ACQUIRE, KDBUS_CMD_NAME_RELEASE}) {
        const Spec& spec = spec_of(number);
        CAPTURE(spec.name);
        Raw raw(spec);
        CHECK(h.run(spec, raw) == EINVAL);
        CHECK(raw.return_flags() == 0);
        Raw probe(spec);
        probe.flags(negotiate);
        CHECK(h.run(spec, probe) == 0);
    }
}

TEST_CASE("abi 4.5 NEGOTIATE stores the known flags and does nothing") {
    Handles h;
    for (const Spec& spec : specs) {
        CAPTURE(spec.name);
        for (u64 extra : {u64{0}, spec.flags}) {
            Raw raw(spec);
            raw.flags(negotiate | extra);
            Bytes before(raw.bytes(), raw.bytes() + raw.stored());
            CHECK(h.run(spec, raw) == 0);
            CHECK(raw.word(1) == spec.flags);
            // SEND alone writes return_flags.
            CHECK(raw.return_flags() == (spec.number == KDBUS_CMD_SEND ? 0 : poison));
            for (std::size_t i = 3; i < raw.stored() / 8; i++) {
                u64 old = 0;
                std::memcpy(&old, &before[8 * i], 8);
                CHECK(raw.word(i) == old);
            }
        }
    }
}

TEST_CASE("abi 4.5 a negotiating command has no effect") {
    Bus bus;
    Connection c = bus.connect();
    const std::string name = unique_bus_name();

    auto make = bus_command(name, negotiate);
    Fd control = open_control();
    CHECK(command(control.get(), KDBUS_CMD_BUS_MAKE, make.address()) == 0);
    CHECK(make->flags == (3 | KDBUS_MAKE_ALLOW_UNIX_FDS));
    CHECK(open_error("/dev/kdbus/" + name + "/bus") == ENOENT);
    make->flags = 0;
    CHECK(command(control.get(), KDBUS_CMD_BUS_MAKE, make.address()) == 0);

    Fd endpoint = bus.open();
    auto hello = hello_command({.flags = negotiate});
    CHECK(command(endpoint.get(), KDBUS_CMD_HELLO, hello.address()) == 0);
    CHECK(hello->flags == 0xf);
    CHECK(hello->id == 0);
    hello->flags = 0;
    CHECK(command(endpoint.get(), KDBUS_CMD_HELLO, hello.address()) == 0);

    u64 return_flags = poison;
    CHECK(c.acquire("a.b", negotiate, &return_flags) == 0);
    CHECK(c.release("a.b") == ESRCH);
    REQUIRE(c.acquire("a.b") == 0);
    Plain release;
    release->flags = negotiate;
    release.text(KDBUS_ITEM_NAME, "a.b");
    CHECK(c.run(KDBUS_CMD_NAME_RELEASE, release.address()) == 0);
    CHECK(c.info(0, 0, "a.b").error == 0);

    Command<kdbus_cmd_match> match;
    match->flags = negotiate;
    CHECK(c.match(match) == 0);
    CHECK(c.unmatch(0) == EBADSLT);
    CHECK(c.match_all(0) == 0);
    CHECK(c.run(KDBUS_CMD_MATCH_REMOVE, (match->flags = negotiate, match.address())) == 0);
    CHECK(c.unmatch(0) == 0);

    CHECK(c.send(Message(c.id()).body("x"), negotiate) == 0);
    CHECK(c.empty());
    CHECK(c.send(Message(c.id()).body("x")) == 0);
    Command<kdbus_cmd_recv> recv;
    recv->flags = negotiate;
    CHECK(c.run(KDBUS_CMD_RECV, recv.address()) == 0);
    CHECK(recv->flags == 7);
    CHECK(recv->msg.msg_size == 0);
    const Received r = c.recv();
    REQUIRE(r.error == 0);

    Command<kdbus_cmd_free> free;
    free->flags = negotiate;
    free->offset = r.offset();
    CHECK(c.run(KDBUS_CMD_FREE, free.address()) == 0);
    CHECK(free->flags == 0);
    CHECK(c.run(KDBUS_CMD_FREE, free.address()) == 0);
    CHECK(c.run(KDBUS_CMD_FREE, free.address()) == ENXIO);

    Command<kdbus_cmd_list> list;
    list->flags = negotiate | KDBUS_LIST_UNIQUE;
    list->offset = list->list_size = poison;
    CHECK(c.run(KDBUS_CMD_LIST, list.address()) == 0);
    CHECK(list->offset == poison);
    CHECK(list->list_size == poison);

    Command<kdbus_cmd_info> info;
    info->flags = negotiate;
    info->attach_flags = all_ones - 1; // the command's own check is not reached
    info->offset = poison;
    CHECK(c.run(KDBUS_CMD_CONN_INFO, info.address()) == 0);
    CHECK(info->offset == poison);

    Plain bye;
    bye->flags = negotiate;
    CHECK(c.run(KDBUS_CMD_BYEBYE, bye.address()) == 0);
    CHECK(c.bye() == 0);
}

TEST_CASE("abi 4.5 a NEGOTIATE item is answered in place, with and without the flag") {
    Handles h;
    for (const Spec& spec : specs) {
        const auto accepted = spec.accepted();
        std::vector<u64> asked = known_types;
        asked.insert(asked.end(), unknown_types.begin(), unknown_types.end());
        Bytes payload(asked.size() * 8);
        std::memcpy(payload.data(), asked.data(), payload.size());
        for (bool flag : {true, false}) {
            CAPTURE(spec.name, flag);
            // BYEBYE without the flag would end the connection.
            if (!flag && spec.number == KDBUS_CMD_BYEBYE)
                continue;
            Raw raw(spec);
            raw.item(KDBUS_ITEM_NEGOTIATE, payload).flags(flag ? negotiate : 0);
            h.run(spec, raw); // without the flag it may fail: the answer is there all the same
            for (std::size_t i = 0; i < asked.size(); i++) {
                const bool good = std::count(accepted.begin(), accepted.end(), asked[i]) > 0;
                CAPTURE(asked[i]);
                CHECK(raw.word(spec.fixed / 8 + 2 + i) == (good ? asked[i] : 0));
            }
            CHECK(raw.word(spec.fixed / 8) == 16 + payload.size());
            CHECK(raw.word(spec.fixed / 8 + 1) == KDBUS_ITEM_NEGOTIATE);
        }
    }
}

TEST_CASE("abi 4.5 with a NEGOTIATE item but no flag the command proceeds") {
    Bus bus;
    Connection c = bus.connect();
    Plain acquire;
    acquire.words(KDBUS_ITEM_NEGOTIATE, {KDBUS_ITEM_NAME, 0x4444}).text(KDBUS_ITEM_NAME, "a.b");
    CHECK(c.run(KDBUS_CMD_NAME_ACQUIRE, acquire.address()) == 0);
    CHECK(acquire.at(0)[2] == KDBUS_ITEM_NAME);
    CHECK(acquire.at(0)[3] == 0);
    CHECK(acquire->return_flags == (KDBUS_NAME_PRIMARY | KDBUS_NAME_ACQUIRED));
    // MATCH_ADD does not take it for a rule.
    Command<kdbus_cmd_match> match;
    match.words(KDBUS_ITEM_NEGOTIATE, {KDBUS_ITEM_ID});
    CHECK(c.match(match) == 0);
    CHECK(c.send(broadcast()) == 0);
    CHECK(c.take()->src_id == c.id());
}

TEST_CASE("abi 4.5 negotiation of SEND and its message") {
    Bus bus;
    Connection c = bus.connect();
    Command<kdbus_cmd_send> send;
    auto attempt = [&](u64 flags, Message* m) {
        send->flags = flags;
        send->return_flags = poison;
        send->msg_address = m ? address_of(m->address()) : 0;
        send->reply.offset = poison;
        return c.run(KDBUS_CMD_SEND, send.address());
    };
    SECTION("the command alone") {
        CHECK(attempt(negotiate, nullptr) == 0);
        CHECK(send->flags == 1);
        CHECK(send->return_flags == 0);
        CHECK(attempt(negotiate | 1, nullptr) == 0);
        CHECK(attempt(0, nullptr) == EFAULT);
    }
    SECTION("both: nothing is sent") {
        Message m(c.id());
        m.flags(negotiate);
        CHECK(attempt(negotiate, &m) == 0);
        CHECK(send->flags == 1);
        CHECK(m->flags == 7);
        Message plain(c.id());
        CHECK(attempt(negotiate, &plain) == 0);
        CHECK(plain->flags == 0);
        CHECK(c.empty());
    }
    SECTION("no later check is reached") {
        Message m(all_ones);
        m->payload_type = 0;
        m->src_id = 12345;
        m.flags(negotiate | KDBUS_MSG_EXPECT_REPLY | KDBUS_MSG_SIGNAL);
        CHECK(attempt(negotiate, &m) == 0);
        CHECK(m->flags == 7);
    }
    SECTION("a negotiating message in a command that does not: EINVAL, but answered") {
        Message m(c.id());
        m.flags(negotiate).words(KDBUS_ITEM_NEGOTIATE, {KDBUS_ITEM_FDS, 0x4444});
        CHECK(attempt(0, &m) == EINVAL);
        CHECK(m->flags == 7);
        CHECK(m.at(0)[2] == KDBUS_ITEM_FDS);
        CHECK(m.at(0)[3] == 0);
        CHECK(send->return_flags == 0);
        CHECK(send->reply.offset == poison);
        CHECK(c.empty());
    }
    SECTION("a NEGOTIATE item in a real message is EINVAL, but answered") {
        Message m(c.id());
        m.words(KDBUS_ITEM_NEGOTIATE, {KDBUS_ITEM_FDS, 0x4444});
        CHECK(attempt(0, &m) == EINVAL);
        CHECK(m.at(0)[3] == 0);
        CHECK(c.empty());
    }
    SECTION("the message's items") {
        Message m(c.id());
        m.flags(negotiate).words(KDBUS_ITEM_NEGOTIATE, known_types);
        CHECK(attempt(negotiate, &m) == 0);
        const auto accepted = message_spec.accepted();
        for (std::size_t i = 0; i < known_types.size(); i++) {
            CAPTURE(known_types[i]);
            const bool good = std::count(accepted.begin(), accepted.end(), known_types[i]) > 0;
            CHECK(m.at(0)[2 + i] == (good ? known_types[i] : 0));
        }
    }
    SECTION("a bad message fails the probe") {
        Message m(c.id());
        m.flags(negotiate).item(0x4444);
        CHECK(attempt(negotiate, &m) == EINVAL);
        CHECK(m->flags == negotiate);
        // The command was already answered.
        CHECK(send->flags == 1);
    }
}

TEST_CASE("abi 4.2 results that cannot be written are EFAULT") {
    Handles h;
    GuardedPages pages(1);
    auto read_only = [&](const Spec& spec, void* data, std::size_t n) {
        pages.read_only(false);
        void* at = pages.place(data, n);
        pages.read_only(true);
        const int error = h.run(spec, at);
        pages.read_only(false);
        return error;
    };
    SECTION("any command that got past step 9, whatever else is wrong") {
        for (const Spec& spec : specs) {
            CAPTURE(spec.name);
            Raw raw(spec);
            raw.flags(u64{1} << 40);
            CHECK(read_only(spec, raw.address(), spec.fixed) == EFAULT);
            raw.flags(negotiate);
            CHECK(read_only(spec, raw.address(), spec.fixed) == EFAULT);
            raw.size(spec.fixed - 1);
            CHECK(read_only(spec, raw.address(), spec.fixed) == EINVAL);
        }
    }
    SECTION("what was done stays done") {
        const Connection& c = h.connection;
        Plain acquire;
        acquire.text(KDBUS_ITEM_NAME, "a.bcd.efg");
        CHECK(read_only(spec_of(KDBUS_CMD_NAME_ACQUIRE), acquire.address(),
                        align8(acquire->size)) == EFAULT);
        CHECK(c.info(c.id(), 0, "a.bcd.efg").error == 0);

        Command<kdbus_cmd_match> match;
        match->cookie = 77;
        CHECK(read_only(spec_of(KDBUS_CMD_MATCH_ADD), match.address(), match->size) == EFAULT);
        CHECK(c.unmatch(77) == 0);

        Message m(c.id());
        m.body("delivered");
        Command<kdbus_cmd_send> send;
        send->msg_address = address_of(m.address());
        CHECK(read_only(spec_of(KDBUS_CMD_SEND), send.address(), send->size) == EFAULT);
        Command<kdbus_cmd_recv> peek;
        peek->flags = KDBUS_RECV_PEEK;
        CHECK(read_only(spec_of(KDBUS_CMD_RECV), peek.address(), peek->size) == EFAULT);
        CHECK(c.take().body() == "delivered");
    }
    SECTION("a message in read-only memory can be sent: it is never written") {
        const Connection& c = h.connection;
        Message m(c.id());
        m.body("constant");
        pages.read_only(false);
        void* at = pages.place(m.address(), align8(m->size));
        pages.read_only(true);
        CHECK(h.run_message(at, 0) == 0);
        CHECK(c.take().body() == "constant");
        pages.read_only(false);
    }
}

TEST_CASE("abi 4.2 failures write return_flags and nothing else") {
    Bus bus;
    Connection c = bus.connect();
    Command<kdbus_cmd_info> info;
    info->id = 123456789;
    info->return_flags = info->offset = info->info_size = poison;
    CHECK(c.run(KDBUS_CMD_CONN_INFO, info.address()) == ENXIO);
    CHECK(info->return_flags == 0);
    CHECK(info->offset == poison);
    CHECK(info->info_size == poison);

    Fd endpoint = bus.open();
    auto hello = hello_command({.pool_size = 4097});
    hello->return_flags = hello->id = hello->offset = hello->items_size = hello->bus_flags = poison;
    CHECK(command(endpoint.get(), KDBUS_CMD_HELLO, hello.address()) == EINVAL);
    CHECK(hello->return_flags == 0);
    CHECK(hello->id == poison);
    CHECK(hello->offset == poison);
    CHECK(hello->items_size == poison);
    CHECK(hello->bus_flags == poison);
    CHECK(hello->pool_size == 4097);

    Command<kdbus_cmd_free> free;
    free->return_flags = poison;
    free->offset = 4096;
    CHECK(c.run(KDBUS_CMD_FREE, free.address()) == ENXIO);
    CHECK(free->return_flags == 0);
    CHECK(free->offset == 4096);
}

TEST_CASE("abi 4.1 the message of SEND: return_flags of the command is written on every failure") {
    Handles h;
    alignas(8) u64 words[8] = {63};
    u64 return_flags = poison;
    CHECK(h.run_message(words, 0, &return_flags) == EINVAL);
    CHECK(return_flags == 0);
    words[0] = 32769;
    CHECK(h.run_message(words, 0, &return_flags) == EMSGSIZE);
    CHECK(return_flags == 0);
    CHECK(h.run_message(reinterpret_cast<std::uint8_t*>(words) + 4, 0, &return_flags) == EFAULT);
    CHECK(return_flags == 0);
    CHECK(h.run_message(nullptr, 0, &return_flags) == EFAULT);
    CHECK(return_flags == 0);
}
