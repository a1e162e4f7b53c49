// SPDX-License-Identifier: GPL-2.0-only
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include <linux/kdbus.h>

#include "connection.h"
#include "domain.h"
#include "endpoint.h"
#include "bus.h"
#include "name.h"
#include "notify.h"
#include "queue.h"
#include "reply.h"

/* Timers are armed again after this; the timer wheel does not reach far. */
#define KDBUS_REPLY_TIMER_MAX	(3600UL * HZ)

static struct workqueue_struct *kdbus_reply_wq;

static void kdbus_replies_expire(struct work_struct *work);

void kdbus_replies_init(struct kdbus_replies *replies)
{
	replies->slots = RB_ROOT;
	replies->deadlines = RB_ROOT_CACHED;
	INIT_LIST_HEAD(&replies->owed);
	replies->armed = U64_MAX;
	INIT_DELAYED_WORK(&replies->timer, kdbus_replies_expire);
	atomic_set(&replies->count, 0);
}

struct kdbus_reply *kdbus_reply_get(struct kdbus_reply *reply)
{
	kref_get(&reply->kref);
	return reply;
}

static void kdbus_reply_free(struct kref *kref)
{
	struct kdbus_reply *reply = container_of(kref, struct kdbus_reply, kref);

	atomic_dec(&reply->caller->replies.count);
	kdbus_conn_put(reply->caller);
	kdbus_conn_put(reply->callee);
	kdbus_name_put_entry(reply->name);
	kfree(reply);
	kdbus_object_dec(KDBUS_OBJECT_REPLY);
}

/**
 * kdbus_reply_put() - drop a reference to a slot
 * @reply:	the slot, or NULL
 */
void kdbus_reply_put(struct kdbus_reply *reply)
{
	if (reply)
		kref_put(&reply->kref, kdbus_reply_free);
}

/* ---- the caller's trees; caller's lock ---- */

static void kdbus_reply_insert(struct kdbus_replies *replies, struct kdbus_reply *reply)
{
	struct rb_node **link = &replies->slots.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		/* newest first among equals */
		if (reply->cookie <= rb_entry(parent, struct kdbus_reply, by_cookie)->cookie)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&reply->by_cookie, parent, link);
	rb_insert_color(&reply->by_cookie, &replies->slots);
}

static struct kdbus_reply *kdbus_reply_first(struct kdbus_replies *replies, u64 cookie)
{
	struct rb_node *node = replies->slots.rb_node;
	struct kdbus_reply *reply, *first = NULL;

