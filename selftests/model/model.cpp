// SPDX-License-Identifier: LGPL-2.1-or-later
#include "model.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sstream>

namespace model {

namespace {

constexpr u64 all_ones = ~u64{0};
constexpr u64 special =
    KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_POLICY_HOLDER | KDBUS_HELLO_MONITOR;
// Kinds of connections for Bus::may(): ordinary ones have no flag of their own.
constexpr u64 ordinary = 0;
constexpr u64 activator = KDBUS_HELLO_ACTIVATOR;
constexpr u64 monitor = KDBUS_HELLO_MONITOR;
constexpr u64 kernel_account = all_ones;
constexpr u64 endpoint_account = u64{1} << 32;

constexpr u64 align8(u64 n) {
    return (n + 7) & ~u64{7};
}

// Builds headers and chains of items.
class Writer {
public:
    void word(u64 value) { raw(&value, 8); }
    void raw(const void* data, std::size_t n) {
        auto* bytes = static_cast<const std::uint8_t*>(data);
        out.insert(out.end(), bytes, bytes + n);
    }
    void text(const std::string& value) { raw(value.c_str(), value.size() + 1); }
    void zeros(std::size_t n) { out.insert(out.end(), n, 0); }
    void pad() { out.resize(align8(out.size())); }
    void item(u64 type, u64 payload_size) {
        pad();
        word(16 + payload_size);
        word(type);
    }
    void set(std::size_t at, u64 value) { std::memcpy(&out[at], &value, 8); }

