// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_SELFTESTS_LIB_FAILING_NEW_HPP
#define KDBUS_SELFTESTS_LIB_FAILING_NEW_HPP

/// How often operator new succeeds in this thread before it fails, once; below 0: always.
extern thread_local int allocations_left;

#endif
