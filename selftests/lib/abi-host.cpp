// SPDX-License-Identifier: LGPL-2.1-or-later
// Layer 1 without a kernel: byte layouts of what is sent, and hostile bytes received.
#include <kdbus/abi.hpp>

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <numeric>
#include <random>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

namespace abi = kdbus::abi;

namespace {

/// Bytes on an 8-byte boundary, of exactly the given size, so that the sanitizer sees overruns.
class Memory {
public:
    explicit Memory(std::size_t size)
        : bytes_(new (std::align_val_t{8}) std::byte[size]()), size_(size) {}
    Memory(const Memory&) = delete;
    ~Memory() { operator delete[](bytes_, std::align_val_t{8}); }
    std::span<std::byte> span() const { return {bytes_, size_}; }
    void put64(std::size_t at, std::uint64_t value) const {
        REQUIRE(at + 8 <= size_);
        std::memcpy(bytes_ + at, &value, 8);
    }
    void put32(std::size_t at, std::uint32_t value) const {
        REQUIRE(at + 4 <= size_);
        std::memcpy(bytes_ + at, &value, 4);
    }
    void text(std::size_t at, std::string_view value) const {
        REQUIRE(at + value.size() <= size_);
        std::memcpy(bytes_ + at, value.data(), value.size());
    }

private:
    std::byte* bytes_;
    std::size_t size_;
};

std::uint64_t get64(std::span<const std::byte> bytes, std::size_t at) {
    REQUIRE(at + 8 <= bytes.size());
    std::uint64_t value;
    std::memcpy(&value, bytes.data() + at, 8);
    return value;
}

std::uint32_t get32(std::span<const std::byte> bytes, std::size_t at) {
    REQUIRE(at + 4 <= bytes.size());
    std::uint32_t value;
    std::memcpy(&value, bytes.data() + at, 4);
    return value;
}

std::vector<std::byte> bytes_of(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

/// A pool without a kernel: an ordinary file stands behind it.
std::shared_ptr<const abi::Pool> fake_pool(std::span<const std::byte> content) {
    auto file = abi::SealedMemfd::copy(content);
    REQUIRE(file);
    auto mapping = file->map();
    REQUIRE(mapping);
    return std::make_shared<const abi::Pool>(std::move(*file).release(), std::move(*mapping));
}

bool is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

} // namespace

TEST_CASE("structures have the sizes of abi.md 3.5", "[abi]") {
    CHECK(sizeof(kdbus_cmd) == 24);
    CHECK(sizeof(kdbus_cmd_hello) == 96);
    CHECK(sizeof(kdbus_cmd_info) == 56);
    CHECK(sizeof(kdbus_cmd_list) == 40);
    CHECK(sizeof(kdbus_cmd_match) == 32);
    CHECK(sizeof(kdbus_cmd_free) == 32);
    CHECK(sizeof(kdbus_cmd_send) == 56);
    CHECK(sizeof(kdbus_cmd_recv) == 64);
    CHECK(sizeof(kdbus_msg) == 64);
    CHECK(sizeof(kdbus_info) == 24);
    CHECK(sizeof(kdbus_notify_name_change) == 32);
    CHECK(KDBUS_CMD_SEND == 0x40389590);
    CHECK(KDBUS_CMD_HELLO == 0xc0609580);
}

TEST_CASE("encode lays out a call to a name with every kind of part", "[abi]") {
    const auto data = bytes_of("hello");
    const std::array parts{abi::Part::bytes(data), abi::Part::zeros(3), abi::Part::bytes({}),
                           abi::Part::memfd(7, 4096, 13)};
    const std::array fds{3, 4, 5};
    abi::OutgoingMessage message;
    message.dst_name = "org.example.Hello"; // 17 characters
    message.flags = KDBUS_MSG_EXPECT_REPLY | KDBUS_MSG_NO_AUTO_START;
    message.priority = -3;
    message.cookie = 0x11;
    message.timeout_ns = 0x1234;
    message.payload = parts;
    message.fds = fds;

    // 64 + DST_NAME 16+18 -> 40 padded, VEC 32, VEC 32, MEMFD 40, FDS 28
    constexpr std::size_t total = 64 + 40 + 32 + 32 + 40 + 28;
    CHECK(abi::encoded_size(message) == total);
    const Memory memory(total);
    std::fill(memory.span().begin(), memory.span().end(), std::byte{0xaa});
    REQUIRE(abi::encode(message, memory.span()) == total);
    const auto out = memory.span();

    CHECK(get64(out, 0) == total); // unpadded size
    CHECK(get64(out, 8) == 3);     // flags
    CHECK(get64(out, 16) == static_cast<std::uint64_t>(-3));
    CHECK(get64(out, 24) == 0); // dst_id: the name decides
    CHECK(get64(out, 32) == 0); // src_id
    CHECK(get64(out, 40) == 0x4442757344427573ULL);
    CHECK(get64(out, 48) == 0x11);
    CHECK(get64(out, 56) == 0x1234);
    CHECK(get64(out, 64) == 34);
    CHECK(get64(out, 72) == 10);
    CHECK(std::memcmp(out.data() + 80, "org.example.Hello\0\0\0\0\0\0\0", 24) == 0);
    CHECK(get64(out, 104) == 32);
    CHECK(get64(out, 112) == 2);
    CHECK(get64(out, 120) == 5);
    CHECK(get64(out, 128) == reinterpret_cast<std::uintptr_t>(data.data()));
    CHECK(get64(out, 136) == 32);
    CHECK(get64(out, 144) == 2);
    CHECK(get64(out, 152) == 3);
    CHECK(get64(out, 160) == 0);
    CHECK(get64(out, 168) == 40);
    CHECK(get64(out, 176) == 4);
    CHECK(get64(out, 184) == 4096);
    CHECK(get64(out, 192) == 13);
    CHECK(get32(out, 200) == 7);
    CHECK(get32(out, 204) == 0);
    CHECK(get64(out, 208) == 28);
    CHECK(get64(out, 216) == 5);
    CHECK(get32(out, 224) == 3);
    CHECK(get32(out, 228) == 4);
    CHECK(get32(out, 232) == 5);
}

TEST_CASE("encode lays out a broadcast with its Bloom filter", "[abi]") {
    const std::array<std::uint64_t, 8> filter{1, 2, 3, 4, 5, 6, 7, 8};
    abi::OutgoingMessage message;
    message.dst_id = KDBUS_DST_ID_BROADCAST;
    message.flags = KDBUS_MSG_SIGNAL;
    message.cookie = 2;
    message.bloom = abi::BloomFilter{9, filter};
    const Memory memory(64 + 88);
    REQUIRE(abi::encode(message, memory.span()) == 152U);
    const auto out = memory.span();
    CHECK(get64(out, 0) == 152);
    CHECK(get64(out, 8) == 4);
    CHECK(get64(out, 24) == ~0ULL);
    CHECK(get64(out, 56) == 0);
    CHECK(get64(out, 64) == 88);
    CHECK(get64(out, 72) == 8);
    CHECK(get64(out, 80) == 9);
    for (std::size_t i = 0; i < filter.size(); ++i)
        CHECK(get64(out, 88 + 8 * i) == i + 1);
}

TEST_CASE("encode stores the reply cookie of a reply in the shared word", "[abi]") {
    abi::OutgoingMessage message;
    message.dst_id = 42;
    message.cookie = 1;
    message.cookie_reply = 0x77;
    const Memory memory(64);
    REQUIRE(abi::encode(message, memory.span()) == 64U);
    CHECK(get64(memory.span(), 24) == 42);
    CHECK(get64(memory.span(), 56) == 0x77);
}

TEST_CASE("encode refuses what cannot be expressed", "[abi]") {
    abi::OutgoingMessage message;
    alignas(8) std::array<std::byte, 4096> buffer{};
    SECTION("a call that is a reply") {
        message.flags = KDBUS_MSG_EXPECT_REPLY;
        message.timeout_ns = 1;
        message.cookie_reply = 1;
        CHECK(abi::encode(message, buffer).error().value() == EINVAL);
    }
    SECTION("a deadline without a call") {
        message.timeout_ns = 1;
        CHECK(abi::encode(message, buffer).error().value() == EINVAL);
    }
    SECTION("a misaligned buffer") {
        CHECK(abi::encode(message, std::span(buffer).subspan(4)).error().value() == EINVAL);
    }
    SECTION("a buffer that is too small, at every size") {
        message.dst_name = "a.b";
        const std::array fds{1};
        message.fds = fds;
        const std::size_t needed = abi::encoded_size(message);
        for (std::size_t size = 0; size < needed; ++size) {
            const Memory memory(size);
            CHECK(abi::encode(message, memory.span()).error().value() == ENOBUFS);
        }
        const Memory memory(needed);
        CHECK(abi::encode(message, memory.span()) == needed);
    }
    SECTION("more than the kernel takes") {
        const std::byte one{};
        const std::vector<abi::Part> parts(1023, abi::Part::bytes({&one, 1}));
        message.payload = parts;
        std::vector<std::uint64_t> big(8192);
        CHECK(abi::encoded_size(message) == 64 + 1023 * 32);
        CHECK(abi::encode(message, std::as_writable_bytes(std::span(big))).error().value() ==
              EMSGSIZE);
        message.payload = std::span(parts).first(1022);
        CHECK(abi::encode(message, std::as_writable_bytes(std::span(big))) == 32768U);
    }
}

TEST_CASE("deadlines saturate", "[abi]") {
    using namespace std::chrono_literals;
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const auto base = static_cast<std::uint64_t>(now.tv_sec) * 1000000000U;
    CHECK(abi::deadline_after(10s) >= base + 10000000000U);
    CHECK(abi::deadline_after(10s) < base + 60000000000U);
    CHECK(abi::deadline_after(std::chrono::nanoseconds::max()) == std::uint64_t{1} << 62);
    CHECK(abi::deadline_after(-1s) >= base);
    CHECK(abi::deadline_after(-1s) < base + 60000000000U);
}

TEST_CASE("items are iterated with and without trailing padding", "[abi]") {
    const Memory memory(24 + 20);
    memory.put64(0, 20);
    memory.put64(8, 0x1007);
    memory.text(16, std::string_view("abc\0", 4));
    memory.put64(24, 20);
    memory.put64(32, 5);
    memory.put32(40, 9);
    const abi::ItemRange items(memory.span());
    CHECK(items.well_formed());
    std::vector<std::uint64_t> types;
    for (const auto& item : items)
        types.push_back(item.type());
    CHECK(types == std::vector<std::uint64_t>{0x1007, 5});
    CHECK(items.find(0x1007)->string() == "abc");
    REQUIRE(items.find(5)->array<int>());
    CHECK(items.find(5)->array<int>()->front() == 9);
    CHECK_FALSE(items.find(5)->string());
    CHECK_FALSE(items.find(5)->array<std::uint64_t>());
    CHECK_FALSE(items.find(5)->as<kdbus_creds>());
    CHECK_FALSE(items.find(77));
}

TEST_CASE("malformed item chains end early and are reported", "[abi]") {
    const auto size = GENERATE(as<std::uint64_t>(), 0, 1, 15, 41, 48, std::uint64_t{1} << 63,
                               ~std::uint64_t{0}, ~std::uint64_t{0} - 7, ~std::uint64_t{0} - 15);
    const Memory memory(40);
    memory.put64(0, 16);
    memory.put64(8, 1);
    memory.put64(16, size);
    const abi::ItemRange items(memory.span());
    CHECK_FALSE(items.well_formed());
    std::size_t count = 0;
    for (const auto& item : items) {
        CHECK(item.type() == 1);
        ++count;
    }
    CHECK(count == 1);
}

TEST_CASE("leftover bytes and misaligned memory are malformed", "[abi]") {
    const Memory memory(32);
    memory.put64(0, 16);
    CHECK_FALSE(abi::ItemRange(memory.span().first(23)).well_formed());
    CHECK(abi::ItemRange(memory.span().first(16)).well_formed());
    CHECK_FALSE(abi::ItemRange(memory.span().subspan(4, 16)).well_formed());
    CHECK(abi::ItemRange().well_formed());
}

TEST_CASE("strings in items need their NUL at the end and nowhere else", "[abi]") {
    const auto check = [](std::string_view payload, std::size_t offset) {
        return abi::Item(0, std::as_bytes(std::span(payload))).string(offset).has_value();
    };
    CHECK(check(std::string_view("a\0", 2), 0));
    CHECK(check(std::string_view("\0", 1), 0));
    CHECK_FALSE(check("", 0));
    CHECK_FALSE(check("abc", 0));
    CHECK_FALSE(check(std::string_view("a\0b\0", 4), 0));
    CHECK(check(std::string_view("a\0b\0", 4), 2));
    CHECK_FALSE(check(std::string_view("a\0b\0", 4), 4));
    CHECK_FALSE(check(std::string_view("a\0b\0", 4), 400));
}

namespace {

/// A message as in the example of messages.md 2.2: 5 bytes, hole of 3, memfd of 13, 4 bytes.
struct Example {
    Memory memory{64 + 32 + 32 + 40 + 32 + 24};
    static constexpr std::uint64_t base = 200;
    explicit Example(int memfd) {
        memory.put64(0, base);
        memory.put64(32, 7);
        memory.put64(40, KDBUS_PAYLOAD_DBUS);
        memory.put64(48, 99);
        item_off(64, 5, base);
        item_off(96, 3, ~0ULL);
        memory.put64(128, 40);
        memory.put64(136, KDBUS_ITEM_PAYLOAD_MEMFD);
        memory.put64(144, 2);
        memory.put64(152, 13);
        memory.put32(160, static_cast<std::uint32_t>(memfd));
        item_off(168, 4, base + 13);
        memory.text(base, std::string_view("first\0\0\0\0\0\0\0\0last", 17));
    }
    void item_off(std::size_t at, std::uint64_t size, std::uint64_t offset) const {
        memory.put64(at, 32);
        memory.put64(at + 8, KDBUS_ITEM_PAYLOAD_OFF);
        memory.put64(at + 16, size);
        memory.put64(at + 24, offset);
    }
};

} // namespace

TEST_CASE("a received payload is a sequence of pieces", "[abi]") {
    auto file = abi::SealedMemfd::copy(bytes_of("__in the memfd"));
    REQUIRE(file);
    const Example example(file->fd());
    const auto view = abi::MessageView::parse(example.memory.span());
    REQUIRE(view);
    CHECK(view->header().src_id == 7);
    CHECK(view->header().cookie == 99);
    CHECK_FALSE(view->is_kernel());
    CHECK_FALSE(view->notification());
    CHECK(view->payload_size() == 25);
    std::vector<abi::Piece> pieces;
    view->for_each_piece([&](const abi::Piece& piece) { pieces.push_back(piece); });
    REQUIRE(pieces.size() == 4);
    CHECK(std::memcmp(pieces[0].data.data(), "first", 5) == 0);
    CHECK(pieces[1].kind == abi::Piece::Kind::zeros);
    CHECK(pieces[1].size == 3);
    CHECK(pieces[2].kind == abi::Piece::Kind::memfd);
    CHECK(pieces[2].start == 2);
    CHECK(pieces[2].size == 13);
    CHECK(std::memcmp(pieces[3].data.data(), "last", 4) == 0);
    CHECK(pieces[0].map().error().value() == EINVAL);

    // start 2 in a file of 14 bytes leaves 12; the kernel would have refused 13.
    const abi::Piece piece{
        .kind = abi::Piece::Kind::memfd, .size = 12, .start = 2, .fd = file->fd()};
    const auto mapping = piece.map();
    REQUIRE(mapping);
    CHECK(std::memcmp(mapping->bytes().data(), "in the memfd", 12) == 0);
    CHECK(abi::Piece{.kind = abi::Piece::Kind::memfd, .size = 1}.map().error().value() == EBADF);
}

TEST_CASE("messages whose pieces leave the slice are refused", "[abi]") {
    const Example example(-1);
    const auto parse = [&] {
        return abi::MessageView::parse(example.memory.span());
    };
    REQUIRE(parse());
    SECTION("behind the end") {
        example.item_off(168, 4, Example::base + 21);
    }
    SECTION("huge size") {
        example.item_off(168, ~0ULL, Example::base);
    }
    SECTION("huge offset") {
        example.item_off(168, 4, ~0ULL - 2);
    }
    SECTION("into the header") {
        example.item_off(168, 4, 0);
    }
    SECTION("into the items") {
        example.item_off(168, 4, Example::base - 1);
    }
    SECTION("sizes that add up to more than 2^64") {
        example.item_off(96, ~0ULL - 5, ~0ULL);
    }
    SECTION("a memfd item of another size") {
        example.memory.put64(128, 39);
    }
    SECTION("fds that are no whole integers") {
        example.memory.put64(136, KDBUS_ITEM_FDS);
        example.memory.put64(128, 38);
    }
    SECTION("a header that claims too much") {
        example.memory.put64(0, 225);
    }
    SECTION("a header that claims too little") {
        example.memory.put64(0, 63);
    }
    SECTION("a broken chain") {
        example.memory.put64(64, 8);
    }
    CHECK(parse().error().value() == EBADMSG);
}

TEST_CASE("short and misaligned slices are refused", "[abi]") {
    const Memory memory(72);
    memory.put64(0, 64);
    for (std::size_t size = 0; size < 64; ++size)
        CHECK_FALSE(abi::MessageView::parse(memory.span().first(size)));
    CHECK(abi::MessageView::parse(memory.span().first(64)));
    CHECK_FALSE(abi::MessageView::parse(memory.span().subspan(4, 64)));
}

TEST_CASE("random damage never leads outside the slice", "[abi]") {
    std::mt19937_64 random(20150807);
    const std::array<std::uint64_t, 12> nasty{0,  1,  7,      15,    16,        17,
                                              24, 40, 0x1000, ~0ULL, ~0ULL - 7, 1ULL << 63};
    std::size_t accepted = 0;
    for (int round = 0; round < 20000; ++round) {
        const Example example(-1);
        for (std::uint64_t hits = 1 + random() % 3; hits > 0; --hits)
            example.memory.put64(8 * (random() % 28),
                                 random() % 2 ? nasty[random() % nasty.size()] : random() % 256);
        const auto view = abi::MessageView::parse(example.memory.span());
        if (!view)
            continue;
        ++accepted;
        unsigned sum = 0;
        view->for_each_piece([&](const abi::Piece& piece) {
            for (auto byte : piece.data)
                sum += std::to_integer<unsigned>(byte);
        });
        for (const auto& item : view->items())
            for (auto byte : item.payload())
                sum += std::to_integer<unsigned>(byte);
        (void)view->notification();
        (void)view->dst_name();
        (void)view->metadata().owns("a.b");
        (void)view->metadata().cmdline();
        CHECK(sum < 1000000);
    }
    CHECK(accepted > 1000);
}

TEST_CASE("notifications are read as messages.md 8.1 lays them out", "[abi]") {
    const auto timestamp = [](const Memory& memory, std::size_t at) {
        memory.put64(at, 40);
        memory.put64(at + 8, KDBUS_ITEM_TIMESTAMP);
        memory.put64(at + 16, 5);
        memory.put64(at + 24, 6);
        memory.put64(at + 32, 7);
    };
    SECTION("NAME_CHANGE") {
        const std::string_view name("foo.bar");
        const std::size_t t = abi::align8(113 + name.size());
        const Memory memory(t + 40);
        memory.put64(0, t + 40);
        memory.put64(8, 4);
        memory.put64(24, ~0ULL);
        memory.put64(64, 49 + name.size());
        memory.put64(72, 0x8002);
        memory.put64(80, 3);
        memory.put64(88, 0x20);
        memory.put64(96, 4);
        memory.put64(104, 0x22);
        memory.text(112, name);
        timestamp(memory, t);
        auto view = abi::MessageView::parse(memory.span());
        REQUIRE(view);
        REQUIRE(view->is_kernel());
        auto notification = view->notification();
        REQUIRE(notification);
        const auto& change = std::get<abi::NameNotification>(*notification);
        CHECK(change.type == KDBUS_ITEM_NAME_CHANGE);
        CHECK(change.old_owner.id == 3);
        CHECK(change.new_owner.flags == 0x22);
        CHECK(change.name == name);
        CHECK(view->metadata().timestamp()->realtime_ns == 7);
        memory.put64(t + 8, 0x8003); // a second notification
        CHECK_FALSE(abi::MessageView::parse(memory.span())->notification());
    }
    SECTION("ID_REMOVE") {
        const Memory memory(136);
        memory.put64(0, 136);
        memory.put64(64, 32);
        memory.put64(72, 0x8004);
        memory.put64(80, 12);
        memory.put64(88, 1);
        timestamp(memory, 96);
        const auto notification = abi::MessageView::parse(memory.span())->notification();
        REQUIRE(notification);
        CHECK(std::get<abi::IdNotification>(*notification).type == KDBUS_ITEM_ID_REMOVE);
        CHECK(std::get<abi::IdNotification>(*notification).connection.id == 12);
    }
    SECTION("REPLY_DEAD") {
        const Memory memory(120);
        memory.put64(0, 120);
        memory.put64(56, 0x55);
        memory.put64(64, 16);
        memory.put64(72, 0x8006);
        timestamp(memory, 80);
        const auto notification = abi::MessageView::parse(memory.span())->notification();
        REQUIRE(notification);
        CHECK(std::get<abi::ReplyNotification>(*notification).type == KDBUS_ITEM_REPLY_DEAD);
        CHECK(std::get<abi::ReplyNotification>(*notification).cookie == 0x55);
    }
}

TEST_CASE("metadata items are read by type and checked", "[abi]") {
    const Memory memory(80 + 40 + 32 + 48 + 32);
    memory.put64(0, 80);
    memory.put64(8, KDBUS_ITEM_CREDS);
    memory.put64(24, 1000);
    memory.put64(80, 40);
    memory.put64(88, KDBUS_ITEM_PIDS);
    memory.put64(96, 321);
    memory.put64(120, 32);
    memory.put64(128, KDBUS_ITEM_AUXGROUPS);
    memory.put64(136, 10);
    memory.put64(144, 20);
    memory.put64(152, 24 + 12);
    memory.put64(160, KDBUS_ITEM_OWNED_NAME);
    memory.put64(168, 0x20);
    memory.text(176, "foo.bar.baz");
    memory.put64(192, 0); // padding
    memory.put64(192, 24);
    memory.put64(200, KDBUS_ITEM_CMDLINE);
    memory.text(208, std::string_view("sh\0-c\0x\0", 8));
    const abi::Metadata metadata{abi::ItemRange(memory.span().first(216))};
    CHECK(metadata.creds()->euid == 1000);
    CHECK(metadata.pids()->pid == 321);
    CHECK(std::accumulate(metadata.auxgroups()->begin(), metadata.auxgroups()->end(), 0U) == 30);
    CHECK(metadata.owns("foo.bar.baz"));
    CHECK_FALSE(metadata.owns("foo.bar"));
    CHECK(metadata.cmdline() == std::string_view("sh\0-c\0x\0", 8));
    CHECK_FALSE(metadata.exe());
    CHECK_FALSE(metadata.timestamp());
    memory.put64(0, 79);
    CHECK_FALSE(metadata.creds());
}

TEST_CASE("capability sets have as many words as there are capabilities", "[abi]") {
    const Memory memory(56 + 24);
    memory.put64(8, KDBUS_ITEM_CAPS);
    const auto read = [&](std::uint32_t last, std::uint64_t size) {
        memory.put64(0, size);
        memory.put32(16, last);
        return abi::Metadata(abi::ItemRange(memory.span())).capabilities();
    };
    for (std::uint32_t word = 0; word < 8; ++word) // sets begin right behind the number
        memory.put32(20 + 4 * word, 1U << word);
    const auto two = read(40, 16 + 4 + 4 * 2 * 4);
    REQUIRE(two);
    CHECK(*two == abi::Capabilities{.last = 40,
                                    .inheritable = 1 | std::uint64_t{2} << 32,
                                    .permitted = 4 | std::uint64_t{8} << 32,
                                    .effective = 16 | std::uint64_t{32} << 32,
                                    .bounding = 64 | std::uint64_t{128} << 32});
    CHECK(two->has(4));
    CHECK(two->has(37));
    CHECK_FALSE(two->has(5));
    CHECK_FALSE(two->has(64));
    const auto one = read(31, 16 + 4 + 4 * 4);
    REQUIRE(one);
    CHECK(*one == abi::Capabilities{31, 1, 2, 4, 8});
    CHECK_FALSE(read(32, 16 + 4 + 4 * 4));
    CHECK_FALSE(read(31, 16 + 4 + 4 * 4 + 4));
    CHECK_FALSE(read(0xFFFFFFFF, 16 + 4));
    CHECK_FALSE(read(0, 16));
    CHECK_FALSE(read(0, 18));
}

TEST_CASE("a received message closes its descriptors unless they are taken", "[abi]") {
    std::array<int, 3> fds{};
    for (int& fd : fds)
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int memfd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const Memory memory(64 + 32 + 40);
    memory.put64(0, 136);
    memory.put64(40, KDBUS_PAYLOAD_DBUS);
    memory.put64(64, 32);
    memory.put64(72, KDBUS_ITEM_FDS);
    for (std::size_t i = 0; i < fds.size(); ++i)
        memory.put32(80 + 4 * i, static_cast<std::uint32_t>(fds[i]));
    memory.put32(92, static_cast<std::uint32_t>(-1));
    memory.put64(96, 40);
    memory.put64(104, KDBUS_ITEM_PAYLOAD_MEMFD);
    memory.put64(120, 1);
    memory.put32(128, static_cast<std::uint32_t>(memfd));
    const auto pool = fake_pool(memory.span());

    SECTION("owned") {
        abi::UniqueFd kept;
        {
            auto message = abi::ReceivedMessage::adopt(abi::Slice(pool, 0, 136), 1);
            REQUIRE(message);
            CHECK(message->incomplete_fds());
            CHECK(message->fds().size() == 4);
            auto taken = message->take_fd(1);
            REQUIRE(taken);
            CHECK(taken->get() == fds[1]);
            CHECK(message->take_fd(1).error().value() == ENOENT);
            CHECK(message->take_fd(3).error().value() == EBADF);
            CHECK(message->take_fd(4).error().value() == ENOENT);
            CHECK(message->take_memfd(1).error().value() == ENOENT);
            kept = std::move(*taken);
            auto moved = std::move(*message);
            CHECK(message->fds().empty());
            CHECK(is_open(fds[0]));
        }
        CHECK_FALSE(is_open(fds[0]));
        CHECK(is_open(fds[1]));
        CHECK_FALSE(is_open(fds[2]));
        CHECK_FALSE(is_open(memfd));
    }
    SECTION("memfd taken") {
        abi::UniqueFd kept;
        {
            auto message = abi::ReceivedMessage::adopt(abi::Slice(pool, 0, 136), 0);
            auto taken = message->take_memfd(0);
            REQUIRE(taken);
            kept = std::move(*taken);
        }
        CHECK(is_open(memfd));
        CHECK_FALSE(is_open(fds[0]));
    }
    SECTION("peeked") {
        { auto message = abi::ReceivedMessage::adopt(abi::Slice(pool, 0, 136), 0, false); }
        for (int fd : fds) {
            CHECK(is_open(fd));
            close(fd);
        }
        close(memfd);
    }
}

TEST_CASE("slices never lie outside their pool", "[abi]") {
    const Memory memory(64);
    const auto pool = fake_pool(memory.span());
    CHECK(abi::Slice(pool, 0, 64).bytes().size() == 64);
    CHECK(abi::Slice(pool, 8, 57).bytes().empty());
    CHECK(abi::Slice(pool, 72, 0).bytes().empty());
    CHECK(abi::Slice(pool, ~0ULL, 8).bytes().empty());
    CHECK(abi::Slice(pool, 8, ~0ULL).bytes().empty());
    CHECK_FALSE(abi::ReceivedMessage::adopt(abi::Slice(pool, 8, 57), 0));
}

TEST_CASE("lists of records end at the first that does not fit", "[abi]") {
    const Memory memory(24 + 64);
    memory.put64(0, 24);
    memory.put64(8, 5);
    memory.put64(24, 64);
    memory.put64(32, 7);
    memory.put64(40, 1);
    memory.put64(48, 36);
    memory.put64(56, KDBUS_ITEM_OWNED_NAME);
    memory.put64(64, 0x20);
    memory.text(72, "foo.bar.baz");
    const auto ids = [&] {
        std::vector<std::uint64_t> result;
        std::span<const std::byte> rest = memory.span();
        while (auto record = abi::InfoList::next(rest))
            result.push_back(record->id);
        return result;
    };
    CHECK(ids() == std::vector<std::uint64_t>{5, 7});
    std::span<const std::byte> rest = memory.span().subspan(24);
    CHECK(abi::InfoList::next(rest)->metadata().owns("foo.bar.baz"));
    CHECK(rest.empty());
    for (std::uint64_t size :
         {std::uint64_t{0}, std::uint64_t{23}, std::uint64_t{65}, ~std::uint64_t{0}}) {
        memory.put64(24, size);
        CHECK(ids() == std::vector<std::uint64_t>{5});
    }
}

TEST_CASE("sealed memory files cannot change any more", "[abi]") {
    auto writer = abi::MemfdWriter::create(5000, "test");
    REQUIRE(writer);
    REQUIRE(writer->bytes().size() == 5000);
    std::fill(writer->bytes().begin(), writer->bytes().end(), std::byte{42});
    auto sealed = std::move(*writer).seal();
    REQUIRE(sealed);
    CHECK(sealed->size() == 5000);
    CHECK(pwrite(sealed->fd(), "x", 1, 0) < 0);
    CHECK(ftruncate(sealed->fd(), 1) < 0);
    CHECK(ftruncate(sealed->fd(), 9000) < 0);
    CHECK(abi::Mapping::map(sealed->fd(), 0, 1, abi::Mapping::Access::write).error().value() ==
          EPERM);
    const auto mapping = sealed->map();
    REQUIRE(mapping);
    CHECK(mapping->bytes()[4999] == std::byte{42});
    const auto unaligned = abi::Mapping::map(sealed->fd(), 4097, 3, abi::Mapping::Access::read);
    REQUIRE(unaligned);
    CHECK(unaligned->bytes().size() == 3);
    CHECK(abi::Mapping::map(sealed->fd(), ~0ULL, 3, abi::Mapping::Access::read).error().value() ==
          EOVERFLOW);
}

TEST_CASE("adopting files", "[abi]") {
    SECTION("no memory file") {
        CHECK(abi::SealedMemfd::adopt(abi::UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC)))
                  .error()
                  .value() == EMEDIUMTYPE);
    }
    SECTION("sealed against sealing") {
        abi::UniqueFd fd(memfd_create("x", MFD_CLOEXEC));
        CHECK(abi::SealedMemfd::adopt(std::move(fd)).error().value() == EPERM);
    }
    SECTION("mapped for writing elsewhere") {
        abi::UniqueFd fd(memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        REQUIRE(ftruncate(fd.get(), 10) == 0);
        auto mapping = abi::Mapping::map(fd.get(), 0, 10, abi::Mapping::Access::write);
        REQUIRE(mapping);
        CHECK(abi::SealedMemfd::adopt(std::move(*fd.duplicate())).error().value() == EBUSY);
    }
    SECTION("empty") {
        auto sealed = abi::SealedMemfd::copy({});
        REQUIRE(sealed);
        CHECK(sealed->size() == 0);
        CHECK(sealed->map()->bytes().empty());
    }
}

TEST_CASE("making a bus or a connection without the module fails cleanly", "[abi]") {
    CHECK(abi::Bus::make({.name = "0-x"}, "/nonexistent").error() ==
          std::errc::no_such_file_or_directory);
    CHECK(abi::Bus::make({.name = std::string(64, 'x')}, "/nonexistent").error().value() ==
          ENAMETOOLONG);
    CHECK(abi::Connection::open("/nonexistent/bus").error() ==
          std::errc::no_such_file_or_directory);
    CHECK(abi::Connection::open("/dev/null").error().value() == ENOTTY);
}
