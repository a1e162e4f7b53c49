// SPDX-License-Identifier: GPL-2.0-only
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/user_namespace.h>

#include <linux/kdbus.h>

#include "bus.h"
#include "command.h"
#include "connection.h"
#include "domain.h"
#include "endpoint.h"
#include "node.h"
#include "policy.h"
#include "queue.h"

enum {
	KDBUS_EP_MAKE_NAME,
	KDBUS_EP_MAKE_NEGOTIATE,
};

static const struct kdbus_item_spec kdbus_ep_make_items[] = {
	[KDBUS_EP_MAKE_NAME]		= { KDBUS_ITEM_MAKE_NAME, .mandatory = true },
	[KDBUS_EP_MAKE_NEGOTIATE]	= { KDBUS_ITEM_NEGOTIATE },
};

static const struct kdbus_command_spec kdbus_ep_make_spec = {
	.fixed		= sizeof(struct kdbus_cmd),
	.flags		= KDBUS_MAKE_ACCESS_GROUP | KDBUS_MAKE_ACCESS_WORLD,
	.items		= kdbus_ep_make_items,
	.n_items	= ARRAY_SIZE(kdbus_ep_make_items),
};

static const struct kdbus_item_spec kdbus_ep_update_items[] = {
	{ KDBUS_ITEM_NAME, .multiple = true },
	{ KDBUS_ITEM_POLICY_ACCESS, .multiple = true },
	{ KDBUS_ITEM_NEGOTIATE },
};

static const struct kdbus_command_spec kdbus_ep_update_spec = {
	.fixed		= sizeof(struct kdbus_cmd),
	.items		= kdbus_ep_update_items,
	.n_items	= ARRAY_SIZE(kdbus_ep_update_items),
};

struct kdbus_ep *kdbus_ep_get(struct kdbus_ep *ep)
{
	kref_get(&ep->kref);
	return ep;
}

static void kdbus_ep_free(struct kref *kref)
{
	struct kdbus_ep *ep = container_of(kref, struct kdbus_ep, kref);

	if (ep->policy) {
		kdbus_policy_remove(ep->policy, &ep->entries);
		kdbus_policy_db_destroy(ep->policy);
		kfree(ep->policy);
	}
	kdbus_user_put(ep->user);
	kdbus_bus_put(ep->bus);
	kfree_rcu(ep, rcu);
	kdbus_object_dec(KDBUS_OBJECT_ENDPOINT);
}

/**
 * kdbus_ep_put() - drop a reference to an endpoint
 * @ep:		the endpoint, or NULL
 */
void kdbus_ep_put(struct kdbus_ep *ep)
{
	if (ep)
		kref_put(&ep->kref, kdbus_ep_free);
}

static struct kdbus_ep *kdbus_ep_new(struct kdbus_bus *bus, const char *name)
{
	struct kdbus_ep *ep;

	ep = kzalloc(sizeof(*ep), GFP_KERNEL_ACCOUNT);
	if (!ep)
		return NULL;

	kref_init(&ep->kref);
	ep->bus = kdbus_bus_get(bus);
	strscpy(ep->name, name, sizeof(ep->name));
	init_completion(&ep->ended);
	INIT_LIST_HEAD(&ep->bus_entry);
	INIT_LIST_HEAD(&ep->conns);
	init_waitqueue_head(&ep->deserted);
	INIT_LIST_HEAD(&ep->entries);
	kdbus_object_inc(KDBUS_OBJECT_ENDPOINT);
	return ep;
}

/* Give an endpoint its node. It can be opened before this returns. */
static int kdbus_ep_add(struct kdbus_ep *ep, u64 access)
{
	struct kdbus_bus *bus = ep->bus;
	umode_t mode = 0600;

	lockdep_assert_held(&bus->lock);

	if (access & KDBUS_MAKE_ACCESS_WORLD)
		mode = 0666;
	else if (access & KDBUS_MAKE_ACCESS_GROUP)
		mode = 0660;

	ep->node = kdbus_node_add(bus->name, ep->name, mode, current_euid(), current_egid(), ep);
	if (IS_ERR(ep->node)) {
		/* its minor may have been opened by another inode */
		WRITE_ONCE(ep->dead, true);
		return PTR_ERR(ep->node);
	}
	list_add_tail(&kdbus_ep_get(ep)->bus_entry, &bus->eps);
	return 0;
}