	while (node) {
		reply = rb_entry(node, struct kdbus_reply, by_cookie);
		if (cookie <= reply->cookie) {
			if (cookie == reply->cookie)
				first = reply;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return first;
}

static struct kdbus_reply *kdbus_reply_next(struct kdbus_reply *reply)
{
	struct rb_node *node = rb_next(&reply->by_cookie);
	struct kdbus_reply *next;

	if (!node)
		return NULL;
	next = rb_entry(node, struct kdbus_reply, by_cookie);
	return next->cookie == reply->cookie ? next : NULL;
}

static bool kdbus_deadline_less(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct kdbus_reply, by_deadline)->deadline <
	       rb_entry(b, struct kdbus_reply, by_deadline)->deadline;
}

static void kdbus_replies_arm(struct kdbus_replies *replies, u64 deadline)
{
	u64 now = ktime_get_ns(), wait;

	if (deadline >= replies->armed)
		return;

	replies->armed = deadline;
	wait = deadline > now ? nsecs_to_jiffies64(deadline - now) + 1 : 0;
	/* the timer wheel is late by up to an eighth; approach the deadline in steps */
	if (wait >= 64)
		wait -= wait / 8;
	mod_delayed_work(kdbus_reply_wq, &replies->timer,
			 min_t(u64, wait, KDBUS_REPLY_TIMER_MAX));
}

static void kdbus_reply_watch(struct kdbus_reply *reply)
{
	struct kdbus_replies *replies = &reply->caller->replies;

	lockdep_assert_held(&reply->caller->lock);

	rb_add_cached(&reply->by_deadline, &replies->deadlines, kdbus_deadline_less);
	kdbus_replies_arm(replies, reply->deadline);
}

static void kdbus_reply_unwatch(struct kdbus_reply *reply)
{
	if (RB_EMPTY_NODE(&reply->by_deadline))
		return;
	rb_erase_cached(&reply->by_deadline, &reply->caller->replies.deadlines);
	RB_CLEAR_NODE(&reply->by_deadline);
}

/* Forget a slot. The tree's reference becomes the caller's. */
static void kdbus_reply_close(struct kdbus_reply *reply)
{
	lockdep_assert_held(&reply->caller->lock);

	WRITE_ONCE(reply->state, KDBUS_REPLY_CLOSED);
	kdbus_reply_unwatch(reply);
	rb_erase(&reply->by_cookie, &reply->caller->replies.slots);
	RB_CLEAR_NODE(&reply->by_cookie);
}

/* Give a synchronous call its outcome. It is to be woken without the lock. */
static void kdbus_reply_done(struct kdbus_reply *reply, struct kdbus_queue_entry *entry, int err)
{
	lockdep_assert_held(&reply->caller->lock);

	if (entry)
		kdbus_queue_complete(reply->caller, entry);
	reply->entry = entry;
	reply->err = err;
	WRITE_ONCE(reply->state, KDBUS_REPLY_DONE);
}

/* ---- opening ---- */

/**
 * kdbus_reply_open() - open a slot for a call about to be sent
 * @caller:	who calls
 * @callee:	who is called
 * @name:	the name by which it is called, or NULL
 * @cookie:	of the call
 * @deadline:	nanoseconds of CLOCK_MONOTONIC
 * @sync:	the caller will sleep
 *
 * Return: a referenced slot, or an error pointer: -EMLINK if too many calls
 * are open, -ECONNRESET if the caller has ended, -ENOMEM.
 */
struct kdbus_reply *kdbus_reply_open(struct kdbus_conn *caller, struct kdbus_conn *callee,
				     struct kdbus_name_entry *name, u64 cookie, u64 deadline,
				     bool sync)
{
	struct kdbus_replies *replies = &caller->replies;
	struct kdbus_reply *reply;
	bool dead;

	if (!atomic_add_unless(&replies->count, 1, KDBUS_CONN_MAX_REQUESTS_PENDING))
		return ERR_PTR(-EMLINK);

	reply = kzalloc(sizeof(*reply), GFP_KERNEL_ACCOUNT);
	if (!reply) {
		atomic_dec(&replies->count);
		return ERR_PTR(-ENOMEM);
	}

	kref_init(&reply->kref);
	reply->caller = kdbus_conn_get(caller);
	reply->callee = kdbus_conn_get(callee);
	reply->name = kdbus_name_ref_entry(name);
	reply->cookie = cookie;
	reply->deadline = deadline;
	reply->sync = sync;
	reply->state = KDBUS_REPLY_NEW;
	RB_CLEAR_NODE(&reply->by_cookie);
	RB_CLEAR_NODE(&reply->by_deadline);
	INIT_LIST_HEAD(&reply->owed);
	init_waitqueue_head(&reply->wait);
	kdbus_object_inc(KDBUS_OBJECT_REPLY);

	spin_lock(&caller->lock);
	dead = caller->dead;
	if (!dead) {
		kdbus_reply_get(reply);
		kdbus_reply_insert(replies, reply);
	}
	spin_unlock(&caller->lock);

	if (dead) {
		kdbus_reply_put(reply);
		return ERR_PTR(-ECONNRESET);
	}
	return reply;
}

/**
 * kdbus_reply_abort() - take back a slot whose call could not be sent
 * @reply:	the slot; the caller's reference is dropped
 */
void kdbus_reply_abort(struct kdbus_reply *reply)
{
	bool mine;

	spin_lock(&reply->caller->lock);
	mine = READ_ONCE(reply->state) == KDBUS_REPLY_NEW;
	if (mine)
		kdbus_reply_close(reply);
	spin_unlock(&reply->caller->lock);

	if (mine)
		kdbus_reply_put(reply);
	kdbus_reply_put(reply);
}

/**
 * kdbus_reply_owe() - make the callee owe a reply
 * @callee:	the callee, which is alive and locked
 * @reply:	the slot
 */
void kdbus_reply_owe(struct kdbus_conn *callee, struct kdbus_reply *reply)
{
	lockdep_assert_held(&callee->lock);

	/* if it is closed already, kdbus_reply_settle() may have been here */
	if (cmpxchg(&reply->state, KDBUS_REPLY_NEW, KDBUS_REPLY_OPEN) == KDBUS_REPLY_NEW)
		list_add_tail(&kdbus_reply_get(reply)->owed, &callee->replies.owed);
}

/* The callee no longer owes a reply that is closed. */
static void kdbus_reply_settle(struct kdbus_reply *reply)
{
	struct kdbus_conn *callee = reply->callee;
	bool owed;

	spin_lock(&callee->lock);
	owed = !list_empty(&reply->owed);
	list_del_init(&reply->owed);
	spin_unlock(&callee->lock);

	if (owed)
		kdbus_reply_put(reply);
}

/**
 * kdbus_reply_arm() - let the deadline of an asynchronous call count
 * @reply:	the slot of a call that was delivered
 */
void kdbus_reply_arm(struct kdbus_reply *reply)
{
	spin_lock(&reply->caller->lock);
	if (READ_ONCE(reply->state) == KDBUS_REPLY_OPEN && !reply->caller->dead)
		kdbus_reply_watch(reply);
	spin_unlock(&reply->caller->lock);
}

/* ---- ending ---- */

/**
 * kdbus_reply_claim() - use a slot up
 * @caller:	who a reply is sent to
 * @callee:	who sends it
 * @cookie:	of the call
 *
 * A slot can be claimed once. That of a synchronous call is then to be
 * completed, whatever happens.
 *
 * Return: a referenced slot, or NULL if no reply is expected.
 */
struct kdbus_reply *kdbus_reply_claim(struct kdbus_conn *caller, struct kdbus_conn *callee,
				      u64 cookie)
{
	struct kdbus_reply *reply;

	spin_lock(&caller->lock);
	for (reply = kdbus_reply_first(&caller->replies, cookie); reply;
	     reply = kdbus_reply_next(reply))
		if (READ_ONCE(reply->state) == KDBUS_REPLY_OPEN && reply->callee == callee)
			break;
	if (reply) {
		if (reply->sync) {
			kdbus_reply_get(reply);
			WRITE_ONCE(reply->state, KDBUS_REPLY_DELIVERING);
		} else {
			kdbus_reply_close(reply);
		}
	}
	spin_unlock(&caller->lock);

	if (reply)
		kdbus_reply_settle(reply);
	return reply;
}

/**
 * kdbus_reply_complete() - give a claimed synchronous call its outcome
 * @reply:	the slot
 * @entry:	the reply, completely written; NULL on failure
 * @err:	why there is none
 *
 * Return: 0, or -ECONNRESET if the caller no longer waits. Then the entry is
 * still the callee's.
 */
int kdbus_reply_complete(struct kdbus_reply *reply, struct kdbus_queue_entry *entry, int err)
{
	int ret = -ECONNRESET;

	spin_lock(&reply->caller->lock);
	if (reply->state == KDBUS_REPLY_DELIVERING && !reply->caller->dead) {
		kdbus_reply_done(reply, entry, err);
		ret = 0;
	}
	spin_unlock(&reply->caller->lock);

	if (ret == 0)
		wake_up_interruptible_sync(&reply->wait);
	return ret;
}

/**
 * kdbus_reply_fail() - tell a caller that there will be no reply
 * @reply:	the slot
 *
 * To be followed by a flush of the bus's notifications.
 */
void kdbus_reply_fail(struct kdbus_reply *reply)
{
	struct kdbus_conn *caller = reply->caller;
	bool closed = false, ended = false;

	spin_lock(&caller->lock);
	if (READ_ONCE(reply->state) == KDBUS_REPLY_OPEN) {
		ended = true;
		if (reply->sync) {
			kdbus_reply_done(reply, NULL, -EPIPE);
		} else {
			kdbus_reply_close(reply);
			closed = true;
		}
	}
	spin_unlock(&caller->lock);

	if (!ended)
		return;
	kdbus_reply_settle(reply);
	wake_up_interruptible_sync(&reply->wait);
	if (closed) {
		kdbus_notify_reply(caller, KDBUS_ITEM_REPLY_DEAD, reply->cookie);
		kdbus_reply_put(reply);
	}
}

static struct kdbus_reply *kdbus_replies_pop(struct kdbus_conn *callee, struct list_head *list)
{
	struct kdbus_reply *reply;

