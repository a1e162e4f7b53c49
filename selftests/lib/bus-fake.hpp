// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_SELFTESTS_LIB_BUS_FAKE_HPP
#define KDBUS_SELFTESTS_LIB_BUS_FAKE_HPP

#include "../../userspace/lib/bus/core.hpp"

#include <kdbus/wire/mapping.hpp>
#include <kdbus/wire/notification.hpp>

#include <deque>
#include <map>
#include <memory>
#include <new>
#include <poll.h>
#include <string>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vector>

/// A bus within the process: routes messages between connections whose transport it is. Delivers
/// every signal to everybody, so that what gets through was let through by the local check.
class FakeBus {
public:
    class Transport;

    kdbus::Connection connect();

    /// Runs a peer, so that a blocking call of another can be answered.
    std::function<void()> pump;
    /// Names and their owners.
    std::map<std::string, Transport*> names;
    std::map<std::string, Transport*> peers;
    Transport* last = nullptr;
};

class FakeBus::Transport final : public kdbus::detail::Transport {
public:
    Transport(FakeBus& bus, std::string name)
        : bus_(bus), name_(std::move(name)), event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        bus_.peers[name_] = this;
    }
    ~Transport() override {
        bus_.peers.erase(name_);
        std::erase_if(bus_.names, [this](const auto& owned) { return owned.second == this; });
    }

    kdbus::wire::Format format() const noexcept override { return kdbus::wire::Format::gvariant; }
    const std::string& unique_name() const noexcept override { return name_; }
    const std::string& bus_id() const noexcept override { return name_; }
    int fd() const noexcept override { return event_.get(); }
    short events() const noexcept override { return POLLIN; }
    std::optional<std::uint64_t> timeout_ns() const noexcept override { return std::nullopt; }

    kdbus::Result<void> send(const kdbus::detail::Outgoing& outgoing) override {
        if (no_memory)
            throw std::bad_alloc();
        if (!fail_sends.empty()) {
            auto error = fail_sends.front();
            fail_sends.pop_front();
            if (!error.name.empty())
                return error;
        }
        // What this layer hands down must be a message that both codecs take.
        if (auto valid = kdbus::wire::validate_header(outgoing.message); !valid)
            return kdbus::Error::from_code(valid.error(), "header");
        if (outgoing.message.destination.empty()) {
            for (auto& [name, peer] : bus_.peers)
                peer->deliver(copy(outgoing.message));
            return {};
        }
        const std::string destination(outgoing.message.destination);
        const auto named = bus_.names.find(destination);
        const auto peer = bus_.peers.find(destination);
        if (named == bus_.names.end() && peer == bus_.peers.end())
            return kdbus::Error{kdbus::error_names::service_unknown, destination};
        (named != bus_.names.end() ? named->second : peer->second)->deliver(copy(outgoing.message));
        return {};
    }

    kdbus::Result<kdbus::detail::MessagePointer>
    call(const kdbus::detail::Outgoing& outgoing) override {
        const auto serial = outgoing.message.serial;
        if (auto sent = send(outgoing); !sent)
            return std::move(sent).error();
        if (bus_.pump)
            bus_.pump();
        for (auto it = queue_.begin(); it != queue_.end(); ++it)
            if ((*it)->view.reply_serial == serial) {
                auto reply = std::move(*it);
                queue_.erase(it);
                return reply;
            }
        return kdbus::Error{kdbus::error_names::no_reply, "nobody answered"};
    }

    kdbus::Result<std::optional<kdbus::detail::MessagePointer>> receive() override {
        if (disconnected)
            return kdbus::Error{kdbus::error_names::disconnected, "test"};
        if (!fail_receives.empty()) {
            auto error = fail_receives.front();
            fail_receives.pop_front();
            return error;
        }
        std::uint64_t ignored;
        (void)!read(event_.get(), &ignored, sizeof ignored);
        if (queue_.empty())
            return std::optional<kdbus::detail::MessagePointer>();
        auto message = std::move(queue_.front());
        queue_.pop_front();
        if (!queue_.empty())
            signal_event();
        return std::optional(std::move(message));
    }

    kdbus::Result<kdbus::NameState> request_name(std::string_view name, kdbus::NameFlags) override {
        bus_.names[std::string(name)] = this;
        return kdbus::NameState::owner;
    }
    kdbus::Result<void> release_name(std::string_view name) override {
        bus_.names.erase(std::string(name));
        return {};
    }
    kdbus::Result<std::string> name_owner(std::string_view name) override {
        if (!fail_lookups.empty()) {
            auto error = fail_lookups.front();
            fail_lookups.pop_front();
            return error;
        }
        const auto& known = name.starts_with(':') ? bus_.peers : bus_.names;
        const auto owner = known.find(std::string(name));
        if (owner == known.end())
            return kdbus::Error{kdbus::error_names::name_has_no_owner, ""};
        return owner->second->name_;
    }
    kdbus::Result<std::vector<std::string>> list_names() override {
        return std::vector<std::string>{};
    }
    kdbus::Result<kdbus::ConnectionInfo> info(std::string_view, std::uint64_t) override {
        return kdbus::ConnectionInfo{.credentials = kdbus::Credentials{.pid = 4711}};
    }
    kdbus::Result<void> add_match(std::uint64_t cookie,
                                  const kdbus::wire::MatchRule& rule) override {
        matches[cookie] = rule.canonical();
        return {};
    }
    void remove_match(std::uint64_t cookie) noexcept override { matches.erase(cookie); }
    void add_sender_names(const kdbus::Message&, std::vector<std::string_view>&) const override {}
    std::uint64_t lost_signals() const noexcept override { return lost; }

    void deliver(kdbus::detail::MessagePointer message) {
        queue_.push_back(std::move(message));
        signal_event();
    }
    /// A message as it would be received from this peer; all text is copied.
    kdbus::detail::MessagePointer copy(const kdbus::wire::Message& from) const {
        auto data = kdbus::detail::make_message_data();
        data->view = from;
        const auto keep = [&](std::string_view text) {
            return std::string_view(*texts_.insert(std::string(text)).first);
        };
        data->view.path = keep(from.path);
        data->view.interface = keep(from.interface);
        data->view.member = keep(from.member);
        data->view.error_name = keep(from.error_name);
        data->view.destination = keep(from.destination);
        data->view.signature = keep(from.signature);
        data->view.sender = keep(from.sender.empty() ? std::string_view(name_) : from.sender);
        if (!data->storage.append(from.body.data(), from.body.size()))
            throw std::bad_alloc();
        data->view.body = data->storage.bytes();
        return data;
    }

    std::map<std::uint64_t, std::string> matches;
    /// Errors for the next sends; one without a name lets a send pass.
    std::deque<kdbus::Error> fail_sends;
    bool no_memory = false; ///< for sending
    /// Errors for the next questions for a name's owner.
    std::deque<kdbus::Error> fail_lookups;
    /// Errors for the next attempts to receive.
    std::deque<kdbus::Error> fail_receives;
    bool disconnected = false;
    std::uint64_t lost = 0;

private:
    void signal_event() {
        const std::uint64_t one = 1;
        (void)!write(event_.get(), &one, sizeof one);
    }

    FakeBus& bus_;
    std::string name_;
    kdbus::abi::UniqueFd event_;
    std::deque<kdbus::detail::MessagePointer> queue_;
    static inline std::set<std::string> texts_;
};

inline kdbus::Connection FakeBus::connect() {
    auto transport = std::make_unique<Transport>(*this, ":1." + std::to_string(peers.size() + 1));
    last = transport.get();
    return kdbus::detail::ConnectionCore::make(std::move(transport));
}

#endif
