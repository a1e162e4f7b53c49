// SPDX-License-Identifier: GPL-2.0-only
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/poll.h>
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
#include "notify.h"
#include "policy.h"
#include "pool.h"

/* What of a HELLO makes a connection that owns a policy entry. */
#define KDBUS_HELLO_NAMED	(KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_POLICY_HOLDER)

/* Bytes of the items HELLO returns: the bus's Bloom parameters. */
#define KDBUS_HELLO_ITEMS_SIZE	32

enum {
	KDBUS_HELLO_ITEM_NAME,
	KDBUS_HELLO_ITEM_POLICY_ACCESS,
	KDBUS_HELLO_ITEM_CREDS,
	KDBUS_HELLO_ITEM_PIDS,
	KDBUS_HELLO_ITEM_SECLABEL,
	KDBUS_HELLO_ITEM_DESCRIPTION,
	KDBUS_HELLO_ITEM_NEGOTIATE,
};

static const struct kdbus_item_spec kdbus_hello_items[] = {
	[KDBUS_HELLO_ITEM_NAME]		 = { KDBUS_ITEM_NAME },
	[KDBUS_HELLO_ITEM_POLICY_ACCESS] = { KDBUS_ITEM_POLICY_ACCESS, .multiple = true },
	[KDBUS_HELLO_ITEM_CREDS]	 = { KDBUS_ITEM_CREDS },
	[KDBUS_HELLO_ITEM_PIDS]		 = { KDBUS_ITEM_PIDS },
	[KDBUS_HELLO_ITEM_SECLABEL]	 = { KDBUS_ITEM_SECLABEL },
	[KDBUS_HELLO_ITEM_DESCRIPTION]	 = { KDBUS_ITEM_CONN_DESCRIPTION },
	[KDBUS_HELLO_ITEM_NEGOTIATE]	 = { KDBUS_ITEM_NEGOTIATE },
};

static const struct kdbus_command_spec kdbus_hello_spec = {
	.fixed		= sizeof(struct kdbus_cmd_hello),
	.flags		= KDBUS_HELLO_ACCEPT_FD | KDBUS_HELLO_SPECIAL,
	.items		= kdbus_hello_items,
	.n_items	= ARRAY_SIZE(kdbus_hello_items),
};

enum {
	KDBUS_UPDATE_SEND,
	KDBUS_UPDATE_RECV,
	KDBUS_UPDATE_NAME,
	KDBUS_UPDATE_POLICY_ACCESS,
	KDBUS_UPDATE_NEGOTIATE,
};

static const struct kdbus_item_spec kdbus_update_items[] = {
	[KDBUS_UPDATE_SEND]		= { KDBUS_ITEM_ATTACH_FLAGS_SEND },
	[KDBUS_UPDATE_RECV]		= { KDBUS_ITEM_ATTACH_FLAGS_RECV },
	[KDBUS_UPDATE_NAME]		= { KDBUS_ITEM_NAME, .multiple = true },
	[KDBUS_UPDATE_POLICY_ACCESS]	= { KDBUS_ITEM_POLICY_ACCESS, .multiple = true },
	[KDBUS_UPDATE_NEGOTIATE]	= { KDBUS_ITEM_NEGOTIATE },
};

static const struct kdbus_command_spec kdbus_update_spec = {
	.fixed		= sizeof(struct kdbus_cmd),
	.items		= kdbus_update_items,
	.n_items	= ARRAY_SIZE(kdbus_update_items),
};

static const struct kdbus_command_spec kdbus_byebye_spec = {
	.fixed		= sizeof(struct kdbus_cmd),
	.items		= kdbus_plain_items,
	.n_items	= ARRAY_SIZE(kdbus_plain_items),
};

static const struct kdbus_command_spec kdbus_free_spec = {
	.fixed		= sizeof(struct kdbus_cmd_free),
	.items		= kdbus_plain_items,
	.n_items	= ARRAY_SIZE(kdbus_plain_items),
};

enum {
	KDBUS_INFO_ITEM_NAME,
	KDBUS_INFO_ITEM_NEGOTIATE,
};

static const struct kdbus_item_spec kdbus_info_items[] = {
	[KDBUS_INFO_ITEM_NAME]		= { KDBUS_ITEM_NAME },
	[KDBUS_INFO_ITEM_NEGOTIATE]	= { KDBUS_ITEM_NEGOTIATE },
};