	spin_lock(&callee->lock);
	reply = list_first_entry_or_null(list, struct kdbus_reply, owed);
	if (reply)
		list_del_init(&reply->owed);
	spin_unlock(&callee->lock);
	return reply;
}

/**
 * kdbus_replies_renounce() - a connection that ended answers nobody any more
 * @conn:	the connection
 */
void kdbus_replies_renounce(struct kdbus_conn *conn)
{
	struct kdbus_reply *reply;

	while ((reply = kdbus_replies_pop(conn, &conn->replies.owed))) {
		kdbus_reply_fail(reply);
		kdbus_reply_put(reply);
	}
}

/* Let somebody else owe a reply that is on no list; the list's reference is passed. */
static void kdbus_reply_move(struct kdbus_reply *reply, struct kdbus_conn *to)
{
	struct kdbus_conn *old = NULL;

	spin_lock(&reply->caller->lock);
	if (READ_ONCE(reply->state) == KDBUS_REPLY_OPEN) {
		old = reply->callee;
		reply->callee = kdbus_conn_get(to);
	}
	spin_unlock(&reply->caller->lock);
	if (!old) {
		kdbus_reply_put(reply);
		return;
	}

	kdbus_conn_put(old);
	kdbus_reply_get(reply);
	spin_lock(&to->lock);
	list_add_tail(&reply->owed, &to->replies.owed);
	spin_unlock(&to->lock);
	if (READ_ONCE(reply->state) != KDBUS_REPLY_OPEN)
		kdbus_reply_settle(reply);
	kdbus_reply_put(reply);
}

/**
 * kdbus_replies_move() - let another connection answer the calls made via a name
 * @from:	who has owed the replies
 * @to:		who owes them from now on; its own calls stay where they are
 * @name:	the name
 */
void kdbus_replies_move(struct kdbus_conn *from, struct kdbus_conn *to,
			const struct kdbus_name_entry *name)
{
	struct kdbus_reply *reply, *next;
	LIST_HEAD(moving);

	spin_lock(&from->lock);
	list_for_each_entry_safe(reply, next, &from->replies.owed, owed)
		if (kdbus_name_is_same(reply->name, name) && reply->caller != to)
			list_move_tail(&reply->owed, &moving);
	spin_unlock(&from->lock);

	/* until then, whoever closes a slot takes it off under the same lock */
	while ((reply = kdbus_replies_pop(from, &moving)))
		kdbus_reply_move(reply, to);
}

/* See to what a closed slot leaves behind, and drop a reference to it. */
static void kdbus_reply_dispose(struct kdbus_reply *reply, struct kdbus_queue_entry *entry)
{
	kdbus_reply_settle(reply);
	if (entry)
		kdbus_queue_discard(reply->caller, entry);
	kdbus_reply_put(reply);
}

/**
 * kdbus_replies_abandon() - a connection that ended waits for nothing any more
 * @conn:	the connection
 *
 * Those who sleep in a call wake up and see to their slots themselves.
 */
void kdbus_replies_abandon(struct kdbus_conn *conn)
{
	struct kdbus_queue_entry *entry;
	struct kdbus_reply *reply;
	struct rb_node *node;

	cancel_delayed_work_sync(&conn->replies.timer);

	for (;;) {
		spin_lock(&conn->lock);
		reply = NULL;
		for (node = rb_first(&conn->replies.slots); node; node = rb_next(node)) {
			reply = rb_entry(node, struct kdbus_reply, by_cookie);
			if (!reply->sync || reply->interrupted)
				break;
			wake_up_interruptible(&reply->wait);
			reply = NULL;
		}
		entry = NULL;
		if (reply) {
			swap(entry, reply->entry);
			kdbus_reply_close(reply);
		}
		spin_unlock(&conn->lock);
		if (!reply)
			break;

		kdbus_reply_dispose(reply, entry);
	}
}

static void kdbus_replies_expire(struct work_struct *work)
{
	struct kdbus_replies *replies = container_of(to_delayed_work(work), struct kdbus_replies,
						     timer);
	struct kdbus_conn *conn = container_of(replies, struct kdbus_conn, replies);
	struct kdbus_queue_entry *entry;
	struct kdbus_reply *reply;
	struct rb_node *node;
	u64 deadline;

	for (;;) {
		entry = NULL;
		reply = NULL;
		spin_lock(&conn->lock);
		replies->armed = U64_MAX;
		node = rb_first_cached(&replies->deadlines);
		if (node && !conn->dead) {
			reply = rb_entry(node, struct kdbus_reply, by_deadline);
			deadline = reply->deadline;
			if (deadline > ktime_get_ns()) {
				kdbus_replies_arm(replies, deadline);
				reply = NULL;
			} else {
				swap(entry, reply->entry);
				kdbus_reply_close(reply);
			}
		}
		spin_unlock(&conn->lock);
		if (!reply)
			break;

		if (!reply->sync)
			kdbus_notify_reply(conn, KDBUS_ITEM_REPLY_TIMEOUT, reply->cookie);
		kdbus_reply_dispose(reply, entry);
		cond_resched();
	}

	kdbus_notify_flush(conn->ep->bus);
}

/* ---- synchronous calls ---- */

/**
 * struct kdbus_cancel - watches a cancel descriptor
 * @pt:		hands us its wait queues
 * @reply:	who to wake
 * @n:		wait queues watched
 * @watches:	how; few files have more than one wait queue, and more than these
 *		are not watched
 */
struct kdbus_cancel {
	struct poll_table_struct pt;
	struct kdbus_reply *reply;
	unsigned int n;
	struct kdbus_cancel_watch {
		struct wait_queue_entry entry;
		wait_queue_head_t *head;
		struct kdbus_reply *reply;
	} watches[4];
};

static int kdbus_cancel_wake(struct wait_queue_entry *entry, unsigned int mode, int flags,
			     void *key)
{
	struct kdbus_cancel_watch *watch = container_of(entry, struct kdbus_cancel_watch, entry);

	WRITE_ONCE(watch->reply->kicked, true);
	wake_up_interruptible(&watch->reply->wait);
	return 0;
}

static void kdbus_cancel_queue(struct file *file, wait_queue_head_t *head,
			       struct poll_table_struct *pt)
{
	struct kdbus_cancel *cancel = container_of(pt, struct kdbus_cancel, pt);
	struct kdbus_cancel_watch *watch;

