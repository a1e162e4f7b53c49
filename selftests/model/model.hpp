// SPDX-License-Identifier: LGPL-2.1-or-later
// A model of a bus: what the reference says, in containers of the standard library and without
// any thought of speed. Every request is answered with the values the module must answer it with,
// and what the module would write into a pool is written byte by byte.
#pragma once

#include <linux/kdbus.h>

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace model {

using u64 = std::uint64_t;
using s64 = std::int64_t;
using Bytes = std::vector<std::uint8_t>;

// Stands for any descriptor that was installed.
constexpr int some_fd = 0x7fffffff;

// The ids of a task; its group ids are the same numbers as its user ids. Supplementary groups are
// in ascending order, as the kernel keeps them.
struct User {
    u64 real = 0;
    u64 effective = 0;
    std::vector<gid_t> groups{};
};

struct Entry {
    std::string name;
    std::vector<kdbus_policy_access> grants{};
};

struct Hello {
    int endpoint = 0; // 0 is the default endpoint
    User user{};
    u64 flags = 0;
    u64 send = 0;
    u64 recv = 0;
    u64 pool_size = 4096;
    std::string description{};
    std::optional<Entry> entry{}; // NAME and POLICY_ACCESS
};

struct Update {
    std::optional<u64> send{};
    std::optional<u64> recv{};
    std::vector<Entry> entries{};
};

struct Rule {
    u64 type = 0;
    u64 first = 0;  // ID, DST_ID; the id of ID_*; the old id of NAME_*
    u64 second = 0; // the new id of NAME_*
    std::optional<std::string> name{};
    std::vector<u64> masks{};
};

struct Match {
    u64 cookie = 0;
    std::vector<Rule> rules{};
};

// A payload item: `size` bytes, or that many entries of FDS.
struct Part {
    enum Kind { data, hole, memfd, fds } kind;
    u64 size;
};

struct Send {
    bool sync = false;
    u64 flags = 0;
    u64 dst_id = 0;
    s64 priority = 0;
    u64 payload_type = KDBUS_PAYLOAD_DBUS;
    u64 cookie = 0;
    u64 last = 0;             // timeout_ns or cookie_reply
    std::vector<u64> bloom{}; // the generation and the bits
    std::optional<std::string> dst_name{};
    std::vector<Part> parts{};
};

// What is compared of every request; what does not apply is 0.
struct Result {
    int error = 0;
    u64 return_flags = 0;
    u64 id = 0;
    u64 offset = 0;
    u64 size = 0;
    u64 dropped = 0;
    u64 msg_return_flags = 0;
    Bytes content{};

    bool operator==(const Result& other) const;
    std::string text() const;
};

// abi 7: slices are cut from the low end of the smallest extent that suffices.
class Pool {
public:
    enum Holder { kernel = 1, user = 2 };

    explicit Pool(u64 size) : size_(size) {}
    u64 size() const { return size_; }
    std::optional<u64> allocate(u64 size, Holder holder);
    void hold(u64 offset, Holder holder) { slices_.at(offset).holders |= holder; }
    void release(u64 offset, Holder holder);
    int free(u64 offset);
    std::vector<u64> claimed() const;
    std::string text() const;

private:
    struct Slice {
        u64 size;
        int holders;
    };
    u64 size_;
    std::map<u64, Slice> slices_;
};

struct Peer;

// messages 4.1
struct Slot {
    Peer* caller;
    Peer* callee;
    u64 cookie;
    std::string name; // that the call was addressed to
    u64 opened;       // when, in the order of all calls of the bus
    bool open = true;
    bool unread = true;
};

struct Mail {
    Bytes content;
    std::vector<std::size_t> fds; // where the entries of FDS are
    std::vector<std::size_t> memfds;
    u64 account = 0;
    s64 priority = 0;
    std::string name;           // that it was addressed to
    std::shared_ptr<Slot> slot; // of a call
    u64 offset = 0;
};

struct Peer {
    explicit Peer(const Hello& request) : hello(request), pool(request.pool_size) {}

    bool is(u64 kind) const { return (hello.flags & kind) != 0; }
    bool ordinary() const;

    Hello hello;
    u64 id = 0;
    bool owner = false;
    u64 account = 0;
    bool alive = true;
    bool closed = false;
    Pool pool;
    std::list<Mail> queue;
    u64 dropped = 0;
    std::vector<Match> matches;
    std::vector<std::string> names; // owned, waited for or activated; oldest request first
};

bool valid_name(const std::string& name, bool wildcard = false);

class Bus {
public:
    Bus(const User& creator, u64 bloom_size) : creator_(creator), bloom_size_(bloom_size) {}

    // The id of the next connection: ids are drawn in the whole domain.
    void set_next_id(u64 id) { next_id_ = id; }

    // A successful HELLO adds a peer, a successful ENDPOINT_MAKE an endpoint; both are known by
    // their number from then on. `as` is the user the calling task is at that moment.
    Result hello(const Hello& request);
    Result close(std::size_t peer);
    Result bye(std::size_t peer);
    Result free(std::size_t peer, u64 offset);
    Result update(std::size_t peer, const Update& request);
    Result acquire(std::size_t peer, const User& as, const std::string& name, u64 flags);
    Result release(std::size_t peer, const std::string& name);
    Result add_match(std::size_t peer, const Match& match, u64 flags);
    Result remove_match(std::size_t peer, u64 cookie);
    Result send(std::size_t peer, const User& as, const Send& request);
    Result recv(std::size_t peer, u64 flags, s64 priority);
    Result list(std::size_t peer, const User& as, u64 flags);
    Result info(std::size_t peer, const User& as, u64 id, const std::string& name, u64 mask);
    Result make_endpoint();
    Result update_endpoint(int endpoint, const std::vector<Entry>& entries);
    Result close_endpoint(int endpoint);
    Result close_bus();
    short poll(std::size_t peer) const;

    u64 bloom_size() const { return bloom_size_; }
    const std::vector<std::unique_ptr<Peer>>& peers() const { return peers_; }
    const std::list<std::shared_ptr<Slot>>& slots() const { return slots_; }
    bool endpoint_alive(int endpoint) const { return endpoints_.at(endpoint).alive; }
    int endpoints() const { return static_cast<int>(endpoints_.size()); }

private:
    struct Owned {
        const Peer* owner;
        std::vector<kdbus_policy_access> grants;
    };
    using Policy = std::map<std::string, Owned>;
    struct Endpoint {
        bool alive = true;
        Policy policy{};
    };
    struct Holder {
        Peer* peer;
        u64 saved;
    };
    struct Name {
        std::list<Holder> queue; // the first is the primary owner
        Peer* activator = nullptr;

        Peer* holder() const { return queue.empty() ? activator : queue.front().peer; }
    };
    struct Notification;

    int may(const Peer& peer, u64 allowed_kinds) const;
    Peer* find(u64 id) const;
    u64 name_flags(const Peer& peer, const std::string& name) const;
    std::vector<std::string> owned_names(const Peer& peer) const;

    static int access(const Policy& policy, const std::string& name, const User& user);
    bool may_own(const Peer& peer, const User& as, const std::string& name) const;
    bool may_talk(const Peer& from, const User& as, const Peer& to) const;
    bool may_see(const Peer& peer, const User& as, const std::string& name) const;
    static int check_entries(const std::vector<Entry>& entries);
    static int replace(Policy& policy, const Peer* owner, const std::vector<Entry>& entries);

    bool wants(const Peer& peer, const Send& m, const Peer& sender) const;
    static bool wants(const Peer& peer, const Notification& n);
    int check(const Send& m) const;
    int resolve(const Send& m, Peer*& to) const;
    Mail compose(const Send& m, const Peer& from, const User& as, const Peer& to) const;
    int admit(Peer& to, Mail mail);
    int deliver(Peer& to, Mail mail);
    void copy_to_monitors(const Send& m, const Peer& from, const User& as);
    int send_unicast(Peer& from, const User& as, const Send& m);
    void send_broadcast(Peer& from, const User& as, const Send& m);

    void notify(const Notification& n);
    void notify_id(u64 type, const Peer& peer);
    void notify_name(u64 type, const std::string& name, u64 old_id, u64 old_flags, u64 new_id,
                     u64 new_flags);
    void fail(Slot& slot);

    void leave(Peer& peer, const std::string& name);
    void hand_over(Peer& from, Peer& to, const std::string& name);
    void disconnect(Peer& peer);
    Result publish(Peer& peer, Bytes content);

    User creator_;
    u64 bloom_size_;
    u64 next_id_ = 0;
    u64 seqnum_ = 0;
    u64 calls_ = 0;
    std::vector<std::unique_ptr<Peer>> peers_;
    std::vector<Endpoint> endpoints_{1};
    Policy policy_;
    std::map<std::string, Name> names_;
    std::list<std::shared_ptr<Slot>> slots_; // in the order they came to be owed
};

// The first bytes of every payload, and what the memory file holds.
std::uint8_t pattern(std::size_t position);

} // namespace model
