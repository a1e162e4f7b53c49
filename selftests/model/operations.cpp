// SPDX-License-Identifier: LGPL-2.1-or-later
#include "operations.hpp"

#include <algorithm>
#include <sstream>

namespace model {

namespace {

const std::vector<User> users = {
    {0, 0, {}},     {1000, 1000, {}},           {1001, 1001, {2000}},
    {1000, 1001, {}}, {1001, 1000, {2000, 2001}}, {0, 1000, {}}, {1001, 0, {}},
};
const std::vector<std::string> good_names = {"a.b", "a.c", "a.b.c", "a.b.d", "x.y-z"};
const std::vector<std::string> bad_names = {"a", ".a.b", "a..b", "a.b.", "a.1b", "a.*"};
const std::vector<std::string> policy_names = {"a.b", "a.c", "a.b.c", "x.y-z", "a.*", "a.b.*"};
const std::vector<u64> pool_sizes = {4096, 4096, 8192, 16384, 65536, 1 << 20};

template <class... T>
std::string words(const T&... values) {
    std::ostringstream out;
    ((out << values << ' '), ...);
    return out.str();
}

std::string text(const User& user) {
    std::string groups;
    for (gid_t gid : user.groups)
        groups += "+" + std::to_string(gid);
    return "[" + std::to_string(user.real) + "/" + std::to_string(user.effective) + groups + "]";
}

std::string text(const Entry& entry) {
    std::ostringstream out;
    out << entry.name << '{';
    for (const kdbus_policy_access& grant : entry.grants)
        out << " type " << grant.type << " access " << grant.access << " id " << grant.id << ';';
    out << '}';
    return out.str();
}

std::string text(const std::vector<Entry>& entries) {
    std::string all;
    for (const Entry& entry : entries)
        all += text(entry) + " ";
    return all;
}

std::string text(const Match& match) {
    std::ostringstream out;
    out << "cookie " << match.cookie << ':';
    for (const Rule& rule : match.rules) {
        out << " {" << std::hex << rule.type << std::dec << ' ' << rule.first << ' '
            << rule.second;
        if (rule.name)
            out << " '" << *rule.name << '\'';
        for (u64 mask : rule.masks)
            out << ' ' << std::hex << mask << std::dec;
        out << '}';
    }
    return out.str();
}

std::string text(const Send& m) {
    std::ostringstream out;
    out << (m.sync ? "sync " : "") << "flags " << m.flags << " dst " << m.dst_id;
    if (m.dst_name)
        out << " '" << *m.dst_name << '\'';
    out << " priority " << m.priority << " cookie " << m.cookie << " last " << m.last;
    if (m.payload_type != KDBUS_PAYLOAD_DBUS)
        out << " payload_type " << m.payload_type;
    for (u64 word : m.bloom)
        out << " bloom " << std::hex << word << std::dec;
    for (const Part& part : m.parts)
        out << ' ' << (const char*[]){"data", "hole", "memfd", "fds"}[part.kind] << ' '
            << part.size;
    return out.str();
}

} // namespace

const std::vector<Round::Operation> Round::table = {
    {"connect", 40, &Round::connect},
    {"disconnect", 18, &Round::disconnect},
    {"bye", 10, &Round::bye},
    {"acquire", 90, &Round::acquire},
    {"release", 50, &Round::release},
    {"match", 60, &Round::add_match},
    {"unmatch", 15, &Round::remove_match},
    {"send", 250, &Round::send},
    {"reply", 60, &Round::reply},
    {"receive", 180, &Round::receive},
    {"drain", 15, &Round::drain},
    {"free", 150, &Round::free},
    {"update", 25, &Round::update},
    {"list", 12, &Round::list},
    {"info", 20, &Round::info},
    {"make-endpoint", 5, &Round::make_endpoint},
    {"update-endpoint", 20, &Round::update_endpoint},
    {"close-endpoint", 3, &Round::close_endpoint},
    {"burst", 1, &Round::burst},
};

std::vector<std::string> Round::names() {
    std::vector<std::string> all;
    for (const Operation& operation : table)
        all.push_back(operation.name);
    return all;
}

Round::Round(u64 seed, const std::set<std::string>& without)
    : random_(seed), creator_(users[below(2)]), bloom_size_(8 << below(2)),
      module_(creator_, bloom_size_), bus_(creator_, bloom_size_) {
    for (const Operation& operation : table) {
        weights_.push_back(without.count(operation.name) ? 0 : operation.weight);
        total_weight_ += weights_.back();
    }
    history_.push_back("bus of " + text(creator_) + ", bloom size " + std::to_string(bloom_size_));

    begin("hello of the first peer, by " + text(creator_));
    Hello first;
    first.user = creator_;
    const Result r = module_.hello(first);
    bus_.set_next_id(r.id);
    compare(r, bus_.hello(first));
    for (int i = 0; i < 3; i++)
        connect();
}

void Round::step() {
    u64 at = below(total_weight_);
    std::size_t i = 0;
    for (; at >= weights_[i]; i++)
        at -= weights_[i];
    (this->*table[i].run)();
}

void Round::finish() {
    for (std::size_t i = 0; i < bus_.peers().size(); i++)
        if (!bus_.peers()[i]->closed)
            while (receive_one(i, 0, 0)) {
            }
    begin("close the bus");
    compare(module_.close_bus(), bus_.close_bus());
    for (std::size_t i = 0; i < bus_.peers().size(); i++)
        if (!bus_.peers()[i]->closed)
            receive_one(i, 0, 0);
}

// ---- comparing ----

void Round::begin(const std::string& text) {
    operations_++;
    history_.push_back(text);
}

Result Round::compare(const Result& module, const Result& model) {
    if (!(module == model)) {
        throw Disagreement("module: " + module.text() + "\nmodel:  " + model.text() + "\n" +
                           aftermath());
    }
    history_.back() += "  -> " + (model.error ? std::string(strerrorname_np(model.error)) : "0");
    if (model.id)
        history_.back() += " id " + std::to_string(model.id);
    compare_events();
    return model;
}

// What every peer has in its pool, and what it still receives.
std::string Round::aftermath() {
    std::ostringstream out;
    for (std::size_t i = 0; i < bus_.peers().size(); i++) {
        const Peer& p = *bus_.peers()[i];
        if (!p.alive || p.is(KDBUS_HELLO_POLICY_HOLDER))
            continue;
        out << "peer " << i << ": pool" << p.pool.text() << "; model's queue";
        for (const Mail& mail : p.queue)
            out << ' ' << mail.offset << '+' << mail.content.size();
        out << "; module's queue";
        for (Result r; (r = module_.recv(i, 0, 0)).error == 0;)
            out << ' ' << r.offset << '+' << r.size;
        out << '\n';
    }
    return out.str();
}

void Round::compare_events() {
    const std::vector<short> events = module_.poll();
    for (std::size_t i = 0; i < events.size(); i++)
        if (!bus_.peers()[i]->closed && events[i] != bus_.poll(i))
            throw Disagreement(words("poll of peer", i, "- module:", events[i],
                                     "model:", bus_.poll(i)));
}

// ---- choosing ----

std::string Round::name() {
    return chance(3) ? one_of(bad_names) : one_of(good_names);
}

// Mostly those that are no more than one user.
User Round::user() {
    return chance(80) ? users[below(3)] : one_of(users);
}

// Who runs a command: usually who opened the handle.
User Round::task_of(std::size_t peer) {
    return chance(90) ? bus_.peers()[peer]->hello.user : user();
}

u64 Round::mask() {
    u64 value = 0;
    for (u64 flag : {KDBUS_ATTACH_TIMESTAMP, KDBUS_ATTACH_CREDS, KDBUS_ATTACH_AUXGROUPS,
                     KDBUS_ATTACH_NAMES, KDBUS_ATTACH_CONN_DESCRIPTION})
        if (chance(40))
            value |= flag;
    return value;
}

u64 Round::bits(unsigned percent) {
    u64 value = 0;
    for (int i = 0; i < 4; i++)
        if (chance(percent))
            value |= u64{1} << (16 * i);
    return value;
}

std::vector<kdbus_policy_access> Round::grants() {
    std::vector<kdbus_policy_access> all;
    for (u64 n = below(4); n > 0; n--) {
        kdbus_policy_access grant{1 + below(3), below(3), 0};
        grant.id = one_of<u64>({0, 1000, 1001, 2000, 2001});
        if (chance(1))
            grant.access = 3;
        if (chance(1))
            grant.type = 0;
        all.push_back(grant);
    }
    return all;
}

std::vector<Entry> Round::entries(u64 n) {
    std::vector<Entry> all;
    for (; n > 0; n--)
        all.push_back({chance(2) ? one_of(bad_names) : one_of(policy_names), grants()});
    return all;
}

// One that is not closed; mostly ordinary and alive.
std::size_t Round::peer(unsigned ordinary_percent) {
    std::vector<std::size_t> all, ordinary;
    for (std::size_t i = 0; i < bus_.peers().size(); i++) {
        const Peer& p = *bus_.peers()[i];
        if (p.closed)
            continue;
        all.push_back(i);
        if (p.alive && p.ordinary())
            ordinary.push_back(i);
    }
    return chance(ordinary_percent) && !ordinary.empty() ? one_of(ordinary) : one_of(all);
}

u64 Round::some_id() {
    return chance(2) ? 0 : chance(2) ? u64{1} << 40 : bus_.peers()[peer(90)]->id;
}

int Round::endpoint() {
    const int n = static_cast<int>(below(static_cast<u64>(bus_.endpoints())));
    return bus_.endpoint_alive(n) ? n : 0;
}

Rule Round::rule() {
    Rule r;
    r.type = one_of<u64>({KDBUS_ITEM_BLOOM_MASK, KDBUS_ITEM_BLOOM_MASK, KDBUS_ITEM_NAME,
                          KDBUS_ITEM_ID, KDBUS_ITEM_DST_ID, KDBUS_ITEM_NAME_ADD,
                          KDBUS_ITEM_NAME_REMOVE, KDBUS_ITEM_NAME_CHANGE, KDBUS_ITEM_ID_ADD,
                          KDBUS_ITEM_ID_REMOVE});
    r.first = chance(60) ? KDBUS_MATCH_ID_ANY : some_id();
    if (r.type == KDBUS_ITEM_DST_ID && chance(20))
        r.first = 0;
    if (r.type == KDBUS_ITEM_NAME || (r.type >= KDBUS_ITEM_NAME_ADD &&
                                      r.type <= KDBUS_ITEM_NAME_CHANGE)) {
        r.second = chance(60) ? KDBUS_MATCH_ID_ANY : some_id();
        if (r.type == KDBUS_ITEM_NAME || chance(50))
            r.name = chance(3) ? "" : name();
    }
    if (r.type == KDBUS_ITEM_BLOOM_MASK)
        for (u64 n = (1 + below(3)) * bloom_size_ / 8 + (chance(2) ? 1 : 0); n > 0; n--)
            r.masks.push_back(bits(25));
    return r;
}

// A message with everything but an address.
Send Round::message() {
    Send m;
    m.cookie = ++cookie_;
    m.priority = static_cast<s64>(below(5)) - 2;
    if (chance(25))
        m.flags |= KDBUS_MSG_NO_AUTO_START;
    const u64 kind = below(100);
    if (kind < 35) {
        m.flags |= KDBUS_MSG_SIGNAL;
        m.bloom.push_back(below(4));
        for (u64 i = 0; i < bloom_size_ / 8 + (chance(2) ? 1 : 0); i++)
            m.bloom.push_back(bits(70));
    } else if (kind < 70) {
        m.flags |= KDBUS_MSG_EXPECT_REPLY;
        m.last = u64{1} << 62; // a deadline that never comes
        if (chance(20))
            m.cookie = 1 + below(3);
        if (chance(3)) {
            m.sync = true;
            m.last = 1;
        }
    }
    for (u64 n = below(5); n > 0; n--) {
        const u64 what = below(100);
        if (what < 70)
            m.parts.push_back({Part::data, 1 + below(chance(20) ? 2000 : 100)});
        else if (what < 85)
            m.parts.push_back({Part::hole, 1 + below(40)});
        else
            m.parts.push_back({Part::memfd, 1 + below(100)});
    }
    if (chance(12))
        m.parts.push_back({Part::fds, 1 + below(chance(5) ? 20 : 6)});
    // What the header rules refuse.
    if (chance(1))
        m.payload_type = KDBUS_PAYLOAD_KERNEL;
    if (chance(1))
        m.flags ^= u64{1} << below(3);
    // Nothing that would wait, or time out.
    if (!(m.flags & KDBUS_MSG_EXPECT_REPLY)) {
        if (chance(1))
            m.last = 7;
        m.sync = chance(1);
    }
    return m;
}

void Round::address(std::size_t, Send& m) {
    const u64 how = below(100);
    if (m.flags & KDBUS_MSG_SIGNAL && how < 60) {
        m.dst_id = KDBUS_DST_ID_BROADCAST;
    } else if (how < 75) {
        m.dst_id = some_id();
    } else {
        m.dst_name = name();
        if (chance(15))
            m.dst_id = some_id();
    }
    if (chance(1) && m.dst_id != KDBUS_DST_ID_BROADCAST)
        m.dst_id = KDBUS_DST_ID_BROADCAST;
}

// ---- operations ----

void Round::connect() {
    const auto open = std::count_if(bus_.peers().begin(), bus_.peers().end(),
                                    [](const auto& p) { return !p->closed; });
    if (open >= 14)
        return;
    Hello h;
    h.endpoint = endpoint();
    h.user = user();
    if (chance(60))
        h.flags |= KDBUS_HELLO_ACCEPT_FD;
    const u64 kind = below(100);
    if (kind < 25)
        h.flags |= KDBUS_HELLO_ACTIVATOR;
    else if (kind < 38)
        h.flags |= KDBUS_HELLO_POLICY_HOLDER;
    else if (kind < 45)
        h.flags |= KDBUS_HELLO_MONITOR;
    if (kind < 45 && chance(70)) {
        // With the rights that takes.
        h.endpoint = 0;
        h.user = creator_;
    }
    if (chance(1))
        h.flags |= KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_MONITOR;
    if ((h.flags & (KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_POLICY_HOLDER)) != 0 ? !chance(2)
                                                                              : chance(1))
        h.entry = Entry{h.flags & KDBUS_HELLO_ACTIVATOR ? name() : entries(1)[0].name, grants()};
    h.send = mask();
    h.recv = mask();
    h.pool_size = one_of(pool_sizes);
    if (chance(30))
        h.description = "peer-" + std::to_string(below(1000));

    begin(words("peer", bus_.peers().size(), "hello", text(h.user), "endpoint", h.endpoint, "flags",
                h.flags, "send", h.send, "recv", h.recv, "pool", h.pool_size,
                "description '" + h.description + "'", h.entry ? text(*h.entry) : ""));
    const Result module = module_.hello(h);
    compare(module, bus_.hello(h));
    if (module.error == 0 && chance(70)) {
        begin(words("peer", bus_.peers().size() - 1, "free 0"));
        compare(module_.free(bus_.peers().size() - 1, 0), bus_.free(bus_.peers().size() - 1, 0));
    }
}

void Round::disconnect() {
    const std::size_t p = peer(50);
    // The first one stays.
    if (p == 0)
        return;
    begin(words("peer", p, "close"));
    compare(module_.close(p), bus_.close(p));
}

void Round::bye() {
    const std::size_t p = peer(80);
    if (p == 0)
        return;
    begin(words("peer", p, "byebye"));
    compare(module_.bye(p), bus_.bye(p));
}

void Round::acquire_one(std::size_t p, const User& as, const std::string& n, u64 flags) {
    begin(words("peer", p, "acquire", n, "flags", flags, "as", text(as)));
    compare(module_.acquire(p, as, n, flags), bus_.acquire(p, as, n, flags));
}

void Round::acquire() {
    const std::size_t p = peer(95);
    acquire_one(p, task_of(p), name(), below(8));
}

void Round::release() {
    std::size_t p = peer(95);
    std::string n = name();
    const std::vector<std::string>& mine = bus_.peers()[p]->names;
    if (!mine.empty() && chance(70))
        n = one_of(mine);
    begin(words("peer", p, "release", n));
    compare(module_.release(p, n), bus_.release(p, n));
}

void Round::match_one(std::size_t p, const Match& match, u64 flags) {
    begin(words("peer", p, "match", text(match), "flags", flags));
    compare(module_.add_match(p, match, flags), bus_.add_match(p, match, flags));
}

void Round::add_match() {
    Match m;
    m.cookie = below(5);
    const u64 n = chance(10) ? 0 : chance(75) ? 1 : 2 + below(2);
    for (u64 i = 0; i < n; i++)
        m.rules.push_back(rule());
    match_one(peer(95), m, chance(25) ? KDBUS_MATCH_REPLACE : 0);
}

void Round::remove_match() {
    const std::size_t p = peer(95);
    const u64 cookie = below(5);
    begin(words("peer", p, "unmatch", cookie));
    compare(module_.remove_match(p, cookie), bus_.remove_match(p, cookie));
}

void Round::send_one(std::size_t from, const User& as, const Send& m) {
    begin(words("peer", from, "send", text(m), "as", text(as)));
    compare(module_.send(from, as, m), bus_.send(from, as, m));
}

void Round::send() {
    const std::size_t from = peer(97);
    Send m = message();
    address(from, m);
    send_one(from, task_of(from), m);
}

// Mostly of who owes one.
void Round::reply() {
    std::vector<std::shared_ptr<Slot>> open;
    for (const auto& slot : bus_.slots())
        if (slot->open && slot->callee->ordinary())
            open.push_back(slot);
    if (open.empty())
        return;
    const Slot& slot = *one_of(open);
    std::size_t from = peer(100);
    if (chance(90))
        for (std::size_t i = 0; i < bus_.peers().size(); i++)
            if (bus_.peers()[i].get() == slot.callee)
                from = i;
    Send m = message();
    m.flags &= KDBUS_MSG_NO_AUTO_START;
    m.bloom.clear();
    m.sync = false;
    m.last = slot.cookie;
    m.dst_id = slot.caller->id;
    if (!slot.caller->names.empty() && chance(20)) {
        m.dst_name = one_of(slot.caller->names);
        m.dst_id = 0;
    }
    send_one(from, task_of(from), m);
}

bool Round::receive_one(std::size_t p, u64 flags, s64 priority) {
    begin(words("peer", p, "recv flags", flags, "priority", priority));
    const Result r = compare(module_.recv(p, flags, priority), bus_.recv(p, flags, priority));
    if (r.error == 0 && !(flags & KDBUS_RECV_DROP) && chance(70)) {
        begin(words("peer", p, "free", r.offset));
        compare(module_.free(p, r.offset), bus_.free(p, r.offset));
    }
    return r.error == 0;
}

void Round::receive() {
    std::vector<std::size_t> readable;
    for (std::size_t i = 0; i < bus_.peers().size(); i++)
        if (!bus_.peers()[i]->closed && !bus_.peers()[i]->queue.empty())
            readable.push_back(i);
    const std::size_t p = readable.empty() || chance(10) ? peer(50) : one_of(readable);
    const u64 flags = chance(40) ? 0
                                 : one_of<u64>({KDBUS_RECV_PEEK, KDBUS_RECV_DROP,
                                                KDBUS_RECV_USE_PRIORITY,
                                                KDBUS_RECV_PEEK | KDBUS_RECV_USE_PRIORITY,
                                                KDBUS_RECV_PEEK | KDBUS_RECV_DROP,
                                                KDBUS_RECV_DROP | KDBUS_RECV_USE_PRIORITY});
    receive_one(p, flags, static_cast<s64>(below(6)) - 3);
}

void Round::drain() {
    const std::size_t p = peer(60);
    while (receive_one(p, 0, 0)) {
    }
    for (u64 offset : bus_.peers()[p]->pool.claimed()) {
        begin(words("peer", p, "free", offset));
        compare(module_.free(p, offset), bus_.free(p, offset));
    }
}

void Round::free() {
    const std::size_t p = peer(60);
    const std::vector<u64> claimed = bus_.peers()[p]->pool.claimed();
    const u64 size = bus_.peers()[p]->pool.size();
    const u64 offset = claimed.empty() || chance(10) ? one_of<u64>({0, 8, size, size + 1, 200})
                                                     : one_of(claimed);
    begin(words("peer", p, "free", offset));
    compare(module_.free(p, offset), bus_.free(p, offset));
}

void Round::update() {
    const std::size_t p = peer(30);
    const Peer& target = *bus_.peers()[p];
    Update u;
    if (target.is(KDBUS_HELLO_POLICY_HOLDER) ? chance(3) : chance(40))
        u.send = mask();
    if (target.is(KDBUS_HELLO_POLICY_HOLDER) ? chance(3) : chance(60))
        u.recv = mask();
    if (target.is(KDBUS_HELLO_POLICY_HOLDER) ? chance(90) : chance(5))
        u.entries = entries(chance(5) ? 2 : 1);
    begin(words("peer", p, "update send", u.send ? std::to_string(*u.send) : "-", "recv",
                u.recv ? std::to_string(*u.recv) : "-", text(u.entries)));
    compare(module_.update(p, u), bus_.update(p, u));
}

void Round::list() {
    const std::size_t p = peer(70);
    const User as = task_of(p);
    const u64 flags = below(16);
    begin(words("peer", p, "list", flags, "as", text(as)));
    compare(module_.list(p, as, flags), bus_.list(p, as, flags));
}

void Round::info() {
    const std::size_t p = peer(70);
    const User as = task_of(p);
    const std::string n = chance(50) ? name() : "";
    const u64 id = n.empty() || chance(20) ? some_id() : 0, m = mask();
    begin(words("peer", p, "info id", id, "name '" + n + "'", "mask", m, "as", text(as)));
    compare(module_.info(p, as, id, n, m), bus_.info(p, as, id, n, m));
}

void Round::make_endpoint() {
    if (bus_.endpoints() > 4)
        return;
    begin(words("make endpoint", bus_.endpoints()));
    compare(module_.make_endpoint(), bus_.make_endpoint());
}

void Round::update_endpoint() {
    const int e = endpoint();
    if (e == 0)
        return;
    const std::vector<Entry> all = entries(below(4));
    begin(words("update endpoint", e, text(all)));
    compare(module_.update_endpoint(e, all), bus_.update_endpoint(e, all));
}

void Round::close_endpoint() {
    const int e = endpoint();
    if (e == 0)
        return;
    begin(words("close endpoint", e));
    compare(module_.close_endpoint(e), bus_.close_endpoint(e));
}

// One thing so often that it meets its limit.
void Round::burst() {
    const std::size_t p = peer(100);
    const User as = task_of(p);
    const u64 n = 100 + below(200), what = below(4);
    if (what == 0) {
        for (u64 i = 0; i < n; i++)
            acquire_one(p, as, "n.a" + std::to_string(i), below(8));
    } else if (what == 1) {
        for (u64 i = 0; i < n; i++) {
            Match m;
            m.cookie = i;
            // Nothing that notifies, which would only drown the rest.
            m.rules.push_back({KDBUS_ITEM_ID, some_id(), 0, {}, {}});
            match_one(p, m, below(2));
        }
    } else {
        Send m = message();
        m.parts.clear();
        address(p, m);
        for (u64 i = 0; i < n; i++)
            send_one(p, as, m);
    }
}

} // namespace model
