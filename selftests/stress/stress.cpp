// SPDX-License-Identifier: LGPL-2.1-or-later
// Several processes do everything at once, at random, and are killed at random; in their midst,
// peers prove that nobody waits for a sender whose memory faults slowly.
//
//   stress [--seconds N] [--seed N]
#include "objects.hpp"
#include "slow-page.hpp"
#include "support.hpp"

#include <array>
#include <atomic>
#include <random>
#include <sys/eventfd.h>
#include <sys/resource.h>

using namespace test;

namespace {

constexpr unsigned peers = 5;
constexpr uid_t another_user = 1000, slow_user = 1234;
// How long the whole may take beyond what was asked for, before it counts as stuck.
constexpr unsigned grace_seconds = 600;

enum class Kind : unsigned {
    connect,
    connect_through_endpoint,
    special_connection,
    signal,
    message,
    files,
    call,
    synchronous_call,
    reply,
    receive,
    acquire,
    release,
    match,
    unmatch,
    update,
    information,
    list,
    map,
    endpoint,
    endpoint_policy,
    byebye,
    bus,
    unload_refused,
    progress,
    count,
};
constexpr std::array<const char*, static_cast<unsigned>(Kind::count)> kind_names{
    "connect",
    "connect through an endpoint",
    "activators, policy holders, monitors",
    "signal",
    "message",
    "descriptors",
    "call",
    "synchronous call",
    "reply",
    "receive",
    "acquire a name",
    "release a name",
    "add a match",
    "remove a match",
    "update",
    "information",
    "list",
    "map a pool",
    "make an endpoint",
    "update an endpoint",
    "byebye",
    "make a bus",
    "unloading is refused",
    "progress beside a slow sender"};

// What the processes tell each other.
struct Shared {
    std::array<std::atomic<u64>, static_cast<unsigned>(Kind::count)> done{};
    std::atomic<u64> buses = 0;     // mortal buses made so far
    std::atomic<u64> endpoints = 0; // endpoints made so far
    std::atomic<int> bad_kind = -1, bad_error = 0;
};
Shared* shared;

// Counts a success; anything but an error of the interface is a finding.
bool note(Kind kind, int error) {
    if (error == 0) {
        shared->done[static_cast<unsigned>(kind)]++;
    } else if (error != ENOENT && !is_interface_error(error)) {
        shared->bad_error = error;
        shared->bad_kind = static_cast<int>(kind);
    }
    return error == 0;
}

bool everything_done() {
    return std::all_of(shared->done.begin(), shared->done.end(),
                       [](const auto& count) { return count > 0; });
}

std::string numbered(const char* prefix, u64 number) {
    return "0-" + (prefix + std::to_string(number));
}

using Random = std::minstd_rand;

std::string some_name(Random& random) {
    return "n.x" + std::to_string(random() % 4);
}

Plain policy_command(Random& random) {
    Plain c;
    c.text(KDBUS_ITEM_NAME, random() % 4 == 0 ? "n.*" : some_name(random));
    for (u64 n = random() % 3; n > 0; n--)
        c.words(KDBUS_ITEM_POLICY_ACCESS, {KDBUS_POLICY_ACCESS_USER + random() % 3, random() % 3,
                                           random() % 2 * another_user});
    return c;
}

// One life of a connection.
class Peer {
public:
    Peer(const Bus& bus, unsigned seed) : bus_(bus), random_(seed) {}

    void live() {
        std::optional<AsUser> user;
        if (one_in(4))
            user.emplace(Identity(another_user));
        Connection self;
        try {
            self = connect();
        } catch (const std::runtime_error&) {
            return; // the bus died, the name is taken, ...
        }
        user.reset();
        std::atomic<bool> stop = false;
        std::thread other([&] {
            while (!stop)
                if (self.readable(10))
                    receive(self);
        });
        for (u64 steps = random_() % 200; steps > 0; steps--)
            act(self);
        stop = true;
        other.join();
        if (one_in(2))
            note(Kind::byebye, self.bye());
    }

