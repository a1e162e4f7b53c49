/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Notifications
 *
 * What the kernel itself tells: connections that come and go, names that
 * change hands, calls that will not be answered. Events are recorded where
 * they happen, under whatever lock decides their order, and delivered
 * afterwards, one after the other, so that all receivers see the same order.
 * Whoever causes an event flushes before the system call returns; everybody
 * who could care has got the notification by then.
 *
 * Recording cannot fail: a connection must be able to end without memory.
 */
#ifndef KDBUS_NOTIFY_H
#define KDBUS_NOTIFY_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct kdbus_bus;
struct kdbus_conn;

/**
 * struct kdbus_notify - events of a bus
 * @lock:	protects @events
 * @events:	recorded, oldest first
 * @flush:	held while events are delivered
 */
struct kdbus_notify {
	spinlock_t lock; /* see above */
	struct list_head events;
	struct mutex flush; /* see above */
};

void kdbus_notify_init(struct kdbus_notify *notify);
void kdbus_notify_destroy(struct kdbus_notify *notify);

void kdbus_notify_name(struct kdbus_bus *bus, u64 type, u64 old_id, u64 old_flags, u64 new_id,
		       u64 new_flags, const char *name);
void kdbus_notify_id(struct kdbus_bus *bus, u64 type, u64 id, u64 flags);
void kdbus_notify_reply(struct kdbus_conn *caller, u64 type, u64 cookie);
void kdbus_notify_flush(struct kdbus_bus *bus);

#endif /* KDBUS_NOTIFY_H */
