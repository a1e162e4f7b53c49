// SPDX-License-Identifier: GPL-2.0-only
#include <linux/ctype.h>
#include <linux/err.h>
#include <linux/jhash.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "bus.h"
#include "command.h"
#include "connection.h"
#include "domain.h"
#include "endpoint.h"
#include "name.h"
#include "notify.h"
#include "policy.h"
#include "queue.h"
#include "reply.h"

/* What of a request is remembered. */
#define KDBUS_NAME_SAVED	(KDBUS_NAME_ALLOW_REPLACEMENT | KDBUS_NAME_QUEUE)

enum {
	KDBUS_NAME_ITEM_NAME,
	KDBUS_NAME_ITEM_NEGOTIATE,
};

static const struct kdbus_item_spec kdbus_name_items[] = {
	[KDBUS_NAME_ITEM_NAME]		= { KDBUS_ITEM_NAME, .mandatory = true },
	[KDBUS_NAME_ITEM_NEGOTIATE]	= { KDBUS_ITEM_NEGOTIATE },
};

static const struct kdbus_command_spec kdbus_name_acquire_spec = {
	.fixed		= sizeof(struct kdbus_cmd),
	.flags		= KDBUS_NAME_REPLACE_EXISTING | KDBUS_NAME_ALLOW_REPLACEMENT |
			  KDBUS_NAME_QUEUE,
	.items		= kdbus_name_items,
	.n_items	= ARRAY_SIZE(kdbus_name_items),
};

static const struct kdbus_command_spec kdbus_name_release_spec = {
	.fixed		= sizeof(struct kdbus_cmd),
	.items		= kdbus_name_items,
	.n_items	= ARRAY_SIZE(kdbus_name_items),
};

/**
 * kdbus_name_is_valid() - is this a well-known name?
 * @name:		the string
 * @allow_wildcard:	accept "*" as last element
 *
 * Return: whether it is.
 */
bool kdbus_name_is_valid(const char *name, bool allow_wildcard)
{
	bool dot = false, element_start = true;
	const char *p;

	for (p = name; *p; p++) {
		if (*p == '.') {
			if (element_start)
				return false;
			dot = true;
			element_start = true;
			continue;
		}
		if (allow_wildcard && dot && element_start && p[0] == '*' && p[1] == '\0') {
			element_start = false;
			continue;
		}
		if (!(isascii(*p) && isalpha(*p)) && *p != '_' && *p != '-' &&
		    (element_start || !isdigit(*p)))
			return false;
		element_start = false;
	}

	return dot && !element_start && p - name <= KDBUS_NAME_MAX_LEN;
}

static u32 kdbus_name_hash_key(const void *data, u32 len, u32 seed)
{
	const char *name = data;

	return jhash(name, strlen(name), seed);
}

static u32 kdbus_name_hash_entry(const void *data, u32 len, u32 seed)
{
	const struct kdbus_name_entry *entry = data;

	return jhash(entry->name, entry->len, seed);
}

static int kdbus_name_compare(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct kdbus_name_entry *entry = obj;

	return strcmp(entry->name, arg->key);
}

static const struct rhashtable_params kdbus_name_params = {
	.head_offset		= offsetof(struct kdbus_name_entry, node),
	.hashfn			= kdbus_name_hash_key,
	.obj_hashfn		= kdbus_name_hash_entry,
	.obj_cmpfn		= kdbus_name_compare,
	.automatic_shrinking	= true,
};

int kdbus_registry_init(struct rhashtable *names)
{
	return rhashtable_init(names, &kdbus_name_params);
}

/**
 * kdbus_registry_destroy() - end an empty registry
 * @names:	the registry
 */
void kdbus_registry_destroy(struct rhashtable *names)
{
	rhashtable_destroy(names);
}

/**
 * kdbus_name_get_entry() - find a name
 * @bus:	the bus
 * @name:	the name, of any syntax
 *
 * Return: a referenced entry, or NULL.
 */
struct kdbus_name_entry *kdbus_name_get_entry(struct kdbus_bus *bus, const char *name)
{
	struct kdbus_name_entry *entry;

	rcu_read_lock();
	entry = rhashtable_lookup(&bus->names, name, kdbus_name_params);
	if (entry && !kref_get_unless_zero(&entry->kref))
		entry = NULL;
	rcu_read_unlock();
	return entry;
}

