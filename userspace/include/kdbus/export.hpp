// SPDX-License-Identifier: LGPL-2.1-or-later
#ifndef KDBUS_EXPORT_HPP
#define KDBUS_EXPORT_HPP

/// Marks what the shared library exports; everything else stays hidden.
#define KDBUS_EXPORT __attribute__((visibility("default")))

#endif