static const struct kdbus_command_spec kdbus_info_spec = {
	.fixed		= sizeof(struct kdbus_cmd_info),
	.items		= kdbus_info_items,
	.n_items	= ARRAY_SIZE(kdbus_info_items),
};

/* ---- life ---- */

struct kdbus_conn *kdbus_conn_get(struct kdbus_conn *conn)
{
	kref_get(&conn->kref);
	return conn;
}

static void kdbus_conn_free(struct kref *kref)
{
	struct kdbus_conn *conn = container_of(kref, struct kdbus_conn, kref);

	kdbus_queue_destroy(&conn->queue);
	kdbus_pool_put(conn->pool);
	kdbus_meta_conn_release(&conn->meta);
	kdbus_user_put(conn->user);
	put_cred(conn->cred);
	kfree(conn->description);
	kdbus_waiters_put(conn->waiters);
	kdbus_ep_put(conn->ep);
	kfree_rcu(conn, rcu);
	kdbus_object_dec(KDBUS_OBJECT_CONNECTION);
}

/**
 * kdbus_conn_put() - drop a reference to a connection
 * @conn:	the connection, or NULL
 */
void kdbus_conn_put(struct kdbus_conn *conn)
{
	if (conn)
		kref_put(&conn->kref, kdbus_conn_free);
}

static struct kdbus_conn *kdbus_conn_new(struct kdbus_ep *ep, struct file *file,
					 struct kdbus_waiters *waiters,
					 struct kdbus_command *command)
{
	const struct kdbus_item *description = command->found[KDBUS_HELLO_ITEM_DESCRIPTION];
	const struct kdbus_cmd_hello *cmd = command->data;
	struct kdbus_conn *conn;
	int ret = -ENOMEM;

	conn = kzalloc(sizeof(*conn), GFP_KERNEL_ACCOUNT);
	if (!conn)
		return ERR_PTR(-ENOMEM);

	kref_init(&conn->kref);
	conn->ep = kdbus_ep_get(ep);
	INIT_LIST_HEAD(&conn->ep_entry);
	INIT_LIST_HEAD(&conn->monitor_entry);
	INIT_LIST_HEAD(&conn->entries);
	conn->cred = get_cred(file->f_cred);
	conn->owner = kdbus_ep_is_owner(ep, file);
	conn->flags = cmd->flags;
	conn->attach_flags_send = cmd->attach_flags_send;
	conn->attach_flags_recv = cmd->attach_flags_recv;
	conn->waiters = kdbus_waiters_get(waiters);
	spin_lock_init(&conn->lock);
	kdbus_queue_init(&conn->queue);
	kdbus_replies_init(&conn->replies);
	INIT_LIST_HEAD(&conn->names);
	mutex_init(&conn->match_lock);
	INIT_LIST_HEAD(&conn->matches);
	kdbus_object_inc(KDBUS_OBJECT_CONNECTION);

	if (description) {
		conn->description = kstrdup(description->str, GFP_KERNEL_ACCOUNT);
		if (!conn->description)
			goto err_put;
	}

	conn->pool = kdbus_pool_new(conn->description, cmd->pool_size);
	if (IS_ERR(conn->pool)) {
		ret = PTR_ERR(conn->pool);
		conn->pool = NULL;
		goto err_put;
	}

	ret = kdbus_meta_conn_init(&conn->meta, command->found[KDBUS_HELLO_ITEM_CREDS],
				   command->found[KDBUS_HELLO_ITEM_PIDS],
				   command->found[KDBUS_HELLO_ITEM_SECLABEL]);
	if (ret < 0)
		goto err_put;
	return conn;

err_put:
	kdbus_conn_put(conn);
	return ERR_PTR(ret);
}

/*
 * Charge a connection to its custom endpoint; else to the user who opened its
 * handle, or, for a privileged proxy, to the user it stands for.
 */
static int kdbus_conn_charge(struct kdbus_conn *conn, struct file *file)
{
	kuid_t uid = conn->cred->uid;
	struct kdbus_user *user;
	int ret;

	if (conn->meta.faked && conn->meta.process.mask & KDBUS_ATTACH_CREDS &&
	    uid_valid(conn->meta.process.uid[0]) && kdbus_ep_is_privileged(conn->ep, file))
		uid = conn->meta.process.uid[0];

	user = conn->ep->user ? kdbus_user_get(conn->ep->user) : kdbus_user_lookup(uid);
	if (IS_ERR(user))
		return PTR_ERR(user);

	ret = kdbus_user_charge(&user->conns, KDBUS_USER_MAX_CONN);
	if (ret < 0)
		kdbus_user_put(user);
	else
		conn->user = user;
	return ret;
}

