/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Replies
 *
 * A call opens a slot: the kernel's memory that its caller may expect exactly
 * one reply, from that callee, until the deadline. The caller keeps its slots
 * by cookie, the callee keeps what it owes; so answering, timing out and dying
 * touch only the slots concerned, however many connections there are.
 *
 * Everything in a slot is protected by the caller's lock; the callee's list
 * of what it owes by the callee's. The two are never held together: whoever
 * closes a slot does so under the caller's lock, alone, and then takes it off
 * the callee's list. Only the step from being sent to being owed is made under
 * the callee's lock, together with the call becoming receivable; it is atomic.
 *
 * If the name that was called passes to or from its activator, so do its open
 * slots: off the old callee's list, to the new callee under the caller's lock,
 * onto the new callee's list. Whoever closes a slot in between does not find it
 * on a list; so the last step looks whether it is still open.
 *
 * A caller may sleep until the reply comes (a synchronous call). If a signal
 * interrupts it, the slot stays, and so does its outcome, until the call is
 * resumed or the deadline passes.
 *
 * One timer per connection is armed for the earliest of its deadlines, and not
 * rearmed when that slot is closed early: in steady state nothing is armed.
 */
#ifndef KDBUS_REPLY_H
#define KDBUS_REPLY_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct file;
struct kdbus_conn;
struct kdbus_msg_info;
struct kdbus_name_entry;
struct kdbus_queue_entry;

/**
 * enum kdbus_reply_state - life of a slot
 * @KDBUS_REPLY_NEW:		the call is being sent
 * @KDBUS_REPLY_OPEN:		the reply is awaited
 * @KDBUS_REPLY_DELIVERING:	a reply to a synchronous call is being written
 * @KDBUS_REPLY_DONE:		a synchronous call has its outcome
 * @KDBUS_REPLY_CLOSED:		nobody waits any more
 */
enum kdbus_reply_state {
	KDBUS_REPLY_NEW,
	KDBUS_REPLY_OPEN,
	KDBUS_REPLY_DELIVERING,
	KDBUS_REPLY_DONE,
	KDBUS_REPLY_CLOSED,
};

/**
 * struct kdbus_reply - a slot
 * @kref:		held by the caller's tree, the callee's list, the unread
 *			call, and whoever works with it
 * @caller:		who waits, referenced
 * @callee:		who is to answer, referenced; changes only while the slot is
 *			open
 * @name:		the name that was called, referenced; or NULL
 * @cookie:		of the call
 * @deadline:		when waiting ends, nanoseconds of CLOCK_MONOTONIC
 * @sync:		the caller sleeps, or was interrupted sleeping
 * @interrupted:	the latter
 * @kicked:		the cancel descriptor may have become readable
 * @state:		see above; left KDBUS_REPLY_NEW under the callee's lock
 * @err:		outcome, if there is no reply
 * @entry:		the reply of a synchronous call
 * @by_cookie:		in the caller's tree
 * @by_deadline:	in the caller's tree
 * @owed:		in the callee's list; callee's lock
 * @wait:		where the caller of a synchronous call sleeps
 */
struct kdbus_reply {
	struct kref kref;
	struct kdbus_conn *caller;
	struct kdbus_conn *callee;
	struct kdbus_name_entry *name;
	u64 cookie;
	u64 deadline;
	bool sync;
	bool interrupted;
	bool kicked;
	enum kdbus_reply_state state;
	int err;
	struct kdbus_queue_entry *entry;
	struct rb_node by_cookie;
	struct rb_node by_deadline;
	struct list_head owed;
	wait_queue_head_t wait;
};

/**
 * struct kdbus_replies - what a connection waits for and owes
 * @slots:	its calls, by cookie, newest first among equals
 * @deadlines:	its calls, by deadline; those nobody sleeps for
 * @owed:	others' calls it has to answer
 * @armed:	deadline @timer is armed for, U64_MAX if it is not
 * @timer:	ends calls
 * @count:	calls that count against the limit
 */
struct kdbus_replies {
	struct rb_root slots;
	struct rb_root_cached deadlines;
	struct list_head owed;
	u64 armed;
	struct delayed_work timer;
	atomic_t count;
};

void kdbus_replies_init(struct kdbus_replies *replies);
void kdbus_replies_abandon(struct kdbus_conn *conn);
void kdbus_replies_renounce(struct kdbus_conn *conn);
void kdbus_replies_move(struct kdbus_conn *from, struct kdbus_conn *to,
			const struct kdbus_name_entry *name);

struct kdbus_reply *kdbus_reply_open(struct kdbus_conn *caller, struct kdbus_conn *callee,
				     struct kdbus_name_entry *name, u64 cookie, u64 deadline,
				     bool sync);
struct kdbus_reply *kdbus_reply_get(struct kdbus_reply *reply);
void kdbus_reply_put(struct kdbus_reply *reply);
void kdbus_reply_abort(struct kdbus_reply *reply);
void kdbus_reply_owe(struct kdbus_conn *callee, struct kdbus_reply *reply);
void kdbus_reply_arm(struct kdbus_reply *reply);
struct kdbus_reply *kdbus_reply_claim(struct kdbus_conn *caller, struct kdbus_conn *callee,
				      u64 cookie);
int kdbus_reply_complete(struct kdbus_reply *reply, struct kdbus_queue_entry *entry, int err);
void kdbus_reply_fail(struct kdbus_reply *reply);
struct kdbus_reply *kdbus_reply_resume(struct kdbus_conn *caller, u64 cookie, u64 deadline);
int kdbus_reply_wait(struct kdbus_reply *reply, struct file *cancel, struct kdbus_msg_info *info);

int kdbus_reply_init(void);
void kdbus_reply_exit(void);

#endif /* KDBUS_REPLY_H */