	if (cancel->n == ARRAY_SIZE(cancel->watches))
		return;
	watch = &cancel->watches[cancel->n++];
	init_waitqueue_func_entry(&watch->entry, kdbus_cancel_wake);
	watch->head = head;
	watch->reply = cancel->reply;
	add_wait_queue(head, &watch->entry);
}

static bool kdbus_cancel_is_ready(struct file *file)
{
	return file && vfs_poll(file, NULL) & EPOLLIN;
}

/**
 * kdbus_reply_resume() - return to an interrupted synchronous call
 * @caller:	who calls again
 * @cookie:	of the call
 * @deadline:	from now on
 *
 * Return: a referenced slot to wait for, or NULL if this is a new call.
 */
struct kdbus_reply *kdbus_reply_resume(struct kdbus_conn *caller, u64 cookie, u64 deadline)
{
	struct kdbus_reply *reply;

	spin_lock(&caller->lock);
	reply = kdbus_reply_first(&caller->replies, cookie);
	if (reply && reply->interrupted) {
		reply->interrupted = false;
		kdbus_reply_unwatch(reply);
		reply->deadline = deadline;
		kdbus_reply_get(reply);
	} else {
		reply = NULL;
	}
	spin_unlock(&caller->lock);
	return reply;
}

/* Has the wait for a reply ended, one way or the other? To be decided under the lock. */
static bool kdbus_reply_is_over(const struct kdbus_reply *reply)
{
	return READ_ONCE(reply->state) == KDBUS_REPLY_DONE || kdbus_conn_is_dead(reply->caller);
}

static int kdbus_reply_sleep(struct kdbus_reply *reply, struct file *cancel)
{
	ktime_t left;
	u64 now;
	int ret;

	for (;;) {
		/* what is kicked from here on is seen below or asked for anew */
		smp_store_mb(reply->kicked, false);
		if (kdbus_cancel_is_ready(cancel))
			return -ECANCELED;
		if (signal_pending(current))
			return -ERESTARTSYS;

		now = ktime_get_ns();
		if ((s64)reply->deadline <= (s64)now)
			return -ETIMEDOUT;

		left = ns_to_ktime(reply->deadline - now);
		ret = wait_event_interruptible_hrtimeout(reply->wait,
							 kdbus_reply_is_over(reply) ||
							 READ_ONCE(reply->kicked), left);
		if (ret == -ERESTARTSYS || kdbus_reply_is_over(reply))
			return ret;
	}
}

/* End the wait: what came of it, seen under the lock, counts. */
static int kdbus_reply_finish(struct kdbus_reply *reply, int ret,
			      struct kdbus_queue_entry **entry)
{
	struct kdbus_conn *caller = reply->caller;