    // An endpoint that lives for a while.
    void keep_endpoint() {
        const u64 number = shared->endpoints + 1;
        Fd fd = bus_.open();
        Plain make;
        make->flags = KDBUS_MAKE_ACCESS_WORLD;
        make.text(KDBUS_ITEM_MAKE_NAME, numbered("e", number));
        if (!note(Kind::endpoint, command(fd.get(), KDBUS_CMD_ENDPOINT_MAKE, make.address())))
            return;
        shared->endpoints = number;
        for (u64 n = random_() % 40; n > 0; n--) {
            Plain update = policy_command(random_);
            note(Kind::endpoint_policy,
                 command(fd.get(), KDBUS_CMD_ENDPOINT_UPDATE, update.address()));
            sleep_ms(static_cast<int>(random_() % 20));
        }
    }

private:
    bool one_in(u64 n) { return random_() % n == 0; }

    Connection connect() {
        std::string path = bus_.path();
        HelloOptions o{.flags = one_in(4) ? 0 : KDBUS_HELLO_ACCEPT_FD + u64{0},
                       .send = known_attach_flags,
                       .recv = one_in(2) ? known_attach_flags : 0,
                       .pool_size = (one_in(4) ? 8 : 64) * page};
        Kind kind = Kind::connect;
        if (one_in(4) && shared->endpoints > 0) {
            path = bus_.directory() + "/" + numbered("e", shared->endpoints);
            kind = Kind::connect_through_endpoint;
        } else if (one_in(4) && shared->buses > 0) {
            path = "/dev/kdbus/" + numbered("mortal", shared->buses) + "/bus";
        } else if (one_in(4)) {
            constexpr u64 special[] = {KDBUS_HELLO_ACTIVATOR, KDBUS_HELLO_POLICY_HOLDER,
                                       KDBUS_HELLO_MONITOR};
            o.flags |= special[random_() % 3];
            kind = Kind::special_connection;
        }
        if (o.flags & (KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_POLICY_HOLDER)) {
            o.name = some_name(random_);
            o.grants = {{KDBUS_POLICY_ACCESS_WORLD, KDBUS_POLICY_TALK, 0}};
        }
        Connection self(open_node(path), o);
        note(kind, 0);
        return self;
    }

