// SPDX-License-Identifier: LGPL-2.1-or-later
// What the tests of the kernel interface share: raw ioctls with the command built in a block of
// words, buses and connections that clean up after themselves, users, children. Nothing here
// checks more than that its own set-up succeeded.
#pragma once

#include <linux/capability.h>
#include <linux/kdbus.h>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <future>
#include <initializer_list>
#include <list>
#include <memory>
#include <optional>
#include <poll.h>
#include <signal.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <time.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace test {

using u64 = std::uint64_t;
using s64 = std::int64_t;
using u32 = std::uint32_t;
using Bytes = std::vector<std::uint8_t>;

constexpr u64 all_ones = ~u64{0};
constexpr u64 known_attach_flags = 0x3fff;
constexpr u64 page = 4096;
constexpr u64 payload_type = KDBUS_PAYLOAD_DBUS;

// As commands carry it, of 32-bit programs too.
inline u64 address_of(const void* p) {
    return reinterpret_cast<std::uintptr_t>(p);
}

constexpr u64 align8(u64 n) {
    return (n + 7) & ~u64{7};
}

inline u64 now_ns(clockid_t clock = CLOCK_MONOTONIC) {
    timespec ts{};
    clock_gettime(clock, &ts);
    return static_cast<u64>(ts.tv_sec) * 1'000'000'000 + static_cast<u64>(ts.tv_nsec);
}

inline u64 in_ms(u64 ms) {
    return now_ns() + ms * 1'000'000;
}

inline void sleep_ms(int ms) {
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

// Polls `done` until it is true or the time is up; the last value of `done`.
template <class Predicate>
bool eventually(Predicate done, int ms = 10'000) {
    const u64 end = in_ms(static_cast<u64>(ms));
    while (!done()) {
        if (now_ns() > end)
            return done();
        sleep_ms(5);
    }
    return true;
}

// A condition of the set-up, or of what helpers read. Unlike the assertions of Catch it may be
// used in any thread.
inline void must(bool condition, const std::string& what, int error = 0) {
    if (!condition)
        throw std::runtime_error(error ? what + ": " + std::strerror(error) : what);
}

// 0, the errno, or -1 if the ioctl succeeded with anything but 0.
inline int command(int fd, unsigned long number, void* argument) {
    const int r = ioctl(fd, number, argument);
    if (r == 0)
        return 0;
    return r == -1 ? errno : -1;
}

class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    ~Fd() { reset(); }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    void reset() {
        if (fd_ >= 0)
            ::close(fd_);
        fd_ = -1;
    }

private:
    int fd_ = -1;
};

inline Fd open_node(const std::string& path, int flags = O_RDWR | O_CLOEXEC) {
    Fd fd(::open(path.c_str(), flags));
    must(bool(fd), "open " + path, errno);
    return fd;
}

inline Fd open_control() {
    return open_node("/dev/kdbus/control");
}

inline int open_error(const std::string& path, int flags = O_RDWR | O_CLOEXEC) {
    Fd fd(::open(path.c_str(), flags));
    return fd ? 0 : errno;
}

// A command or message: the fixed part and the items behind it, in 8-byte words. `size` ends at
// the unpadded end of the last item, as real clients send it.
template <class Head, class Self>
class Block {
public:
    Block() : words_(sizeof(Head) / 8) {
        words_.reserve(4400);
        head().size = sizeof(Head);
    }

    Head& head() { return *reinterpret_cast<Head*>(words_.data()); }
    const Head& head() const { return *reinterpret_cast<const Head*>(words_.data()); }
    Head* operator->() { return &head(); }
    void* address() { return words_.data(); }
    std::uint8_t* bytes() { return reinterpret_cast<std::uint8_t*>(words_.data()); }

    Self& item(u64 type, const void* data = nullptr, std::size_t n = 0) {
        const std::size_t at = align8(head().size);
        words_.resize((at + 16 + align8(n)) / 8);
        words_[at / 8] = 16 + n;
        words_[at / 8 + 1] = type;
        if (n > 0)
            std::memcpy(bytes() + at + 16, data, n);
        head().size = at + 16 + n;
        items_.push_back(at);
        return static_cast<Self&>(*this);
    }
    template <class T>
    Self& object(u64 type, const T& value) {
        return item(type, &value, sizeof value);
    }
    Self& word(u64 type, u64 value) { return item(type, &value, sizeof value); }
    Self& words(u64 type, std::initializer_list<u64> values) {
        return item(type, std::data(values), values.size() * 8);
    }
    Self& words(u64 type, const std::vector<u64>& values) {
        return item(type, values.data(), values.size() * 8);
    }
    Self& text(u64 type, std::string_view value) {
        return item(type, std::string(value).c_str(), value.size() + 1);
    }

