// SPDX-License-Identifier: LGPL-2.1-or-later
#include "module.hpp"

#include <grp.h>

namespace model {

using test::Command;
using test::Plain;

namespace {

// Of the payload and of the memory file; no part of a message is larger.
constexpr std::size_t payload_size = 8192;

template <class C>
void put_entry(C& c, const Entry& entry) {
    c.text(KDBUS_ITEM_NAME, entry.name);
    for (const kdbus_policy_access& grant : entry.grants)
        c.object(KDBUS_ITEM_POLICY_ACCESS, grant);
}

// Whoever the process was, it may become anybody: the saved ids are 0.
void set_ids(u64 real, u64 effective, const std::vector<gid_t>& groups) {
    using test::must;
    must(syscall(SYS_setresuid, -1, 0, 0) == 0, "setresuid", errno);
    must(syscall(SYS_setgroups, groups.size(), groups.data()) == 0, "setgroups", errno);
    must(syscall(SYS_setresgid, real, effective, 0) == 0, "setresgid", errno);
    must(syscall(SYS_setresuid, real, effective, 0) == 0, "setresuid", errno);
}

void blank(Bytes& content, std::size_t at, std::size_t n) {
    std::fill_n(content.begin() + static_cast<std::ptrdiff_t>(at), n, 0);
}

} // namespace

Module::Module(const User& creator, u64 bloom_size) : creator_(creator), bloom_size_(bloom_size) {
    for (std::size_t i = 0; i < payload_size; i++)
        payload_.push_back(pattern(i));
    file_ = test::open_node("/dev/null");
    memfd_ = test::make_memfd({reinterpret_cast<const char*>(payload_.data()), payload_.size()});
    become(creator);
    name_ = test::unique_bus_name();
    owner_ = test::open_control();
    auto c = test::bus_command(name_, KDBUS_MAKE_ACCESS_WORLD, bloom_size);
    const int error = test::command(owner_.get(), KDBUS_CMD_BUS_MAKE, c.address());
    test::must(error == 0, "BUS_MAKE", error);
}

Module::~Module() {
    for (std::size_t i = 0; i < peers_.size(); i++)
        close(i);
    set_ids(0, 0, {});
}

// The process stays who it is until somebody else is wanted.
void Module::become(const User& user) {
    if (user.real == user_.real && user.effective == user_.effective &&
        user.groups == user_.groups)
        return;
    set_ids(user.real, user.effective, user.groups);
    user_ = user;
}

std::string Module::path(int endpoint) const {
    const std::string directory = "/dev/kdbus/" + name_ + "/";
    return endpoint == 0 ? directory + "bus"
                         : directory + std::to_string(creator_.effective) + "-" +
                               std::to_string(endpoint);
}

Bytes Module::copy(const Peer& peer, u64 offset, u64 size) const {
    test::must(offset + size <= peer.pool_size, "a slice beyond the pool");
    return {peer.pool + offset, peer.pool + offset + size};
}

// Takes what was installed out of a message, and blanks the times in it.
void Module::take_descriptors(Bytes& content) const {
    auto take = [&](std::size_t at, int original) {
        int fd = -1;
        std::memcpy(&fd, &content[at], 4);
        if (fd < 0)
            return;
        test::must(fcntl(fd, F_GETFD) == FD_CLOEXEC, "a descriptor that is not close-on-exec");
        test::must(test::same_file(fd, original), "a descriptor of another file");
        ::close(fd);
        std::memcpy(&content[at], &some_fd, 4);
    };
    u64 size = 0;
    std::memcpy(&size, content.data(), 8);
    test::must(size <= content.size(), "a message beyond its slice");
    for (const test::Item& item :
         test::parse_items(content.data() + sizeof(kdbus_msg), content.data() + size)) {
        const auto at = static_cast<std::size_t>(item.data - content.data());
        if (item.type == KDBUS_ITEM_FDS)
            for (std::size_t i = 0; i < item.size; i += 4)
                take(at + i, file_.get());
        else if (item.type == KDBUS_ITEM_PAYLOAD_MEMFD)
            take(at + 16, memfd_.get());
        else if (item.type == KDBUS_ITEM_TIMESTAMP)
            blank(content, at + 8, 16);
    }
}

Result Module::hello(const Hello& request) {
    become(request.user);
    Result r;
    test::Fd fd(::open(path(request.endpoint).c_str(), O_RDWR | O_CLOEXEC));
    test::must(bool(fd), "open " + path(request.endpoint), errno);
    test::HelloOptions options;
    options.flags = request.flags;
    options.send = request.send;
    options.recv = request.recv;
    options.pool_size = request.pool_size;
    options.description = request.description;
    auto c = test::hello_command(options);
    if (request.entry)
        put_entry(c, *request.entry);
    r.error = test::command(fd.get(), KDBUS_CMD_HELLO, c.address());
    r.return_flags = c->return_flags;
    if (r.error)
        return r;
    void* map = mmap(nullptr, request.pool_size, PROT_READ, MAP_SHARED, fd.get(), 0);
    test::must(map != MAP_FAILED, "mmap", errno);
    peers_.push_back({std::move(fd), static_cast<const std::uint8_t*>(map), request.pool_size});
    r.id = c->id;
    r.offset = c->offset;
    r.size = c->items_size;
    r.content = copy(peers_.back(), r.offset, r.size);
    return r;
}

Result Module::close(std::size_t peer) {
    Peer& p = peers_[peer];
    p.fd.reset();
    if (p.pool)
        munmap(const_cast<std::uint8_t*>(p.pool), p.pool_size);
    p.pool = nullptr;
    return {};
}

namespace {

// Runs a command of which only the head is written back.
template <class C>
Result run(const test::Fd& fd, unsigned long number, C& c) {
    Result r;
    r.error = test::command(fd.get(), number, c.address());
    r.return_flags = c->return_flags;
    return r;
}

} // namespace

Result Module::bye(std::size_t peer) {
    Plain c;
    return run(peers_[peer].fd, KDBUS_CMD_BYEBYE, c);
}

Result Module::free(std::size_t peer, u64 offset) {
    Command<kdbus_cmd_free> c;
    c->offset = offset;
    return run(peers_[peer].fd, KDBUS_CMD_FREE, c);
}

Result Module::update(std::size_t peer, const Update& request) {
    Plain c;
    if (request.send)
        c.word(KDBUS_ITEM_ATTACH_FLAGS_SEND, *request.send);
    if (request.recv)
        c.word(KDBUS_ITEM_ATTACH_FLAGS_RECV, *request.recv);
    for (const Entry& entry : request.entries)
        put_entry(c, entry);
    return run(peers_[peer].fd, KDBUS_CMD_UPDATE, c);
}

Result Module::acquire(std::size_t peer, const User& as, const std::string& name, u64 flags) {
    become(as);
    Plain c;
    c->flags = flags;
    c.text(KDBUS_ITEM_NAME, name);
    return run(peers_[peer].fd, KDBUS_CMD_NAME_ACQUIRE, c);
}

Result Module::release(std::size_t peer, const std::string& name) {
    Plain c;
    c.text(KDBUS_ITEM_NAME, name);
    return run(peers_[peer].fd, KDBUS_CMD_NAME_RELEASE, c);
}

Result Module::add_match(std::size_t peer, const Match& match, u64 flags) {
    Command<kdbus_cmd_match> c;
    c->flags = flags;
    c->cookie = match.cookie;
    for (const Rule& rule : match.rules) {
        std::vector<u64> words;
        switch (rule.type) {
        case KDBUS_ITEM_NAME:
            c.text(rule.type, *rule.name);
            continue;
        case KDBUS_ITEM_BLOOM_MASK:
            words = rule.masks;
            break;
        case KDBUS_ITEM_ID:
        case KDBUS_ITEM_DST_ID:
            words = {rule.first};
            break;
        case KDBUS_ITEM_ID_ADD:
        case KDBUS_ITEM_ID_REMOVE:
            words = {rule.first, 0};
            break;
        default:
            words = {rule.first, 0, rule.second, 0};
        }
        Bytes payload(words.size() * 8);
        std::copy_n(reinterpret_cast<const std::uint8_t*>(words.data()), payload.size(),
                    payload.begin());
        if (rule.name)
            payload.insert(payload.end(), rule.name->c_str(),
                           rule.name->c_str() + rule.name->size() + 1);
        c.item(rule.type, payload.data(), payload.size());
    }
    return run(peers_[peer].fd, KDBUS_CMD_MATCH_ADD, c);
}

Result Module::remove_match(std::size_t peer, u64 cookie) {
    Command<kdbus_cmd_match> c;
    c->cookie = cookie;
    return run(peers_[peer].fd, KDBUS_CMD_MATCH_REMOVE, c);
}

Result Module::send(std::size_t peer, const User& as, const Send& request) {
    become(as);
    test::Message m(request.dst_id, request.cookie);
    m.flags(request.flags).priority(request.priority);
    m->payload_type = request.payload_type;
    m->timeout_ns = request.last;
    if (!request.bloom.empty())
        m.words(KDBUS_ITEM_BLOOM_FILTER, request.bloom);
    if (request.dst_name)
        m.to(*request.dst_name);
    for (const Part& part : request.parts) {
        switch (part.kind) {
        case Part::data:
            m.vec(payload_.data(), part.size);
            break;
        case Part::hole:
            m.hole(part.size);
            break;
        case Part::memfd:
            m.memfd(memfd_.get(), 0, part.size);
            break;
        case Part::fds:
            m.fds(std::vector<int>(part.size, file_.get()));
            break;
        }
    }
    Command<kdbus_cmd_send> c;
    c->flags = request.sync ? KDBUS_SEND_SYNC_REPLY : 0;
    c->msg_address = reinterpret_cast<u64>(m.address());
    Result r = run(peers_[peer].fd, KDBUS_CMD_SEND, c);
    r.offset = c->reply.offset;
    r.size = c->reply.msg_size;
    r.msg_return_flags = c->reply.return_flags;
    return r;
}

Result Module::recv(std::size_t peer, u64 flags, s64 priority) {
    const Peer& p = peers_[peer];
    Command<kdbus_cmd_recv> c;
    c->flags = flags;
    c->priority = priority;
    Result r = run(p.fd, KDBUS_CMD_RECV, c);
    r.offset = c->msg.offset;
    r.size = c->msg.msg_size;
    r.dropped = c->dropped_msgs;
    r.msg_return_flags = c->msg.return_flags;
    if (r.size > 0) {
        r.content = copy(p, r.offset, r.size);
        take_descriptors(r.content);
    }
    return r;
}

// The order of connections is open (abi 6.10): sorted by id.
Result Module::list(std::size_t peer, const User& as, u64 flags) {
    become(as);
    const Peer& p = peers_[peer];
    Command<kdbus_cmd_list> c;
    c->flags = flags;
    Result r = run(p.fd, KDBUS_CMD_LIST, c);
    r.offset = c->offset;
    r.size = c->list_size;
    std::vector<Bytes> records;
    for (u64 done = 0; done < r.size;) {
        kdbus_info head{};
        std::memcpy(&head, p.pool + r.offset + done, sizeof head);
        test::must(head.size >= sizeof head, "a record of LIST too short");
        records.push_back(copy(p, r.offset + done, head.size));
        done += test::align8(head.size);
    }
    auto id_of = [](const Bytes& record) {
        return reinterpret_cast<const kdbus_info*>(record.data())->id;
    };
    std::stable_sort(records.begin(), records.end(),
                     [&](const Bytes& a, const Bytes& b) { return id_of(a) < id_of(b); });
    for (const Bytes& record : records)
        r.content.insert(r.content.end(), record.begin(), record.end());
    return r;
}

Result Module::info(std::size_t peer, const User& as, u64 id, const std::string& name, u64 mask) {
    become(as);
    const Peer& p = peers_[peer];
    Command<kdbus_cmd_info> c;
    c->id = id;
    c->attach_flags = mask;
    if (!name.empty())
        c.text(KDBUS_ITEM_NAME, name);
    Result r = run(p.fd, KDBUS_CMD_CONN_INFO, c);
    r.offset = c->offset;
    r.size = c->info_size;
    if (r.size > 0)
        r.content = copy(p, r.offset, r.size);
    return r;
}

Result Module::make_endpoint() {
    become(creator_);
    test::Fd fd = test::open_node(path(0));
    Plain c;
    c->flags = KDBUS_MAKE_ACCESS_WORLD;
    c.text(KDBUS_ITEM_MAKE_NAME, std::to_string(creator_.effective) + "-" +
                                     std::to_string(endpoints_.size() + 1));
    Result r = run(fd, KDBUS_CMD_ENDPOINT_MAKE, c);
    endpoints_.push_back(std::move(fd));
    return r;
}

Result Module::update_endpoint(int endpoint, const std::vector<Entry>& entries) {
    Plain c;
    for (const Entry& entry : entries)
        put_entry(c, entry);
    return run(endpoints_[static_cast<std::size_t>(endpoint) - 1], KDBUS_CMD_ENDPOINT_UPDATE, c);
}

Result Module::close_endpoint(int endpoint) {
    endpoints_[static_cast<std::size_t>(endpoint) - 1].reset();
    return {};
}

Result Module::close_bus() {
    owner_.reset();
    return {};
}

std::vector<short> Module::poll() const {
    std::vector<pollfd> fds;
    for (const Peer& peer : peers_)
        fds.push_back({peer.fd.get(),
                       POLLIN | POLLOUT | POLLPRI | POLLRDNORM | POLLWRNORM | POLLRDBAND |
                           POLLWRBAND,
                       0});
    test::must(::poll(fds.data(), fds.size(), 0) >= 0, "poll", errno);
    std::vector<short> events;
    for (const pollfd& fd : fds)
        events.push_back(fd.revents);
    return events;
}

} // namespace model
