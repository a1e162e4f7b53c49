// SPDX-License-Identifier: LGPL-2.1-or-later
// Random operations on one bus, done to the module and to the model, and compared.
#pragma once

#include "model.hpp"
#include "module.hpp"

#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace model {

struct Disagreement : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// One bus from its making to its end.
class Round {
public:
    // `without` names the operations to leave out.
    Round(u64 seed, const std::set<std::string>& without);

    void step();
    // Everything that is still queued, and the end of the bus.
    void finish();

    u64 operations() const { return operations_; }
    const std::vector<std::string>& history() const { return history_; }
    static std::vector<std::string> names();

private:
    struct Operation {
        const char* name;
        unsigned weight;
        void (Round::*run)();
    };
    static const std::vector<Operation> table;

    // The generator: all choices come from here.
    u64 below(u64 n) { return random_() % n; }
    bool chance(unsigned percent) { return below(100) < percent; }
    template <class T>
    const T& one_of(const std::vector<T>& values) {
        return values[below(values.size())];
    }
    std::string name();
    User user();
    User task_of(std::size_t peer);
    u64 mask();
    u64 bits(unsigned percent);
    std::vector<kdbus_policy_access> grants();
    std::vector<Entry> entries(u64 n);
    std::size_t peer(unsigned ordinary_percent);
    u64 some_id();
    int endpoint();
    Rule rule();
    Send message();
    void address(std::size_t from, Send& m);

    void connect();
    void disconnect();
    void bye();
    void acquire();
    void release();
    void add_match();
    void remove_match();
    void send();
    void reply();
    void receive();
    void drain();
    void free();
    void update();
    void list();
    void info();
    void make_endpoint();
    void update_endpoint();
    void close_endpoint();
    void burst();

    void send_one(std::size_t from, const User& as, const Send& m);
    void acquire_one(std::size_t peer, const User& as, const std::string& name, u64 flags);
    void match_one(std::size_t peer, const Match& match, u64 flags);
    bool receive_one(std::size_t peer, u64 flags, s64 priority);

    void begin(const std::string& text);
    Result compare(const Result& module, const Result& model);
    std::string aftermath();
    void compare_events();

    std::mt19937_64 random_;
    std::vector<unsigned> weights_;
    unsigned total_weight_ = 0;
    u64 operations_ = 0;
    u64 cookie_ = 0;
    std::vector<std::string> history_;
    User creator_;
    u64 bloom_size_;
    Module module_;
    Bus bus_;
};

} // namespace model