    // Position of the n-th item, and its words for spoiling it: size, type, payload.
    std::size_t offset_of(std::size_t n) const { return items_.at(n); }
    u64* at(std::size_t n) { return &words_[items_.at(n) / 8]; }

    // Room for `n` bytes behind the present end, zero; does not change `size`.
    void reserve_tail(std::size_t n) { words_.resize((align8(head().size) + align8(n)) / 8); }

private:
    std::vector<u64> words_;
    std::vector<std::size_t> items_;
};

template <class Head>
struct Command : Block<Head, Command<Head>> {};
using Plain = Command<kdbus_cmd>;

struct Message : Block<kdbus_msg, Message> {
    explicit Message(u64 destination = 0, u64 cookie = 1) {
        head().dst_id = destination;
        head().payload_type = payload_type;
        head().cookie = cookie;
    }

    Message& vec(const void* data, u64 n) {
        return words(KDBUS_ITEM_PAYLOAD_VEC, {n, address_of(data)});
    }
    Message& hole(u64 n) { return words(KDBUS_ITEM_PAYLOAD_VEC, {n, 0}); }
    Message& body(std::string_view content) {
        kept_.push_back(std::make_shared<std::string>(content));
        return vec(kept_.back()->data(), content.size());
    }
    // `n` bytes of payload.
    Message& filler(u64 n, char c = 'x') { return body(std::string(n, c)); }
    Message& memfd(int fd, u64 start, u64 n, u32 pad = 0) {
        kdbus_memfd value{};
        value.start = start;
        value.size = n;
        value.fd = fd;
        std::memcpy(reinterpret_cast<char*>(&value) + 20, &pad, 4);
        return object(KDBUS_ITEM_PAYLOAD_MEMFD, value);
    }
    Message& fds(const std::vector<int>& values) {
        return item(KDBUS_ITEM_FDS, values.data(), values.size() * 4);
    }
    Message& bloom(u64 generation, const std::vector<u64>& bits) {
        std::vector<u64> value{generation};
        value.insert(value.end(), bits.begin(), bits.end());
        return words(KDBUS_ITEM_BLOOM_FILTER, value);
    }
    Message& to(std::string_view name) { return text(KDBUS_ITEM_DST_NAME, name); }
    Message& flags(u64 value) {
        head().flags = value;
        return *this;
    }
    Message& priority(s64 value) {
        head().priority = value;
        return *this;
    }
    Message& call(u64 deadline_ns) {
        head().flags |= KDBUS_MSG_EXPECT_REPLY;
        head().timeout_ns = deadline_ns;
        return *this;
    }

private:
    std::vector<std::shared_ptr<std::string>> kept_;
};

inline Message reply_to(u64 caller, u64 cookie, u64 own_cookie = 100) {
    Message m(caller, own_cookie);
    m->cookie_reply = cookie;
    return m;
}

// A broadcast for buses with the default Bloom geometry.
inline Message broadcast(u64 bits = 0, u64 cookie = 1, u64 generation = 0) {
    Message m(KDBUS_DST_ID_BROADCAST, cookie);
    m.flags(KDBUS_MSG_SIGNAL).bloom(generation, {bits});
    return m;
}

struct Item {
    u64 type;
    const std::uint8_t* data;
    u64 size; // of the payload

    u64 word(std::size_t n) const {
        must(8 * (n + 1) <= size, "8 * (n + 1) <= size");
        u64 value = 0;
        std::memcpy(&value, data + 8 * n, 8);
        return value;
    }
    std::vector<u64> words() const {
        std::vector<u64> values(size / 8);
        if (size)
            std::memcpy(values.data(), data, size / 8 * 8);
        return values;
    }
    std::vector<int> ints() const {
        std::vector<int> values(size / 4);
        if (size)
            std::memcpy(values.data(), data, size / 4 * 4);
        return values;
    }
    // The string from `skip` on; its only NUL must be the last byte.
    std::string text(std::size_t skip = 0) const {
        must(size > skip, "size > skip");
        must(std::find(data + skip, data + size, 0) == data + size - 1,
             "std::find(data + skip, data + size, 0) == data + size - 1");
        return std::string(data + skip, data + size - 1);
    }
};

// The items in [begin, end), checked to be a chain of which at most the last one's padding is
// left out.
inline std::vector<Item> parse_items(const std::uint8_t* begin, const std::uint8_t* end) {
    std::vector<Item> items;
    while (begin < end) {
        must(end - begin >= 16, "end - begin >= 16");
        u64 head[2];
        std::memcpy(head, begin, 16);
        must(head[0] >= 16, "head[0] >= 16");
        must(head[0] <= static_cast<u64>(end - begin), "head[0] <= static_cast<u64>(end - begin)");
        items.push_back({head[1], begin + 16, head[0] - 16});
        if (align8(head[0]) >= static_cast<u64>(end - begin))
            break;
        begin += align8(head[0]);
    }
    return items;
}

