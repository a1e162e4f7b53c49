// SPDX-License-Identifier: LGPL-2.1-or-later
#include "execute.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <linux/kdbus.h>
#include <poll.h>
#include <stdexcept>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "objects.hpp"

namespace fuzz {

namespace {

constexpr std::size_t page = 4096;
// Of each area for a command: room, then a page without access.
constexpr std::size_t area_size = 12 * page;
constexpr unsigned areas = 2;
// Behind the areas: pages with data, one without access, one that can only be read, and many that
// nobody touches.
constexpr std::size_t data_at = areas * area_size;
constexpr std::size_t data_size = 32 * page;
constexpr std::size_t read_only_at = data_at + data_size + page;
constexpr std::size_t untouched_at = read_only_at + page;
constexpr std::size_t scratch_size = untouched_at + 3 * 1024 * 1024;
constexpr u64 kernel_address = 0xffff888000001000;
// Blocking calls are disturbed this often.
constexpr long tick_ms = 50;
constexpr int runs_per_environment = 64;
constexpr uid_t users[] = {0, 1000, 1001};

u64 align8(u64 n) {
    return (n + 7) & ~u64{7};
}

u64 now_ns() {
    timespec ts{};
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return static_cast<u64>(ts.tv_sec) * 1'000'000'000 + static_cast<u64>(ts.tv_nsec);
}

void must(bool condition, const std::string& what) {
    if (!condition)
        throw std::runtime_error(what + ": " + std::strerror(errno));
}

void sleep_us(long us) {
    const timespec ts{0, us * 1000};
    nanosleep(&ts, nullptr);
}

// Lets a signal disturb the calling thread again and again, so that no system call blocks for good.
void start_ticking() {
    struct sigaction action {};
    action.sa_handler = [](int) {
    };
    sigaction(SIGUSR1, &action, nullptr);
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGUSR1;
    event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
    timer_t timer{};
    must(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create");
    const itimerspec interval{{0, tick_ms * 1'000'000}, {0, tick_ms * 1'000'000}};
    timer_settime(timer, 0, &interval, nullptr);
}

// Makes the calling thread another user until the end of the scope.
class AsUser {
public:
    explicit AsUser(unsigned user) : uid_(users[user % std::size(users)]) {
        if (uid_ != 0)
            syscall(SYS_setresuid, uid_, uid_, 0);
    }
    ~AsUser() {
        if (uid_ != 0)
            syscall(SYS_setresuid, 0, 0, 0);
    }
    AsUser(const AsUser&) = delete;
    AsUser& operator=(const AsUser&) = delete;

private:
    uid_t uid_;
};

// Where the calling thread's own failures are asked for.
int open_fail_nth() {
    return open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
}

// Lets the n-th thing fail that can fail in the kernel for this thread. Signals wait meanwhile: if
// it were their delivery that failed, the kernel would kill us.
class Failing {
public:
    Failing(int fd, unsigned n) : fd_(n ? fd : -1) {
        hold_signals(SIG_BLOCK);
        arm(n);
    }
    ~Failing() {
        arm(0);
        hold_signals(SIG_UNBLOCK);
    }
    Failing(const Failing&) = delete;
    Failing& operator=(const Failing&) = delete;

private:
    void hold_signals(int how) const {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        if (fd_ >= 0)
            pthread_sigmask(how, &set, nullptr);
    }
    void arm(unsigned n) const {
        const std::string text = std::to_string(n);
        // Reading the number from here may be what fails.
        while (fd_ >= 0 && pwrite(fd_, text.data(), text.size(), 0) < 0 && errno == EFAULT) {
        }
    }
    int fd_;
};

} // namespace

Scratch::Scratch()
    : base_(static_cast<char*>(mmap(nullptr, scratch_size, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    must(base_ != MAP_FAILED, "mmap");
    std::memset(base_ + data_at, 'd', data_size);
    for (unsigned area = 0; area < areas; area++)
        mprotect(base_ + (area + 1) * area_size - page, page, PROT_NONE);
    mprotect(base_ + data_at + data_size, page, PROT_NONE);
    mprotect(base_ + read_only_at, page, PROT_READ);
}

Scratch::~Scratch() {
    munmap(base_, scratch_size);
}

u64* Scratch::place(unsigned area, std::size_t n, Place place) const {
    char* begin = base_ + area * area_size;
    char* end = begin + area_size - page;
    const std::size_t bytes = 8 * n;
    switch (place) {
    case Place::plain:
        return reinterpret_cast<u64*>(begin);
    case Place::misaligned:
        return reinterpret_cast<u64*>(begin + 4);
    case Place::cut:
        return reinterpret_cast<u64*>(end - bytes + 8);
    case Place::read_only:
        return reinterpret_cast<u64*>(base_ + read_only_at);
    case Place::kernel:
        return reinterpret_cast<u64*>(kernel_address);
    case Place::null:
    case Place::pool:
        return nullptr;
    default:
        return reinterpret_cast<u64*>(end - bytes);
    }
}

u64 Scratch::address(u64 value) const {
    const u64 offset = value & 0xffffffff;
    const auto at = [&](std::size_t n) {
        return reinterpret_cast<u64>(base_ + n) + offset;
    };
    switch (value >> 32 & 7) {
    case 0:
    case 1:
    case 2:
        return at(data_at);
    case 3:
        return at(untouched_at);
    case 4: // a little before the end of what can be read
        return at(data_at + data_size - 200);
    case 5:
        return at(read_only_at);
    case 6:
        return at(data_at + data_size);
    default:
        return kernel_address + offset;
    }
}

Executor::Executor(unsigned number) : bus_("0-fuzz" + std::to_string(number)) {
    files_.fill(-1);
    must(syscall(SYS_unshare, CLONE_FILES) == 0, "unshare");
    start_ticking();
    main_.fail_nth = open_fail_nth();
    thread_ = std::jthread([this] { race(); });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ready_; });
    first_fd_ = dup(2);
    must(first_fd_ >= 0, "dup");
    close(first_fd_);
}

Executor::~Executor() {
    reset();
    std::unique_lock lock(mutex_);
    stop_ = true;
    changed_.notify_all();
}

void Executor::reset() {
    clean();
    for (unsigned i = 0; i < first_slot; i++)
        slots_[i].fd = -1;
    syscall(SYS_close_range, first_fd_, ~0U, 0);
    files_.fill(-1);
    environment_fd_ = -1;
    runs_ = 0;
}

// The bus, an endpoint, and descriptors of all sorts, all of which outlive a program.
void Executor::prepare_environment() {
    const auto make = [&](const std::string& path, u32 number, const std::string& name,
                          bool bloom) {
        const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
        must(fd >= 0, "open " + path);
        std::array<u64, 16> c{0, KDBUS_MAKE_ACCESS_WORLD, 0, 16 + name.size() + 1,
                              KDBUS_ITEM_MAKE_NAME};
        std::memcpy(&c[5], name.c_str(), name.size() + 1);
        std::size_t n = 5 + (name.size() + 8) / 8;
        for (u64 word : {u64{32}, u64{KDBUS_ITEM_BLOOM_PARAMETER}, u64{8}, u64{1}})
            if (bloom)
                c[n++] = word;
        c[0] = 8 * n;
        return std::pair(fd, ioctl(fd, number, c.data()));
    };
    auto [bus, made] = make("/dev/kdbus/control", KDBUS_CMD_BUS_MAKE, bus_, true);
    // A program of another thread may have taken the name by chance.
    must(made == 0 || errno == EEXIST, "BUS_MAKE");
    slots_[bus_slot].fd = bus;
    const std::string node = "/dev/kdbus/" + bus_ + "/bus";
    slots_[endpoint_slot].fd = make(node, KDBUS_CMD_ENDPOINT_MAKE, "0-ep", false).first;

    const int sealed = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    must(ftruncate(sealed, 10'000) == 0, "ftruncate");
    fcntl(sealed, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    const int unsealed = memfd_create("unsealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    must(ftruncate(unsealed, 10'000) == 0, "ftruncate");
    int ends[2], pair[2];
    must(pipe2(ends, O_CLOEXEC) == 0, "pipe2");
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
    const int readable = eventfd(1, EFD_CLOEXEC);
    // Numbers below `slots` are the slots' own.
    int at = slots;
    for (int fd :
         {sealed, unsealed, ends[0], ends[1], pair[0], pair[1], readable, eventfd(0, EFD_CLOEXEC),
          open("/dev/null", O_RDWR | O_CLOEXEC), open("/", O_RDONLY | O_CLOEXEC),
          open(node.c_str(), O_PATH | O_CLOEXEC), open("/dev/null", O_PATH | O_CLOEXEC),
          open(node.c_str(), O_RDWR | O_CLOEXEC), memfd_create("not for seals", MFD_CLOEXEC),
          static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)), 9999})
        files_[static_cast<std::size_t>(at++)] = fd;
    environment_fd_ = dup(2);
    close(environment_fd_);
}

// Closes and unmaps what a program left.
void Executor::clean() {
    for (unsigned i = 0; i < slots; i++) {
        Slot& slot = slots_[i];
        forget(slot);
        if (i >= first_slot)
            slot.fd = -1;
    }
    for (const Pool& pool : pools_)
        munmap(const_cast<std::uint8_t*>(pool.at), pool.size);
    pools_.clear();
    if (environment_fd_ >= 0)
        syscall(SYS_close_range, environment_fd_, ~0U, 0);
}

// For another descriptor in it.
void Executor::forget(Slot& slot) {
    slot.pool = nullptr;
    slot.id = slot.slice = slot.peer = slot.cookie = 0;
}

void Executor::run(const Program& program) {
    complaint_.clear();
    if (environment_fd_ < 0)
        prepare_environment();
    // Whether what was received is still there when it is looked at.
    sequential_ = std::none_of(program.begin(), program.end(),
                               [](const Op& op) { return op.race || op.action == Action::fork; });
    main_.recorder.start();
    for (const Op& op : program) {
        std::unique_lock lock(mutex_);
        if (op.race && !racing_) {
            racing_ = &op;
            changed_.notify_all();
            continue;
        }
        lock.unlock();
        execute(main_, op);
        lock.lock();
        changed_.wait(lock, [this] { return !racing_; });
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !racing_; });
    lock.unlock();
    const bool broken = slots_[bus_slot].fd < 0;
    clean();
    main_.recorder.stop();
    if (++runs_ == runs_per_environment || broken)
        reset();
}

std::vector<Comparison> Executor::compare(const Program& program) {
    main_.recorder.start(true);
    for (const Op& op : program)
        execute(main_, op);
    clean();
    main_.recorder.stop();
    return main_.recorder.comparisons();
}

std::size_t Executor::gather(Coverage& coverage) const {
    return coverage.add(main_.recorder.places()) + coverage.add(racer_.recorder.places());
}

// The other thread: one operation at a time, while the first does the next.
void Executor::race() {
    start_ticking();
    racer_.fail_nth = open_fail_nth();
    std::unique_lock lock(mutex_);
    ready_ = true;
    changed_.notify_all();
    for (;;) {
        changed_.wait(lock, [this] { return racing_ || stop_; });
        if (stop_)
            return;
        lock.unlock();
        racer_.recorder.start();
        execute(racer_, *racing_);
        racer_.recorder.stop();
        lock.lock();
        racing_ = nullptr;
        changed_.notify_all();
    }
}

void Executor::expect(bool condition, const char* what, const Op& op, long detail) {
    if (condition)
        return;
    std::unique_lock lock(mutex_);
    complaint_ = std::string(what) + " (" + std::to_string(detail) + "): " + to_text(Program{op});
}

int Executor::file(u64 number) const {
    number %= files_.size();
    return number < slots ? slots_[number].fd.load() : files_[number];
}

u64 Executor::resolve(Side& side, const Word& word, const Op& op, const u64* message) {
    const Slot& slot = slots_[word.value % slots];
    switch (word.symbol) {
    case Symbol::id:
        return slot.id;
    case Symbol::peer:
        return slot.peer;
    case Symbol::cookie:
        return slot.cookie;
    case Symbol::slice:
        return slot.slice;
    case Symbol::now:
        return now_ns() + word.value * 1000;
    case Symbol::memory:
        return side.scratch.address(word.value);
    case Symbol::message:
        return reinterpret_cast<u64>(message);
    case Symbol::file:
        return (word.value & ~u64{0xffffffff}) | static_cast<u32>(file(word.value & 0xffffffff));
    case Symbol::files:
        return static_cast<u64>(static_cast<u32>(file(word.value >> 32))) << 32 |
               static_cast<u32>(file(word.value & 0xffffffff));
    default:
        static_cast<void>(op);
        return word.value;
    }
}

// Puts a block into memory and returns its address.
u64* Executor::render(Side& side, unsigned area, const Block& block, Place place, const Op& op,
                      const u64* message) {
    if (place == Place::pool) {
        const Pool* pool = slots_[op.slot % slots].pool;
        return pool ? const_cast<u64*>(reinterpret_cast<const u64*>(pool->at)) : nullptr;
    }
    u64* at = side.scratch.place(area, block.size(), place);
    if (place == Place::null || place == Place::kernel || place == Place::read_only)
        return at;
    const std::size_t n = block.size() - (place == Place::cut && !block.empty() ? 1 : 0);
    for (std::size_t i = 0; i < n; i++) {
        const u64 value = resolve(side, block[i], op, message);
        std::memcpy(reinterpret_cast<char*>(at) + 8 * i, &value, 8);
    }
    return at;
}

void Executor::execute(Side& side, const Op& op) {
    Slot& slot = slots_[op.slot % slots];
    switch (op.action) {
    case Action::open:
        return open_node(op);
    case Action::ioctl:
        return run_ioctl(side, op);
    case Action::fork:
        return run_fork(side, op);
    case Action::close:
        if (const int fd = slot.fd.exchange(-1); fd >= 0)
            close(fd);
        return;
    case Action::dup:
        if (Slot& copy = slots_[op.argument % slots];
            slot.fd >= 0 && op.argument % slots >= first_slot && &copy != &slot) {
            copy.fd = dup(slot.fd);
            copy.pool = slot.pool.load();
            copy.id = slot.id.load();
        }
        return;
    case Action::map:
        return map(op);
    case Action::poll: {
        pollfd p{slot.fd, POLLIN | POLLOUT | POLLPRI, 0};
        ::poll(&p, 1, op.argument % 4);
        return;
    }
    case Action::scribble:
        return scribble(side, op);
    default:
        return;
    }
}

void Executor::open_node(const Op& op) {
    const AsUser user(op.user);
    const std::string directory = "/dev/kdbus/" + bus_;
    const std::string paths[] = {"/dev/kdbus/control", directory + "/bus", directory + "/0-ep",
                                 directory + "/bus"};
    const unsigned which = op.argument % 4;
    const int flags[] = {O_RDWR, O_RDONLY, O_RDWR | O_NONBLOCK, O_WRONLY};
    const int flag =
        which == 3 ? O_PATH : flags[op.argument / 4 % 16 < 13 ? 0 : op.argument % 3 + 1];
    const int fd = open(paths[which].c_str(), flag | O_CLOEXEC);
    // What is overwritten is closed at the end of the program.
    if (Slot& slot = slots_[op.slot % slots]; op.slot % slots >= first_slot) {
        forget(slot);
        slot.fd = fd;
    }
}

void Executor::map(const Op& op) {
    const Slot& slot = slots_[op.slot % slots];
    const Pool* pool = slot.pool;
    const u64 size = pool ? std::min<u64>(pool->size, 1 << 21) : page;
    const int protections[] = {PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC, PROT_NONE};
    const int kind = op.argument & 4 ? MAP_PRIVATE : MAP_SHARED;
    const off_t offset = op.argument & 8 ? static_cast<off_t>(page * (op.argument >> 4)) : 0;
    const u64 mapped = op.argument & 16 ? 2 * size : size;
    void* at = mmap(nullptr, mapped, protections[op.argument % 4], kind, slot.fd, offset);
    if (at == MAP_FAILED)
        return;
    mprotect(at, page, protections[op.argument / 64 % 4]);
    madvise(at, mapped, op.argument & 32 ? MADV_DONTNEED : MADV_WILLNEED);
    // A part first: mappings can be split. Only once, as another thread's may be there at once.
    const u64 part = op.argument & 128 ? std::min<u64>(page, mapped) : 0;
    if (part != 0)
        munmap(at, part);
    if (part != mapped)
        munmap(static_cast<char*>(at) + part, mapped - part);
}

void Executor::scribble(Side& side, const Op& op) {
    Side& other = &side == &main_ ? racer_ : main_;
    for (unsigned i = 0; i < 200; i++) {
        u64* words = other.in_hand;
        if (!words)
            continue;
        u64& word = words[op.argument % 16];
        __atomic_store_n(&word, __atomic_load_n(&word, __ATOMIC_RELAXED) ^ (1 + i % 64),
                         __ATOMIC_RELAXED);
    }
}

void Executor::run_ioctl(Side& side, const Op& op) {
    Slot& slot = slots_[op.slot % slots];
    const bool has_message = op.number == KDBUS_CMD_SEND;
    u64* message =
        has_message ? render(side, 1, op.message, op.message_place, op, nullptr) : nullptr;
    u64* command = render(side, 0, op.command, op.place, op, message);
    // Only whole blocks in memory of ours can be scribbled over, and read back.
    const bool ours = op.place == Place::before_guard || op.place == Place::plain;
    if (ours && op.command.size() >= 16)
        side.in_hand = command;
    else if (has_message && op.message.size() >= 16 && op.message_place <= Place::plain)
        side.in_hand = message;
    long result = 0;
    int error = 0;
    {
        const AsUser user(op.user);
        // A call that may block needs signals.
        const bool waits =
            has_message && op.command.size() > 1 && op.command[1].value & KDBUS_SEND_SYNC_REPLY;
        const Failing failing(side.fail_nth, waits ? 0 : op.fail);
        result = syscall(SYS_ioctl, slot.fd.load(), op.number, command);
        error = errno;
    }
    side.in_hand = nullptr;
    expect(result == 0 || result == -1, "neither success nor failure", op, result);
    if (result == -1)
        expect(test::is_interface_error(error), "not an error of the interface", op, error);
    if (result == 0 && ours && 8 * op.command.size() >= sizeof(kdbus_cmd_recv) - 24 &&
        !(op.command[1].value & KDBUS_FLAG_NEGOTIATE))
        learn(slot, op, command);
}

void Executor::run_fork(Side& side, const Op& op) {
    const pid_t child = fork();
    if (child == 0) {
        // The one it has is its parent's, whom a failure while a signal comes would kill.
        side.fail_nth = open_fail_nth();
        do {
            run_ioctl(side, op);
        } while (op.argument & 1);
        _exit(0);
    }
    if (child < 0)
        return;
    sleep_us(op.argument % 8 * 500);
    kill(child, SIGKILL);
    while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
}

// Remembers what a successful command told, and checks it: what it left in the pool only if nobody
// else can have freed that meanwhile.
void Executor::learn(Slot& slot, const Op& op, const u64* command) {
    const Pool* pool = slot.pool;
    switch (op.number) {
    case KDBUS_CMD_HELLO: {
        kdbus_cmd_hello hello{};
        if (8 * op.command.size() < sizeof hello)
            return;
        std::memcpy(&hello, command, sizeof hello);
        slot.id = hello.id;
        slot.slice = hello.offset;
        expect(hello.id != 0 && hello.pool_size % page == 0 && hello.items_size == 32, "HELLO", op);
        check_slice({nullptr, hello.pool_size}, hello.offset, hello.items_size, "HELLO's slice",
                    op);
        void* map = mmap(nullptr, hello.pool_size, PROT_READ, MAP_SHARED, slot.fd, 0);
        if (map == MAP_FAILED)
            return;
        std::unique_lock lock(mutex_);
        slot.pool = &pools_.emplace_back(
            Pool{static_cast<const std::uint8_t*>(map), hello.pool_size}); // clang wants the braces
        return;
    }
    case KDBUS_CMD_RECV:
        if (!pool || 8 * op.command.size() < sizeof(kdbus_cmd_recv))
            return;
        learn_message(slot, *pool, command[5], command[6]);
        if (sequential_ && command[6] != 0)
            check_message(*pool, command[5], command[6], op);
        return;
    case KDBUS_CMD_SEND:
        if (pool && op.command[1].value & KDBUS_SEND_SYNC_REPLY)
            learn_message(slot, *pool, command[4], command[5]);
        return;
    case KDBUS_CMD_CONN_INFO:
    case KDBUS_CMD_BUS_CREATOR_INFO:
        slot.slice = command[5];
        if (pool && sequential_)
            check_records(*pool, command[5], command[6], op);
        return;
    case KDBUS_CMD_LIST:
        slot.slice = command[3];
        if (pool && sequential_)
            check_records(*pool, command[3], command[4], op);
        return;
    }
}

void Executor::learn_message(Slot& slot, const Pool& pool, u64 offset, u64 size) {
    slot.slice = offset;
    if (size < sizeof(kdbus_msg) || !pool.holds(offset, size))
        return;
    kdbus_msg head{};
    std::memcpy(&head, pool.at + offset, sizeof head);
    if (head.src_id != KDBUS_SRC_ID_KERNEL) {
        slot.peer = head.src_id;
        slot.cookie = head.cookie;
    }
}

void Executor::check_slice(const Pool& pool, u64 offset, u64 size, const char* what, const Op& op) {
    expect(offset % 8 == 0 && pool.holds(offset, size), what, op, static_cast<long>(offset));
}

void Executor::check_message(const Pool& pool, u64 offset, u64 size, const Op& op) {
    check_slice(pool, offset, size, "RECV's slice", op);
    if (!complaint_.empty())
        return;
    const std::uint8_t* message = pool.at + offset;
    kdbus_msg head{};
    std::memcpy(&head, message, sizeof head);
    expect(head.size >= sizeof head && head.size <= size, "message's size", op,
           static_cast<long>(head.size));
    if (complaint_.empty())
        check_items(message + sizeof head, message + head.size, size, op);
}

// What LIST and the *_INFO commands left in the pool.
void Executor::check_records(const Pool& pool, u64 offset, u64 size, const Op& op) {
    check_slice(pool, offset, size, "the records' slice", op);
    expect(size % 8 == 0, "the records' size", op, static_cast<long>(size));
    if (!complaint_.empty())
        return;
    const std::uint8_t* at = pool.at + offset;
    const std::uint8_t* end = at + size;
    while (at < end) {
        kdbus_info info{};
        std::memcpy(&info, at, std::min<u64>(sizeof info, static_cast<u64>(end - at)));
        expect(info.size >= sizeof info && info.size % 8 == 0 &&
                   info.size <= static_cast<u64>(end - at),
               "a record's size", op, static_cast<long>(info.size));
        if (!complaint_.empty())
            return;
        check_items(at + sizeof info, at + info.size, 0, op);
        at += info.size;
    }
}

// A chain of items; payload may lie in `whole` bytes from the head of their message on.
void Executor::check_items(const std::uint8_t* begin, const std::uint8_t* end, u64 whole,
                           const Op& op) {
    while (complaint_.empty() && begin < end) {
        u64 item[4] = {};
        const auto left = static_cast<u64>(end - begin);
        std::memcpy(item, begin, std::min<u64>(left, sizeof item));
        expect(left >= 16 && item[0] >= 16 && item[0] <= left, "an item's size", op,
               static_cast<long>(item[0]));
        if (item[1] == KDBUS_ITEM_PAYLOAD_OFF && item[3] != ~u64{0})
            expect(item[0] == 32 && item[3] <= whole && item[2] <= whole - item[3], "payload", op,
                   static_cast<long>(item[3]));
        expect(item[1] != KDBUS_ITEM_PAYLOAD_VEC && item[1] != KDBUS_ITEM_NEGOTIATE,
               "an item's type", op, static_cast<long>(item[1]));
        begin += std::min(align8(item[0]), left);
    }
}

} // namespace fuzz
