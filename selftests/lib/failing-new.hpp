// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_SELFTESTS_LIB_FAILING_NEW_HPP
#define KDBUS_SELFTESTS_LIB_FAILING_NEW_HPP

/// How often operator new succeeds in this thread before it fails; below 0: always.
extern thread_local int allocations_left;
/// Whether it fails only once then: whoever is told may need memory to clean up.
extern thread_local bool fails_once;

#endif