static void kdbus_name_free_entry(struct kref *kref)
{
	struct kdbus_name_entry *entry = container_of(kref, struct kdbus_name_entry, kref);

	kfree_rcu(entry, rcu);
	kdbus_object_dec(KDBUS_OBJECT_NAME);
}

/**
 * kdbus_name_ref_entry() - take another reference to a name
 * @entry:	the name, or NULL
 *
 * Return: @entry.
 */
struct kdbus_name_entry *kdbus_name_ref_entry(struct kdbus_name_entry *entry)
{
	if (entry)
		kref_get(&entry->kref);
	return entry;
}

/**
 * kdbus_name_put_entry() - drop a reference to a name
 * @entry:	the name, or NULL
 */
void kdbus_name_put_entry(struct kdbus_name_entry *entry)
{
	if (entry)
		kref_put(&entry->kref, kdbus_name_free_entry);
}

/**
 * kdbus_name_get_owner() - who owns a name?
 * @bus:	the bus
 * @entry:	the name
 *
 * Return: a referenced connection, or NULL if the name is gone or the caller is
 * being killed.
 */
struct kdbus_conn *kdbus_name_get_owner(struct kdbus_bus *bus, struct kdbus_name_entry *entry)
{
	struct kdbus_conn *conn;

	/* the next owner is about to be known, and who is moving mail has the lock */
	if (unlikely(READ_ONCE(entry->moving))) {
		if (mutex_lock_killable(&bus->lock))
			return NULL;
		mutex_unlock(&bus->lock);
	}

	rcu_read_lock();
	/* a connection gives its names up before its last reference */
	do {
		conn = rcu_dereference(entry->owner);
	} while (conn && !kref_get_unless_zero(&conn->kref));
	rcu_read_unlock();
	return conn;
}

/**
 * kdbus_name_is_owner() - does a connection own a name?
 * @bus:	the bus
 * @name:	the name
 * @conn:	the connection
 *
 * To be called under RCU.
 *
 * Return: whether it does now.
 */
bool kdbus_name_is_owner(struct kdbus_bus *bus, const char *name, const struct kdbus_conn *conn)
{
	struct kdbus_name_entry *entry;

	entry = rhashtable_lookup(&bus->names, name, kdbus_name_params);
	return entry && rcu_access_pointer(entry->owner) == conn;
}

/* Who owns a name by its queue and activator, which may be about to be published. */
static struct kdbus_name_owner *kdbus_name_primary(struct kdbus_name_entry *entry)
{
	if (list_empty(&entry->queue))
		return entry->activator;
	return list_first_entry(&entry->queue, struct kdbus_name_owner, name_entry);
}

static struct kdbus_name_owner *kdbus_name_find_owner(struct kdbus_name_entry *entry,
						      const struct kdbus_conn *conn)
{
	struct kdbus_name_owner *owner;

	/* a connection has few names; a name may have many waiters */
	list_for_each_entry(owner, &conn->names, conn_entry)
		if (owner->name == entry)
			return owner;
	return NULL;
}

static struct kdbus_name_entry *kdbus_name_new_entry(struct kdbus_bus *bus, const char *name)
{
	size_t len = strlen(name);
	struct kdbus_name_entry *entry;
	int ret;

	entry = kzalloc(struct_size(entry, name, len + 1), GFP_KERNEL_ACCOUNT);
	if (!entry)
		return ERR_PTR(-ENOMEM);

	kref_init(&entry->kref);
	INIT_LIST_HEAD(&entry->queue);
	entry->len = len;
	memcpy(entry->name, name, len + 1);

	ret = rhashtable_insert_fast(&bus->names, &entry->node, kdbus_name_params);
	if (ret < 0) {
		kfree(entry);
		return ERR_PTR(-ENOMEM);
	}
	kdbus_object_inc(KDBUS_OBJECT_NAME);
	return entry;
}

static void kdbus_name_remove_entry(struct kdbus_bus *bus, struct kdbus_name_entry *entry)
{
	rhashtable_remove_fast(&bus->names, &entry->node, kdbus_name_params);
	kdbus_name_put_entry(entry);
}

static struct kdbus_name_owner *kdbus_name_new_owner(struct kdbus_name_entry *entry,
						     struct kdbus_conn *conn)
{
	struct kdbus_name_owner *owner;