/* Let a connection appear. */
static int kdbus_conn_appear(struct kdbus_conn *conn)
{
	struct kdbus_bus *bus = conn->ep->bus;
	int ret;

	lockdep_assert_held(&bus->lock);

	if (kdbus_ep_is_dead(conn->ep))
		return -ESHUTDOWN;
	conn->id = kdbus_domain_new_id();
	ret = xa_insert(&bus->conns, conn->id, conn, GFP_KERNEL_ACCOUNT);
	if (ret < 0)
		return ret;

	list_add_tail(&conn->ep_entry, &conn->ep->conns);
	WRITE_ONCE(conn->ep->n_conns, conn->ep->n_conns + 1);
	if (conn->flags & KDBUS_HELLO_MONITOR)
		list_add_tail_rcu(&conn->monitor_entry, &bus->monitors);
	else
		kdbus_notify_id(bus, KDBUS_ITEM_ID_ADD, conn->id, conn->flags);
	return 0;
}

/*
 * Connect, and install what activators and policy holders bring: the name and
 * the policy entry, @entries, unless @policy_error says what is wrong with it.
 * On failure the connection must be closed: it may have appeared.
 */
static int kdbus_conn_connect(struct kdbus_conn *conn, const struct kdbus_item *name,
			      struct list_head *entries, int policy_error)
{
	struct kdbus_bus *bus = conn->ep->bus;
	int ret;

	mutex_lock(&bus->lock);
	ret = kdbus_conn_appear(conn);
	/* what has not appeared need not disappear */
	if (ret < 0)
		WRITE_ONCE(conn->dead, true);
	if (ret == 0 && conn->flags & KDBUS_HELLO_ACTIVATOR)
		ret = kdbus_name_add_activator(conn, name->str);
	if (ret == 0)
		ret = policy_error;
	if (ret == 0 && !list_empty(entries))
		ret = kdbus_policy_replace(&bus->policy, &conn->entries, entries);
	mutex_unlock(&bus->lock);

	kdbus_notify_flush(bus);
	return ret;
}

/**
 * kdbus_conn_disconnect() - end a connection
 * @conn:	the connection
 * @if_idle:	only if nothing is queued for it
 *
 * When this returns 0, everybody who cares has been told.
 *
 * Return: 0, -ECONNRESET if it has ended before, or -EBUSY.
 */
int kdbus_conn_disconnect(struct kdbus_conn *conn, bool if_idle)
{
	struct kdbus_bus *bus = conn->ep->bus;
	int ret = 0;

	spin_lock(&conn->lock);
	if (conn->dead)
		ret = -ECONNRESET;
	else if (if_idle && conn->queue.count > 0)
		ret = -EBUSY;
	else
		WRITE_ONCE(conn->dead, true);
	spin_unlock(&conn->lock);
	if (ret < 0)
		return ret;

	wake_up_interruptible_poll(&conn->waiters->queue, EPOLLERR | EPOLLHUP);
	kdbus_replies_abandon(conn);

	mutex_lock(&bus->lock);
	kdbus_policy_remove(&bus->policy, &conn->entries);
	kdbus_match_remove_all(conn);
	if (conn->flags & KDBUS_HELLO_MONITOR)
		list_del_rcu(&conn->monitor_entry);
	xa_erase(&bus->conns, conn->id);
	kdbus_name_release_all(conn);
	list_del(&conn->ep_entry);
	WRITE_ONCE(conn->ep->n_conns, conn->ep->n_conns - 1);
	if (conn->ep->n_conns == 0)
		wake_up(&conn->ep->deserted);
	mutex_unlock(&bus->lock);

	kdbus_queue_flush(conn);
	kdbus_replies_renounce(conn);
	if (!(conn->flags & KDBUS_HELLO_MONITOR))
		kdbus_notify_id(bus, KDBUS_ITEM_ID_REMOVE, conn->id, conn->flags);
	kdbus_notify_flush(bus);
	return 0;
}

/**
 * kdbus_conn_close() - a handle has been closed for the last time
 * @conn:	its connection; the caller's reference is dropped
 */
void kdbus_conn_close(struct kdbus_conn *conn)
{
	kdbus_conn_disconnect(conn, false);
	atomic_dec(&conn->user->conns);
	kdbus_conn_put(conn);
}

/* ---- commands ---- */

