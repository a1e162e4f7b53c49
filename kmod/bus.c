// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/random.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "buffer.h"
#include "bus.h"
#include "command.h"
#include "connection.h"
#include "domain.h"
#include "endpoint.h"
#include "match.h"
#include "name.h"
#include "policy.h"
#include "pool.h"

enum {
	KDBUS_BUS_MAKE_NAME,
	KDBUS_BUS_MAKE_BLOOM,
	KDBUS_BUS_MAKE_ATTACH_SEND,
	KDBUS_BUS_MAKE_NEGOTIATE,
};

static const struct kdbus_item_spec kdbus_bus_make_items[] = {
	[KDBUS_BUS_MAKE_NAME]		= { KDBUS_ITEM_MAKE_NAME, .mandatory = true },
	[KDBUS_BUS_MAKE_BLOOM]		= { KDBUS_ITEM_BLOOM_PARAMETER, .mandatory = true },
	[KDBUS_BUS_MAKE_ATTACH_SEND]	= { KDBUS_ITEM_ATTACH_FLAGS_SEND },
	[KDBUS_BUS_MAKE_NEGOTIATE]	= { KDBUS_ITEM_NEGOTIATE },
};

static const struct kdbus_command_spec kdbus_bus_make_spec = {
	.fixed		= sizeof(struct kdbus_cmd),
	.flags		= KDBUS_MAKE_ACCESS_GROUP | KDBUS_MAKE_ACCESS_WORLD |
			  KDBUS_MAKE_ALLOW_UNIX_FDS,
	.items		= kdbus_bus_make_items,
	.n_items	= ARRAY_SIZE(kdbus_bus_make_items),
};

static const struct kdbus_command_spec kdbus_bus_creator_info_spec = {
	.fixed		= sizeof(struct kdbus_cmd_info),
	.items		= kdbus_plain_items,
	.n_items	= ARRAY_SIZE(kdbus_plain_items),
};

static const struct kdbus_command_spec kdbus_list_spec = {
	.fixed		= sizeof(struct kdbus_cmd_list),
	.flags		= KDBUS_LIST_UNIQUE | KDBUS_LIST_NAMES | KDBUS_LIST_ACTIVATORS |
			  KDBUS_LIST_QUEUED,
	.items		= kdbus_plain_items,
	.n_items	= ARRAY_SIZE(kdbus_plain_items),
};

struct kdbus_bus *kdbus_bus_get(struct kdbus_bus *bus)
{
	kref_get(&bus->kref);
	return bus;
}

static void kdbus_bus_free(struct kref *kref)
{
	struct kdbus_bus *bus = container_of(kref, struct kdbus_bus, kref);

	WARN_ON(!xa_empty(&bus->conns));
	xa_destroy(&bus->conns);
	kdbus_registry_destroy(&bus->names);
	kdbus_policy_db_destroy(&bus->policy);
	kdbus_match_index_destroy(&bus->matches);
	kdbus_notify_destroy(&bus->notify);
	kdbus_meta_process_release(&bus->meta);
	kdbus_user_put(bus->user);
	kfree(bus);
	kdbus_object_dec(KDBUS_OBJECT_BUS);
}

/**
 * kdbus_bus_put() - drop a reference to a bus
 * @bus:	the bus, or NULL
 */
void kdbus_bus_put(struct kdbus_bus *bus)
{
	if (bus)
		kref_put(&bus->kref, kdbus_bus_free);
}

static struct kdbus_bus *kdbus_bus_new(const char *name, u64 flags,
				       const struct kdbus_bloom_parameter *bloom, u64 attach)
{
	struct kdbus_bus *bus;
	int ret;

	bus = kzalloc(sizeof(*bus), GFP_KERNEL_ACCOUNT);
	if (!bus)
		return ERR_PTR(-ENOMEM);

	kref_init(&bus->kref);
	strscpy(bus->name, name, sizeof(bus->name));
	bus->flags = flags;
	bus->owner = current_euid();
	bus->bloom = *bloom;
	bus->attach_flags = attach;
	INIT_LIST_HEAD(&bus->domain_entry);
	mutex_init(&bus->lock);
	xa_init_flags(&bus->conns, XA_FLAGS_ACCOUNT);
	INIT_LIST_HEAD(&bus->eps);
	INIT_LIST_HEAD(&bus->monitors);
	kdbus_policy_db_init(&bus->policy);
	kdbus_notify_init(&bus->notify);

	/* a version 4 UUID, as RFC 4122 lays it out */
	get_random_bytes(bus->id128, sizeof(bus->id128));
	bus->id128[6] = (bus->id128[6] & 0x0f) | 0x40;
	bus->id128[8] = (bus->id128[8] & 0x3f) | 0x80;

	ret = kdbus_registry_init(&bus->names);
	if (ret < 0)
		goto err_free;
	ret = kdbus_match_index_init(&bus->matches, bloom->size);
	if (ret < 0)
		goto err_registry;
	kdbus_meta_process_current(&bus->meta, KDBUS_META_PROCESS);
	kdbus_meta_process_pin(&bus->meta);
	ret = bus->meta.failed ? -ENOMEM : 0;
	if (ret < 0)
		goto err_meta;

	kdbus_object_inc(KDBUS_OBJECT_BUS);
	return bus;

err_meta:
	kdbus_meta_process_release(&bus->meta);
	kdbus_match_index_destroy(&bus->matches);
err_registry:
	kdbus_registry_destroy(&bus->names);
err_free:
	xa_destroy(&bus->conns);
	kfree(bus);
	return ERR_PTR(ret);
}