	owner = kzalloc(sizeof(*owner), GFP_KERNEL_ACCOUNT);
	if (!owner)
		return NULL;

	owner->name = kdbus_name_ref_entry(entry);
	owner->conn = conn;
	INIT_LIST_HEAD(&owner->name_entry);
	list_add_tail_rcu(&owner->conn_entry, &conn->names);
	conn->n_names++;
	kdbus_object_inc(KDBUS_OBJECT_NAME_OWNER);
	return owner;
}

static void kdbus_name_free_owner_rcu(struct rcu_head *rcu)
{
	struct kdbus_name_owner *owner = container_of(rcu, struct kdbus_name_owner, rcu);

	/* readers follow owner->name */
	kdbus_name_put_entry(owner->name);
	kfree(owner);
	kdbus_object_dec(KDBUS_OBJECT_NAME_OWNER);
}

static void kdbus_name_drop_owner(struct kdbus_name_owner *owner)
{
	if (owner->name->activator == owner)
		owner->name->activator = NULL;
	list_del(&owner->name_entry);
	list_del_rcu(&owner->conn_entry);
	owner->conn->n_names--;
	call_rcu(&owner->rcu, kdbus_name_free_owner_rcu);
}

/* How a name is held, by whoever asked for it in this way. */
static u64 kdbus_name_flags(const struct kdbus_name_owner *owner, u64 how)
{
	return (owner->flags & (KDBUS_NAME_SAVED | KDBUS_NAME_ACTIVATOR)) | how;
}

/*
 * Move what was sent to a name, and calls made via it, from its owner to the
 * next. Once this returns, nothing more is queued for the name until the next
 * owner is published.
 */
static void kdbus_name_move_mail(struct kdbus_name_entry *entry, struct kdbus_conn *from,
				 struct kdbus_conn *to)
{
	LIST_HEAD(mail);

	spin_lock(&from->lock);
	WRITE_ONCE(entry->moving, true);
	kdbus_queue_collect(from, entry, &mail);
	spin_unlock(&from->lock);

	/* so that what is received can be answered */
	kdbus_replies_move(from, to, entry);
	kdbus_queue_move(from, to, &mail);
}

/*
 * Make senders see who owns a name now. Once this returns, nothing more that
 * was sent to the name is queued at the connection that lost it.
 */
static void kdbus_name_publish_owner(struct kdbus_name_entry *entry)
{
	struct kdbus_name_owner *primary = kdbus_name_primary(entry);
	struct kdbus_conn *old;

	old = rcu_dereference_protected(entry->owner, true);
	if (primary)
		WRITE_ONCE(primary->flags, kdbus_name_flags(primary, KDBUS_NAME_PRIMARY));

	if (!old) {
		rcu_assign_pointer(entry->owner, primary->conn);
		return;
	}
	if (primary && entry->activator &&
	    (old == entry->activator->conn || primary == entry->activator))
		kdbus_name_move_mail(entry, old, primary->conn);

	spin_lock(&old->lock);
	rcu_assign_pointer(entry->owner, primary ? primary->conn : NULL);
	WRITE_ONCE(entry->moving, false);
	spin_unlock(&old->lock);
}

