/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Queue
 *
 * What a connection has yet to receive. A message gets into a queue in three
 * steps: space and quota are reserved under conn->lock; the content is written
 * without it, however long that takes; the entry is published under it. Only
 * published entries can be received. A receiver therefore never waits for a
 * sender's memory, and nothing of a send that fails half-way remains.
 *
 * Each sending user has a quota at each receiver: at most a third of what the
 * others leave of half the pool, and limited numbers of messages and files.
 * Reserved counts as used, but not against mail that moves with a name, which
 * was sent before. So where mail has moved to, what was reserved may find its
 * place taken when it is published; its sender is told.
 */
#ifndef KDBUS_QUEUE_H
#define KDBUS_QUEUE_H

#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/types.h>
#include <linux/xarray.h>

struct file;
struct kdbus_conn;
struct kdbus_files;
struct kdbus_name_entry;
struct kdbus_reply;
struct kdbus_slice;
struct kdbus_user;

/**
 * struct kdbus_usage - what messages take
 * @bytes:	bytes of messages
 * @msgs:	messages
 * @fds:	attached descriptors
 */
struct kdbus_usage {
	size_t bytes;
	unsigned int msgs;
	unsigned int fds;
};

/**
 * struct kdbus_quota - what one user has unread at a receiver
 * @user:	the user, referenced
 * @used:	all of it; the receiver's lock
 * @reserved:	of that, what is not complete; the receiver's lock
 */
struct kdbus_quota {
	struct kdbus_user *user;
	struct kdbus_usage used;
	struct kdbus_usage reserved;
};

/**
 * struct kdbus_queue_entry - a message on its way to a receiver
 * @entry:	in the queue, by age
 * @node:	in the queue, by priority and age
 * @priority:	lower values are more urgent
 * @slice:	where the message is; held as long as this exists
 * @quota:	what it is charged to; NULL when it no longer is
 * @size:	bytes charged
 * @n_fds:	attached descriptors charged
 * @complete:	it is no longer only reserved
 * @files:	its files, or NULL
 * @reply:	for an unread call: where the reply goes
 * @name:	the name it was sent to, referenced; or NULL
 */
struct kdbus_queue_entry {
	struct list_head entry;
	struct rb_node node;
	s64 priority;
	struct kdbus_slice *slice;
	struct kdbus_quota *quota;
	size_t size;
	unsigned int n_fds;
	bool complete;
	struct kdbus_files *files;
	struct kdbus_reply *reply;
	struct kdbus_name_entry *name;
};

/**
 * struct kdbus_queue - messages to be received
 * @entries:	published entries, oldest first
 * @by_priority: the same, most urgent first, then oldest first
 * @count:	how many these are; may be read without lock
 * @bytes:	bytes that are charged
 * @reserved:	of these, bytes of what is not complete
 * @had_mail:	mail has moved here with a name
 * @dropped:	messages lost since last reported; may be read without lock
 * @quotas:	by id of user; added without lock; those of endpoints are removed
 *		under conn->lock as soon as nobody needs them, others at the end
 *
 * All but @quotas is protected by conn->lock.
 */
struct kdbus_queue {
	struct list_head entries;
	struct rb_root_cached by_priority;
	unsigned int count;
	size_t bytes;
	size_t reserved;
	bool had_mail;
	u64 dropped;
	struct xarray quotas;
};

void kdbus_queue_init(struct kdbus_queue *queue);
void kdbus_queue_destroy(struct kdbus_queue *queue);
void kdbus_queue_flush(struct kdbus_conn *conn);
void kdbus_queue_forget(struct kdbus_conn *conn, u32 user);

struct kdbus_queue_entry *kdbus_queue_reserve(struct kdbus_conn *conn, struct kdbus_user *user,
					      size_t size, struct kdbus_files *files);
void kdbus_queue_discard(struct kdbus_conn *conn, struct kdbus_queue_entry *entry);
void kdbus_queue_complete(struct kdbus_conn *conn, struct kdbus_queue_entry *entry);
int kdbus_queue_publish(struct kdbus_conn *conn, struct kdbus_queue_entry *entry, bool owner);
void kdbus_queue_collect(struct kdbus_conn *conn, const struct kdbus_name_entry *name,
			 struct list_head *mail);
void kdbus_queue_move(struct kdbus_conn *from, struct kdbus_conn *to, struct list_head *mail);
void kdbus_queue_count_drop(struct kdbus_conn *conn);
void kdbus_queue_take(struct kdbus_conn *conn, struct kdbus_queue_entry *entry,
		      struct kdbus_msg_info *info);

int kdbus_cmd_recv(struct kdbus_conn *conn, struct file *file, void __user *argp);

int kdbus_queue_cache_init(void);
void kdbus_queue_cache_exit(void);

#endif /* KDBUS_QUEUE_H */
