/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Endpoint
 *
 * An endpoint is a way into a bus: a node, and later a policy of its own. Each
 * bus has one by the name of "bus". An endpoint that is dead lets nobody in;
 * it dies with its bus. It keeps the memory of its bus alive.
 */
#ifndef KDBUS_ENDPOINT_H
#define KDBUS_ENDPOINT_H

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

struct kdbus_bus;
struct kdbus_node;

/**
 * struct kdbus_ep - an endpoint
 * @kref:	reference count
 * @rcu:	frees the memory; nodes are resolved under RCU
 * @bus:	the bus, referenced
 * @node:	the node; owned by whoever added and removes the endpoint
 * @dead:	nobody may come in any more; set under the bus lock, read anywhere
 */
struct kdbus_ep {
	struct kref kref;
	struct rcu_head rcu;
	struct kdbus_bus *bus;
	struct kdbus_node *node;
	bool dead;
};

struct kdbus_ep *kdbus_ep_new(struct kdbus_bus *bus, const char *name, u64 access,
			      kuid_t uid, kgid_t gid);
struct kdbus_ep *kdbus_ep_get(struct kdbus_ep *ep);
void kdbus_ep_put(struct kdbus_ep *ep);
void kdbus_ep_kill(struct kdbus_ep *ep);
void kdbus_ep_remove(struct kdbus_ep *ep);
bool kdbus_ep_is_privileged(const struct kdbus_ep *ep, struct file *file);
bool kdbus_ep_is_owner(const struct kdbus_ep *ep, struct file *file);

static inline bool kdbus_ep_is_dead(const struct kdbus_ep *ep)
{
	return READ_ONCE(ep->dead);
}

#endif /* KDBUS_ENDPOINT_H */