/**
 * kdbus_ep_make_default() - make the endpoint that every bus has
 * @bus:	a new bus
 *
 * Return: 0, or why there is none.
 */
int kdbus_ep_make_default(struct kdbus_bus *bus)
{
	struct kdbus_ep *ep;
	int ret;

	ep = kdbus_ep_new(bus, "bus");
	if (!ep)
		return -ENOMEM;

	mutex_lock(&bus->lock);
	ret = kdbus_ep_add(ep, bus->flags);
	mutex_unlock(&bus->lock);
	kdbus_ep_put(ep);
	return ret;
}

static struct kdbus_ep *kdbus_ep_new_custom(struct kdbus_bus *bus, const char *name)
{
	struct kdbus_ep *ep;

	ep = kdbus_ep_new(bus, name);
	if (!ep)
		return ERR_PTR(-ENOMEM);

	ep->policy = kzalloc(sizeof(*ep->policy), GFP_KERNEL_ACCOUNT);
	if (!ep->policy)
		goto err_put;
	kdbus_policy_db_init(ep->policy);

	ep->user = kdbus_user_new_private();
	if (IS_ERR(ep->user)) {
		ep->user = NULL;
		goto err_put;
	}
	return ep;

err_put:
	kdbus_ep_put(ep);
	return ERR_PTR(-ENOMEM);
}

static bool kdbus_ep_name_in_use(const struct kdbus_bus *bus, const char *name)
{
	struct kdbus_ep *ep;

	list_for_each_entry(ep, &bus->eps, bus_entry)
		if (!strcmp(ep->name, name))
			return true;
	return false;
}

/* A connection that is not ending already, referenced, or NULL. */
static struct kdbus_conn *kdbus_ep_next_conn(struct kdbus_ep *ep)
{
	struct kdbus_conn *conn;

	list_for_each_entry(conn, &ep->conns, ep_entry)
		if (!kdbus_conn_is_dead(conn))
			return kdbus_conn_get(conn);
	return NULL;
}

/* Let nobody hold on to the user of an endpoint that sends nothing any more. */
static void kdbus_ep_end_user(struct kdbus_ep *ep)
{
	struct kdbus_bus *bus = ep->bus;
	struct kdbus_conn *conn;
	unsigned long id;

	WRITE_ONCE(ep->user->ended, true);
	mutex_lock(&bus->lock);
	xa_for_each(&bus->conns, id, conn) {
		kdbus_queue_forget(conn, ep->user->id);
		cond_resched();
	}
	mutex_unlock(&bus->lock);
}

/* End what is left of an endpoint that is dead. */
static void kdbus_ep_end(struct kdbus_ep *ep)
{
	struct kdbus_bus *bus = ep->bus;
	struct kdbus_conn *conn;

	/* no connection can be added any more */
	for (;;) {
		mutex_lock(&bus->lock);
		conn = kdbus_ep_next_conn(ep);
		mutex_unlock(&bus->lock);
		if (!conn)
			break;
		kdbus_conn_disconnect(conn, false);
		kdbus_conn_put(conn);
	}
	/* some may be ending at the hands of others */
	wait_event(ep->deserted, READ_ONCE(ep->n_conns) == 0);

	if (ep->user)
		kdbus_ep_end_user(ep);
	kdbus_node_remove(ep->node);

	/* only now another may have the name */
	mutex_lock(&bus->lock);
	list_del_init(&ep->bus_entry);
	mutex_unlock(&bus->lock);
	complete_all(&ep->ended);
	kdbus_ep_put(ep);
}

/**
 * kdbus_ep_kill() - let nobody in any more
 * @ep:		the endpoint
 */
void kdbus_ep_kill(struct kdbus_ep *ep)
{
	lockdep_assert_held(&ep->bus->lock);

	WRITE_ONCE(ep->dead, true);
}

/**
 * kdbus_ep_shutdown() - end an endpoint
 * @ep:		the endpoint; the caller's reference is dropped
 *
 * When this returns, the node is gone and all connections made through it have
 * ended.
 */
void kdbus_ep_shutdown(struct kdbus_ep *ep)
{
	struct kdbus_bus *bus = ep->bus;
	bool first;

	mutex_lock(&bus->lock);
	kdbus_ep_kill(ep);
	first = !ep->ending;
	ep->ending = true;
	mutex_unlock(&bus->lock);

	if (first)
		kdbus_ep_end(ep);
	else
		/* its maker and its bus end it at the same time */
		wait_for_completion(&ep->ended);
	kdbus_ep_put(ep);
}

