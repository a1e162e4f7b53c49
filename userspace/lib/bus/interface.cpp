// SPDX-License-Identifier: LGPL-2.1-or-later
#include "core.hpp"

#include <kdbus/interface.hpp>

#include <kdbus/wire/signature.hpp>

#include <cstddef>
#include <utility>

namespace kdbus {

void Invocation::spawn(Task<void> task) {
    if (const auto core = core_.lock())
        core->spawn(std::move(task), object_).detach();
}

Interface& Interface::add_method(std::string name, std::string in_signature,
                                 std::string out_signature, MethodHandler handler,
                                 MethodOptions options) {
    std::size_t types = 0, required = in_signature.size();
    if (options.optional_in != 0 && wire::is_signature(in_signature)) {
        const wire::SignatureTypes all(in_signature);
        for ([[maybe_unused]] const auto type : all)
            ++types;
        required = 0;
        for (auto type = all.begin(); types > options.optional_in; ++type, --types)
            required += (*type).size();
    }
    methods_.insert_or_assign(std::move(name),
                              Method{std::move(in_signature), required, std::move(out_signature),
                                     std::move(options), std::move(handler)});
    return *this;
}

Interface& Interface::add_property(std::string name, std::string signature, Getter getter,
                                   Setter setter, PropertyOptions options) {
    properties_.insert_or_assign(std::move(name), Property{std::move(signature), options,
                                                           std::move(getter), std::move(setter)});
    return *this;
}

Interface::Method* Interface::find_method(std::string_view name) noexcept {
    const auto found = methods_.find(name);
    return found == methods_.end() ? nullptr : &found->second;
}

Interface::Property* Interface::find_property(std::string_view name) noexcept {
    const auto found = properties_.find(name);
    return found == properties_.end() ? nullptr : &found->second;
}

} // namespace kdbus
