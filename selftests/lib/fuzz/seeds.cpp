// SPDX-License-Identifier: LGPL-2.1-or-later
// `fuzz-NAME --seeds FOLDER` writes the inputs to begin with.

#include "fuzz.hpp"

#include <cstring>
#include <fstream>

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
    if (*argc != 3 || std::strcmp((*argv)[1], "--seeds") != 0)
        return 0;
    int number = 0;
    for (const auto& seed : fuzz::seeds()) {
        std::ofstream file((*argv)[2] + ("/seed-" + std::to_string(number++)), std::ios::binary);
        file << seed;
        if (!file.flush())
            std::exit(EXIT_FAILURE);
    }
    std::exit(EXIT_SUCCESS);
}
