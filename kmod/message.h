/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Messages
 *
 * SEND: from a command in user memory to an entry in each receiver's queue.
 *
 * The message's structure is copied and checked once. For each receiver, its
 * head is put together on the stack - header, items, what the kernel vouches
 * for - and a slice is reserved that has room for it and the payload behind
 * it. The head is written, and the payload is copied from the sender's memory
 * straight into the receiver's pages. Then the message is published.
 */
#ifndef KDBUS_MESSAGE_H
#define KDBUS_MESSAGE_H

struct file;
struct kdbus_conn;

int kdbus_cmd_send(struct kdbus_conn *conn, struct file *file, void __user *argp);

#endif /* KDBUS_MESSAGE_H */