inline const Item* find_item(const std::vector<Item>& items, u64 type) {
    auto it = std::find_if(items.begin(), items.end(), [&](auto& i) { return i.type == type; });
    return it == items.end() ? nullptr : &*it;
}

inline std::size_t count_items(const std::vector<Item>& items, u64 type) {
    return static_cast<std::size_t>(
        std::count_if(items.begin(), items.end(), [&](auto& i) { return i.type == type; }));
}

inline std::vector<u64> types(const std::vector<Item>& items) {
    std::vector<u64> result;
    for (const Item& item : items)
        result.push_back(item.type);
    return result;
}

// Of a message or record.
template <class Record>
std::vector<u64> types(const Record& record) {
    return types(record.items());
}

// The result of RECV or of a synchronous SEND: the command as written back, and a copy of the
// slice taken when the message was picked up.
struct Received {
    int error = 0;
    kdbus_cmd_recv cmd{};
    std::vector<u64> slice;

    const kdbus_msg* operator->() const { return &msg(); }
    const kdbus_msg& msg() const {
        must(error == 0, "error == 0");
        must(slice.size() >= sizeof(kdbus_msg) / 8, "slice.size() >= sizeof(kdbus_msg) / 8");
        return *reinterpret_cast<const kdbus_msg*>(slice.data());
    }
    const std::uint8_t* bytes() const {
        return reinterpret_cast<const std::uint8_t*>(slice.data());
    }
    u64 word(std::size_t byte_offset) const { return slice.at(byte_offset / 8); }
    u64 offset() const { return cmd.msg.offset; }

    std::vector<Item> items() const {
        return parse_items(bytes() + sizeof(kdbus_msg), bytes() + msg().size);
    }
    std::optional<Item> find(u64 type) const {
        const auto all = items();
        const Item* found = find_item(all, type);
        return found ? std::optional(*found) : std::nullopt;
    }
    Item get(u64 type) const {
        auto found = find(type);
        must(found.has_value(), "item of type " + std::to_string(type));
        return *found;
    }
    std::size_t count(u64 type) const { return count_items(items(), type); }

    // The bytes of all in-pool parts, in order; holes left out.
    std::string body() const {
        std::string result;
        for (const Item& item : items()) {
            if (item.type != KDBUS_ITEM_PAYLOAD_OFF || item.word(1) == all_ones)
                continue;
            must(item.word(1) + item.word(0) <= slice.size() * 8,
                 "item.word(1) + item.word(0) <= slice.size() * 8");
            result.append(reinterpret_cast<const char*>(bytes()) + item.word(1), item.word(0));
        }
        return result;
    }
};

struct HelloOptions {
    u64 flags = 0;
    u64 send = 0;
    u64 recv = 0;
    u64 pool_size = 1 << 20;
    std::string description{};
    std::optional<kdbus_creds> creds{};
    std::optional<kdbus_pids> pids{};
    std::optional<std::string> seclabel{};
    std::optional<std::string> name{};
    std::vector<kdbus_policy_access> grants{};
    bool free_result = true;
};

inline Command<kdbus_cmd_hello> hello_command(const HelloOptions& o = {}) {
    Command<kdbus_cmd_hello> c;
    c->flags = o.flags;
    c->attach_flags_send = o.send;
    c->attach_flags_recv = o.recv;
    c->pool_size = o.pool_size;
    if (!o.description.empty())
        c.text(KDBUS_ITEM_CONN_DESCRIPTION, o.description);
    if (o.creds)
        c.object(KDBUS_ITEM_CREDS, *o.creds);
    if (o.pids)
        c.object(KDBUS_ITEM_PIDS, *o.pids);
    if (o.seclabel)
        c.text(KDBUS_ITEM_SECLABEL, *o.seclabel);
    if (o.name)
        c.text(KDBUS_ITEM_NAME, *o.name);
    for (const kdbus_policy_access& grant : o.grants)
        c.object(KDBUS_ITEM_POLICY_ACCESS, grant);
    return c;
}

// A record of LIST or CONN_INFO.
struct Info {
    int error = 0;
    u64 offset = 0;
    u64 size = 0; // as the command reported it
    std::vector<u64> record;

    const kdbus_info& head() const {
        must(error == 0, "error == 0");
        must(record.size() >= 3, "record.size() >= 3");
        return *reinterpret_cast<const kdbus_info*>(record.data());
    }
    std::vector<Item> items() const {
        auto* begin = reinterpret_cast<const std::uint8_t*>(record.data());
        return parse_items(begin + sizeof(kdbus_info), begin + head().size);
    }
};

