/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Endpoint
 *
 * An endpoint is a way into a bus: a node. Each bus has one by the name of
 * "bus". Custom endpoints are made by the owner of the bus and have a policy
 * and an account of their own: what their connections do must be granted by
 * both policies, and is charged to the endpoint. An endpoint that is dead lets
 * nobody in; it dies with its bus or, a custom one, with the handle that made
 * it. It keeps the memory of its bus alive.
 */
#ifndef KDBUS_ENDPOINT_H
#define KDBUS_ENDPOINT_H

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/types.h>
#include <linux/wait.h>

#include <linux/kdbus.h>

struct kdbus_bus;
struct kdbus_node;
struct kdbus_policy_db;
struct kdbus_user;

/**
 * struct kdbus_ep - an endpoint
 * @kref:	reference count
 * @rcu:	frees the memory; nodes are resolved under RCU
 * @bus:	the bus, referenced
 * @name:	name of the node
 * @node:	the node; goes with the endpoint's end
 * @dead:	nobody may come in any more; set under the bus lock, read anywhere
 * @ending:	somebody sees to its end; bus lock
 * @ended:	completed when the node and all connections are gone
 * @bus_entry:	in the bus's list, which refers to it, until it has ended; bus lock
 * @conns:	connections that came through it; bus lock
 * @n_conns:	how many these are; changed under the bus lock
 * @deserted:	woken when the last of them has gone
 * @policy:	a custom endpoint's policy, else NULL
 * @entries:	what is in @policy; bus lock
 * @user:	who connections of a custom endpoint are charged to, else NULL
 */
struct kdbus_ep {
	struct kref kref;
	struct rcu_head rcu;
	struct kdbus_bus *bus;
	char name[KDBUS_SYSNAME_MAX_LEN + 1];
	struct kdbus_node *node;
	bool dead;
	bool ending;
	struct completion ended;
	struct list_head bus_entry;
	struct list_head conns;
	unsigned int n_conns;
	wait_queue_head_t deserted;
	struct kdbus_policy_db *policy;
	struct list_head entries;
	struct kdbus_user *user;
};

int kdbus_ep_make_default(struct kdbus_bus *bus);
struct kdbus_ep *kdbus_ep_get(struct kdbus_ep *ep);
void kdbus_ep_put(struct kdbus_ep *ep);
void kdbus_ep_kill(struct kdbus_ep *ep);
void kdbus_ep_shutdown(struct kdbus_ep *ep);
bool kdbus_ep_is_privileged(const struct kdbus_ep *ep, struct file *file);
bool kdbus_ep_is_owner(const struct kdbus_ep *ep, struct file *file);

struct kdbus_ep *kdbus_cmd_ep_make(struct kdbus_ep *parent, void __user *argp, int *ret);
int kdbus_cmd_ep_update(struct kdbus_ep *ep, void __user *argp);

static inline bool kdbus_ep_is_dead(const struct kdbus_ep *ep)
{
	return READ_ONCE(ep->dead);
}

#endif /* KDBUS_ENDPOINT_H */
