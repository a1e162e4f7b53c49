/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Handles
 *
 * An open file of a node. It starts fresh; the first setup command to succeed
 * makes it the owner of a bus or endpoint, or a connection, for good. What a
 * handle may do follows from what it is, and is decided before a command is
 * looked at.
 */
#ifndef KDBUS_HANDLE_H
#define KDBUS_HANDLE_H

#include <linux/fs.h>

extern const struct file_operations kdbus_handle_fops;

#endif /* KDBUS_HANDLE_H */