constexpr short any_event =
    POLLIN | POLLOUT | POLLPRI | POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND;

inline short events_of(int fd, short wanted = any_event, int ms = 0) {
    pollfd p{fd, wanted, 0};
    must(::poll(&p, 1, ms) >= 0, "::poll(&p, 1, ms) >= 0");
    return p.revents;
}

class Connection {
public:
    Connection() = default;
    Connection(Fd fd, const HelloOptions& options) : fd_(std::move(fd)) {
        auto c = hello_command(options);
        const int error = command(fd_.get(), KDBUS_CMD_HELLO, c.address());
        must(error == 0, "HELLO", error);
        hello = c.head();
        void* map = mmap(nullptr, hello.pool_size, PROT_READ, MAP_SHARED, fd_.get(), 0);
        must(map != MAP_FAILED, "map != MAP_FAILED");
        pool_ = static_cast<const std::uint8_t*>(map);
        // A policy holder may not free anything.
        if (options.free_result && !(options.flags & KDBUS_HELLO_POLICY_HOLDER))
            must(free(hello.offset) == 0, "free(hello.offset) == 0");
    }
    Connection(Connection&& other) noexcept
        : hello(other.hello), fd_(std::move(other.fd_)),
          pool_(std::exchange(other.pool_, nullptr)) {}
    Connection& operator=(Connection&& other) noexcept {
        if (this != &other) {
            close();
            hello = other.hello;
            fd_ = std::move(other.fd_);
            pool_ = std::exchange(other.pool_, nullptr);
        }
        return *this;
    }
    ~Connection() { close(); }

    void close() {
        fd_.reset();
        if (pool_)
            munmap(const_cast<std::uint8_t*>(pool_), hello.pool_size);
        pool_ = nullptr;
    }

    int fd() const { return fd_.get(); }
    u64 id() const { return hello.id; }
    u64 pool_size() const { return hello.pool_size; }
    const std::uint8_t* at(u64 offset) const { return pool_ + offset; }

    int run(unsigned long number, void* argument) const {
        return command(fd_.get(), number, argument);
    }

    int send(Message& m, u64 flags = 0) const {
        Command<kdbus_cmd_send> c;
        c->flags = flags;
        c->msg_address = address_of(m.address());
        return run(KDBUS_CMD_SEND, c.address());
    }
    int send(Message&& m, u64 flags = 0) const { return send(m, flags); }

    // A synchronous call; its reply is copied and freed. `cancel` is the descriptor of a
    // CANCEL_FD item.
    Received call(Message& m, int cancel = -1) const {
        Command<kdbus_cmd_send> c;
        c->flags = KDBUS_SEND_SYNC_REPLY;
        c->msg_address = address_of(m.address());
        if (cancel >= 0)
            c.object(KDBUS_ITEM_CANCEL_FD, cancel);
        Received r;
        r.error = run(KDBUS_CMD_SEND, c.address());
        r.cmd.msg = c->reply;
        if (r.error == 0) {
            copy_slice(r);
            free(r.cmd.msg.offset);
        }
        return r;
    }
    Received call(Message&& m, int cancel = -1) const { return call(m, cancel); }

    // RECV without freeing the slice.
    Received recv(u64 flags = 0, s64 priority = 0) const {
        Command<kdbus_cmd_recv> c;
        c->flags = flags;
        c->priority = priority;
        Received r;
        r.error = run(KDBUS_CMD_RECV, c.address());
        r.cmd = c.head();
        if (r.error == 0 && r.cmd.msg.offset != pool_size())
            copy_slice(r);
        return r;
    }

    // The next message, which must be there; its slice is freed.
    Received take(u64 flags = 0, s64 priority = 0) const {
        Received r = recv(flags, priority);
        must(r.error == 0, "RECV", r.error);
        must(free(r.cmd.msg.offset) == 0, "free(r.cmd.msg.offset) == 0");
        return r;
    }

    bool empty() const { return recv(KDBUS_RECV_PEEK).error == EAGAIN; }

    int free(u64 offset) const {
        Command<kdbus_cmd_free> c;
        c->offset = offset;
        return run(KDBUS_CMD_FREE, c.address());
    }

    int acquire(std::string_view name, u64 flags = 0, u64* return_flags = nullptr) const {
        Plain c;
        c->flags = flags;
        c.text(KDBUS_ITEM_NAME, name);
        const int error = run(KDBUS_CMD_NAME_ACQUIRE, c.address());
        if (return_flags)
            *return_flags = c->return_flags;
        return error;
    }
    int release(std::string_view name) const {
        Plain c;
        c.text(KDBUS_ITEM_NAME, name);
        return run(KDBUS_CMD_NAME_RELEASE, c.address());
    }

