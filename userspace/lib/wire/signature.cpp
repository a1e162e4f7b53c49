// SPDX-License-Identifier: LGPL-2.1-or-later
#include <kdbus/wire/signature.hpp>

#include <algorithm>
#include <array>

#include "bytes.hpp"

namespace kdbus::wire {

namespace {

constexpr std::size_t none = std::string_view::npos;

/// Layout of a tuple, member by member.
class TupleLayout {
public:
    void add(const TypeInfo& member) noexcept {
        alignment_ = std::max(alignment_, member.alignment);
        fixed_ = fixed_ && member.size != 0;
        size_ = align_up(size_, member.alignment) + member.size;
        empty_ = false;
    }
    [[nodiscard]] std::uint8_t alignment() const noexcept { return alignment_; }
    /// 0 if not fixed.
    [[nodiscard]] std::uint16_t size() const noexcept {
        if (empty_)
            return 1;
        return fixed_ ? static_cast<std::uint16_t>(align_up(size_, alignment_)) : 0;
    }

private:
    std::size_t size_ = 0;
    std::uint8_t alignment_ = 1;
    bool fixed_ = true;
    bool empty_ = true;
};

constexpr TypeInfo basic_info(char type) noexcept {
    switch (type) {
    case 'y':
    case 'b':
        return {1, 1, 1};
    case 'n':
    case 'q':
        return {1, 2, 2};
    case 'i':
    case 'u':
    case 'h':
        return {1, 4, 4};
    case 'x':
    case 't':
    case 'd':
        return {1, 8, 8};
    case 'v':
        return {1, 8, 0};
    default: // s o g
        return {1, 1, 0};
    }
}

/// End of the complete type at `at`, npos if there is none. Recursion is bounded by the depth
/// limits.
std::size_t parse_type(std::string_view text, std::size_t at, unsigned arrays, unsigned structs,
                       TypeInfo* infos) noexcept {
    if (at >= text.size())
        return none;
    const std::size_t start = at;
    const char type = text[at++];
    if (is_basic_type(type) || type == 'v') {
        infos[start] = basic_info(type);
        return at;
    }
    if (type == 'a') {
        if (++arrays > max_signature_depth || at >= text.size())
            return none;
        if (text[at] != '{') {
            at = parse_type(text, at, arrays, structs, infos);
        } else {
            if (++structs > max_signature_depth || at + 1 >= text.size() ||
                !is_basic_type(text[at + 1]))
                return none;
            infos[at + 1] = basic_info(text[at + 1]);
            const std::size_t end = parse_type(text, at + 2, arrays, structs, infos);
            if (end >= text.size() || text[end] != '}')
                return none;
            TupleLayout layout;
            layout.add(infos[at + 1]);
            layout.add(infos[at + 2]);
            infos[at] = {static_cast<std::uint8_t>(end + 1 - at), layout.alignment(),
                         layout.size()};
            at = end + 1;
        }
        if (at == none)
            return none;
        infos[start] = {static_cast<std::uint8_t>(at - start), infos[start + 1].alignment, 0};
        return at;
    }
    if (type == '(') {
        if (++structs > max_signature_depth)
            return none;
        TupleLayout layout;
        do {
            const std::size_t member = at;
            at = parse_type(text, at, arrays, structs, infos);
            if (at >= text.size())
                return none;
            layout.add(infos[member]);
        } while (text[at] != ')');
        at++;
        infos[start] = {static_cast<std::uint8_t>(at - start), layout.alignment(), layout.size()};
        return at;
    }
    return none;
}

using TypeInfos = std::array<TypeInfo, max_signature_length>;

/// What a dict entry alone is not for parse_type(): its members.
std::string_view members_of(std::string_view entry) noexcept {
    return entry.substr(1, entry.size() - 2);
}

} // namespace

bool describe_signature(std::string_view signature, TypeInfo* infos) noexcept {
    if (signature.size() > max_signature_length)
        return false;
    for (std::size_t at = 0; at < signature.size();) {
        at = parse_type(signature, at, 0, 0, infos);
        if (at == none)
            return false;
    }
    return true;
}

bool is_signature(std::string_view signature) noexcept {
    TypeInfos infos;
    return describe_signature(signature, infos.data());
}

bool is_single_type(std::string_view signature) noexcept {
    TypeInfos infos;
    return !signature.empty() && describe_signature(signature, infos.data()) &&
           infos[0].length == signature.size();
}

std::size_t first_type_length(std::string_view signature) noexcept {
    std::size_t at = 0;
    while (at < signature.size() && signature[at] == 'a')
        at++;
    std::size_t open = 0;
    while (at < signature.size()) {
        const char c = signature[at++];
        if (c == '(' || c == '{')
            open++;
        else if (c == ')' || c == '}')
            open--;
        if (open == 0)
            break;
    }
    return at;
}

std::size_t dbus1_alignment(char type) noexcept {
    switch (type) {
    case 'n':
    case 'q':
        return 2;
    case 'b':
    case 'i':
    case 'u':
    case 'h':
    case 's':
    case 'o':
    case 'a':
        return 4;
    case 'x':
    case 't':
    case 'd':
    case '(':
    case '{':
        return 8;
    default: // y g v
        return 1;
    }
}

std::size_t dbus1_fixed_size(char type) noexcept {
    switch (type) {
    case 'y':
        return 1;
    case 'n':
    case 'q':
        return 2;
    case 'b':
    case 'i':
    case 'u':
    case 'h':
        return 4;
    case 'x':
    case 't':
    case 'd':
        return 8;
    default:
        return 0;
    }
}

GvariantLayout gvariant_layout(std::string_view type) noexcept {
    if (type.starts_with('{'))
        return gvariant_tuple_layout(members_of(type));
    TypeInfos infos;
    parse_type(type, 0, 0, 0, infos.data());
    return {infos[0].alignment, infos[0].size};
}

GvariantLayout gvariant_tuple_layout(std::string_view members) noexcept {
    TypeInfos infos;
    TupleLayout layout;
    for (std::size_t at = 0; at < members.size();) {
        const std::size_t end = parse_type(members, at, 0, 0, infos.data());
        layout.add(infos[at]);
        at = end;
    }
    return {layout.alignment(), layout.size()};
}

} // namespace kdbus::wire
