// SPDX-License-Identifier: LGPL-2.1-or-later
#include "options.hpp"

#include "names.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdlib>

namespace kdbus::xml2cpp {
namespace {

Finished usage_error(const std::string& text) {
    return {EXIT_FAILURE, fmt::format("kdbus-xml2cpp: {}\nTry kdbus-xml2cpp --help.\n", text)};
}

} // namespace

std::variant<Options, Finished> parse_options(int argc, const char* const* argv) {
    CLI::App app("Makes typed C++ classes of D-Bus introspection data.", "kdbus-xml2cpp");
    Options options;
    app.add_option("--proxy", options.proxy, "Write proxies, for clients, to that header")
        ->type_name("FILE");
    app.add_option("--adaptor", options.adaptor, "Write adaptors, for services, to that header")
        ->type_name("FILE");
    app.add_option("--namespace", options.scope,
                   "Put all classes there, not where the interfaces' names say")
        ->type_name("NAME");
    app.add_option("XML", options.inputs, "Introspection data")->required();
    app.set_version_flag("--version", "kdbus-xml2cpp " KDBUS_VERSION);

    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        return Finished{EXIT_SUCCESS, app.help()};
    } catch (const CLI::CallForVersion& version) {
        return Finished{EXIT_SUCCESS, fmt::format("{}\n", version.what())};
    } catch (const CLI::ParseError& error) {
        return usage_error(error.what());
    }

    if (options.proxy.empty() && options.adaptor.empty())
        return usage_error("--proxy or --adaptor is needed");
    if (options.proxy == options.adaptor)
        return usage_error("--proxy and --adaptor are the same file");
    if (!options.scope.empty() && !is_namespace(options.scope))
        return usage_error(fmt::format("\"{}\" is not a namespace", options.scope));
    return options;
}

} // namespace kdbus::xml2cpp
