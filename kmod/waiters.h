/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Waiters
 *
 * Who polls an open file. epoll asks a file for its queue of waiters once, maybe
 * before HELLO, so there is one from the first moment. The connection that the
 * file becomes wakes it, also from other processes while the file is closed:
 * both hold a reference.
 */
#ifndef KDBUS_WAITERS_H
#define KDBUS_WAITERS_H

#include <linux/kref.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/wait.h>

/**
 * struct kdbus_waiters - who polls an open file
 * @kref:	reference count
 * @rcu:	frees the memory, like that of connections
 * @queue:	the waiters
 */
struct kdbus_waiters {
	struct kref kref;
	struct rcu_head rcu;
	wait_queue_head_t queue;
};

static inline struct kdbus_waiters *kdbus_waiters_new(void)
{
	struct kdbus_waiters *waiters = kzalloc(sizeof(*waiters), GFP_KERNEL_ACCOUNT);

	if (waiters) {
		kref_init(&waiters->kref);
		init_waitqueue_head(&waiters->queue);
	}
	return waiters;
}

static inline struct kdbus_waiters *kdbus_waiters_get(struct kdbus_waiters *waiters)
{
	kref_get(&waiters->kref);
	return waiters;
}

static inline void kdbus_waiters_free(struct kref *kref)
{
	kfree_rcu(container_of(kref, struct kdbus_waiters, kref), rcu);
}

static inline void kdbus_waiters_put(struct kdbus_waiters *waiters)
{
	kref_put(&waiters->kref, kdbus_waiters_free);
}

#endif /* KDBUS_WAITERS_H */