    Bytes out;
};

void put_creds(Writer& w, const User& user) {
    w.item(KDBUS_ITEM_CREDS, 64);
    // Twice: user ids and group ids.
    for (int i = 0; i < 2; i++)
        for (u64 id : {user.real, user.effective, u64{0}, user.effective})
            w.word(id);
}

void put_groups(Writer& w, const User& user) {
    w.item(KDBUS_ITEM_AUXGROUPS, 8 * user.groups.size());
    for (u64 gid : user.groups)
        w.word(gid);
}

void put_name(Writer& w, u64 flags, const std::string& name) {
    w.item(KDBUS_ITEM_OWNED_NAME, 8 + name.size() + 1);
    w.word(flags);
    w.text(name);
}

void put_description(Writer& w, const std::string& text) {
    if (text.empty())
        return;
    w.item(KDBUS_ITEM_CONN_DESCRIPTION, text.size() + 1);
    w.text(text);
}

// The times are not compared.
void put_timestamp(Writer& w, u64 seqnum) {
    w.item(KDBUS_ITEM_TIMESTAMP, 24);
    w.word(seqnum);
    w.zeros(16);
}

} // namespace

std::uint8_t pattern(std::size_t position) {
    return static_cast<std::uint8_t>(position * 7 + 3);
}

// ---- results ----

bool Result::operator==(const Result& other) const {
    return error == other.error && return_flags == other.return_flags && id == other.id &&
           offset == other.offset && size == other.size && dropped == other.dropped &&
           msg_return_flags == other.msg_return_flags && content == other.content;
}

std::string Result::text() const {
    std::ostringstream out;
    out << (error ? strerrorname_np(error) ? strerrorname_np(error) : std::to_string(error) : "0")
        << std::hex << " return_flags=" << return_flags << std::dec << " id=" << id
        << " offset=" << offset << " size=" << size << " dropped=" << dropped
        << " msg.return_flags=" << msg_return_flags;
    for (std::size_t i = 0; i < content.size(); i += 8) {
        u64 word = 0;
        std::memcpy(&word, &content[i], std::min<std::size_t>(8, content.size() - i));
        out << (i % 64 ? " " : "\n        ") << std::hex << word;
    }
    return out.str();
}

// ---- pools (abi 7) ----

std::optional<u64> Pool::allocate(u64 size, Holder holder) {
    std::optional<u64> best;
    u64 best_room = all_ones, at = 0;
    auto consider = [&](u64 end) {
        const u64 room = end - at;
        if (room >= size && room < best_room) {
            best = at;
            best_room = room;
        }
    };
    for (const auto& [offset, slice] : slices_) {
        consider(offset);
        at = offset + slice.size;
    }
    consider(size_);
    if (best)
        slices_[*best] = {size, holder};
    return best;
}

void Pool::release(u64 offset, Holder holder) {
    auto slice = slices_.find(offset);
    slice->second.holders &= ~holder;
    if (!slice->second.holders)
        slices_.erase(slice);
}

// abi 6.7
int Pool::free(u64 offset) {
    if (offset == size_)
        return 0;
    auto slice = slices_.find(offset);
    if (slice == slices_.end() || !(slice->second.holders & user))
        return ENXIO;
    release(offset, user);
    return 0;
}

std::vector<u64> Pool::claimed() const {
    std::vector<u64> offsets;
    for (const auto& [offset, slice] : slices_)
        if (slice.holders & user)
            offsets.push_back(offset);
    return offsets;
}

// Every slice: where it is, of what size, and who holds it.
std::string Pool::text() const {
    std::ostringstream out;
    for (const auto& [offset, slice] : slices_)
        out << ' ' << offset << '+' << slice.size << (slice.holders & kernel ? "k" : "")
            << (slice.holders & user ? "u" : "");
    return out.str();
}

// ---- names (abi 9.1) ----

bool valid_name(const std::string& name, bool wildcard) {
    if (name.size() > 255)
        return false;
    std::size_t elements = 0;
    for (std::size_t begin = 0; begin <= name.size(); elements++) {
        const std::size_t end = std::min(name.find('.', begin), name.size());
        const std::string element = name.substr(begin, end - begin);
        begin = end + 1;
        if (wildcard && element == "*" && end == name.size() && elements > 0)
            continue;
        if (element.empty() || (element[0] >= '0' && element[0] <= '9'))
            return false;
        for (char c : element)
            if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-'))
                return false;
    }
    return elements >= 2;
}

bool Peer::ordinary() const {
    return !is(special);
}

// abi 5.2: the end of a connection comes before its kind.
int Bus::may(const Peer& peer, u64 allowed_kinds) const {
    if (!peer.alive)
        return ECONNRESET;
    return (peer.hello.flags & special & ~allowed_kinds) ? EOPNOTSUPP : 0;
}

Peer* Bus::find(u64 id) const {
    for (const auto& peer : peers_)
        if (peer->alive && peer->id == id)
            return peer.get();
    return nullptr;
}

// abi 9.3
u64 Bus::name_flags(const Peer& peer, const std::string& name) const {
    const Name& n = names_.at(name);
    if (n.activator == &peer)
        return KDBUS_NAME_ACTIVATOR | (n.queue.empty() ? KDBUS_NAME_PRIMARY : KDBUS_NAME_IN_QUEUE);
    for (const Holder& holder : n.queue)
        if (holder.peer == &peer)
            return holder.saved |
                   (&holder == &n.queue.front() ? KDBUS_NAME_PRIMARY : KDBUS_NAME_IN_QUEUE);
    return 0;
}

std::vector<std::string> Bus::owned_names(const Peer& peer) const {
    std::vector<std::string> owned;
    for (const std::string& name : peer.names)
        if (names_.at(name).holder() == &peer)
            owned.push_back(name);
    return owned;
}

// ---- policy (abi 11) ----

// abi 11.2, 11.6: the highest level granted, or -1.
int Bus::access(const Policy& policy, const std::string& name, const User& user) {
    auto entry = policy.find(name);
    if (entry == policy.end())
        entry = policy.find(name.substr(0, name.rfind('.')) + ".*");
    if (entry == policy.end())
        return -1;
    int level = -1;
    for (const kdbus_policy_access& grant : entry->second.grants) {
        const bool applies =
            grant.type == KDBUS_POLICY_ACCESS_WORLD ||
            (grant.type == KDBUS_POLICY_ACCESS_USER && grant.id == user.effective) ||
            (grant.type == KDBUS_POLICY_ACCESS_GROUP &&
             (grant.id == user.effective ||
              std::count(user.groups.begin(), user.groups.end(), grant.id) > 0));
        if (applies)
            level = std::max(level, static_cast<int>(grant.access));
    }
    return level;
}

bool Bus::may_own(const Peer& peer, const User& as, const std::string& name) const {
    const int endpoint = peer.hello.endpoint;
    return (!endpoint || access(endpoints_[endpoint].policy, name, as) >= KDBUS_POLICY_OWN) &&
           (peer.owner || access(policy_, name, as) >= KDBUS_POLICY_OWN);
}

// messages 3.2
bool Bus::may_talk(const Peer& from, const User& as, const Peer& to) const {
    const int endpoint = from.hello.endpoint;
    bool by_endpoint = !endpoint, by_bus = from.owner || as.effective == to.hello.user.real;
    for (const std::string& name : owned_names(to)) {
        by_endpoint = by_endpoint ||
                      access(endpoints_[endpoint].policy, name, as) >= KDBUS_POLICY_TALK;
        by_bus = by_bus || access(policy_, name, as) >= KDBUS_POLICY_TALK;
    }
    return by_endpoint && by_bus;
}

bool Bus::may_see(const Peer& peer, const User& as, const std::string& name) const {
    const int endpoint = peer.hello.endpoint;
    return !endpoint || access(endpoints_[endpoint].policy, name, as) >= KDBUS_POLICY_SEE;
}

// abi 11.4
int Bus::check_entries(const std::vector<Entry>& entries) {
    for (const Entry& entry : entries) {
        if (!valid_name(entry.name, true))
            return EINVAL;
        for (const kdbus_policy_access& grant : entry.grants)
            if (grant.access > KDBUS_POLICY_OWN || grant.type < KDBUS_POLICY_ACCESS_USER ||
                grant.type > KDBUS_POLICY_ACCESS_WORLD)
                return EINVAL;
    }
    return 0;
}

int Bus::replace(Policy& policy, const Peer* owner, const std::vector<Entry>& entries) {
    Policy next;
    for (const auto& [name, owned] : policy)
        if (owned.owner != owner)
            next.emplace(name, owned);
    for (const Entry& entry : entries)
        if (!next.emplace(entry.name, Owned{owner, entry.grants}).second)
            return EEXIST;
    policy = next;
    return 0;
}

// ---- notifications (messages 8) ----

struct Bus::Notification {
    u64 type;
    u64 old_id;
    u64 old_flags;
    u64 new_id;
    u64 new_flags;
    std::string name;