static int kdbus_hello_check(struct kdbus_ep *ep, struct file *file, struct kdbus_command *command)
{
	struct kdbus_item *name = command->found[KDBUS_HELLO_ITEM_NAME];
	struct kdbus_cmd_hello *cmd = command->data;
	u64 special = cmd->flags & KDBUS_HELLO_SPECIAL;
	bool named = special & KDBUS_HELLO_NAMED;
	bool owner = kdbus_ep_is_owner(ep, file);
	int ret;

	if (cmd->pool_size == 0 || !IS_ALIGNED(cmd->pool_size, PAGE_SIZE))
		return -EINVAL;
	if (special & (special - 1))
		return -EINVAL;
	if (named != !!name)
		return -EINVAL;
	if (name && !kdbus_name_is_valid(name->str, special & KDBUS_HELLO_POLICY_HOLDER))
		return -EINVAL;
	if (special & KDBUS_HELLO_MONITOR && ep->policy)
		return -EOPNOTSUPP;
	if (special && !owner)
		return -EPERM;
	if (!owner && (command->found[KDBUS_HELLO_ITEM_CREDS] ||
		       command->found[KDBUS_HELLO_ITEM_PIDS] ||
		       command->found[KDBUS_HELLO_ITEM_SECLABEL]))
		return -EPERM;

	ret = kdbus_attach_flags_check(&cmd->attach_flags_send);
	if (ret == 0)
		ret = kdbus_attach_flags_check(&cmd->attach_flags_recv);
	return ret;
}

/* The result's items. The pool being empty, they are at its start. */
static int kdbus_hello_publish(struct kdbus_conn *conn, u64 *offset)
{
	const struct kdbus_bus *bus = conn->ep->bus;
	struct {
		u64 size;
		u64 type;
		struct kdbus_bloom_parameter bloom;
	} item = {
		.size = sizeof(item),
		.type = KDBUS_ITEM_BLOOM_PARAMETER,
		.bloom = bus->bloom,
	};

	BUILD_BUG_ON(sizeof(item) != KDBUS_HELLO_ITEMS_SIZE);
	return kdbus_pool_publish(conn->pool, &item, sizeof(item), offset);
}

static struct kdbus_conn *kdbus_hello(struct kdbus_ep *ep, struct file *file,
				      struct kdbus_waiters *waiters,
				      struct kdbus_command *command)
{
	struct kdbus_cmd_hello *cmd = command->data, result = *cmd;
	const struct kdbus_bus *bus = ep->bus;
	struct kdbus_conn *conn;
	int ret, policy_error = 0;
	LIST_HEAD(entries);

	ret = kdbus_hello_check(ep, file, command);
	if (ret < 0)
		return ERR_PTR(ret);

	conn = kdbus_conn_new(ep, file, waiters, command);
	if (IS_ERR(conn))
		return conn;
	/* before others can send to it */
	ret = kdbus_hello_publish(conn, &result.offset);
	if (ret < 0)
		goto err_put;
	ret = kdbus_conn_charge(conn, file);
	if (ret < 0)
		goto err_put;

	if (conn->flags & KDBUS_HELLO_NAMED)
		policy_error = kdbus_policy_parse(command, 1, &entries);
	ret = kdbus_conn_connect(conn, command->found[KDBUS_HELLO_ITEM_NAME], &entries,
				 policy_error);
	kdbus_policy_discard(&entries);
	if (ret < 0)
		goto err_close;

	/* inputs are returned as they were supplied */
	result.return_flags = 0;
	result.bus_flags = bus->flags;
	result.id = conn->id;
	result.items_size = KDBUS_HELLO_ITEMS_SIZE;
	memcpy(result.id128, bus->id128, sizeof(result.id128));
	ret = kdbus_command_copy_out(command, 0, &result, sizeof(result));
	if (ret < 0)
		goto err_close;
	return conn;

err_close:
	kdbus_conn_close(conn);
	return ERR_PTR(ret);
err_put:
	kdbus_conn_put(conn);
	return ERR_PTR(ret);
}

/**
 * kdbus_cmd_hello() - KDBUS_CMD_HELLO
 * @ep:		the endpoint
 * @file:	the handle's file
 * @waiters:	who polls it
 * @argp:	the command
 * @ret:	where to store what the ioctl returns
 *
 * Return: the connection, or NULL if none was made.
 */
struct kdbus_conn *kdbus_cmd_hello(struct kdbus_ep *ep, struct file *file,
				   struct kdbus_waiters *waiters, void __user *argp, int *ret)
{
	u64 storage[KDBUS_COMMAND_STORAGE / sizeof(u64)];
	struct kdbus_conn *conn = NULL;
	struct kdbus_command command;