static int kdbus_name_acquire(struct kdbus_conn *conn, const char *name, u64 request,
			      u64 *return_flags)
{
	struct kdbus_bus *bus = conn->ep->bus;
	u64 saved = request & KDBUS_NAME_SAVED, primary_flags;
	struct kdbus_name_owner *primary, *mine = NULL;
	struct kdbus_name_entry *entry;
	u64 primary_id;

	lockdep_assert_held(&bus->lock);

	entry = rhashtable_lookup_fast(&bus->names, name, kdbus_name_params);
	if (entry)
		mine = kdbus_name_find_owner(entry, conn);
	if (!mine && conn->n_names >= KDBUS_CONN_MAX_NAMES)
		return -E2BIG;

	if (!entry) {
		entry = kdbus_name_new_entry(bus, name);
		if (IS_ERR(entry))
			return PTR_ERR(entry);
		mine = kdbus_name_new_owner(entry, conn);
		if (!mine) {
			kdbus_name_remove_entry(bus, entry);
			return -ENOMEM;
		}

		WRITE_ONCE(mine->flags, saved);
		list_add(&mine->name_entry, &entry->queue);
		kdbus_name_publish_owner(entry);
		kdbus_notify_name(bus, KDBUS_ITEM_NAME_ADD, 0, 0, conn->id, mine->flags, name);
		*return_flags = mine->flags | KDBUS_NAME_ACQUIRED;
		return 0;
	}

	primary = kdbus_name_primary(entry);
	if (mine == primary) {
		WRITE_ONCE(mine->flags, saved | KDBUS_NAME_PRIMARY);
		*return_flags = mine->flags;
		return 0;
	}

	if (primary == entry->activator ||
	    (primary->flags & KDBUS_NAME_ALLOW_REPLACEMENT &&
	     request & KDBUS_NAME_REPLACE_EXISTING)) {
		if (!mine)
			mine = kdbus_name_new_owner(entry, conn);
		if (!mine)
			return -ENOMEM;

		primary_id = primary->conn->id;
		primary_flags = primary->flags;
		WRITE_ONCE(mine->flags, saved | KDBUS_NAME_PRIMARY);
		list_move(&mine->name_entry, &entry->queue);
		kdbus_name_publish_owner(entry);
		if (primary_flags & (KDBUS_NAME_QUEUE | KDBUS_NAME_ACTIVATOR))
			WRITE_ONCE(primary->flags, kdbus_name_flags(primary, KDBUS_NAME_IN_QUEUE));
		else
			kdbus_name_drop_owner(primary);
		kdbus_notify_name(bus, KDBUS_ITEM_NAME_CHANGE, primary_id, primary_flags,
				  conn->id, mine->flags, name);
		*return_flags = mine->flags | KDBUS_NAME_ACQUIRED;
		return 0;
	}

	if (request & KDBUS_NAME_QUEUE) {
		bool queued = mine;

		if (!queued) {
			mine = kdbus_name_new_owner(entry, conn);
			if (!mine)
				return -ENOMEM;
			list_add_tail(&mine->name_entry, &entry->queue);
		}
		WRITE_ONCE(mine->flags, saved | KDBUS_NAME_IN_QUEUE);
		*return_flags = mine->flags | (queued ? 0 : KDBUS_NAME_ACQUIRED);
		return 0;
	}

	*return_flags = saved;
	if (!mine)
		return -EEXIST;
	kdbus_name_drop_owner(mine);
	return 0;
}

static void kdbus_name_release(struct kdbus_name_owner *owner)
{
	struct kdbus_bus *bus = owner->conn->ep->bus;
	struct kdbus_name_entry *entry = owner->name;
	struct kdbus_name_owner *next;
	u64 id = owner->conn->id, flags = owner->flags;

	lockdep_assert_held(&bus->lock);

	if (!(flags & KDBUS_NAME_PRIMARY)) {
		kdbus_name_drop_owner(owner);
		return;
	}

	kdbus_name_ref_entry(entry);
	kdbus_name_drop_owner(owner);
	kdbus_name_publish_owner(entry);
	next = kdbus_name_primary(entry);
	if (next) {
		kdbus_notify_name(bus, KDBUS_ITEM_NAME_CHANGE, id, flags, next->conn->id,
				  next->flags, entry->name);
	} else {
		kdbus_notify_name(bus, KDBUS_ITEM_NAME_REMOVE, id, flags, 0, 0, entry->name);
		kdbus_name_remove_entry(bus, entry);
	}
	kdbus_name_put_entry(entry);
}

/**
 * kdbus_name_add_activator() - let a connection receive for a name nobody owns
 * @conn:	an activator
 * @name:	a valid name
 *
 * Return: 0, -EEXIST if the name has an activator, or -ENOMEM.
 */
int kdbus_name_add_activator(struct kdbus_conn *conn, const char *name)
{
	struct kdbus_bus *bus = conn->ep->bus;
	struct kdbus_name_entry *entry;
	struct kdbus_name_owner *mine;
	bool waits;

	lockdep_assert_held(&bus->lock);

	entry = rhashtable_lookup_fast(&bus->names, name, kdbus_name_params);
	waits = entry;
	if (!entry)
		entry = kdbus_name_new_entry(bus, name);
	if (IS_ERR(entry))
		return PTR_ERR(entry);
	if (entry->activator)
		return -EEXIST;

	mine = kdbus_name_new_owner(entry, conn);
	if (!mine) {
		if (!waits)
			kdbus_name_remove_entry(bus, entry);
		return -ENOMEM;
	}

	WRITE_ONCE(mine->flags, KDBUS_NAME_ACTIVATOR | KDBUS_NAME_IN_QUEUE);
	entry->activator = mine;
	if (!waits) {
		kdbus_name_publish_owner(entry);
		kdbus_notify_name(bus, KDBUS_ITEM_NAME_ADD, 0, 0, conn->id, mine->flags, name);
	}
	return 0;
}