    int match(Command<kdbus_cmd_match>& c) const { return run(KDBUS_CMD_MATCH_ADD, c.address()); }
    int match(Command<kdbus_cmd_match>&& c) const { return match(c); }
    // A match without rules: every signal and every notification.
    int match_all(u64 cookie = 1) const {
        Command<kdbus_cmd_match> c;
        c->cookie = cookie;
        return match(c);
    }
    int unmatch(u64 cookie) const {
        Command<kdbus_cmd_match> c;
        c->cookie = cookie;
        return run(KDBUS_CMD_MATCH_REMOVE, c.address());
    }

    int bye() const {
        Plain c;
        return run(KDBUS_CMD_BYEBYE, c.address());
    }

    // CONN_INFO; the record is copied and, unless `keep`, freed.
    Info info(u64 id, u64 attach_flags = 0, std::string_view name = {}, bool keep = false) const {
        Command<kdbus_cmd_info> c;
        c->id = id;
        c->attach_flags = attach_flags;
        if (!name.empty())
            c.text(KDBUS_ITEM_NAME, name);
        Info r;
        r.error = run(KDBUS_CMD_CONN_INFO, c.address());
        if (r.error == 0) {
            r.offset = c->offset;
            r.size = c->info_size;
            must(r.offset + r.size <= pool_size(), "r.offset + r.size <= pool_size()");
            r.record.resize(r.size / 8);
            std::memcpy(r.record.data(), at(r.offset), r.size);
            if (!keep)
                must(free(r.offset) == 0, "free(r.offset) == 0");
        }
        return r;
    }

    std::vector<Info> list(u64 flags) const {
        Command<kdbus_cmd_list> c;
        c->flags = flags;
        must(run(KDBUS_CMD_LIST, c.address()) == 0, "run(KDBUS_CMD_LIST, c.address()) == 0");
        std::vector<Info> result;
        must(c->list_size % 8 == 0, "c->list_size % 8 == 0");
        for (u64 done = 0; done < c->list_size;) {
            Info r;
            r.offset = c->offset + done;
            std::memcpy(&r.size, at(r.offset), 8);
            must(r.size >= sizeof(kdbus_info), "r.size >= sizeof(kdbus_info)");
            must(r.size % 8 == 0, "r.size % 8 == 0");
            must(done + r.size <= c->list_size, "done + r.size <= c->list_size");
            r.record.resize(r.size / 8);
            std::memcpy(r.record.data(), at(r.offset), r.size);
            done += r.size;
            result.push_back(std::move(r));
        }
        must(free(c->offset) == 0, "free(c->offset) == 0");
        return result;
    }

    short events(short wanted = any_event, int ms = 0) const {
        return events_of(fd_.get(), wanted, ms);
    }
    bool readable(int ms = 0) const { return (events(POLLIN, ms) & POLLIN) != 0; }

    kdbus_cmd_hello hello{};

private:
    void copy_slice(Received& r) const {
        must(r.cmd.msg.msg_size % 8 == 0, "r.cmd.msg.msg_size % 8 == 0");
        must(r.cmd.msg.offset % 8 == 0, "r.cmd.msg.offset % 8 == 0");
        must(r.cmd.msg.offset + r.cmd.msg.msg_size <= pool_size(),
             "r.cmd.msg.offset + r.cmd.msg.msg_size <= pool_size()");
        r.slice.resize(r.cmd.msg.msg_size / 8);
        std::memcpy(r.slice.data(), at(r.cmd.msg.offset), r.cmd.msg.msg_size);
    }

    Fd fd_;
    const std::uint8_t* pool_ = nullptr;
};

inline std::string unique_bus_name() {
    static int count = 0;
    return std::to_string(geteuid()) + "-t" + std::to_string(getpid()) + "-" +
           std::to_string(++count);
}

inline Plain bus_command(std::string_view name, u64 flags = 0, u64 bloom_size = 8, u64 n_hash = 1) {
    Plain c;
    c->flags = flags;
    c.text(KDBUS_ITEM_MAKE_NAME, name).words(KDBUS_ITEM_BLOOM_PARAMETER, {bloom_size, n_hash});
    return c;
}

struct BusOptions {
    u64 flags = KDBUS_MAKE_ACCESS_WORLD;
    u64 bloom_size = 8;
    u64 n_hash = 1;
};

class Bus {
public:
    explicit Bus(const BusOptions& options = {}) : name(unique_bus_name()), owner(open_control()) {
        auto c = bus_command(name, options.flags, options.bloom_size, options.n_hash);
        const int error = command(owner.get(), KDBUS_CMD_BUS_MAKE, c.address());
        must(error == 0, "BUS_MAKE " + name, error);
    }