	*ret = kdbus_command_parse(&command, &kdbus_hello_spec, argp, storage, sizeof(storage));
	if (*ret == 0) {
		conn = kdbus_hello(ep, file, waiters, &command);
		if (IS_ERR(conn)) {
			*ret = PTR_ERR(conn);
			conn = NULL;
		}
	}

	*ret = kdbus_command_finish(&command, *ret);
	if (*ret < 0 && conn) {
		kdbus_conn_close(conn);
		conn = NULL;
	}
	return conn;
}

/* Read a mask of metadata that UPDATE gives, if it does and the connection has one. */
static int kdbus_update_mask(const struct kdbus_conn *conn, const struct kdbus_item *item,
			     u64 not_for, u64 *mask)
{
	if (!item)
		return 0;
	if (conn->flags & not_for)
		return -EOPNOTSUPP;
	*mask = item->data64[0];
	return kdbus_attach_flags_check(mask);
}

static int kdbus_update_policy(struct kdbus_conn *conn, const struct kdbus_command *command)
{
	struct kdbus_bus *bus = conn->ep->bus;
	LIST_HEAD(entries);
	int ret;

	if (!command->found[KDBUS_UPDATE_NAME] && !command->found[KDBUS_UPDATE_POLICY_ACCESS])
		return 0;
	if (!(conn->flags & KDBUS_HELLO_POLICY_HOLDER))
		return -EOPNOTSUPP;

	ret = kdbus_policy_parse(command, 1, &entries);
	if (ret == 0) {
		mutex_lock(&bus->lock);
		ret = -ECONNRESET;
		if (!kdbus_conn_is_dead(conn))
			ret = kdbus_policy_replace(&bus->policy, &conn->entries, &entries);
		mutex_unlock(&bus->lock);
	}
	kdbus_policy_discard(&entries);
	return ret;
}

/**
 * kdbus_cmd_update() - KDBUS_CMD_UPDATE
 * @conn:	the caller
 * @file:	unused
 * @argp:	the command
 *
 * Return: what the ioctl returns.
 */
int kdbus_cmd_update(struct kdbus_conn *conn, struct file *file, void __user *argp)
{
	u64 storage[KDBUS_COMMAND_STORAGE / sizeof(u64)];
	struct kdbus_command command;
	u64 send, recv;
	int ret;

	ret = kdbus_command_parse(&command, &kdbus_update_spec, argp, storage, sizeof(storage));
	if (ret != 0)
		goto finish;

	ret = kdbus_update_mask(conn, command.found[KDBUS_UPDATE_SEND],
				KDBUS_HELLO_ACTIVATOR | KDBUS_HELLO_POLICY_HOLDER, &send);
	if (ret == 0)
		ret = kdbus_update_mask(conn, command.found[KDBUS_UPDATE_RECV],
					KDBUS_HELLO_POLICY_HOLDER, &recv);
	if (ret == 0)
		ret = kdbus_update_policy(conn, &command);
	if (ret == 0 && command.found[KDBUS_UPDATE_SEND])
		WRITE_ONCE(conn->attach_flags_send, send);
	if (ret == 0 && command.found[KDBUS_UPDATE_RECV])
		WRITE_ONCE(conn->attach_flags_recv, recv);

finish:
	return kdbus_command_finish(&command, ret);
}

/**
 * kdbus_cmd_byebye() - KDBUS_CMD_BYEBYE
 * @conn:	the caller
 * @file:	unused
 * @argp:	the command
 *
 * Return: what the ioctl returns.
 */
int kdbus_cmd_byebye(struct kdbus_conn *conn, struct file *file, void __user *argp)
{
	u64 storage[KDBUS_COMMAND_STORAGE / sizeof(u64)];
	struct kdbus_command command;
	int ret;

	ret = kdbus_command_parse(&command, &kdbus_byebye_spec, argp, storage, sizeof(storage));
	if (ret == 0)
		ret = kdbus_conn_disconnect(conn, true);
	return kdbus_command_finish(&command, ret);
}

/**
 * kdbus_cmd_free() - KDBUS_CMD_FREE
 * @conn:	the caller
 * @file:	unused
 * @argp:	the command
 *
 * Return: what the ioctl returns.
 */
