// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_PROXY_MATCHES_HPP
#define KDBUS_PROXY_MATCHES_HPP

#include <kdbus/abi/error.hpp>
#include <kdbus/abi/match.hpp>
#include <kdbus/wire/bloom.hpp>
#include <kdbus/wire/match.hpp>
#include <kdbus/wire/message.hpp>

#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <vector>

namespace kdbus::proxy {

/// Where kernel match entries are installed: a connection, or a test's stand-in.
class MatchInstaller {
public:
    virtual ~MatchInstaller() = default;
    /// As abi::Connection::add_match() and remove_match(); each cookie is used for one entry.
    virtual abi::Result<void> add_match(std::uint64_t cookie,
                                        std::span<const abi::match::Rule> rules) = 0;
    virtual abi::Result<void> remove_match(std::uint64_t cookie) = 0;
};

/// The match rules of one client, and the kernel entries that let the signals
/// for them through.
///
/// A rule can need six of the kernel's 256 entries, and clients may have 512
/// rules. So equal entries are shared among rules, and when there are still
/// too many, one entry that lets everything through replaces them all: wanted()
/// decides in any case.
class Matches {
public:
    /// Kernel entries for the rules; the rest are the standing ones and the one for everything.
    static constexpr std::size_t budget = KDBUS_MATCH_MAX - 6;

    explicit Matches(wire::BloomParameter bloom) : bloom_(bloom) {}

    /// Installs what every client needs whatever its rules: unicast signals to @p own_id, changes
    /// of the names it owns. Errors: those of MATCH_ADD.
    [[nodiscard]] static abi::Result<void> install_standing(MatchInstaller& installer,
                                                            std::uint64_t own_id);

    /// Adds a rule. On failure nothing has changed. Errors: those of MATCH_ADD.
    [[nodiscard]] abi::Result<void> add(MatchInstaller& installer, wire::MatchRule rule);
    /// Removes one rule equal to @p rule; false if there is none.
    bool remove(MatchInstaller& installer, const wire::MatchRule& rule);

    /// Whether the client has a rule that @p message matches.
    [[nodiscard]] bool wanted(const wire::Message& message,
                              std::span<const std::string_view> sender_names = {}) const noexcept;

    [[nodiscard]] const wire::BloomParameter& bloom() const noexcept { return bloom_; }
    [[nodiscard]] std::size_t size() const noexcept { return rules_.size(); }
    /// Everything is let through by the kernel.
    [[nodiscard]] bool catches_all() const noexcept { return catch_all_; }

private:
    /// A kernel entry, comparable.
    struct Key {
        std::uint64_t type = 0; ///< 0: signals; else KDBUS_ITEM_NAME_* or _ID_*
        std::uint64_t old_id = 0;
        std::uint64_t new_id = 0;
        std::vector<std::uint64_t> mask;
        std::string name;
        bool has_sender_id = false;
        bool has_destination_id = false;
        friend auto operator<=>(const Key&, const Key&) = default;
    };
    struct Entry {
        std::uint64_t cookie = 0;
        std::size_t users = 0;
        bool installed = false;
    };
    using Entries = std::map<Key, Entry>;

    [[nodiscard]] static std::vector<Key> keys(const wire::KernelMatches& matches);
    [[nodiscard]] static abi::Result<void> install(MatchInstaller& installer, const Key& key,
                                                   Entry& entry);
    [[nodiscard]] abi::Result<void> catch_all(MatchInstaller& installer);
    void catch_selected(MatchInstaller& installer);
    void drop(MatchInstaller& installer, std::span<const Entries::iterator> entries);

    struct Rule {
        wire::MatchRule rule;
        std::vector<Entries::iterator> entries;
    };

    wire::BloomParameter bloom_;
    std::vector<Rule> rules_;
    Entries entries_;
    std::uint64_t next_cookie_ = 16;
    bool catch_all_ = false;
};

} // namespace kdbus::proxy

#endif