    void act(const Connection& self) {
        const u64 peer = peers_[random_() % std::size(peers_)];
        const u64 cookie = random_() % 1000 + 1;
        switch (random_() % 16) {
        case 0: {
            auto m = broadcast(random_() & random_(), cookie);
            note(Kind::signal, self.send(m.filler(random_() % 3000 + 1)));
            break;
        }
        case 1:
            note(Kind::message,
                 self.send(
                     Message(0, cookie).to(some_name(random_)).filler(random_() % 20'000 + 1)));
            break;
        case 2:
            note(Kind::files, self.send(Message(peer, cookie)
                                            .fds({file_.get(), pipe_.read.get()})
                                            .memfd(file_.get(), 0, 9)));
            break;
        case 3:
            note(Kind::call,
                 self.send(Message(peer, cookie).call(in_ms(random_() % 40)).body("a call")));
            break;
        case 4:
            note(Kind::synchronous_call,
                 self.call(Message(peer, cookie).call(in_ms(random_() % 30)).body("and wait"),
                           one_in(3) ? cancel_.get() : -1)
                     .error);
            break;
        case 5:
            note(Kind::acquire, self.acquire(some_name(random_), random_() % 8));
            break;
        case 6:
            note(Kind::release, self.release(some_name(random_)));
            break;
        case 7: {
            Command<kdbus_cmd_match> c;
            c->cookie = random_() % 4;
            c->flags = random_() % 2;
            if (one_in(2))
                c.words(KDBUS_ITEM_ID_ADD + random_() % 2, {all_ones, 0});
            else if (one_in(2))
                c.words(KDBUS_ITEM_NAME_ADD + random_() % 3, {all_ones, 0, all_ones, 0});
            else if (one_in(2))
                c.word(KDBUS_ITEM_BLOOM_MASK, random_());
            note(Kind::match, self.match(c));
            break;
        }
        case 8:
            note(Kind::unmatch, self.unmatch(random_() % 4));
            break;
        case 9: {
            Plain c = one_in(2) ? policy_command(random_) : Plain();
            if (c->size == sizeof(kdbus_cmd))
                c.word(KDBUS_ITEM_ATTACH_FLAGS_RECV, random_() & known_attach_flags);
            note(Kind::update, self.run(KDBUS_CMD_UPDATE, c.address()));
            break;
        }
        case 10: {
            Command<kdbus_cmd_info> c;
            c->id = one_in(2) ? peer : self.id();
            c->attach_flags = known_attach_flags;
            if (note(Kind::information, self.run(KDBUS_CMD_CONN_INFO, c.address())))
                self.free(c->offset);
            break;
        }
        case 11: {
            Command<kdbus_cmd_list> c;
            c->flags = random_() % 16;
            if (note(Kind::list, self.run(KDBUS_CMD_LIST, c.address())))
                self.free(c->offset);
            break;
        }
        case 12: {
            void* map = mmap(nullptr, page, PROT_READ, MAP_SHARED, self.fd(), 0);
            if (note(Kind::map, map == MAP_FAILED ? errno : 0)) {
                // Whatever it holds: it can be read.
                [[maybe_unused]] const char c = *static_cast<volatile const char*>(map);
                munmap(map, page);
            }
            break;
        }
        case 13:
            if (one_in(4))
                learn_peers(self);
            break;
        default:
            receive(self);
        }
    }

    void receive(const Connection& self) {
        constexpr u64 ways[] = {
            0, 0, 0, 0, KDBUS_RECV_PEEK, KDBUS_RECV_DROP, KDBUS_RECV_USE_PRIORITY, KDBUS_RECV_PEEK};
        // Two threads receive: what one peeks at belongs to whoever takes it.
        Command<kdbus_cmd_recv> c;
        c->flags = ways[local_random() % std::size(ways)];
        Received r;
        r.error = self.run(KDBUS_CMD_RECV, c.address());
        r.cmd = c.head();
        if (!note(Kind::receive, r.error) || r.cmd.msg.msg_size == 0 ||
            c->flags & (KDBUS_RECV_PEEK | KDBUS_RECV_DROP))
            return;
        r.slice.resize(r.cmd.msg.msg_size / 8);
        std::memcpy(r.slice.data(), self.at(r.offset()), r.cmd.msg.msg_size);
        if (r->src_id != KDBUS_SRC_ID_KERNEL)
            peers_[local_random() % std::size(peers_)] = r->src_id;
        if (r->flags & KDBUS_MSG_EXPECT_REPLY) {
            Message reply = reply_to(r->src_id, r->cookie);
            note(Kind::reply, self.send(reply.filler(100)));
        }
        close_descriptors(r);
        self.free(r.offset());
    }

    void learn_peers(const Connection& self) {
        Command<kdbus_cmd_list> c;
        c->flags = KDBUS_LIST_UNIQUE;
        if (!note(Kind::list, self.run(KDBUS_CMD_LIST, c.address())))
            return;
        u64 at = c->offset;
        for (std::atomic<u64>& peer : peers_) {
            if (at >= c->offset + c->list_size)
                break;
            kdbus_info info{};
            std::memcpy(&info, self.at(at), sizeof info);
            peer = info.id;
            at += align8(info.size);
        }
        self.free(c->offset);
    }

    static u64 local_random() {
        thread_local Random random(static_cast<unsigned>(gettid()));
        return random();
    }

    const Bus& bus_;
    Random random_;
    std::array<std::atomic<u64>, 8> peers_{};
    Fd file_ = make_memfd("some content to be passed");
    Pipe pipe_;
    Fd cancel_{eventfd(0, EFD_CLOEXEC)};
};

// A bus that dies with its keeper.
int keep_bus() {
    const u64 number = shared->buses + 1;
    Fd fd = open_control();
    auto make = bus_command(numbered("mortal", number), KDBUS_MAKE_ACCESS_WORLD);
    if (note(Kind::bus, command(fd.get(), KDBUS_CMD_BUS_MAKE, make.address())))
        shared->buses = number;
    pause();
    return 0;
}

// The module must not go while anybody holds a handle, and the supervisor does.
int try_to_unload() {
    for (;;) {
        const long result = syscall(SYS_delete_module, "kdbus", O_NONBLOCK);
        const bool refused = result == -1 && (errno == EWOULDBLOCK || errno == EBUSY);
        note(Kind::unload_refused, refused ? 0 : result == 0 ? ENODATA : errno);
        sleep_ms(20);
    }
}

// Peers of a user of their own, so that nobody else's messages use up their quota. While the memory
// of one of them is being waited for - it is not there before the others are done - they must get
// on.
int progress_beside_slow_sender(const Bus& bus) {
    // Only the real user is another: that is who pays.
    std::optional<AsUser> user(std::in_place, slow_user, 0);
    const HelloOptions options{.flags = KDBUS_HELLO_ACCEPT_FD};
    Connection slow = bus.connect(options), fast = bus.connect(options),
               receiver = bus.connect(options);
    user.reset();
    // The next message from that peer; others may have written as well.
    const auto take = [](const Connection& self, u64 from) {
        for (;;) {
            const Received r = self.recv();
            must(r.error == 0, "RECV", r.error);
            close_descriptors(r);
            must(self.free(r.offset()) == 0, "FREE");
            if (r->src_id == from)
                return r;
        }
    };
    for (;;) {
        SlowPage memory;
        auto sending = std::async(std::launch::async, [&] {
            return slow.send(Message(receiver.id(), 7).vec(memory.address(), 100));
        });
        must(memory.wanted(60'000), "the sender reads its memory");
        for (u64 i = 1; i <= 5; i++) {
            must(fast.send(Message(receiver.id(), i).call(in_ms(600'000)).body("?")) == 0, "call");
            must(take(receiver, fast.id())->cookie == i, "the receiver receives");
            must(receiver.send(reply_to(fast.id(), i).body("!")) == 0, "the receiver answers");
            must(take(fast, receiver.id())->cookie_reply == i, "the answer arrives");
        }
        must(sending.wait_for(std::chrono::seconds(0)) == std::future_status::timeout,
             "the slow sender still waits");
        memory.fill('s');
        must(sending.get() == 0, "the slow sender gets on");
        must(take(receiver, slow.id()).body() == std::string(100, 's'), "its message");
        note(Kind::progress, 0);
    }
}

int live_peer(const Bus& bus, unsigned seed) {
    for (;; seed += 1000) {
        Peer peer(bus, seed);
        if (seed % 5 == 0)
            peer.keep_endpoint();
        else
            peer.live();
    }
}

void supervise(const Bus& bus, u64 seconds, unsigned seed) {
    Random random(seed);
    std::vector<Child> mortals;
    const auto start = [&](unsigned role) {
        const unsigned life = static_cast<unsigned>(random());
        if (role < peers)
            return Child([&bus, life] { return live_peer(bus, life); });
        return Child(keep_bus);
    };
    for (unsigned role = 0; role <= peers; role++)
        mortals.push_back(start(role));
    const Child unloader(try_to_unload);
    Child slow([&] { return progress_beside_slow_sender(bus); });
    const u64 end = in_ms(seconds * 1000);
    // A slow machine gets the time to do everything once.
    const u64 latest = end + grace_seconds / 2 * u64{1'000'000'000};
    while (now_ns() < end || (now_ns() < latest && !everything_done())) {
        sleep_ms(static_cast<int>(random() % 300));
        const unsigned victim = static_cast<unsigned>(random() % (peers + 1));
        mortals[victim].kill();
        mortals[victim] = start(victim);
        // It may be in the midst of a fault.
        if (random() % 100 == 0) {
            slow.kill();
            slow = Child([&] { return progress_beside_slow_sender(bus); });
        }
    }
    // Nobody of these ends by itself.
    int status = 0;
    if (waitpid(slow.pid(), &status, WNOHANG) != 0) {
        shared->bad_kind = static_cast<int>(Kind::progress);
        shared->bad_error = EPROTO;
    }
}

bool report(int number, bool good, const std::string& what) {
    std::printf("%sok %d - %s\n", good ? "" : "not ", number, what.c_str());
    return good;
}

void out_of_time(int) {
    static constexpr char text[] = "somebody waits for good\n";
    [[maybe_unused]] const auto n = write(2, text, sizeof text - 1);
    std::abort();
}

int run(u64 seconds, unsigned seed) {
    must(!read_counters().empty(), std::string("reading ") + counters_path);
    // What a program before this one left must not hide what this one leaves.
    const Counters before = leftovers({});
    void* memory =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(memory != MAP_FAILED, "mmap", errno);
    shared = new (memory) Shared;
    std::printf("1..5\n# seed %u\n", seed);
    std::fflush(stdout);
    signal(SIGALRM, out_of_time);
    alarm(static_cast<unsigned>(seconds) + grace_seconds);

    bool alone = false, works = false;
    {
        Bus bus;
        supervise(bus, seconds, seed);
        Connection self = bus.connect(), other = bus.connect();
        alone = eventually([&] { return self.list(KDBUS_LIST_UNIQUE).size() == 2; }, 60'000) &&
                self.list(KDBUS_LIST_NAMES | KDBUS_LIST_QUEUED | KDBUS_LIST_ACTIVATORS).empty();
        works = self.acquire("n.x0") == 0 &&
                other.send(Message(0, 1).to("n.x0").body("well")) == 0 &&
                self.take().body() == "well";
    }
    for (unsigned kind = 0; kind < shared->done.size(); kind++)
        std::printf("# %-36s %llu\n", kind_names[kind],
                    static_cast<unsigned long long>(shared->done[kind]));
    const Counters left = leftovers(before);
    for (const auto& [name, count] : left)
        std::printf("# left: %s, now %ld\n", name.c_str(), count);
    if (shared->bad_kind >= 0)
        std::printf("# %s: %s\n", kind_names[static_cast<unsigned>(shared->bad_kind.load())],
                    std::strerror(shared->bad_error));

    bool good = report(1, shared->bad_kind < 0, "nothing fails in an unknown way");
    good &= report(2, everything_done(), "everything is done, beside slow senders too");
    good &= report(3, alone, "the killed leave nothing on the bus");
    good &= report(4, works, "the bus still works");
    good &= report(5, left.empty(), "no object is left in the module");
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

} // namespace

int main(int argc, char** argv) {
    if (geteuid() != 0 || access("/dev/kdbus/control", F_OK) != 0) {
        std::fputs("needs root and the kdbus module\n", stderr);
        return 77;
    }
    try {
        u64 seconds = 20;
        unsigned seed = std::random_device()();
        for (int i = 1; i + 1 < argc; i += 2) {
            const std::string option = argv[i];
            must(option == "--seconds" || option == "--seed", "unknown option " + option);
            if (option == "--seconds")
                seconds = std::stoull(argv[i + 1]);
            else
                seed = static_cast<unsigned>(std::stoul(argv[i + 1]));
        }
        return run(seconds, seed);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "stress: %s\n", error.what());
        return 2;
    }
}