static int kdbus_bus_charge(struct kdbus_bus *bus)
{
	struct kdbus_user *user;
	int ret;

	user = kdbus_user_lookup(current_uid());
	if (IS_ERR(user))
		return PTR_ERR(user);

	ret = kdbus_user_charge(&user->buses, KDBUS_USER_MAX_BUSES);
	if (ret < 0) {
		kdbus_user_put(user);
		return ret;
	}

	bus->user = user;
	return 0;
}

static struct kdbus_bus *kdbus_bus_make(struct kdbus_command *command)
{
	const char *name = command->found[KDBUS_BUS_MAKE_NAME]->str;
	struct kdbus_bloom_parameter bloom;
	struct kdbus_bus *bus;
	u64 attach = 0;
	int ret;

	bloom = command->found[KDBUS_BUS_MAKE_BLOOM]->bloom_parameter;
	if (bloom.size < 8 || bloom.size > KDBUS_BUS_BLOOM_MAX_SIZE || bloom.size % 8 != 0 ||
	    bloom.n_hash < 1)
		return ERR_PTR(-EINVAL);

	if (command->found[KDBUS_BUS_MAKE_ATTACH_SEND])
		attach = command->found[KDBUS_BUS_MAKE_ATTACH_SEND]->data64[0];
	ret = kdbus_attach_flags_check(&attach);
	if (ret < 0)
		return ERR_PTR(ret);

	ret = kdbus_sysname_check_owner(name);
	if (ret < 0)
		return ERR_PTR(ret);

	bus = kdbus_bus_new(name, command->cmd->flags, &bloom, attach);
	if (IS_ERR(bus))
		return bus;
	ret = kdbus_domain_add_bus(bus);
	if (ret < 0)
		goto err_bus;
	ret = kdbus_bus_charge(bus);
	if (ret < 0)
		goto err_domain;

	bus->id = kdbus_domain_new_id();
	ret = kdbus_ep_make_default(bus);
	if (ret < 0)
		goto err_charge;
	return bus;

err_charge:
	atomic_dec(&bus->user->buses);
err_domain:
	kdbus_domain_remove_bus(bus);
err_bus:
	kdbus_bus_put(bus);
	return ERR_PTR(ret);
}

/**
 * kdbus_cmd_bus_make() - KDBUS_CMD_BUS_MAKE
 * @argp:	the command
 * @ret:	where to store what the ioctl returns
 *
 * Return: the bus, which dies with its last owner's kdbus_bus_shutdown(), or
 * NULL if none was made.
 */
struct kdbus_bus *kdbus_cmd_bus_make(void __user *argp, int *ret)
{
	u64 storage[KDBUS_COMMAND_STORAGE / sizeof(u64)];
	struct kdbus_bus *bus = NULL;
	struct kdbus_command command;

	*ret = kdbus_command_parse(&command, &kdbus_bus_make_spec, argp, storage, sizeof(storage));
	if (*ret == 0) {
		bus = kdbus_bus_make(&command);
		if (IS_ERR(bus)) {
			*ret = PTR_ERR(bus);
			bus = NULL;
		}
	}

	*ret = kdbus_command_finish(&command, *ret);
	if (*ret < 0 && bus) {
		kdbus_bus_shutdown(bus);
		bus = NULL;
	}
	return bus;
}

/* An endpoint that has not ended yet, referenced, or NULL. */
static struct kdbus_ep *kdbus_bus_next_ep(struct kdbus_bus *bus)
{
	struct kdbus_ep *ep;

	mutex_lock(&bus->lock);
	ep = list_first_entry_or_null(&bus->eps, struct kdbus_ep, bus_entry);
	if (ep)
		kdbus_ep_get(ep);
	mutex_unlock(&bus->lock);
	return ep;
}