/**
 * kdbus_ep_is_privileged() - did a privileged process open this?
 * @ep:		the endpoint
 * @file:	an open file of its node
 *
 * On custom endpoints nobody is, and nobody owns the bus.
 *
 * Return: whether the opener could override all access rules.
 */
bool kdbus_ep_is_privileged(const struct kdbus_ep *ep, struct file *file)
{
	return !ep->policy && file_ns_capable(file, &init_user_ns, CAP_IPC_OWNER);
}

/**
 * kdbus_ep_is_owner() - did the owner of the bus open this?
 * @ep:		the endpoint
 * @file:	an open file of its node
 *
 * Return: whether the opener made the bus, or is privileged.
 */
bool kdbus_ep_is_owner(const struct kdbus_ep *ep, struct file *file)
{
	if (ep->policy)
		return false;
	return uid_eq(file->f_cred->euid, ep->bus->owner) || kdbus_ep_is_privileged(ep, file);
}

static struct kdbus_ep *kdbus_ep_make(struct kdbus_ep *parent, struct kdbus_command *command)
{
	const char *name = command->found[KDBUS_EP_MAKE_NAME]->str;
	struct kdbus_bus *bus = parent->bus;
	struct kdbus_ep *ep;
	int ret;

	ret = kdbus_sysname_check_owner(name);
	if (ret < 0)
		return ERR_PTR(ret);
	ep = kdbus_ep_new_custom(bus, name);
	if (IS_ERR(ep))
		return ep;

	mutex_lock(&bus->lock);
	if (kdbus_ep_name_in_use(bus, name))
		ret = -EEXIST;
	else if (kdbus_ep_is_dead(parent))
		ret = -ESHUTDOWN;
	else
		ret = kdbus_ep_add(ep, command->cmd->flags);
	mutex_unlock(&bus->lock);
	if (ret < 0) {
		kdbus_ep_put(ep);
		return ERR_PTR(ret);
	}
	return ep;
}

/**
 * kdbus_cmd_ep_make() - KDBUS_CMD_ENDPOINT_MAKE
 * @parent:	the default endpoint, opened by the owner of the bus
 * @argp:	the command
 * @ret:	where to store what the ioctl returns
 *
 * Return: the endpoint, which is to be ended with kdbus_ep_shutdown(), or NULL
 * if none was made.
 */
struct kdbus_ep *kdbus_cmd_ep_make(struct kdbus_ep *parent, void __user *argp, int *ret)
{
	u64 storage[KDBUS_COMMAND_STORAGE / sizeof(u64)];
	struct kdbus_command command;
	struct kdbus_ep *ep = NULL;

	*ret = kdbus_command_parse(&command, &kdbus_ep_make_spec, argp, storage, sizeof(storage));
	if (*ret == 0) {
		ep = kdbus_ep_make(parent, &command);
		if (IS_ERR(ep)) {
			*ret = PTR_ERR(ep);
			ep = NULL;
		}
	}

	*ret = kdbus_command_finish(&command, *ret);
	if (*ret < 0 && ep) {
		kdbus_ep_shutdown(ep);
		ep = NULL;
	}
	return ep;
}

/**
 * kdbus_cmd_ep_update() - KDBUS_CMD_ENDPOINT_UPDATE
 * @ep:		the endpoint
 * @argp:	the command
 *
 * Return: what the ioctl returns.
 */
int kdbus_cmd_ep_update(struct kdbus_ep *ep, void __user *argp)
{
	u64 storage[KDBUS_COMMAND_STORAGE / sizeof(u64)];
	struct kdbus_command command;
	LIST_HEAD(entries);
	int ret;

	ret = kdbus_command_parse(&command, &kdbus_ep_update_spec, argp, storage, sizeof(storage));
	if (ret != 0)
		goto finish;

	ret = kdbus_policy_parse(&command, UINT_MAX, &entries);
	if (ret == 0) {
		mutex_lock(&ep->bus->lock);
		ret = kdbus_policy_replace(ep->policy, &ep->entries, &entries);
		mutex_unlock(&ep->bus->lock);
	}
	kdbus_policy_discard(&entries);

finish:
	return kdbus_command_finish(&command, ret);
}
