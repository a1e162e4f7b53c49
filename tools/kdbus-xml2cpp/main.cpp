// SPDX-License-Identifier: LGPL-2.1-or-later
#include "errors.hpp"
#include "files.hpp"
#include "generate.hpp"
#include "names.hpp"
#include "options.hpp"
#include "parse.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <exception>

namespace {

using namespace kdbus::xml2cpp;

int run(const Options& options) {
    Source source{.files = options.inputs, .scope = options.scope};
    Errors errors;
    for (const auto& input : options.inputs)
        parse(input, read_file(input), source.interfaces, errors);
    check_classes(source.interfaces, source.scope, errors);
    if (errors.empty() && source.interfaces.empty())
        errors.add({options.inputs.back(), 1}, "there is no interface to make classes of");
    if (!errors.empty()) {
        fmt::print(stderr, "{}", errors.text());
        return EXIT_FAILURE;
    }

    std::vector<Output> outputs;
    if (!options.proxy.empty())
        outputs.push_back({options.proxy, generate_proxies(source)});
    if (!options.adaptor.empty())
        outputs.push_back({options.adaptor, generate_adaptors(source)});
    write_files(outputs);
    return EXIT_SUCCESS;
}

} // namespace

int main(int argc, char** argv) try {
    const auto parsed = parse_options(argc, argv);
    if (const auto* finished = std::get_if<Finished>(&parsed)) {
        fmt::print(finished->status == 0 ? stdout : stderr, "{}", finished->text);
        return finished->status;
    }
    return run(std::get<Options>(parsed));
} catch (const std::exception& error) {
    fmt::print(stderr, "kdbus-xml2cpp: {}\n", error.what());
    return EXIT_FAILURE;
}
