// SPDX-License-Identifier: LGPL-2.1-or-later
#include "files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <system_error>

#include <kdbus/abi/fd.hpp>

namespace kdbus::xml2cpp {
namespace {

[[noreturn]] void fail(const std::string& name) {
    throw std::system_error(errno, std::generic_category(), name);
}

/// Files beside those to be made, which get their names when all are complete.
class Unfinished {
public:
    ~Unfinished() {
        for (const auto& name : names_)
            ::unlink(name.c_str());
    }

    void write(const Output& output) {
        std::string name = output.name + ".XXXXXX";
        const abi::UniqueFd file(::mkostemp(name.data(), O_CLOEXEC));
        if (!file)
            fail(output.name);
        names_.push_back(name);
        std::string_view rest = output.text;
        while (!rest.empty()) {
            const auto written = ::write(file.get(), rest.data(), rest.size());
            if (written < 0 && errno != EINTR)
                fail(output.name);
            rest.remove_prefix(written < 0 ? 0 : static_cast<std::size_t>(written));
        }
        // As the user wants new files to be.
        const auto mask = ::umask(0);
        ::umask(mask);
        if (::fchmod(file.get(), 0666 & ~mask) != 0)
            fail(output.name);
    }

    void finish(const std::vector<Output>& outputs) {
        for (std::size_t i = 0; i < outputs.size(); i++)
            if (::rename(names_[i].c_str(), outputs[i].name.c_str()) != 0)
                fail(outputs[i].name);
        names_.clear();
    }

private:
    std::vector<std::string> names_;
};

} // namespace

std::string read_file(const std::string& name) {
    const abi::UniqueFd file(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file)
        fail(name);
    std::string text;
    std::array<char, 65536> part;
    for (;;) {
        const auto got = ::read(file.get(), part.data(), part.size());
        if (got == 0)
            return text;
        if (got < 0 && errno != EINTR)
            fail(name);
        text.append(part.data(), got < 0 ? 0 : static_cast<std::size_t>(got));
    }
}

void write_files(const std::vector<Output>& outputs) {
    Unfinished unfinished;
    for (const auto& output : outputs)
        unfinished.write(output);
    unfinished.finish(outputs);
}

} // namespace kdbus::xml2cpp
