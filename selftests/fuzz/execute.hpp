// SPDX-License-Identifier: LGPL-2.1-or-later
// Executes programs, and checks what the module answers as far as that can be known: error numbers
// are those of the interface, results lie where they should and are well-formed.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "coverage.hpp"
#include "program.hpp"

namespace fuzz {

// Memory of which commands and payloads are made, of one thread.
class Scratch {
public:
    Scratch();
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    // Where `n` words go; null where nothing can be.
    u64* place(unsigned area, std::size_t n, Place place) const;
    // An address for a payload: the kind in the upper half, an offset in the lower.
    u64 address(u64 value) const;

private:
    char* base_;
};

// A pool as it is mapped.
struct Pool {
    const std::uint8_t* at;
    u64 size;

    bool holds(u64 offset, u64 n) const { return offset <= size && n <= size - offset; }
};

// A descriptor and what was learned through it. Two threads use it at once, so what belongs together
// is one pointer, and is read once.
struct Slot {
    std::atomic<int> fd = -1;
    std::atomic<u64> id = 0, slice = 0, peer = 0, cookie = 0;
    std::atomic<const Pool*> pool = nullptr;
};

// Two threads with a table of descriptors of their own, in which programs run. Everything belongs
// to the thread that makes the executor.
class Executor {
public:
    explicit Executor(unsigned number);
    ~Executor();
    Executor(const Executor&) = delete;
    Executor& operator=(const Executor&) = delete;

    void run(const Program& program);
    // The same, recording the comparisons of the first thread instead of what is reached.
    std::vector<Comparison> compare(const Program& program);
    // What the last run reached that no other run did.
    std::size_t gather(Coverage& coverage) const;
    bool records() const { return main_.recorder.works(); }
    // What the last run showed to be wrong; empty if nothing.
    const std::string& complaint() const { return complaint_; }
    // Closes everything; what is needed is made anew by the next run.
    void reset();

private:
    // What each of the two threads has for itself.
    struct Side {
        Scratch scratch;
        Recorder recorder;
        int fail_nth = -1;
        std::atomic<u64*> in_hand = nullptr; // for the other side to scribble over
    };

    void prepare_environment();
    void clean();
    void race();
    void execute(Side& side, const Op& op);
    void open_node(const Op& op);
    void run_ioctl(Side& side, const Op& op);
    void run_fork(Side& side, const Op& op);
    void map(const Op& op);
    void scribble(Side& side, const Op& op);
    u64* render(Side& side, unsigned area, const Block& block, Place place, const Op& op,
                const u64* message);
    u64 resolve(Side& side, const Word& word, const Op& op, const u64* message);
    int file(u64 number) const;
    void learn(Slot& slot, const Op& op, const u64* command);
    void learn_message(Slot& slot, const Pool& pool, u64 offset, u64 size);
    void check_message(const Pool& pool, u64 offset, u64 size, const Op& op);
    void forget(Slot& slot);
    void expect(bool condition, const char* what, const Op& op, long detail = 0);
    void check_slice(const Pool& pool, u64 offset, u64 size, const char* what, const Op& op);
    void check_records(const Pool& pool, u64 offset, u64 size, const Op& op);
    void check_items(const std::uint8_t* begin, const std::uint8_t* end, u64 payload, const Op& op);

    const std::string bus_;
    std::array<Slot, slots> slots_;
    std::array<int, 32> files_;
    int first_fd_ = -1; // from here on, descriptors are a program's
    int environment_fd_ = -1;
    int runs_ = 0;
    bool sequential_ = true;
    std::string complaint_;
    std::list<Pool> pools_; // they stay until the program ends
    Side main_, racer_;

    std::mutex mutex_;
    std::condition_variable changed_;
    const Op* racing_ = nullptr;
    bool stop_ = false, ready_ = false;
    std::jthread thread_;
};

} // namespace fuzz
