// SPDX-License-Identifier: LGPL-2.1-or-later
// A bus of the module, behind the interface the model has: requests in, comparable results out.
#pragma once

#include "model.hpp"

#include "../abi/support.hpp"

namespace model {

class Module {
public:
    Module(const User& creator, u64 bloom_size);
    ~Module();
    Module(const Module&) = delete;
    Module& operator=(const Module&) = delete;

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

    // The events of all peers, in one go; 0 for those that were closed.
    std::vector<short> poll() const;

private:
    struct Peer {
        test::Fd fd;
        const std::uint8_t* pool;
        u64 pool_size;
    };

    void become(const User& user);
    std::string path(int endpoint) const;
    Bytes copy(const Peer& peer, u64 offset, u64 size) const;
    void take_descriptors(Bytes& content) const;

    User creator_;
    u64 bloom_size_;
    User user_{};
    test::Fd owner_;
    std::string name_;
    std::vector<Peer> peers_;
    std::vector<test::Fd> endpoints_;
    test::Fd file_, memfd_;
    std::vector<std::uint8_t> payload_;
};

} // namespace model
