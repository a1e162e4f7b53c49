/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Bus
 *
 * A bus is a space in which messages travel: connections known by id,
 * well-known names and their owners, and an index of who wants which signal.
 * It lives as long as the handle that made it.
 *
 * DOC: Locks
 *
 * In the order in which they may be nested:
 *
 *   0. handle->setup, a mutex: the setup of one handle. The only one that is
 *      held while user memory is accessed; it can stop nobody else.
 *   1. bus->lock, a mutex: everything that changes who is on the bus or who
 *      owns a name. Sending and receiving take it only when a name is changing
 *      hands, see below.
 *   2. bus->notify.flush, a mutex: delivering notifications, one after the
 *      other, in the order of the events. Taken without bus->lock.
 *   3. conn->match_lock, a mutex: the matches of one connection.
 *   4. conn->lock, a spinlock: state, queue, quotas and reply slots of one
 *      connection. Two of these are never held at once.
 *   5. pool->lock, a spinlock: the slices of one pool.
 *
 * index->lock (match.h), notify->lock (notify.h), a policy's lock (policy.h)
 * and the domain's mutex protect one table each; nothing of ours is taken
 * inside them. Reclaim takes the lock of a page, then pool->lock.
 *
 * What a sender reads - connections by id, names by string, policy, the match
 * index, the names of a connection, monitors - it reads under RCU. Objects found that way are
 * referenced before the RCU section ends. Whether they are still alive is
 * decided once, by the receiver's conn->lock, when a message is put into its
 * queue: a name changes hands under the lock of the connection that loses it,
 * so each message goes to exactly one owner. If mail moves with the name, to or
 * from an activator, new messages are held back until it has: the sender waits
 * for bus->lock once, without holding anything. If the owner is dead but still
 * has the name, the sender makes it release its names.
 *
 * But for handle->setup, no lock is held while user memory is accessed, and no
 * lock is shared by pairs of peers that have nothing to do with each other.
 */
#ifndef KDBUS_BUS_H
#define KDBUS_BUS_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/rhashtable.h>
#include <linux/xarray.h>

#include <linux/kdbus.h>

#include "match.h"
#include "metadata.h"
#include "notify.h"
#include "policy.h"

struct file;
struct kdbus_conn;
struct kdbus_receivers;
struct kdbus_user;

/**
 * struct kdbus_bus - a bus
 * @kref:		reference count
 * @id:			id, unique in the domain
 * @id128:		UUID
 * @name:		name, the directory of its nodes
 * @flags:		KDBUS_MAKE_* it was made with
 * @owner:		euid of the maker
 * @bloom:		filter geometry
 * @meta:		who made it
 * @attach_flags:	what of that may be told
 * @user:		who the bus is charged to
 * @domain_entry:	in the domain's list; domain lock
 * @seqnum:		last message number handed out
 * @lock:		see above
 * @eps:		endpoints that have not ended, referenced; @lock
 * @conns:		connections by id; changed under @lock, read under RCU
 * @monitors:		those that get a copy of everything; changed under @lock,
 *			read under RCU
 * @names:		well-known names; changed under @lock, read under RCU
 * @policy:		what policy holders and activators grant; changed under @lock
 * @matches:		who wants which signal
 * @notify:		events not yet delivered
 */
struct kdbus_bus {
	struct kref kref;
	u64 id;
	u8 id128[16];
	char name[KDBUS_SYSNAME_MAX_LEN + 1];
	u64 flags;
	kuid_t owner;
	struct kdbus_bloom_parameter bloom;
	struct kdbus_meta_process meta;
	u64 attach_flags;
	struct kdbus_user *user;
	struct list_head domain_entry;
	atomic64_t seqnum;

	struct mutex lock; /* see above */
	struct list_head eps;
	struct xarray conns;
	struct list_head monitors;
	struct rhashtable names;
	struct kdbus_policy_db policy;
	struct kdbus_match_index matches;
	struct kdbus_notify notify;
};

struct kdbus_bus *kdbus_bus_get(struct kdbus_bus *bus);
void kdbus_bus_put(struct kdbus_bus *bus);
void kdbus_bus_shutdown(struct kdbus_bus *bus);

struct kdbus_conn *kdbus_bus_find_conn(struct kdbus_bus *bus, u64 id);
u64 kdbus_bus_next_seqnum(struct kdbus_bus *bus);
u64 kdbus_bus_monitor_mask(struct kdbus_bus *bus);
void kdbus_bus_collect_monitors(struct kdbus_bus *bus, struct kdbus_receivers *receivers);

struct kdbus_bus *kdbus_cmd_bus_make(void __user *argp, int *ret);
int kdbus_cmd_bus_creator_info(struct kdbus_conn *conn, struct file *file, void __user *argp);
int kdbus_cmd_list(struct kdbus_conn *conn, struct file *file, void __user *argp);

#endif /* KDBUS_BUS_H */