    std::string directory() const { return "/dev/kdbus/" + name; }
    std::string path() const { return directory() + "/bus"; }
    Fd open(int flags = O_RDWR | O_CLOEXEC) const { return open_node(path(), flags); }
    Connection connect(const HelloOptions& options = {}) const {
        return Connection(open(), options);
    }
    void close() { owner.reset(); }

    std::string name;
    Fd owner;
};

// Real and effective ids and supplementary groups of a thread.
struct Identity {
    Identity(uid_t id) : Identity(id, id) {}
    Identity(uid_t real, uid_t effective, std::vector<gid_t> supplementary = {})
        : Identity(real, effective, real, effective, std::move(supplementary)) {}
    Identity(uid_t ruid, uid_t effective_uid, gid_t rgid, gid_t effective_gid,
             std::vector<gid_t> supplementary = {})
        : uid(ruid), euid(effective_uid), gid(rgid), egid(effective_gid),
          groups(std::move(supplementary)) {}

    uid_t uid, euid;
    gid_t gid, egid;
    std::vector<gid_t> groups;
};

// Makes the calling thread another user (real, effective, file-system ids and supplementary
// groups) until the end of the scope. The saved ids stay 0, as the way back.
class AsUser {
public:
    AsUser(uid_t real, uid_t effective, std::vector<gid_t> groups = {})
        : AsUser(Identity(real, effective, std::move(groups))) {}
    explicit AsUser(const Identity& who) {
        const long n = syscall(SYS_getgroups, 0, nullptr);
        saved_.resize(static_cast<std::size_t>(n));
        must(syscall(SYS_getgroups, n, saved_.data()) == n,
             "syscall(SYS_getgroups, n, saved_.data()) == n");
        must(syscall(SYS_setgroups, who.groups.size(), who.groups.data()) == 0, "setgroups");
        must(syscall(SYS_setresgid, who.gid, who.egid, 0) == 0, "setresgid");
        must(syscall(SYS_setresuid, who.uid, who.euid, 0) == 0, "setresuid");
    }
    AsUser(const AsUser&) = delete;
    AsUser& operator=(const AsUser&) = delete;
    ~AsUser() {
        if (syscall(SYS_setresuid, 0, 0, 0) != 0 || syscall(SYS_setresgid, 0, 0, 0) != 0 ||
            syscall(SYS_setgroups, saved_.size(), saved_.data()) != 0)
            std::abort();
    }

private:
    std::vector<gid_t> saved_;
};

// Calls `fn` with other credentials.
template <class F>
auto as(const Identity& who, F fn) {
    AsUser user(who);
    return fn();
}

// Drops CAP_IPC_OWNER from the effective set of the calling thread until the end of the scope.
class WithoutIpcOwner {
public:
    WithoutIpcOwner() {
        must(syscall(SYS_capget, &header_, saved_) == 0, "capget");
        __user_cap_data_struct data[2] = {saved_[0], saved_[1]};
        data[0].effective &= ~(1u << CAP_IPC_OWNER);
        must(syscall(SYS_capset, &header_, data) == 0, "capset");
    }
    ~WithoutIpcOwner() {
        if (syscall(SYS_capset, &header_, saved_) != 0)
            std::abort();
    }
    WithoutIpcOwner(const WithoutIpcOwner&) = delete;
    WithoutIpcOwner& operator=(const WithoutIpcOwner&) = delete;

private:
    __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct saved_[2]{};
};

// Policy: who may do what, and entries of a database.
using Grants = std::vector<kdbus_policy_access>;

inline kdbus_policy_access for_user(u64 uid, u64 access) {
    return {KDBUS_POLICY_ACCESS_USER, access, uid};
}
inline kdbus_policy_access for_group(u64 gid, u64 access) {
    return {KDBUS_POLICY_ACCESS_GROUP, access, gid};
}
inline kdbus_policy_access for_world(u64 access) {
    return {KDBUS_POLICY_ACCESS_WORLD, access, 0};
}

struct Entry {
    std::string name;
    Grants grants;
};

// ENDPOINT_UPDATE, or UPDATE of a policy holder.
inline Plain policy_command(const std::vector<Entry>& entries) {
    Plain c;
    for (const Entry& entry : entries) {
        c.text(KDBUS_ITEM_NAME, entry.name);
        for (const kdbus_policy_access& grant : entry.grants)
            c.object(KDBUS_ITEM_POLICY_ACCESS, grant);
    }
    return c;
}

inline Plain endpoint_command(std::string_view name, u64 flags = 0) {
    Plain c;
    c->flags = flags;
    c.text(KDBUS_ITEM_MAKE_NAME, name);
    return c;
}

