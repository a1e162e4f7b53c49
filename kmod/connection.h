/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Connection
 *
 * A connection is a peer on a bus. It is made by HELLO on a handle and ends
 * with BYEBYE, the last close of the handle, or the end of its bus. What has
 * ended stays ended: the state is checked once, under conn->lock, by whoever
 * wants to put something into the queue.
 *
 * A connection belongs to an open file, not to a process; any number of
 * processes may use it at the same time.
 *
 * The owner of the bus may make special ones: an activator receives what is
 * sent to its name while nobody owns that; a policy holder only holds a policy
 * entry; a monitor gets a copy of everything. They cannot be addressed by id.
 */
#ifndef KDBUS_CONNECTION_H
#define KDBUS_CONNECTION_H

#include <linux/cred.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>

#include <linux/kdbus.h>

#include "metadata.h"
#include "queue.h"
#include "reply.h"
#include "waiters.h"

#define KDBUS_HELLO_SPECIAL	\
	(KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_POLICY_HOLDER | KDBUS_HELLO_MONITOR)

struct file;
struct kdbus_buf;
struct kdbus_command;
struct kdbus_ep;
struct kdbus_pool;
struct kdbus_user;

/**
 * struct kdbus_conn - a connection
 * @kref:		reference count
 * @rcu:		frees the memory; connections are found under RCU
 * @id:			id, unique in the domain
 * @flags:		KDBUS_HELLO_* it was made with
 * @attach_flags_send:	metadata others may see of it; may change at any time
 * @attach_flags_recv:	metadata it wants; may change at any time
 * @ep:			the endpoint it came through, referenced
 * @ep_entry:		in the endpoint's list; bus lock
 * @monitor_entry:	in the bus's list, for monitors; changed under the bus lock
 * @entries:		its entries in the bus's policy; bus lock
 * @cred:		credentials of whoever opened the handle
 * @user:		who the connection and what it sends are charged to
 * @owner:		opened by the owner of the bus; passes every access rule
 * @meta:		who said HELLO, or was said to have
 * @description:	label for debugging, or NULL
 * @pool:		receive memory
 * @waiters:		who polls it; woken when there is something to receive, and
 *			at the end
 *
 * @lock:		protects what follows, up to @names
 * @dead:		it has ended; may be read without the lock for a first look
 * @queue:		messages to be received
 * @replies:		calls it waits for, and calls it has to answer
 *
 * @names:		names it owns or waits for, oldest request first; changed
 *			under the bus lock, read under RCU
 * @n_names:		how many these are; bus lock
 *
 * @match_lock:		protects changes of @matches
 * @matches:		its matches; read under RCU
 * @n_matches:		how many these are
 */
struct kdbus_conn {
	struct kref kref;
	struct rcu_head rcu;
	u64 id;
	u64 flags;
	u64 attach_flags_send;
	u64 attach_flags_recv;
	struct kdbus_ep *ep;
	struct list_head ep_entry;
	struct list_head monitor_entry;
	struct list_head entries;
	const struct cred *cred;
	struct kdbus_user *user;
	bool owner;
	struct kdbus_meta_conn meta;
	const char *description;
	struct kdbus_pool *pool;
	struct kdbus_waiters *waiters;

	spinlock_t lock; /* see above */
	bool dead;
	struct kdbus_queue queue;
	struct kdbus_replies replies;

	struct list_head names;
	unsigned int n_names;

	struct mutex match_lock; /* see above */
	struct list_head matches;
	unsigned int n_matches;
};

struct kdbus_conn *kdbus_conn_get(struct kdbus_conn *conn);
void kdbus_conn_put(struct kdbus_conn *conn);
int kdbus_conn_disconnect(struct kdbus_conn *conn, bool if_idle);
void kdbus_conn_close(struct kdbus_conn *conn);

int kdbus_info_publish(struct kdbus_conn *conn, struct kdbus_command *command,
		       struct kdbus_buf *buf, u64 id, u64 flags);

struct kdbus_conn *kdbus_cmd_hello(struct kdbus_ep *ep, struct file *file,
				   struct kdbus_waiters *waiters, void __user *argp, int *ret);
int kdbus_cmd_update(struct kdbus_conn *conn, struct file *file, void __user *argp);
int kdbus_cmd_byebye(struct kdbus_conn *conn, struct file *file, void __user *argp);
int kdbus_cmd_conn_info(struct kdbus_conn *conn, struct file *file, void __user *argp);
int kdbus_cmd_free(struct kdbus_conn *conn, struct file *file, void __user *argp);

static inline bool kdbus_conn_is_ordinary(const struct kdbus_conn *conn)
{
	return !(conn->flags & KDBUS_HELLO_SPECIAL);
}

static inline bool kdbus_conn_is_dead(const struct kdbus_conn *conn)
{
	return READ_ONCE(conn->dead);
}

/* Tell whoever polls the connection. */
static inline void kdbus_conn_wake(struct kdbus_conn *conn, __poll_t events)
{
	if (wq_has_sleeper(&conn->waiters->queue))
		wake_up_interruptible_sync_poll(&conn->waiters->queue, events);
}

#endif /* KDBUS_CONNECTION_H */
