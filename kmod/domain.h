/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Domain
 *
 * The domain is what all buses share, and there is exactly one: the counter
 * that bus and connection ids are drawn from, the table of buses, and the
 * accounts of the users who make the kernel hold something.
 *
 * A user is an accounting identity, not a credential: one per real uid, one per
 * custom endpoint, and one for the kernel's own notifications. Users live as
 * long as anything is charged to them.
 *
 * The domain also counts live objects of every kind. The counters are per-CPU,
 * cost one instruction and can be read in debugfs (kdbus/objects); they are
 * zero when no bus exists, which is how leaks show.
 */
#ifndef KDBUS_DOMAIN_H
#define KDBUS_DOMAIN_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/uidgid.h>

/**
 * enum kdbus_object - kinds of objects that are counted
 */
enum kdbus_object {
	KDBUS_OBJECT_HANDLE,
	KDBUS_OBJECT_NODE,
	KDBUS_OBJECT_BUS,
	KDBUS_OBJECT_ENDPOINT,
	KDBUS_OBJECT_CONNECTION,
	KDBUS_OBJECT_USER,
	KDBUS_OBJECT_NAME,
	KDBUS_OBJECT_NAME_OWNER,
	KDBUS_OBJECT_MATCH,
	KDBUS_OBJECT_POLICY,
	KDBUS_OBJECT_POOL,
	KDBUS_OBJECT_SLICE,
	KDBUS_OBJECT_PAGE,
	KDBUS_OBJECT_MESSAGE,
	KDBUS_OBJECT_FILES,
	KDBUS_OBJECT_REPLY,
	KDBUS_OBJECT_NOTIFICATION,
	KDBUS_OBJECT_N,
};

DECLARE_PER_CPU(long[KDBUS_OBJECT_N], kdbus_objects);

static inline void kdbus_object_inc(enum kdbus_object kind)
{
	this_cpu_inc(kdbus_objects[kind]);
}

static inline void kdbus_object_dec(enum kdbus_object kind)
{
	this_cpu_dec(kdbus_objects[kind]);
}

/**
 * struct kdbus_user - an accounting identity
 * @kref:	reference count
 * @uid:	real uid this account belongs to; invalid for those of the kernel
 *		and of endpoints
 * @entry:	in the domain's table, if it has a uid; domain lock
 * @id:		small number, unique among living users
 * @ended:	an endpoint's, which has ended; set once, read anywhere
 * @buses:	buses charged to the user
 * @conns:	connections charged to the user
 * @sockets:	AF_UNIX sockets in messages the user sent, not yet received
 */
struct kdbus_user {
	struct kref kref;
	kuid_t uid;
	struct hlist_node entry;
	u32 id;
	bool ended;
	atomic_t buses;
	atomic_t conns;
	atomic_t sockets;
};

struct kdbus_bus;

u64 kdbus_domain_new_id(void);

struct kdbus_user *kdbus_user_lookup(kuid_t uid);
struct kdbus_user *kdbus_user_new_private(void);
struct kdbus_user *kdbus_user_get(struct kdbus_user *user);
void kdbus_user_put(struct kdbus_user *user);
struct kdbus_user *kdbus_user_kernel(void);
int kdbus_user_charge(atomic_t *count, int limit);

int kdbus_domain_add_bus(struct kdbus_bus *bus);
void kdbus_domain_remove_bus(struct kdbus_bus *bus);

int kdbus_domain_init(void);
void kdbus_domain_exit(void);

#endif /* KDBUS_DOMAIN_H */