// A custom endpoint; it admits everybody, unless told otherwise, to an empty policy.
class Endpoint {
public:
    explicit Endpoint(const Bus& bus, const std::vector<Entry>& entries = {},
                      u64 flags = KDBUS_MAKE_ACCESS_WORLD)
        : name(unique_bus_name()), directory(bus.directory()), owner(bus.open()) {
        auto c = endpoint_command(name, flags);
        const int error = command(owner.get(), KDBUS_CMD_ENDPOINT_MAKE, c.address());
        must(error == 0, "ENDPOINT_MAKE " + name, error);
        if (!entries.empty())
            must(update(entries) == 0, "ENDPOINT_UPDATE");
    }

    int update(Plain c) const {
        return command(owner.get(), KDBUS_CMD_ENDPOINT_UPDATE, c.address());
    }
    int update(const std::vector<Entry>& entries) const { return update(policy_command(entries)); }

    std::string path() const { return directory + "/" + name; }
    Fd open(int flags = O_RDWR | O_CLOEXEC) const { return open_node(path(), flags); }
    Connection connect(const HelloOptions& options = {}) const {
        return Connection(open(), options);
    }
    void close() { owner.reset(); }

    std::string name, directory;
    Fd owner;
};

// A connection to a bus or endpoint, opened and made by another user.
template <class Where>
Connection connect_as(const Where& where, const Identity& who, const HelloOptions& options = {}) {
    return as(who, [&] { return where.connect(options); });
}

inline Connection hold(const Bus& bus, const std::string& name, const Grants& grants = {}) {
    return bus.connect({.flags = KDBUS_HELLO_POLICY_HOLDER, .name = name, .grants = grants});
}

// Credentials for HELLO that name one uid throughout.
inline kdbus_creds creds_of(u64 uid) {
    return {uid, uid, uid, uid, uid, uid, uid, uid};
}

// A child process. What `fn` returns is its exit status.
class Child {
public:
    template <class F>
    explicit Child(F fn) {
        const pid_t parent = getpid();
        pid_ = fork();
        must(pid_ >= 0, "pid_ >= 0");
        if (pid_ != 0)
            return;
        int status = 255;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        // In a new pid namespace the parent is 0.
        if (getppid() == parent || getppid() == 0) {
            try {
                status = fn();
            } catch (const std::exception& e) {
                std::fprintf(stderr, "child: %s\n", e.what());
            } catch (...) {
            }
        }
        _exit(status);
    }
    Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
    Child& operator=(Child&& other) noexcept {
        std::swap(pid_, other.pid_);
        return *this;
    }
    ~Child() {
        if (pid_ > 0)
            kill();
    }

    pid_t pid() const { return pid_; }
    // The exit status, or 256 + the signal that killed it.
    int wait() {
        int status = 0;
        while (waitpid(pid_, &status, 0) == -1 && errno == EINTR) {
        }
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
    }
    void kill() {
        ::kill(pid_, SIGKILL);
        wait();
    }

private:
    pid_t pid_ = -1;
};

template <class F>
int in_child(F fn) {
    return Child(fn).wait();
}