	spin_lock(&caller->lock);
	if (caller->dead) {
		ret = -ECONNRESET;
	} else if (reply->state == KDBUS_REPLY_DONE) {
		ret = reply->err;
		swap(*entry, reply->entry);
	} else if (ret == -ERESTARTSYS) {
		reply->interrupted = true;
		kdbus_reply_watch(reply);
		spin_unlock(&caller->lock);
		return ret;
	}
	if (!*entry)
		swap(*entry, reply->entry);
	kdbus_reply_close(reply);
	spin_unlock(&caller->lock);

	kdbus_reply_settle(reply);
	kdbus_reply_put(reply);
	return ret;
}

/**
 * kdbus_reply_wait() - sleep until a synchronous call has its outcome
 * @reply:	the slot; the caller's reference is dropped
 * @cancel:	file whose readability ends the wait, or NULL
 * @info:	filled in on success
 *
 * Return: 0, -ECONNRESET, -EREMOTEIO or another error of the callee, -EPIPE if
 * the callee is gone, -ECANCELED, -ETIMEDOUT, or -ERESTARTSYS; only then can
 * the call be resumed.
 */
int kdbus_reply_wait(struct kdbus_reply *reply, struct file *cancel, struct kdbus_msg_info *info)
{
	struct kdbus_conn *caller = reply->caller;
	struct kdbus_queue_entry *entry = NULL;
	struct kdbus_cancel watch = { .reply = reply };
	int ret = 0;

	if (cancel) {
		init_poll_funcptr(&watch.pt, kdbus_cancel_queue);
		vfs_poll(cancel, &watch.pt);
	}

	if (!kdbus_reply_is_over(reply))
		ret = kdbus_reply_sleep(reply, cancel);

	while (watch.n > 0) {
		watch.n--;
		remove_wait_queue(watch.watches[watch.n].head, &watch.watches[watch.n].entry);
	}

	ret = kdbus_reply_finish(reply, ret, &entry);
	if (entry) {
		if (ret == 0)
			kdbus_queue_take(caller, entry, info);
		else
			kdbus_queue_discard(caller, entry);
	}
	kdbus_reply_put(reply);
	return ret;
}

int kdbus_reply_init(void)
{
	kdbus_reply_wq = alloc_workqueue("kdbus", WQ_UNBOUND, 0);
	return kdbus_reply_wq ? 0 : -ENOMEM;
}

void kdbus_reply_exit(void)
{
	destroy_workqueue(kdbus_reply_wq);
}
