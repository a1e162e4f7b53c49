// SPDX-License-Identifier: GPL-2.0-only
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include <linux/kdbus.h>

#include "bus.h"
#include "domain.h"
#include "endpoint.h"
#include "node.h"

/**
 * kdbus_ep_new() - make an endpoint and its node
 * @bus:	the bus
 * @name:	name of the node; not in use on this bus
 * @access:	KDBUS_MAKE_ACCESS_*
 * @uid:	owner of the node
 * @gid:	group of the node
 *
 * The endpoint can be opened before this returns.
 *
 * Return: a referenced endpoint, or an error pointer.
 */
struct kdbus_ep *kdbus_ep_new(struct kdbus_bus *bus, const char *name, u64 access,
			      kuid_t uid, kgid_t gid)
{
	umode_t mode = 0600;
	struct kdbus_ep *ep;
	int ret;

	if (access & KDBUS_MAKE_ACCESS_WORLD)
		mode = 0666;
	else if (access & KDBUS_MAKE_ACCESS_GROUP)
		mode = 0660;

	ep = kzalloc(sizeof(*ep), GFP_KERNEL_ACCOUNT);
	if (!ep)
		return ERR_PTR(-ENOMEM);

	kref_init(&ep->kref);
	ep->bus = kdbus_bus_get(bus);
	kdbus_object_inc(KDBUS_OBJECT_ENDPOINT);

	ep->node = kdbus_node_add(bus->name, name, mode, uid, gid, ep);
	if (IS_ERR(ep->node)) {
		ret = PTR_ERR(ep->node);
		kdbus_ep_put(ep);
		return ERR_PTR(ret);
	}
	return ep;
}

struct kdbus_ep *kdbus_ep_get(struct kdbus_ep *ep)
{
	kref_get(&ep->kref);
	return ep;
}

static void kdbus_ep_free(struct kref *kref)
{
	struct kdbus_ep *ep = container_of(kref, struct kdbus_ep, kref);

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
 * kdbus_ep_remove() - remove the node of a dead endpoint
 * @ep:		the endpoint; the caller's reference is dropped
 */
void kdbus_ep_remove(struct kdbus_ep *ep)
{
	kdbus_node_remove(ep->node);
	kdbus_ep_put(ep);
}

/**
 * kdbus_ep_is_privileged() - did a privileged process open this?
 * @ep:		the endpoint
 * @file:	an open file of its node
 *
 * Return: whether the opener could override all access rules.
 */
bool kdbus_ep_is_privileged(const struct kdbus_ep *ep, struct file *file)
{
	return file_ns_capable(file, &init_user_ns, CAP_IPC_OWNER);
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
	return uid_eq(file->f_cred->euid, ep->bus->owner) || kdbus_ep_is_privileged(ep, file);
}
