/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Well-known names
 *
 * A name has a queue of connections that asked for it, and at most one
 * activator. The first in the queue owns it or, while the queue is empty, the
 * activator. A name exists while it has an owner. All changes are made under
 * the bus lock. Senders look a name up under RCU and see its owner without any
 * lock; a name changes hands under the losing connection's lock, which is what
 * a sender holds when it finally queues a message there and looks again.
 *
 * When a name passes to or from its activator, unread mail and open calls that
 * were addressed to it pass as well. Meanwhile nothing new is accepted for the
 * name, so that mail stays in order.
 */
#ifndef KDBUS_NAME_H
#define KDBUS_NAME_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/rhashtable.h>
#include <linux/string.h>
#include <linux/types.h>

struct file;
struct kdbus_bus;
struct kdbus_conn;

/**
 * struct kdbus_name_entry - a well-known name
 * @kref:	held by the registry and by whoever is sending to it
 * @rcu:	frees the memory
 * @node:	in the bus's registry
 * @owner:	who owns it; NULL once the name is gone. Changed under the bus
 *		lock and the lock of the connection it is taken from
 * @moving:	mail passes to the next owner; changed under the same locks
 * @queue:	those who asked for it, in the order of their claims; bus lock
 * @activator:	its activator, or NULL; bus lock
 * @len:	length of @name without terminator
 * @name:	the name
 */
struct kdbus_name_entry {
	struct kref kref;
	struct rcu_head rcu;
	struct rhash_head node;
	struct kdbus_conn __rcu *owner;
	bool moving;
	struct list_head queue;
	struct kdbus_name_owner *activator;
	size_t len;
	char name[];
};

/**
 * struct kdbus_name_owner - a connection's place in a name's queue, or as its activator
 * @rcu:	frees the memory
 * @name:	the name; valid as long as this is
 * @conn:	the connection
 * @flags:	KDBUS_NAME_*, as reported; changed under the bus lock
 * @name_entry:	in the name's queue, unless it is the activator; bus lock
 * @conn_entry:	in the connection's list; changed under the bus lock
 */
struct kdbus_name_owner {
	struct rcu_head rcu;
	struct kdbus_name_entry *name;
	struct kdbus_conn *conn;
	u64 flags;
	struct list_head name_entry;
	struct list_head conn_entry;
};

/*
 * Whether an entry, or NULL, stands for a name; it may be an earlier entry of it: a name that is
 * released for good and acquired anew gets another.
 */
static inline bool kdbus_name_is_same(const struct kdbus_name_entry *entry,
				      const struct kdbus_name_entry *name)
{
	return entry == name ||
	       (entry && entry->len == name->len && !memcmp(entry->name, name->name, name->len));
}

bool kdbus_name_is_valid(const char *name, bool allow_wildcard);

int kdbus_registry_init(struct rhashtable *names);
void kdbus_registry_destroy(struct rhashtable *names);

struct kdbus_name_entry *kdbus_name_get_entry(struct kdbus_bus *bus, const char *name);
struct kdbus_name_entry *kdbus_name_ref_entry(struct kdbus_name_entry *entry);
void kdbus_name_put_entry(struct kdbus_name_entry *entry);
struct kdbus_conn *kdbus_name_get_owner(struct kdbus_bus *bus, struct kdbus_name_entry *entry);
bool kdbus_name_inherit(struct kdbus_name_entry *entry, struct kdbus_conn *dead);
bool kdbus_name_is_owner(struct kdbus_bus *bus, const char *name, const struct kdbus_conn *conn);
int kdbus_name_add_activator(struct kdbus_conn *conn, const char *name);
void kdbus_name_release_all(struct kdbus_conn *conn);

int kdbus_cmd_name_acquire(struct kdbus_conn *conn, struct file *file, void __user *argp);
int kdbus_cmd_name_release(struct kdbus_conn *conn, struct file *file, void __user *argp);

#endif /* KDBUS_NAME_H */
