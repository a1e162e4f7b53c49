// SPDX-License-Identifier: LGPL-2.1-or-later
#include "command.hpp"

#include <kdbus/abi/bus.hpp>

#include <array>
#include <cstddef>
#include <fcntl.h>
#include <utility>

namespace kdbus::abi {

Result<Bus> Bus::make(const BusOptions& options, std::string_view directory) {
    // The kernel checks the name as well; this bounds the buffer.
    if (options.name.size() > KDBUS_SYSNAME_MAX_LEN)
        return fail(ENAMETOOLONG);
    const std::string root(directory);
    UniqueFd fd(open((root + "/control").c_str(), O_RDWR | O_CLOEXEC));
    if (!fd)
        return fail();

    alignas(8) std::array<std::byte, 256> buffer;
    CommandWriter writer(buffer);
    writer.fixed(kdbus_cmd{.flags = options.flags});
    writer.string_item(KDBUS_ITEM_MAKE_NAME, options.name);
    writer.item(KDBUS_ITEM_BLOOM_PARAMETER,
                kdbus_bloom_parameter{.size = options.bloom_size, .n_hash = options.bloom_hashes});
    if (options.attach_flags_send)
        writer.item(KDBUS_ITEM_ATTACH_FLAGS_SEND, *options.attach_flags_send);
    if (const auto size = writer.finish(); !size)
        return std::unexpected(size.error());
    if (const auto done = command(fd.get(), KDBUS_CMD_BUS_MAKE, buffer.data()); !done)
        return std::unexpected(done.error());
    return Bus(std::move(fd), root + "/" + std::string(options.name) + "/bus");
}

} // namespace kdbus::abi
