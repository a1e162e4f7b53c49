// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_LIB_BUS_KERNEL_TRANSPORT_HPP
#define KDBUS_LIB_BUS_KERNEL_TRANSPORT_HPP

#include "buffer_pool.hpp"
#include "transport.hpp"

#include <kdbus/abi/connection.hpp>
#include <kdbus/wire/bloom.hpp>

#include <kdbus/expected.hpp>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace kdbus::detail {

/// D-Bus over /dev/kdbus (dbus-on-kdbus.md 1 to 4).
class KernelTransport final : public Transport {
public:
    /// Opens an endpoint's node. The error keeps its errno: whether other addresses may be tried
    /// depends on it.
    static std::expected<std::unique_ptr<Transport>, std::error_code>
    open(const std::string& node_path, const ConnectionOptions& options);

    explicit KernelTransport(abi::Connection connection);

    wire::Format format() const noexcept override { return wire::Format::gvariant; }
    const std::string& unique_name() const noexcept override { return unique_name_; }
    const std::string& bus_id() const noexcept override { return bus_id_; }
    int fd() const noexcept override { return connection_.fd(); }
    short events() const noexcept override;
    std::optional<std::uint64_t> timeout_ns() const noexcept override { return std::nullopt; }
    Result<void> send(const Outgoing& outgoing) override;
    Result<MessagePointer> call(const Outgoing& outgoing) override;
    Result<std::optional<MessagePointer>> receive() override;
    Result<NameState> request_name(std::string_view name, NameFlags flags) override;
    Result<void> release_name(std::string_view name) override;
    Result<std::string> name_owner(std::string_view name) override;
    Result<std::vector<std::string>> list_names() override;
    Result<ConnectionInfo> info(std::string_view name, std::uint64_t what) override;
    Result<void> add_match(std::uint64_t cookie, const wire::MatchRule& rule) override;
    void remove_match(std::uint64_t cookie) noexcept override;
    void add_sender_names(const Message& message,
                          std::vector<std::string_view>& names) const override;
    std::uint64_t lost_signals() const noexcept override { return lost_; }

private:
    template <class Deliver>
    Result<void> encode_and(const Outgoing& outgoing, Deliver deliver);
    abi::Result<void> deliver(abi::OutgoingMessage& message, const Outgoing& outgoing);
    Result<abi::InfoList> look_up(std::string_view name, std::uint64_t attach_flags);
    /// Parses a message of another peer; null if it is not acceptable.
    MessagePointer parse(abi::ReceivedMessage received);
    MessagePointer parse_notification(abi::ReceivedMessage received);
    [[nodiscard]] bool hung_up() const noexcept;

    abi::Connection connection_;
    std::string unique_name_;
    std::string bus_id_;
    wire::BloomParameter bloom_;
    BufferPool buffers_;
    std::shared_ptr<MessagePool> messages_ = std::make_shared<MessagePool>();
    std::uint64_t lost_ = 0;
};

} // namespace kdbus::detail

#endif