/**
 * kdbus_bus_shutdown() - end a bus
 * @bus:	the bus; the caller's reference is dropped
 *
 * When this returns, the bus's nodes are gone, all connections have ended, and
 * the name is free.
 */
void kdbus_bus_shutdown(struct kdbus_bus *bus)
{
	struct kdbus_ep *ep;

	/* all at once, so that nobody can come back another way */
	mutex_lock(&bus->lock);
	list_for_each_entry(ep, &bus->eps, bus_entry)
		kdbus_ep_kill(ep);
	mutex_unlock(&bus->lock);

	while ((ep = kdbus_bus_next_ep(bus)))
		kdbus_ep_shutdown(ep);

	kdbus_domain_remove_bus(bus);
	atomic_dec(&bus->user->buses);
	kdbus_bus_put(bus);
}

/**
 * kdbus_bus_find_conn() - find a connection by id
 * @bus:	the bus
 * @id:		the id
 *
 * Return: a referenced connection that was alive a moment ago, or NULL.
 */
struct kdbus_conn *kdbus_bus_find_conn(struct kdbus_bus *bus, u64 id)
{
	struct kdbus_conn *conn;

	if (id > ULONG_MAX)
		return NULL;

	rcu_read_lock();
	conn = xa_load(&bus->conns, id);
	if (conn && !kref_get_unless_zero(&conn->kref))
		conn = NULL;
	rcu_read_unlock();
	return conn;
}

/**
 * kdbus_bus_next_seqnum() - number a message
 * @bus:	the bus
 *
 * Return: the number; the first is 1.
 */
u64 kdbus_bus_next_seqnum(struct kdbus_bus *bus)
{
	return atomic64_inc_return(&bus->seqnum);
}

/**
 * kdbus_bus_monitor_mask() - which metadata do monitors want?
 * @bus:	the bus
 *
 * Return: KDBUS_ATTACH_*.
 */
u64 kdbus_bus_monitor_mask(struct kdbus_bus *bus)
{
	struct kdbus_conn *conn;
	u64 mask = 0;

	rcu_read_lock();
	list_for_each_entry_rcu(conn, &bus->monitors, monitor_entry)
		mask |= READ_ONCE(conn->attach_flags_recv);
	rcu_read_unlock();
	return mask;
}

/**
 * kdbus_bus_collect_monitors() - who watches the bus?
 * @bus:	the bus
 * @receivers:	filled in; to be released
 */
void kdbus_bus_collect_monitors(struct kdbus_bus *bus, struct kdbus_receivers *receivers)
{
	struct kdbus_conn *conn;
	size_t found;

	kdbus_receivers_init(receivers);
	do {
		found = 0;
		rcu_read_lock();
		list_for_each_entry_rcu(conn, &bus->monitors, monitor_entry) {
			found++;
			kdbus_receivers_add(receivers, conn);
		}
		rcu_read_unlock();
	} while (kdbus_receivers_grow(receivers, found));
}

/**
 * kdbus_cmd_bus_creator_info() - KDBUS_CMD_BUS_CREATOR_INFO
 * @conn:	the caller
 * @file:	unused
 * @argp:	the command
 *
 * Return: what the ioctl returns.
 */
int kdbus_cmd_bus_creator_info(struct kdbus_conn *conn, struct file *file, void __user *argp)
{
	const struct kdbus_meta_reader reader = kdbus_meta_reader_of(conn);
	u64 storage[KDBUS_COMMAND_STORAGE / sizeof(u64)];
	const struct kdbus_bus *bus = conn->ep->bus;
	struct kdbus_command command;
	struct kdbus_cmd_info *cmd;
	struct kdbus_buf buf;
	int ret;

	kdbus_buf_init(&buf, NULL, 0);
	ret = kdbus_command_parse(&command, &kdbus_bus_creator_info_spec, argp, storage,
				  sizeof(storage));
	if (ret != 0)
		goto finish;

	cmd = command.data;
	ret = kdbus_attach_flags_check(&cmd->attach_flags);
	if (ret < 0)
		goto finish;

	kdbus_buf_push(&buf, sizeof(struct kdbus_info));
	kdbus_buf_item_str(&buf, KDBUS_ITEM_MAKE_NAME, bus->name);
	kdbus_meta_process_write(&bus->meta,
				 kdbus_meta_mask(cmd->attach_flags & bus->attach_flags), &reader,
				 &buf);
	ret = kdbus_info_publish(conn, &command, &buf, bus->id, bus->flags);
finish:
	kdbus_buf_free(&buf);
	return kdbus_command_finish(&command, ret);
}