int kdbus_cmd_free(struct kdbus_conn *conn, struct file *file, void __user *argp)
{
	u64 storage[KDBUS_COMMAND_STORAGE / sizeof(u64)];
	struct kdbus_command command;
	int ret;

	ret = kdbus_command_parse(&command, &kdbus_free_spec, argp, storage, sizeof(storage));
	if (ret == 0)
		ret = kdbus_pool_free_offset(conn->pool,
					     ((struct kdbus_cmd_free *)command.data)->offset);
	return kdbus_command_finish(&command, ret);
}

/* Find the connection that CONN_INFO asks for, if @conn may see it. */
static int kdbus_info_find(struct kdbus_conn *conn, const struct kdbus_cmd_info *cmd,
			   const struct kdbus_item *name, struct kdbus_conn **found)
{
	struct kdbus_bus *bus = conn->ep->bus;
	struct kdbus_name_entry *entry;

	*found = NULL;
	if (!name) {
		if (cmd->id == 0)
			return -EINVAL;
		*found = kdbus_bus_find_conn(bus, cmd->id);
		return *found && kdbus_policy_may_see(conn, current_cred(), *found) ? 0 : -ENXIO;
	}

	if (!kdbus_policy_may_see_name(conn, current_cred(), name->str))
		return -ESRCH;
	entry = kdbus_name_get_entry(bus, name->str);
	if (!entry)
		return -ESRCH;
	*found = kdbus_name_get_owner(bus, entry);
	kdbus_name_put_entry(entry);
	return *found && (cmd->id == 0 || cmd->id == (*found)->id) ? 0 : -ESRCH;
}

/**
 * kdbus_info_publish() - give out what a *_INFO command asked for
 * @conn:	the caller
 * @command:	the command
 * @buf:	room for a struct kdbus_info, then items
 * @id:		whose information this is
 * @flags:	its flags
 *
 * Return: 0, -ENOMEM, -EXFULL or -EFAULT.
 */
int kdbus_info_publish(struct kdbus_conn *conn, struct kdbus_command *command,
		       struct kdbus_buf *buf, u64 id, u64 flags)
{
	struct kdbus_info *info;
	u64 result[2];
	int ret;

	kdbus_buf_align(buf);
	if (buf->failed)
		return -ENOMEM;

	info = (struct kdbus_info *)buf->data;
	info->size = buf->len;
	info->id = id;
	info->flags = flags;
	result[1] = buf->len;
	ret = kdbus_pool_publish(conn->pool, buf->data, buf->len, &result[0]);
	if (ret < 0)
		return ret;
	return kdbus_command_copy_out(command, offsetof(struct kdbus_cmd_info, offset), result,
				      sizeof(result));
}

static int kdbus_info_of_conn(struct kdbus_conn *conn, struct kdbus_command *command,
			      struct kdbus_conn *target, u64 mask)
{
	const struct kdbus_meta_reader reader = kdbus_meta_reader_of(conn);
	u64 storage[256 / sizeof(u64)];
	struct kdbus_buf buf;
	int ret;

	kdbus_buf_init(&buf, storage, sizeof(storage));
	kdbus_buf_push(&buf, sizeof(struct kdbus_info));
	kdbus_meta_conn_write(target, kdbus_meta_mask(mask & READ_ONCE(target->attach_flags_send)),
			      &reader, &buf);
	ret = kdbus_info_publish(conn, command, &buf, target->id, target->flags);
	kdbus_buf_free(&buf);
	return ret;
}

/**
 * kdbus_cmd_conn_info() - KDBUS_CMD_CONN_INFO
 * @conn:	the caller
 * @file:	unused
 * @argp:	the command
 *
 * Return: what the ioctl returns.
 */
int kdbus_cmd_conn_info(struct kdbus_conn *conn, struct file *file, void __user *argp)
{
	u64 storage[KDBUS_COMMAND_STORAGE / sizeof(u64)];
	struct kdbus_conn *target = NULL;
	struct kdbus_command command;
	struct kdbus_cmd_info *cmd;
	int ret;

	ret = kdbus_command_parse(&command, &kdbus_info_spec, argp, storage, sizeof(storage));
	if (ret != 0)
		goto finish;

	cmd = command.data;
	ret = kdbus_attach_flags_check(&cmd->attach_flags);
	if (ret == 0)
		ret = kdbus_info_find(conn, cmd, command.found[KDBUS_INFO_ITEM_NAME], &target);
	if (ret == 0)
		ret = kdbus_info_of_conn(conn, &command, target, cmd->attach_flags);
	kdbus_conn_put(target);
finish:
	return kdbus_command_finish(&command, ret);
}