    bool about_name() const { return type <= KDBUS_ITEM_NAME_CHANGE; }
};

// abi 10.1
bool Bus::wants(const Peer& peer, const Notification& n) {
    auto same = [](u64 rule, u64 value) { return rule == KDBUS_MATCH_ID_ANY || rule == value; };
    auto passes = [&](const Rule& rule) {
        return rule.type == n.type && same(rule.first, n.old_id) &&
               (!n.about_name() || (same(rule.second, n.new_id) &&
                                    (!rule.name || *rule.name == n.name)));
    };
    return std::any_of(peer.matches.begin(), peer.matches.end(), [&](const Match& match) {
        return std::all_of(match.rules.begin(), match.rules.end(), passes);
    });
}

void Bus::notify(const Notification& n) {
    Writer w;
    for (u64 word : {u64{0}, u64{KDBUS_MSG_SIGNAL}, u64{0}, all_ones, u64{0}, u64{0}, u64{0},
                     u64{0}})
        w.word(word);
    w.item(n.type, n.about_name() ? 32 + n.name.size() + 1 : 16);
    w.word(n.old_id);
    w.word(n.old_flags);
    if (n.about_name()) {
        w.word(n.new_id);
        w.word(n.new_flags);
        w.text(n.name);
    }
    put_timestamp(w, ++seqnum_);
    w.set(0, w.out.size());

    Mail mail;
    mail.content = w.out;
    mail.account = kernel_account;
    for (const auto& peer : peers_) {
        if (!peer->alive)
            continue;
        const bool receives =
            peer->is(monitor) || (wants(*peer, n) && (!n.about_name() ||
                                                      may_see(*peer, peer->hello.user, n.name)));
        if (receives && admit(*peer, mail))
            peer->dropped++;
    }
}

void Bus::notify_id(u64 type, const Peer& peer) {
    if (!peer.is(monitor))
        notify({type, peer.id, peer.hello.flags, 0, 0, {}});
}

void Bus::notify_name(u64 type, const std::string& name, u64 old_id, u64 old_flags, u64 new_id,
                      u64 new_flags) {
    notify({type, old_id, old_flags, new_id, new_flags, name});
}

// messages 4.3, 4.5: no reply will come. Nobody counts what the caller cannot take.
void Bus::fail(Slot& slot) {
    if (!slot.open)
        return;
    slot.open = false;
    Writer w;
    for (u64 word : {u64{120}, u64{0}, u64{0}, slot.caller->id, u64{0}, u64{0}, u64{0},
                     slot.cookie})
        w.word(word);
    w.item(KDBUS_ITEM_REPLY_DEAD, 0);
    put_timestamp(w, ++seqnum_);

    Mail mail;
    mail.content = w.out;
    mail.account = kernel_account;
    for (const auto& peer : peers_)
        if (peer->alive && peer->is(monitor) && admit(*peer, mail))
            peer->dropped++;
    admit(*slot.caller, mail);
}

// ---- delivery ----

// messages 10.2
int Bus::admit(Peer& to, Mail mail) {
    mail.content.resize(align8(mail.content.size()));
    const u64 size = mail.content.size(), half = to.pool.size() / 2;
    u64 used = 0, mine = 0, messages = 0, fds = mail.fds.size();
    for (const Mail& other : to.queue) {
        used += other.content.size();
        if (other.account != mail.account)
            continue;
        mine += other.content.size();
        messages++;
        fds += other.fds.size();
    }
    if (half < used)
        return ENOBUFS;
    const u64 share = (half - used + mine) / 3;
    if (share < mine || share - mine < size || messages >= 256)
        return ENOBUFS;
    if (fds > 16)
        return EMFILE;
    const std::optional<u64> offset = to.pool.allocate(size, Pool::kernel);
    if (!offset)
        return EXFULL;
    mail.offset = *offset;
    to.queue.push_back(std::move(mail));
    return 0;
}

// messages 1.5
int Bus::deliver(Peer& to, Mail mail) {
    if (!mail.fds.empty() && !to.is(monitor) && !to.is(KDBUS_HELLO_ACCEPT_FD))
        return ECOMM;
    return admit(to, std::move(mail));
}

// messages 2 and 9
Mail Bus::compose(const Send& m, const Peer& from, const User& as, const Peer& to) const {
    Mail mail;
    mail.account = from.account;
    mail.priority = m.priority;
    mail.name = m.dst_name.value_or("");

    Writer w;
    for (u64 word : {u64{0}, m.flags, static_cast<u64>(m.priority), m.dst_id, from.id,
                     m.payload_type, m.cookie, m.last})
        w.word(word);
    if (!m.bloom.empty()) {
        w.item(KDBUS_ITEM_BLOOM_FILTER, 8 * m.bloom.size());
        for (u64 word : m.bloom)
            w.word(word);
    }
    if (m.dst_name) {
        w.item(KDBUS_ITEM_DST_NAME, m.dst_name->size() + 1);
        w.text(*m.dst_name);
    }
    std::vector<std::size_t> offsets; // where the offsets of data parts are
    const std::uint32_t no_fd = ~std::uint32_t{0};
    for (const Part& part : m.parts) {
        switch (part.kind) {
        case Part::data:
        case Part::hole:
            w.item(KDBUS_ITEM_PAYLOAD_OFF, 16);
            w.word(part.size);
            offsets.push_back(w.out.size());
            w.word(all_ones);
            break;
        case Part::memfd:
            w.item(KDBUS_ITEM_PAYLOAD_MEMFD, 24);
            w.word(0);
            w.word(part.size);
            mail.memfds.push_back(w.out.size());
            w.raw(&no_fd, 4);
            w.zeros(4);
            break;
        case Part::fds:
            w.item(KDBUS_ITEM_FDS, 4 * part.size);
            for (u64 i = 0; i < part.size; i++) {
                mail.fds.push_back(w.out.size());
                w.raw(&no_fd, 4);
            }
            break;
        }
    }

    const u64 wanted = to.hello.recv;
    if (wanted & KDBUS_ATTACH_CREDS)
        put_creds(w, as);
    if (wanted & KDBUS_ATTACH_AUXGROUPS)
        put_groups(w, as);
    if (wanted & KDBUS_ATTACH_NAMES)
        for (const std::string& name : owned_names(from))
            put_name(w, name_flags(from, name), name);
    if (wanted & KDBUS_ATTACH_CONN_DESCRIPTION)
        put_description(w, from.hello.description);
    if (wanted & KDBUS_ATTACH_TIMESTAMP)
        put_timestamp(w, seqnum_);

    // messages 2.2
    w.set(0, w.out.size());
    w.pad();
    auto offset = offsets.begin();
    for (const Part& part : m.parts) {
        if (part.kind == Part::data) {
            w.set(*offset++, w.out.size());
            for (u64 i = 0; i < part.size; i++)
                w.out.push_back(pattern(i));
        } else if (part.kind != Part::fds) {
            offset += part.kind == Part::hole;
            w.zeros(part.size % 8);
        }
    }
    mail.content = w.out;
    return mail;
}

void Bus::copy_to_monitors(const Send& m, const Peer& from, const User& as) {
    for (const auto& peer : peers_)
        if (peer->alive && peer->is(monitor) && admit(*peer, compose(m, from, as, *peer)))
            peer->dropped++;
}

// abi 10.1, 10.2
bool Bus::wants(const Peer& peer, const Send& m, const Peer& sender) const {
    const std::size_t words = bloom_size_ / 8;
    auto passes = [&](const Rule& rule) {
        switch (rule.type) {
        case KDBUS_ITEM_ID:
            return rule.first == KDBUS_MATCH_ID_ANY || rule.first == sender.id;
        case KDBUS_ITEM_DST_ID:
            return rule.first == KDBUS_MATCH_ID_ANY || rule.first == m.dst_id;
        case KDBUS_ITEM_NAME: {
            auto name = names_.find(*rule.name);
            return name != names_.end() && name->second.holder() == &sender;
        }
        case KDBUS_ITEM_BLOOM_MASK: {
            const u64 last = rule.masks.size() / words - 1;
            const u64* mask = &rule.masks[std::min(m.bloom[0], last) * words];
            for (std::size_t i = 0; i < words; i++)
                if ((m.bloom[1 + i] & mask[i]) != mask[i])
                    return false;
            return true;
        }
        default:
            return false;
        }
    };
    return std::any_of(peer.matches.begin(), peer.matches.end(), [&](const Match& match) {
        return std::all_of(match.rules.begin(), match.rules.end(), passes);
    });
}

// messages 1.2, 1.4 and phase 7 of 1.1
int Bus::check(const Send& m) const {
    const bool expects = m.flags & KDBUS_MSG_EXPECT_REPLY;
    const bool signal = m.flags & KDBUS_MSG_SIGNAL;
    const bool broadcast = m.dst_id == KDBUS_DST_ID_BROADCAST;
    if (m.payload_type == KDBUS_PAYLOAD_KERNEL)
        return EINVAL;
    if (broadcast && !signal)
        return EBADMSG;
    if (broadcast && m.last != 0)
        return ENOTUNIQ;
    if (expects && m.last == 0)
        return EINVAL;
    if (expects && signal)
        return ENOTUNIQ;
    if (m.sync && !expects)
        return EINVAL;
    if (!expects && signal && m.last != 0)
        return EINVAL;

    if (!m.bloom.empty() && (m.bloom.size() - 1) * 8 != bloom_size_)
        return EDOM;
    if (m.dst_name && !valid_name(*m.dst_name))
        return EINVAL;
    if (m.dst_name && broadcast)
        return EBADMSG;
    bool fds = false;
    for (const Part& part : m.parts) {
        fds |= part.kind == Part::fds;
        if (part.kind == Part::fds && part.size > 16)
            return EMFILE;
    }

    if (signal == m.bloom.empty())
        return EBADMSG;
    if (m.dst_id == 0 && !m.dst_name)
        return EDESTADDRREQ;
    return broadcast && fds ? ENOTUNIQ : 0;
}

// messages 3.1
int Bus::resolve(const Send& m, Peer*& to) const {
    if (!m.dst_name) {
        to = find(m.dst_id);
        return to && to->ordinary() ? 0 : ENXIO;
    }
    auto name = names_.find(*m.dst_name);
    if (name == names_.end())
        return ESRCH;
    to = name->second.holder();
    if (m.dst_id != 0 && m.dst_id != to->id)
        return EREMCHG;
    if (to->is(activator) && m.flags & KDBUS_MSG_NO_AUTO_START)
        return EADDRNOTAVAIL;
    return 0;
}

// messages 7.2
void Bus::send_broadcast(Peer& from, const User& as, const Send& m) {
    copy_to_monitors(m, from, as);
    for (const auto& peer : peers_)
        if (peer->alive && wants(*peer, m, from) && may_talk(*peer, peer->hello.user, from) &&
            deliver(*peer, compose(m, from, as, *peer)))
            peer->dropped++;
}

// messages 3.3
int Bus::send_unicast(Peer& from, const User& as, const Send& m) {
    Peer* to = nullptr;
    if (const int error = resolve(m, to))
        return error;

    if (m.flags & KDBUS_MSG_SIGNAL) {
        copy_to_monitors(m, from, as);
        if (wants(*to, m, from) && may_talk(*to, to->hello.user, from))
            deliver(*to, compose(m, from, as, *to));
        return 0;
    }

    if (m.flags & KDBUS_MSG_EXPECT_REPLY || m.last == 0) {
        if (!may_talk(from, as, *to))
            return EPERM;
        if (!(m.flags & KDBUS_MSG_EXPECT_REPLY)) {
            copy_to_monitors(m, from, as);
            return deliver(*to, compose(m, from, as, *to));
        }
        const auto pending = std::count_if(slots_.begin(), slots_.end(), [&](const auto& slot) {
            return slot->caller == &from && (slot->open || slot->unread);
        });
        if (pending >= 128)
            return EMLINK;
        copy_to_monitors(m, from, as);
        Mail mail = compose(m, from, as, *to);
        auto slot = std::make_shared<Slot>(Slot{&from, to, m.cookie, mail.name, ++calls_});
        mail.slot = slot;
        const int error = deliver(*to, std::move(mail));
        if (!error)
            slots_.push_back(slot);
        return error;
    }

    // messages 4.1, 4.2: the most recent call; the slot is closed whatever becomes of the reply.
    std::shared_ptr<Slot> answered;
    for (const auto& slot : slots_)
        if (slot->open && slot->caller == to && slot->callee == &from && slot->cookie == m.last &&
            (!answered || slot->opened > answered->opened))
            answered = slot;
    if (!answered)
        return EBADSLT;
    answered->open = false;
    copy_to_monitors(m, from, as);
    return deliver(*to, compose(m, from, as, *to));
}

Result Bus::send(std::size_t peer, const User& as, const Send& m) {
    Peer& from = *peers_[peer];
    Result r;
    if ((r.error = may(from, ordinary)) || (r.error = check(m)))
        return r;
    seqnum_++; // messages 9.7
    // Synchronous calls are only made with deadlines long past (messages 5.2).
    if (m.sync)
        r.error = ETIMEDOUT;
    else if (m.dst_id == KDBUS_DST_ID_BROADCAST)
        send_broadcast(from, as, m);
    else
        r.error = send_unicast(from, as, m);
    if (!r.error)
        r.offset = from.pool.size(); // messages 1.6
    slots_.remove_if([](const auto& slot) { return !slot->open && !slot->unread; });
    return r;
}

// messages 6
Result Bus::recv(std::size_t peer, u64 flags, s64 priority) {
    Peer& to = *peers_[peer];
    Result r;
    if ((r.error = may(to, activator | monitor)))
        return r;
    const bool drop = flags & KDBUS_RECV_DROP, by_priority = flags & KDBUS_RECV_USE_PRIORITY;
    if (drop && by_priority) {
        r.error = EINVAL;
        return r;
    }

    r.offset = to.pool.size();
    r.dropped = to.dropped;
    r.return_flags = to.dropped ? KDBUS_RECV_RETURN_DROPPED_MSGS : 0;
    to.dropped = 0;
    auto mail = to.queue.begin();
    if (by_priority) {
        mail = std::min_element(
            to.queue.begin(), to.queue.end(),
            [](const Mail& a, const Mail& b) { return a.priority < b.priority; });
        if (mail != to.queue.end() && mail->priority > priority)
            mail = to.queue.end();
    }
    if (mail == to.queue.end()) {
        r.error = EAGAIN;
        return r;
    }

    if (drop) {
        const Mail dropped = *mail;
        to.queue.erase(mail);
        to.pool.release(dropped.offset, Pool::kernel);
        if (dropped.slot) {
            dropped.slot->unread = false;
            fail(*dropped.slot);
        }
        return r;
    }

    r.offset = mail->offset;
    r.size = mail->content.size();
    r.content = mail->content;
    to.pool.hold(mail->offset, Pool::user);
    if (flags & KDBUS_RECV_PEEK)
        return r;
    // messages 2.5
    auto install = [&](std::size_t at) { std::memcpy(&r.content[at], &some_fd, 4); };
    if (to.is(KDBUS_HELLO_ACCEPT_FD))
        std::for_each(mail->fds.begin(), mail->fds.end(), install);
    std::for_each(mail->memfds.begin(), mail->memfds.end(), install);
    to.pool.release(mail->offset, Pool::kernel);
    if (mail->slot)
        mail->slot->unread = false;
    to.queue.erase(mail);
    return r;
}

Result Bus::free(std::size_t peer, u64 offset) {
    Peer& p = *peers_[peer];
    Result r;
    if (!(r.error = may(p, activator | monitor)))
        r.error = p.pool.free(offset);
    return r;
}

// ---- connections ----

// abi 6.4
Result Bus::hello(const Hello& request) {
    auto peer = std::make_unique<Peer>(request);
    Peer& p = *peer;
    Result r;
    p.owner = request.endpoint == 0 &&
              (request.user.effective == creator_.effective || request.user.effective == 0);
    p.account = request.endpoint ? endpoint_account + static_cast<u64>(request.endpoint)
                                 : request.user.real;

    const u64 kind = request.flags & special;
    if (kind & (kind - 1))
        r.error = EINVAL;
    else if (request.entry.has_value() !=
             ((kind & (KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_POLICY_HOLDER)) != 0))
        r.error = EINVAL;
    else if (request.entry && !valid_name(request.entry->name, p.is(KDBUS_HELLO_POLICY_HOLDER)))
        r.error = EINVAL;
    else if (p.is(monitor) && request.endpoint)
        r.error = EOPNOTSUPP;
    else if (kind && !p.owner)
        r.error = EPERM;
    else if (!endpoints_[request.endpoint].alive)
        r.error = ESHUTDOWN;
    if (r.error)
        return r;

    // From here on it has appeared (steps 13 to 15).
    p.id = next_id_++;
    peers_.push_back(std::move(peer));
    notify_id(KDBUS_ITEM_ID_ADD, p);
    if (p.is(activator)) {
        const std::string& name = request.entry->name;
        auto known = names_.find(name);
        if (known != names_.end() && known->second.activator) {
            r.error = EEXIST;
        } else {
            Name& n = names_[name];
            n.activator = &p;
            p.names.push_back(name);
            if (n.queue.empty())
                notify_name(KDBUS_ITEM_NAME_ADD, name, 0, 0, p.id,
                            KDBUS_NAME_ACTIVATOR | KDBUS_NAME_PRIMARY);
        }
    }
    if (!r.error && request.entry && !(r.error = check_entries({*request.entry})))
        r.error = replace(policy_, &p, {*request.entry});
    if (r.error) {
        disconnect(p);
        peers_.pop_back();
        return r;
    }

    Writer w;
    w.item(KDBUS_ITEM_BLOOM_PARAMETER, 16);
    w.word(bloom_size_);
    w.word(1);
    r = publish(p, w.out);
    r.id = p.id;
    return r;
}

// abi 9.6
void Bus::disconnect(Peer& peer) {
    peer.alive = false;
    for (const auto& slot : slots_)
        if (slot->caller == &peer)
            slot->open = false;
    replace(policy_, &peer, {});
    const std::vector<std::string> names = peer.names;
    for (const std::string& name : names)
        leave(peer, name);
    for (const Mail& mail : peer.queue) {
        peer.pool.release(mail.offset, Pool::kernel);
        if (mail.slot)
            mail.slot->unread = false;
    }
    peer.queue.clear();
    for (const auto& slot : slots_)
        if (slot->callee == &peer)
            fail(*slot);
    notify_id(KDBUS_ITEM_ID_REMOVE, peer);
    // A slot whose caller or callee has ended and that nobody reads any more is forgotten.
    slots_.remove_if([](const auto& slot) { return !slot->open && !slot->unread; });
}

Result Bus::close(std::size_t peer) {
    Peer& p = *peers_[peer];
    if (p.alive)
        disconnect(p);
    p.closed = true;
    return {};
}

// abi 6.6
Result Bus::bye(std::size_t peer) {
    Peer& p = *peers_[peer];
    Result r;
    if ((r.error = may(p, ordinary)))
        return r;
    if (!p.queue.empty())
        r.error = EBUSY;
    else
        disconnect(p);
    return r;
}

// abi 6.5
Result Bus::update(std::size_t peer, const Update& request) {
    Peer& p = *peers_[peer];
    Result r;
    if ((r.error = may(p, special)))
        return r;
    const bool holder = p.is(KDBUS_HELLO_POLICY_HOLDER);
    if ((request.send && (holder || p.is(activator))) || (request.recv && holder) ||
        (!request.entries.empty() && !holder)) {
        r.error = EOPNOTSUPP;
        return r;
    }
    if (!request.entries.empty()) {
        // The first entry is looked at before there is a second.
        if ((r.error = check_entries({request.entries[0]})))
            return r;
        if (request.entries.size() > 1)
            r.error = E2BIG;
        else
            r.error = replace(policy_, &p, request.entries);
        if (r.error)
            return r;
    }
    p.hello.send = request.send.value_or(p.hello.send);
    p.hello.recv = request.recv.value_or(p.hello.recv);
    return r;
}

// abi 8
short Bus::poll(std::size_t peer) const {
    const Peer& p = *peers_[peer];
    if (!p.alive)
        return POLLERR | POLLHUP;
    short events = POLLOUT | POLLWRNORM;
    if (!p.queue.empty() || p.dropped > 0)
        events |= POLLIN | POLLRDNORM;
    return events;
}

// ---- names (abi 9) ----

Result Bus::acquire(std::size_t peer, const User& as, const std::string& name, u64 flags) {
    Peer& me = *peers_[peer];
    Result r;
    if ((r.error = may(me, ordinary)))
        return r;
    const bool known_to_me = std::count(me.names.begin(), me.names.end(), name) > 0;
    if (!valid_name(name))
        r.error = EINVAL;
    else if (!may_own(me, as, name))
        r.error = EPERM;
    else if (me.names.size() >= 256 && !known_to_me)
        r.error = E2BIG;
    if (r.error)
        return r;

    // abi 9.2
    const u64 saved = flags & (KDBUS_NAME_ALLOW_REPLACEMENT | KDBUS_NAME_QUEUE);
    const bool existed = names_.count(name) > 0;
    Name& n = names_[name];
    auto mine = std::find_if(n.queue.begin(), n.queue.end(),
                             [&](const Holder& h) { return h.peer == &me; });
    const u64 new_flags = saved | KDBUS_NAME_PRIMARY;
    auto forget = [&](Peer& p) {
        p.names.erase(std::find(p.names.begin(), p.names.end(), name));
    };

    r.return_flags = saved;
    if (n.queue.empty()) { // rows 1 and 2
        n.queue.push_back({&me, saved});
        me.names.push_back(name);
        if (existed)
            hand_over(*n.activator, me, name);
        if (existed)
            notify_name(KDBUS_ITEM_NAME_CHANGE, name, n.activator->id,
                        KDBUS_NAME_ACTIVATOR | KDBUS_NAME_PRIMARY, me.id, new_flags);
        else
            notify_name(KDBUS_ITEM_NAME_ADD, name, 0, 0, me.id, new_flags);
        r.return_flags |= KDBUS_NAME_PRIMARY | KDBUS_NAME_ACQUIRED;
    } else if (n.queue.front().peer == &me) { // row 3
        mine->saved = saved;
        r.return_flags |= KDBUS_NAME_PRIMARY;
    } else if (n.queue.front().saved & KDBUS_NAME_ALLOW_REPLACEMENT &&
               flags & KDBUS_NAME_REPLACE_EXISTING) { // row 4
        const Holder old = n.queue.front();
        if (mine != n.queue.end())
            n.queue.erase(mine);
        if (!(old.saved & KDBUS_NAME_QUEUE)) {
            n.queue.pop_front();
            forget(*old.peer);
        }
        n.queue.push_front({&me, saved});
        if (!known_to_me)
            me.names.push_back(name);
        notify_name(KDBUS_ITEM_NAME_CHANGE, name, old.peer->id, old.saved | KDBUS_NAME_PRIMARY,
                    me.id, new_flags);
        r.return_flags |= KDBUS_NAME_PRIMARY | KDBUS_NAME_ACQUIRED;
    } else if (flags & KDBUS_NAME_QUEUE) { // rows 5 and 6
        r.return_flags |= KDBUS_NAME_IN_QUEUE;
        if (mine != n.queue.end()) {
            mine->saved = saved;
        } else {
            n.queue.push_back({&me, saved});
            me.names.push_back(name);
            r.return_flags |= KDBUS_NAME_ACQUIRED;
        }
    } else if (mine != n.queue.end()) { // row 7
        n.queue.erase(mine);
        forget(me);
    } else { // row 8
        r.error = EEXIST;
    }
    return r;
}

// abi 6.12
Result Bus::release(std::size_t peer, const std::string& name) {
    Peer& me = *peers_[peer];
    Result r;
    if ((r.error = may(me, ordinary)))
        return r;
    if (!names_.count(name))
        r.error = ESRCH;
    else if (!std::count(me.names.begin(), me.names.end(), name))
        r.error = EADDRINUSE;
    else
        leave(me, name);
    return r;
}

// abi 9.5
void Bus::leave(Peer& me, const std::string& name) {
    Name& n = names_.at(name);
    const u64 mine = name_flags(me, name);
    me.names.erase(std::find(me.names.begin(), me.names.end(), name));
    if (n.activator == &me)
        n.activator = nullptr;
    else
        n.queue.remove_if([&](const Holder& h) { return h.peer == &me; });
    if (!(mine & KDBUS_NAME_PRIMARY))
        return;

    Peer* next = n.holder();
    if (!next) {
        names_.erase(name);
        notify_name(KDBUS_ITEM_NAME_REMOVE, name, me.id, mine, 0, 0);
        return;
    }
    if (next == n.activator)
        hand_over(me, *next, name);
    notify_name(KDBUS_ITEM_NAME_CHANGE, name, me.id, mine, next->id, name_flags(*next, name));
}

// messages 3.4: mail for a name, and the duty to answer calls made via it, pass from or to its
// activator.
void Bus::hand_over(Peer& from, Peer& to, const std::string& name) {
    std::list<Mail> mail, kept;
    for (Mail& m : from.queue)
        (m.name == name ? mail : kept).push_back(std::move(m));
    from.queue = std::move(kept);
    for (Mail& m : mail) {
        from.pool.release(m.offset, Pool::kernel);
        const std::shared_ptr<Slot> slot = m.slot;
        if (deliver(to, std::move(m))) {
            to.dropped++;
            if (slot)
                slot->unread = false;
        }
    }

    std::list<std::shared_ptr<Slot>> moving;
    for (auto slot = slots_.begin(); slot != slots_.end();) {
        auto next = std::next(slot);
        if ((*slot)->open && (*slot)->callee == &from && (*slot)->name == name &&
            (*slot)->caller != &to) {
            (*slot)->callee = &to;
            moving.splice(moving.end(), slots_, slot);
        }
        slot = next;
    }
    slots_.splice(slots_.end(), moving);
}

// ---- matches (abi 6.13, 6.14) ----

Result Bus::add_match(std::size_t peer, const Match& match, u64 flags) {
    Peer& p = *peers_[peer];
    Result r;
    if ((r.error = may(p, ordinary)))
        return r;
    for (const Rule& rule : match.rules) {
        if (rule.type == KDBUS_ITEM_BLOOM_MASK &&
            (rule.masks.empty() || rule.masks.size() * 8 % bloom_size_ != 0))
            r.error = EDOM;
        else if (rule.type == KDBUS_ITEM_NAME && !valid_name(*rule.name))
            r.error = EINVAL;
        if (r.error)
            return r;
    }
    std::vector<Match> kept;
    for (const Match& other : p.matches)
        if (!(flags & KDBUS_MATCH_REPLACE) || other.cookie != match.cookie)
            kept.push_back(other);
    if (kept.size() >= 256) {
        r.error = EMFILE;
        return r;
    }
    kept.push_back(match);
    p.matches = kept;
    return r;
}

Result Bus::remove_match(std::size_t peer, u64 cookie) {
    Peer& p = *peers_[peer];
    Result r;
    if ((r.error = may(p, ordinary)))
        return r;
    const std::size_t before = p.matches.size();
    p.matches.erase(std::remove_if(p.matches.begin(), p.matches.end(),
                                   [&](const Match& m) { return m.cookie == cookie; }),
                    p.matches.end());
    r.error = p.matches.size() == before ? EBADSLT : 0;
    return r;
}

// ---- information ----

// A command's result in its caller's pool.
Result Bus::publish(Peer& peer, Bytes content) {
    Result r;
    if (content.empty()) {
        r.offset = peer.pool.size();
        return r;
    }
    content.resize(align8(content.size()));
    const std::optional<u64> offset = peer.pool.allocate(content.size(), Pool::user);
    if (!offset) {
        r.error = EXFULL;
        return r;
    }
    r.offset = *offset;
    r.size = content.size();
    r.content = content;
    return r;
}

// abi 6.10; in the order of ids, though the reference leaves the order open.
Result Bus::list(std::size_t peer, const User& as, u64 flags) {
    Peer& viewer = *peers_[peer];
    Result r;
    if ((r.error = may(viewer, special)))
        return r;
    Writer w;
    auto head = [&](const Peer& p, u64 size) {
        w.word(align8(size));
        w.word(p.id);
        w.word(p.hello.flags);
    };
    for (const auto& p : peers_) {
        if (!p->alive || p->is(monitor))
            continue;
        bool selected = false;
        for (const std::string& name : p->names) {
            const u64 n = name_flags(*p, name);
            const u64 needed = n & KDBUS_NAME_ACTIVATOR ? KDBUS_LIST_ACTIVATORS
                               : n & KDBUS_NAME_PRIMARY ? KDBUS_LIST_NAMES
                                                        : KDBUS_LIST_QUEUED;
            if (!(flags & needed))
                continue;
            selected = true;
            if (!may_see(viewer, as, name))
                continue;
            head(*p, 24 + 24 + name.size() + 1);
            put_name(w, n, name);
            w.pad();
        }
        if (!selected && flags & KDBUS_LIST_UNIQUE)
            head(*p, 24);
    }
    return publish(viewer, w.out);
}

// abi 6.8
Result Bus::info(std::size_t peer, const User& as, u64 id, const std::string& name, u64 mask) {
    Peer& viewer = *peers_[peer];
    Result r;
    if ((r.error = may(viewer, special)))
        return r;
    const Peer* target = nullptr;
    if (!name.empty()) {
        auto n = names_.find(name);
        if (n != names_.end() && may_see(viewer, as, name))
            target = n->second.holder();
        if (!target || (id != 0 && target->id != id))
            r.error = ESRCH;
    } else if (id == 0) {
        r.error = EINVAL;
    } else {
        target = find(id);
        bool visible = target && !viewer.hello.endpoint;
        if (target)
            for (const std::string& owned : owned_names(*target))
                visible = visible || may_see(viewer, as, owned);
        if (!visible)
            r.error = ENXIO;
    }
    if (r.error)
        return r;

    mask &= target->hello.send;
    Writer w;
    for (u64 word : {u64{0}, target->id, target->hello.flags})
        w.word(word);
    if (mask & KDBUS_ATTACH_CREDS)
        put_creds(w, target->hello.user);
    if (mask & KDBUS_ATTACH_AUXGROUPS)
        put_groups(w, target->hello.user);
    if (mask & KDBUS_ATTACH_NAMES)
        for (const std::string& owned : owned_names(*target))
            put_name(w, name_flags(*target, owned), owned);
    if (mask & KDBUS_ATTACH_CONN_DESCRIPTION)
        put_description(w, target->hello.description);
    w.pad();
    w.set(0, w.out.size());
    return publish(viewer, w.out);
}

// ---- endpoints ----

Result Bus::make_endpoint() {
    endpoints_.emplace_back();
    return {};
}

// abi 6.3, 11.4
Result Bus::update_endpoint(int endpoint, const std::vector<Entry>& entries) {
    Endpoint& e = endpoints_[endpoint];
    Result r;
    if (!(r.error = check_entries(entries)))
        r.error = replace(e.policy, nullptr, entries);
    return r;
}

// abi 2.4; connections end in the order they came, though the reference leaves it open.
Result Bus::close_endpoint(int endpoint) {
    endpoints_[endpoint].alive = false;
    for (const auto& peer : peers_)
        if (peer->alive && peer->hello.endpoint == endpoint)
            disconnect(*peer);
    return {};
}

// abi 2.4
Result Bus::close_bus() {
    for (const auto& peer : peers_)
        peer->alive = false;
    return {};
}

} // namespace model