/**
 * kdbus_name_release_all() - release everything a connection holds
 * @conn:	the connection
 */
void kdbus_name_release_all(struct kdbus_conn *conn)
{
	struct kdbus_name_owner *owner, *next;

	lockdep_assert_held(&conn->ep->bus->lock);

	list_for_each_entry_safe(owner, next, &conn->names, conn_entry)
		kdbus_name_release(owner);
}

/**
 * kdbus_name_inherit() - let others have the names of a dead connection
 * @entry:	a name it owns
 * @dead:	the connection, which is about to release them
 *
 * Return: whether somebody else owns the name now.
 */
bool kdbus_name_inherit(struct kdbus_name_entry *entry, struct kdbus_conn *dead)
{
	struct kdbus_bus *bus = dead->ep->bus;
	struct kdbus_conn *next;

	if (mutex_lock_killable(&bus->lock))
		return false;
	/* all of them, in the order in which it would itself */
	kdbus_name_release_all(dead);
	next = rcu_access_pointer(entry->owner);
	mutex_unlock(&bus->lock);
	kdbus_notify_flush(bus);
	return next;
}

/**
 * kdbus_cmd_name_acquire() - KDBUS_CMD_NAME_ACQUIRE
 * @conn:	the caller
 * @file:	unused
 * @argp:	the command
 *
 * Return: what the ioctl returns.
 */
int kdbus_cmd_name_acquire(struct kdbus_conn *conn, struct file *file, void __user *argp)
{
	u64 storage[KDBUS_COMMAND_STORAGE / sizeof(u64)];
	struct kdbus_bus *bus = conn->ep->bus;
	struct kdbus_command command;
	const char *name;
	int ret;

	ret = kdbus_command_parse(&command, &kdbus_name_acquire_spec, argp, storage,
				  sizeof(storage));
	if (ret != 0)
		goto finish;

	name = command.found[KDBUS_NAME_ITEM_NAME]->str;
	ret = -EINVAL;
	if (!kdbus_name_is_valid(name, false))
		goto finish;
	ret = -EPERM;
	if (!kdbus_policy_may_own(conn, name))
		goto finish;

	mutex_lock(&bus->lock);
	ret = -ECONNRESET;
	if (!kdbus_conn_is_dead(conn))
		ret = kdbus_name_acquire(conn, name, command.cmd->flags, &command.return_flags);
	mutex_unlock(&bus->lock);
	kdbus_notify_flush(bus);

finish:
	return kdbus_command_finish(&command, ret);
}

/**
 * kdbus_cmd_name_release() - KDBUS_CMD_NAME_RELEASE
 * @conn:	the caller
 * @file:	unused
 * @argp:	the command
 *
 * Return: what the ioctl returns.
 */
int kdbus_cmd_name_release(struct kdbus_conn *conn, struct file *file, void __user *argp)
{
	u64 storage[KDBUS_COMMAND_STORAGE / sizeof(u64)];
	struct kdbus_bus *bus = conn->ep->bus;
	struct kdbus_name_entry *entry;
	struct kdbus_name_owner *owner;
	struct kdbus_command command;
	int ret;

	ret = kdbus_command_parse(&command, &kdbus_name_release_spec, argp, storage,
				  sizeof(storage));
	if (ret != 0)
		goto finish;

	mutex_lock(&bus->lock);
	entry = rhashtable_lookup_fast(&bus->names, command.found[KDBUS_NAME_ITEM_NAME]->str,
				       kdbus_name_params);
	owner = entry ? kdbus_name_find_owner(entry, conn) : NULL;
	if (owner)
		kdbus_name_release(owner);
	else
		ret = entry ? -EADDRINUSE : -ESRCH;
	mutex_unlock(&bus->lock);
	kdbus_notify_flush(bus);

finish:
	return kdbus_command_finish(&command, ret);
}