// A sealed memory file holding `content`.
inline Fd make_memfd(std::string_view content,
                     int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) {
    Fd fd(memfd_create("payload", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    must(bool(fd), "memfd_create", errno);
    must(write(fd.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()),
         "write(fd.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size())");
    if (seals)
        must(fcntl(fd.get(), F_ADD_SEALS, seals) == 0, "fcntl(fd.get(), F_ADD_SEALS, seals) == 0");
    return fd;
}

inline std::string read_memfd(int fd, u64 start, u64 n) {
    std::string content(n, 0);
    must(pread(fd, content.data(), n, static_cast<off_t>(start)) == static_cast<ssize_t>(n),
         "pread(fd, content.data(), n, static_cast<off_t>(start)) == static_cast<ssize_t>(n)");
    return content;
}

struct Pipe {
    Fd read, write;
    Pipe() {
        int ends[2];
        must(pipe2(ends, O_CLOEXEC) == 0, "pipe2(ends, O_CLOEXEC) == 0");
        read = Fd(ends[0]);
        write = Fd(ends[1]);
    }
};

inline bool same_file(int a, int b) {
    struct stat x {
    }, y{};
    must(fstat(a, &x) == 0, "fstat(a, &x) == 0");
    must(fstat(b, &y) == 0, "fstat(b, &y) == 0");
    return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

// Whether two descriptors are of one open file description.
inline bool same_description(int a, int b) {
    return syscall(SYS_kcmp, getpid(), getpid(), 0 /* KCMP_FILE */, a, b) == 0;
}

// Anonymous pages of which the last one cannot be accessed.
class GuardedPages {
public:
    explicit GuardedPages(std::size_t pages) : size_(pages * page) {
        base_ = static_cast<std::uint8_t*>(mmap(nullptr, size_ + page, PROT_READ | PROT_WRITE,
                                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        must(base_ != MAP_FAILED, "base_ != MAP_FAILED");
        must(mprotect(base_ + size_, page, PROT_NONE) == 0,
             "mprotect(base_ + size_, page, PROT_NONE) == 0");
    }
    GuardedPages(const GuardedPages&) = delete;
    GuardedPages& operator=(const GuardedPages&) = delete;
    ~GuardedPages() { munmap(base_, size_ + page); }

    std::uint8_t* begin() const { return base_; }
    std::uint8_t* end() const { return base_ + size_; }
    // Copies `n` bytes so that they end at the forbidden page.
    void* place(const void* data, std::size_t n) const {
        std::memcpy(end() - n, data, n);
        return end() - n;
    }
    void read_only(bool on) const {
        must(mprotect(base_, size_, on ? PROT_READ : PROT_READ | PROT_WRITE) == 0,
             "mprotect(base_, size_, on ? PROT_READ : PROT_READ | PROT_WRITE) == 0");
    }

private:
    std::uint8_t* base_;
    std::size_t size_;
};

// What the next message of `c` must be: a notification of the given type, byte for byte as
// messages.md 8.1 lays it out.
inline Received expect_id_notification(const Connection& c, u64 type, u64 id, u64 flags) {
    Received r = c.take();
    INFO("ID notification " << std::hex << type << ", got " << r.word(72));
    REQUIRE(r->src_id == KDBUS_SRC_ID_KERNEL);
    REQUIRE(r.word(72) == type);
    CHECK(r.word(80) == id);
    CHECK(r.word(88) == flags);
    CHECK(r->size == 136);
    return r;
}

inline Received expect_name_notification(const Connection& c, u64 type, u64 old_id, u64 old_flags,
                                         u64 new_id, u64 new_flags, const std::string& name) {
    Received r = c.take();
    INFO("NAME notification " << std::hex << type << " for " << name << ", got " << r.word(72));
    REQUIRE(r->src_id == KDBUS_SRC_ID_KERNEL);
    REQUIRE(r.word(72) == type);
    CHECK(r.word(80) == old_id);
    CHECK(r.word(88) == old_flags);
    CHECK(r.word(96) == new_id);
    CHECK(r.word(104) == new_flags);
    CHECK(r.word(64) == 49 + name.size());
    CHECK(r.get(type).text(32) == name);
    return r;
}

inline Received expect_reply_notification(const Connection& c, u64 type, u64 cookie) {
    Received r = c.take();
    INFO("REPLY notification " << std::hex << type << ", got " << r.word(72));
    REQUIRE(r->src_id == KDBUS_SRC_ID_KERNEL);
    REQUIRE(r.word(72) == type);
    CHECK(r->cookie_reply == cookie);
    CHECK(r->dst_id == c.id());
    CHECK(r->flags == 0);
    CHECK(r->size == 120);
    return r;
}

// The next messages of `c` must be REPLY_DEAD notifications for these calls, in any order. The
// cookies ascend.
inline void expect_dead_calls(const Connection& c, const std::vector<u64>& cookies) {
    std::vector<u64> dead;
    while (dead.size() < cookies.size()) {
        const Received r = c.take();
        CHECK(r.word(72) == KDBUS_ITEM_REPLY_DEAD);
        dead.push_back(r->cookie_reply);
    }
    std::sort(dead.begin(), dead.end());
    CHECK(dead == cookies);
}

// The descriptors a message brought: FDS entries, then memfds.
inline std::vector<int> descriptors_of(const Received& r) {
    std::vector<int> fds, memfds;
    for (const Item& item : r.items()) {
        if (item.type == KDBUS_ITEM_FDS) {
            fds = item.ints();
        } else if (item.type == KDBUS_ITEM_PAYLOAD_MEMFD) {
            int fd = -1;
            std::memcpy(&fd, item.data + 16, 4);
            memfds.push_back(fd);
        }
    }
    fds.insert(fds.end(), memfds.begin(), memfds.end());
    return fds;
}

inline void close_descriptors(const Received& r) {
    for (int fd : descriptors_of(r))
        if (fd >= 0)
            ::close(fd);
}

// How many messages were lost since the last report.
inline u64 dropped(const Connection& c) {
    const Received r = c.recv(KDBUS_RECV_PEEK);
    if (r.error == 0)
        must(c.free(r.offset()) == 0, "FREE");
    return r.cmd.dropped_msgs;
}

// Takes everything queued; how many messages that were.
inline int drain(const Connection& c) {
    for (int n = 0;; n++) {
        Received r = c.recv();
        if (r.error == EAGAIN)
            return n;
        REQUIRE(r.error == 0);
        close_descriptors(r);
        c.free(r.cmd.msg.offset);
    }
}

} // namespace test