/**
 * struct kdbus_list - a list being put together
 * @buf:	the records, as far as there is room
 * @need:	bytes that all of them take
 */
struct kdbus_list {
	struct kdbus_buf buf;
	size_t need;
};

static struct kdbus_info *kdbus_list_record(struct kdbus_list *list, const struct kdbus_conn *conn,
					    size_t items)
{
	struct kdbus_info *info;
	size_t size = ALIGN(sizeof(*info) + items, 8);

	list->need += size;
	if (list->need > list->buf.cap)
		return NULL;

	info = kdbus_buf_push(&list->buf, size);
	memset(info, 0, size);
	info->size = size;
	info->id = conn->id;
	info->flags = conn->flags;
	return info;
}

/* Which LIST flag asks for a name that is held this way? */
static u64 kdbus_list_flag_of(u64 name_flags)
{
	if (name_flags & KDBUS_NAME_ACTIVATOR)
		return KDBUS_LIST_ACTIVATORS;
	return name_flags & KDBUS_NAME_IN_QUEUE ? KDBUS_LIST_QUEUED : KDBUS_LIST_NAMES;
}

/* List @conn, as @viewer may see it. */
static void kdbus_list_conn(struct kdbus_list *list, const struct kdbus_conn *viewer,
			    const struct kdbus_conn *conn, u64 flags)
{
	struct kdbus_name_owner *owner;
	struct kdbus_info *info;
	bool named = false;
	size_t payload;

	lockdep_assert_held(&conn->ep->bus->lock);

	list_for_each_entry(owner, &conn->names, conn_entry) {
		if (!(flags & kdbus_list_flag_of(owner->flags)))
			continue;

		named = true;
		if (!kdbus_policy_may_see_name(viewer, current_cred(), owner->name->name))
			continue;
		payload = sizeof(struct kdbus_name) + owner->name->len + 1;
		info = kdbus_list_record(list, conn, offsetof(struct kdbus_item, data) + payload);
		if (!info)
			continue;
		info->items[0].size = offsetof(struct kdbus_item, data) + payload;
		info->items[0].type = KDBUS_ITEM_OWNED_NAME;
		info->items[0].name.flags = owner->flags;
		memcpy(info->items[0].name.name, owner->name->name, owner->name->len + 1);
	}

	if (!named && flags & KDBUS_LIST_UNIQUE)
		kdbus_list_record(list, conn, 0);
}

/* List the whole bus; nothing is allocated under its lock. */
static int kdbus_list_bus(struct kdbus_list *list, const struct kdbus_conn *viewer, u64 flags)
{
	struct kdbus_bus *bus = viewer->ep->bus;
	struct kdbus_conn *conn;
	unsigned long id;

	/* enough for most */
	list->need = PAGE_SIZE;
	do {
		list->buf.len = 0;
		if (!kdbus_buf_reserve(&list->buf, list->need))
			return -ENOMEM;

		list->need = 0;
		mutex_lock(&bus->lock);
		xa_for_each(&bus->conns, id, conn) {
			if (!(conn->flags & KDBUS_HELLO_MONITOR))
				kdbus_list_conn(list, viewer, conn, flags);
			cond_resched();
		}
		mutex_unlock(&bus->lock);
		if (list->need > viewer->pool->size)
			return -EXFULL;
	} while (list->need > list->buf.cap);
	return 0;
}

/**
 * kdbus_cmd_list() - KDBUS_CMD_LIST
 * @conn:	the caller
 * @file:	unused
 * @argp:	the command
 *
 * Return: what the ioctl returns.
 */
int kdbus_cmd_list(struct kdbus_conn *conn, struct file *file, void __user *argp)
{
	u64 storage[KDBUS_COMMAND_STORAGE / sizeof(u64)];
	struct kdbus_command command;
	struct kdbus_list list;
	u64 result[2];
	int ret;

	kdbus_buf_init(&list.buf, NULL, 0);
	ret = kdbus_command_parse(&command, &kdbus_list_spec, argp, storage, sizeof(storage));
	if (ret != 0)
		goto finish;

	ret = kdbus_list_bus(&list, conn, command.cmd->flags);
	result[0] = conn->pool->size;
	result[1] = list.buf.len;
	if (ret == 0 && list.buf.len > 0)
		ret = kdbus_pool_publish(conn->pool, list.buf.data, list.buf.len, &result[0]);

	if (ret == 0)
		ret = kdbus_command_copy_out(&command, offsetof(struct kdbus_cmd_list, offset),
					     result, sizeof(result));
finish:
	kdbus_buf_free(&list.buf);
	return kdbus_command_finish(&command, ret);
}
