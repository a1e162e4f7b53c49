// SPDX-License-Identifier: GPL-2.0-only
#include <linux/err.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include <linux/kdbus.h>

#include "command.h"
#include "connection.h"
#include "domain.h"
#include "endpoint.h"
#include "files.h"
#include "name.h"
#include "notify.h"
#include "pool.h"
#include "queue.h"
#include "reply.h"

static struct kmem_cache *kdbus_queue_entry_cache;

static const struct kdbus_command_spec kdbus_recv_spec = {
	.fixed		= sizeof(struct kdbus_cmd_recv),
	.flags		= KDBUS_RECV_PEEK | KDBUS_RECV_DROP | KDBUS_RECV_USE_PRIORITY,
	.items		= kdbus_plain_items,
	.n_items	= ARRAY_SIZE(kdbus_plain_items),
};

void kdbus_queue_init(struct kdbus_queue *queue)
{
	INIT_LIST_HEAD(&queue->entries);
	queue->by_priority = RB_ROOT_CACHED;
	xa_init_flags(&queue->quotas, XA_FLAGS_ACCOUNT);
}

static void kdbus_quota_free(struct kdbus_quota *quota)
{
	kdbus_user_put(quota->user);
	kfree(quota);
}

/**
 * kdbus_queue_destroy() - end a queue that was flushed
 * @queue:	the queue
 */
void kdbus_queue_destroy(struct kdbus_queue *queue)
{
	struct kdbus_quota *quota;
	unsigned long id;

	WARN_ON(!list_empty(&queue->entries) || queue->bytes || queue->reserved);
	xa_for_each(&queue->quotas, id, quota) {
		WARN_ON(memchr_inv(&quota->used, 0, sizeof(quota->used)) ||
			memchr_inv(&quota->reserved, 0, sizeof(quota->reserved)));
		kdbus_quota_free(quota);
	}
	xa_destroy(&queue->quotas);
}

/* The quota of a user, made when first needed. */
static struct kdbus_quota *kdbus_queue_quota(struct kdbus_queue *queue, struct kdbus_user *user,
					     gfp_t gfp)
{
	struct kdbus_quota *quota, *other;

	quota = xa_load(&queue->quotas, user->id);
	if (likely(quota))
		return quota;

	quota = kzalloc(sizeof(*quota), gfp);
	if (!quota)
		return NULL;

	quota->user = kdbus_user_get(user);
	other = xa_cmpxchg(&queue->quotas, user->id, NULL, quota, gfp);
	if (!other)
		return quota;

	kdbus_quota_free(quota);
	return xa_is_err(other) ? NULL : other;
}

/*
 * Forget a quota if nobody will need it any more: that of an endpoint which has
 * ended, or that of an endpoint at a receiver which has.
 */
static void kdbus_queue_retire(struct kdbus_conn *conn, struct kdbus_quota *quota)
{
	lockdep_assert_held(&conn->lock);

	if (quota->used.msgs > 0 || uid_valid(quota->user->uid))
		return;
	if (!conn->dead && !READ_ONCE(quota->user->ended))
		return;
	xa_erase(&conn->queue.quotas, quota->user->id);
	kdbus_quota_free(quota);
}

/**
 * kdbus_queue_forget() - forget a user who has nothing unread
 * @conn:	the receiver
 * @user:	id of an endpoint's user; the endpoint or the receiver has ended
 */
void kdbus_queue_forget(struct kdbus_conn *conn, u32 user)
{
	struct kdbus_quota *quota;

	spin_lock(&conn->lock);
	quota = xa_load(&conn->queue.quotas, user);
	if (quota)
		kdbus_queue_retire(conn, quota);
	spin_unlock(&conn->lock);
}

static void kdbus_usage_add(struct kdbus_usage *usage, const struct kdbus_queue_entry *entry)
{
	usage->bytes += entry->size;
	usage->msgs++;
	usage->fds += entry->n_fds;
}

static void kdbus_usage_sub(struct kdbus_usage *usage, const struct kdbus_queue_entry *entry)
{
	usage->bytes -= entry->size;
	usage->msgs--;
	usage->fds -= entry->n_fds;
}

/* Does the quota leave room for an entry, beside all or only what is complete? */
static int kdbus_queue_check(const struct kdbus_conn *conn, const struct kdbus_queue_entry *entry,
			     bool complete)
{
	size_t half = conn->pool->size / 2, bytes = conn->queue.bytes, share;
	const struct kdbus_quota *quota = entry->quota;
	struct kdbus_usage used = quota->used;

	if (complete) {
		bytes -= conn->queue.reserved;
		used.bytes -= quota->reserved.bytes;
		used.msgs -= quota->reserved.msgs;
		used.fds -= quota->reserved.fds;
	}

	if (half < bytes)
		return -ENOBUFS;
	share = (half - bytes + used.bytes) / 3;
	if (share < used.bytes || share - used.bytes < entry->size)
		return -ENOBUFS;
	if (used.msgs >= KDBUS_CONN_MAX_MSGS)
		return -ENOBUFS;
	if (used.fds + entry->n_fds > KDBUS_CONN_MAX_FDS_PER_USER)
		return -EMFILE;
	return 0;
}

/* Charge an entry; if it is mail that moves, never mind what is not complete. */
static int kdbus_queue_charge(struct kdbus_conn *conn, struct kdbus_queue_entry *entry, bool moved)
{
	int ret;

	lockdep_assert_held(&conn->lock);

	ret = kdbus_queue_check(conn, entry, moved);
	if (ret < 0)
		return ret;

	conn->queue.bytes += entry->size;
	kdbus_usage_add(&entry->quota->used, entry);
	if (moved) {
		conn->queue.had_mail = true;
		entry->complete = true;
	} else {
		conn->queue.reserved += entry->size;
		kdbus_usage_add(&entry->quota->reserved, entry);
	}
	return 0;
}

/**
 * kdbus_queue_complete() - make a message count as more than reserved
 * @conn:	the receiver, locked
 * @entry:	what was reserved, completely written
 */
void kdbus_queue_complete(struct kdbus_conn *conn, struct kdbus_queue_entry *entry)
{
	lockdep_assert_held(&conn->lock);

	if (entry->complete)
		return;
	conn->queue.reserved -= entry->size;
	kdbus_usage_sub(&entry->quota->reserved, entry);
	entry->complete = true;
}

static void kdbus_queue_uncharge(struct kdbus_conn *conn, struct kdbus_queue_entry *entry)
{
	struct kdbus_quota *quota = entry->quota;

	lockdep_assert_held(&conn->lock);

	if (!quota)
		return;
	kdbus_queue_complete(conn, entry);
	conn->queue.bytes -= entry->size;
	kdbus_usage_sub(&quota->used, entry);
	entry->quota = NULL;
	kdbus_queue_retire(conn, quota);
}

/* Free an entry that is charged to nobody and no longer holds its slice. */
static void kdbus_queue_entry_free(struct kdbus_queue_entry *entry)
{
	kdbus_files_put(entry->files);
	kdbus_reply_put(entry->reply);
	kdbus_name_put_entry(entry->name);
	kmem_cache_free(kdbus_queue_entry_cache, entry);
	kdbus_object_dec(KDBUS_OBJECT_MESSAGE);
}

/* Free an entry that is charged to nobody, and its message. */
static void kdbus_queue_entry_drop(struct kdbus_queue_entry *entry)
{
	kdbus_slice_release(entry->slice, KDBUS_SLICE_KERNEL);
	kdbus_queue_entry_free(entry);
}

/* Charge an entry and get it space; -ESTALE if its quota was forgotten meanwhile. */
static int kdbus_queue_claim(struct kdbus_conn *conn, struct kdbus_queue_entry *entry,
			     const struct kdbus_user *user, bool moved)
{
	int ret;

	lockdep_assert_held(&conn->lock);

	/* see kdbus_queue_retire() */
	if (unlikely(conn->dead || READ_ONCE(user->ended)) &&
	    xa_load(&conn->queue.quotas, user->id) != entry->quota)
		return -ESTALE;

	ret = conn->dead ? -ECONNRESET : kdbus_queue_charge(conn, entry, moved);
	if (ret < 0) {
		kdbus_queue_retire(conn, entry->quota);
		return ret;
	}
	ret = kdbus_slice_reserve(entry->slice, conn->pool, entry->size, KDBUS_SLICE_KERNEL);
	if (ret < 0)
		kdbus_queue_uncharge(conn, entry);
	return ret;
}

static struct kdbus_queue_entry *kdbus_queue_allocate(struct kdbus_conn *conn,
						      struct kdbus_user *user, size_t size,
						      struct kdbus_files *files, bool moved,
						      gfp_t gfp)
{
	struct kdbus_queue_entry *entry;
	struct kdbus_slice *slice;
	int ret = -ENOMEM;

	entry = kmem_cache_alloc(kdbus_queue_entry_cache, gfp);
	slice = kdbus_slice_new(conn->pool);
	if (!entry || !slice)
		goto err_free;

	*entry = (struct kdbus_queue_entry){
		.slice = slice,
		.size = size,
		.n_fds = files ? files->n_fds : 0,
	};

	do {
		entry->quota = kdbus_queue_quota(&conn->queue, user, gfp);
		if (!entry->quota)
			goto err_free;
		spin_lock(&conn->lock);
		ret = kdbus_queue_claim(conn, entry, user, moved);
		spin_unlock(&conn->lock);
	} while (ret == -ESTALE);
	if (ret < 0)
		goto err_free;

	entry->files = kdbus_files_get(files);
	kdbus_object_inc(KDBUS_OBJECT_MESSAGE);
	return entry;

err_free:
	kdbus_slice_discard(slice);
	if (entry)
		kmem_cache_free(kdbus_queue_entry_cache, entry);
	return ERR_PTR(ret);
}

/*
 * Who delivers what others sent, or what the kernel tells, does so under locks
 * of the bus: its memory cgroup neither pays for that nor holds it up.
 */
#define KDBUS_QUEUE_GFP_FOR_OTHERS	GFP_KERNEL

/**
 * kdbus_queue_reserve() - get space for a message
 * @conn:	the receiver
 * @user:	who it is charged to
 * @size:	bytes, a multiple of 8
 * @files:	its files, or NULL; a reference is taken
 *
 * Return: an entry to be published or discarded, or an error pointer:
 * -ECONNRESET if the receiver has ended, -ENOBUFS or -EMFILE if the user's
 * quota is used up, -EXFULL if there is no space, -ENOMEM.
 */
struct kdbus_queue_entry *kdbus_queue_reserve(struct kdbus_conn *conn, struct kdbus_user *user,
					      size_t size, struct kdbus_files *files)
{
	return kdbus_queue_allocate(conn, user, size, files, false,
				    user == kdbus_user_kernel() ? KDBUS_QUEUE_GFP_FOR_OTHERS :
								  GFP_KERNEL_ACCOUNT);
}

/**
 * kdbus_queue_discard() - give up a message that is in no queue
 * @conn:	the receiver
 * @entry:	what was reserved
 */
void kdbus_queue_discard(struct kdbus_conn *conn, struct kdbus_queue_entry *entry)
{
	spin_lock(&conn->lock);
	kdbus_queue_uncharge(conn, entry);
	spin_unlock(&conn->lock);
	kdbus_queue_entry_drop(entry);
}

static void kdbus_queue_link(struct kdbus_queue *queue, struct kdbus_queue_entry *entry)
{
	struct rb_node **link = &queue->by_priority.rb_root.rb_node, *parent = NULL;
	bool leftmost = true;

	list_add_tail(&entry->entry, &queue->entries);
	while (*link) {
		parent = *link;
		if (entry->priority < rb_entry(parent, struct kdbus_queue_entry, node)->priority) {
			link = &parent->rb_left;
		} else {
			link = &parent->rb_right;
			leftmost = false;
		}
	}
	rb_link_node(&entry->node, parent, link);
	rb_insert_color_cached(&entry->node, &queue->by_priority, leftmost);
	WRITE_ONCE(queue->count, queue->count + 1);
}

static void kdbus_queue_unlink(struct kdbus_queue *queue, struct kdbus_queue_entry *entry)
{
	list_del(&entry->entry);
	rb_erase_cached(&entry->node, &queue->by_priority);
	WRITE_ONCE(queue->count, queue->count - 1);
}

static void kdbus_queue_add(struct kdbus_conn *conn, struct kdbus_queue_entry *entry)
{
	lockdep_assert_held(&conn->lock);

	kdbus_queue_complete(conn, entry);
	if (entry->reply)
		kdbus_reply_owe(conn, entry->reply);
	kdbus_queue_link(&conn->queue, entry);
}

/**
 * kdbus_queue_publish() - make a message receivable
 * @conn:	the receiver
 * @entry:	what was reserved, completely written
 * @owner:	@conn must still own the name it was sent to, if any; a reply reaches
 *		its caller all the same
 *
 * If the entry is a call, the receiver owes the reply from here on.
 *
 * Return: 0, -ECONNRESET if the receiver has ended, -EREMCHG if it lost the
 * name, -ENOBUFS or -EMFILE if mail that moved has taken the place. Then the
 * entry is still the caller's.
 */
int kdbus_queue_publish(struct kdbus_conn *conn, struct kdbus_queue_entry *entry, bool owner)
{
	const struct kdbus_name_entry *name = entry->name;
	int ret = 0;

	spin_lock(&conn->lock);
	if (conn->dead)
		ret = -ECONNRESET;
	else if (owner && name &&
		 (rcu_access_pointer(name->owner) != conn || READ_ONCE(name->moving)))
		ret = -EREMCHG;
	else if (unlikely(conn->queue.had_mail))
		ret = kdbus_queue_check(conn, entry, true);
	if (ret == 0)
		kdbus_queue_add(conn, entry);
	spin_unlock(&conn->lock);

	if (ret == 0)
		kdbus_conn_wake(conn, EPOLLIN | EPOLLRDNORM);
	return ret;
}

/**
 * kdbus_queue_collect() - take what was sent to a name off a queue
 * @conn:	the receiver, locked
 * @name:	the name
 * @mail:	where to add it, in order; it stays charged
 */
void kdbus_queue_collect(struct kdbus_conn *conn, const struct kdbus_name_entry *name,
			 struct list_head *mail)
{
	struct kdbus_queue_entry *entry, *next;

	lockdep_assert_held(&conn->lock);

	list_for_each_entry_safe(entry, next, &conn->queue.entries, entry) {
		if (kdbus_name_is_same(entry->name, name)) {
			kdbus_queue_unlink(&conn->queue, entry);
			list_add_tail(&entry->entry, mail);
		}
	}
}

/* Queue a copy of a message at another connection, whoever owns its name now. */
static int kdbus_queue_copy(struct kdbus_conn *to, const struct kdbus_queue_entry *entry)
{
	struct kdbus_queue_entry *copy;
	int ret;

	if (entry->n_fds > 0 && !(to->flags & KDBUS_HELLO_ACCEPT_FD))
		return -ECOMM;
	copy = kdbus_queue_allocate(to, entry->quota->user, entry->slice->size, entry->files,
				    true, KDBUS_QUEUE_GFP_FOR_OTHERS);
	if (IS_ERR(copy))
		return PTR_ERR(copy);

	copy->priority = entry->priority;
	copy->name = kdbus_name_ref_entry(entry->name);
	ret = kdbus_slice_copy(copy->slice, entry->slice);
	if (ret < 0) {
		kdbus_queue_discard(to, copy);
		return ret;
	}

	copy->reply = entry->reply ? kdbus_reply_get(entry->reply) : NULL;
	spin_lock(&to->lock);
	ret = to->dead ? -ECONNRESET : 0;
	if (ret == 0)
		kdbus_queue_add(to, copy);
	spin_unlock(&to->lock);
	if (ret < 0)
		kdbus_queue_discard(to, copy);
	return ret;
}

/**
 * kdbus_queue_move() - give mail to another connection
 * @from:	who had it
 * @to:		who gets it, behind what it has
 * @mail:	what kdbus_queue_collect() found; emptied
 *
 * What the new holder cannot take is lost and counted there.
 */
void kdbus_queue_move(struct kdbus_conn *from, struct kdbus_conn *to, struct list_head *mail)
{
	struct kdbus_queue_entry *entry, *next;
	int ret;

	if (list_empty(mail))
		return;

	list_for_each_entry_safe(entry, next, mail, entry) {
		list_del(&entry->entry);
		ret = kdbus_queue_copy(to, entry);
		if (ret < 0 && ret != -ECONNRESET)
			kdbus_queue_count_drop(to);
		kdbus_queue_discard(from, entry);
		cond_resched();
	}
	kdbus_conn_wake(to, EPOLLIN | EPOLLRDNORM);
}

/**
 * kdbus_queue_count_drop() - count a message that was lost
 * @conn:	who lost it
 */
void kdbus_queue_count_drop(struct kdbus_conn *conn)
{
	bool first;

	spin_lock(&conn->lock);
	first = conn->queue.dropped == 0;
	WRITE_ONCE(conn->queue.dropped, conn->queue.dropped + 1);
	spin_unlock(&conn->lock);

	if (first)
		kdbus_conn_wake(conn, EPOLLIN | EPOLLRDNORM);
}

/**
 * kdbus_queue_flush() - discard all a connection that ended has not received
 * @conn:	the connection
 */
void kdbus_queue_flush(struct kdbus_conn *conn)
{
	struct kdbus_queue_entry *entry;
	struct kdbus_quota *quota;
	unsigned long id;

	/* nothing is added to it any more */
	for (;;) {
		spin_lock(&conn->lock);
		entry = list_first_entry_or_null(&conn->queue.entries, struct kdbus_queue_entry,
						 entry);
		if (entry) {
			kdbus_queue_unlink(&conn->queue, entry);
			kdbus_queue_uncharge(conn, entry);
		}
		spin_unlock(&conn->lock);
		if (!entry)
			break;
		kdbus_queue_entry_drop(entry);
		cond_resched();
	}

	xa_for_each(&conn->queue.quotas, id, quota)
		kdbus_queue_forget(conn, id);
}

/**
 * kdbus_queue_take() - hand a message to the running process
 * @conn:	the receiver
 * @entry:	a message that is in no queue; freed
 * @info:	filled in: where the message is, which user space now holds
 */
void kdbus_queue_take(struct kdbus_conn *conn, struct kdbus_queue_entry *entry,
		      struct kdbus_msg_info *info)
{
	info->offset = entry->slice->offset;
	info->msg_size = entry->slice->size;
	info->return_flags = 0;

	if (entry->quota) {
		spin_lock(&conn->lock);
		kdbus_queue_uncharge(conn, entry);
		spin_unlock(&conn->lock);
	}
	if (entry->files && !kdbus_files_install(entry->files, entry->slice,
						 conn->flags & KDBUS_HELLO_ACCEPT_FD))
		info->return_flags |= KDBUS_RECV_RETURN_INCOMPLETE_FDS;

	kdbus_slice_hand_over(entry->slice);
	kdbus_queue_entry_free(entry);
}

static struct kdbus_queue_entry *kdbus_queue_peek(struct kdbus_queue *queue, bool use_priority,
						  s64 priority)
{
	struct kdbus_queue_entry *entry;
	struct rb_node *node;

	if (!use_priority)
		return list_first_entry_or_null(&queue->entries, struct kdbus_queue_entry, entry);

	node = rb_first_cached(&queue->by_priority);
	if (!node)
		return NULL;
	entry = rb_entry(node, struct kdbus_queue_entry, node);
	return entry->priority <= priority ? entry : NULL;
}

static int kdbus_queue_recv(struct kdbus_conn *conn, const struct kdbus_cmd_recv *cmd,
			    struct kdbus_msg_info *info, u64 *dropped)
{
	bool drop = cmd->flags & KDBUS_RECV_DROP;
	bool peek = !drop && cmd->flags & KDBUS_RECV_PEEK;
	struct kdbus_queue_entry *entry;
	bool call;

	*info = (struct kdbus_msg_info){ .offset = conn->pool->size };

	spin_lock(&conn->lock);
	*dropped = conn->queue.dropped;
	WRITE_ONCE(conn->queue.dropped, 0);
	entry = kdbus_queue_peek(&conn->queue, cmd->flags & KDBUS_RECV_USE_PRIORITY,
				 cmd->priority);
	if (entry && peek) {
		info->offset = entry->slice->offset;
		info->msg_size = entry->slice->size;
		kdbus_slice_hold(entry->slice, KDBUS_SLICE_USER);
	} else if (entry) {
		kdbus_queue_unlink(&conn->queue, entry);
		kdbus_queue_uncharge(conn, entry);
	}
	spin_unlock(&conn->lock);

	if (!entry)
		return -EAGAIN;
	if (peek)
		return 0;

	if (drop) {
		call = entry->reply;
		if (call)
			kdbus_reply_fail(entry->reply);
		/* before its caller is told, so that it may call again */
		kdbus_queue_entry_drop(entry);
		if (call)
			kdbus_notify_flush(conn->ep->bus);
	} else {
		kdbus_queue_take(conn, entry, info);
	}
	return 0;
}

/**
 * kdbus_cmd_recv() - KDBUS_CMD_RECV
 * @conn:	the caller
 * @file:	unused
 * @argp:	the command
 *
 * Return: what the ioctl returns.
 */
int kdbus_cmd_recv(struct kdbus_conn *conn, struct file *file, void __user *argp)
{
	u64 storage[KDBUS_COMMAND_STORAGE / sizeof(u64)];
	struct kdbus_command command;
	struct kdbus_cmd_recv *cmd;
	struct {
		u64 dropped;
		struct kdbus_msg_info info;
	} result;
	int ret;

	BUILD_BUG_ON(offsetof(struct kdbus_cmd_recv, msg) !=
		     offsetof(struct kdbus_cmd_recv, dropped_msgs) + sizeof(u64));

	ret = kdbus_command_parse(&command, &kdbus_recv_spec, argp, storage, sizeof(storage));
	if (ret != 0)
		goto finish;

	cmd = command.data;
	ret = -EINVAL;
	if (cmd->flags & KDBUS_RECV_DROP && cmd->flags & KDBUS_RECV_USE_PRIORITY)
		goto finish;

	ret = kdbus_queue_recv(conn, cmd, &result.info, &result.dropped);
	if (result.dropped > 0)
		command.return_flags |= KDBUS_RECV_RETURN_DROPPED_MSGS;
	if (kdbus_command_copy_out(&command, offsetof(struct kdbus_cmd_recv, dropped_msgs),
				   &result, sizeof(result)) < 0)
		ret = -EFAULT;

finish:
	return kdbus_command_finish(&command, ret);
}

int kdbus_queue_cache_init(void)
{
	kdbus_queue_entry_cache = KMEM_CACHE(kdbus_queue_entry, 0);
	return kdbus_queue_entry_cache ? 0 : -ENOMEM;
}

void kdbus_queue_cache_exit(void)
{
	kmem_cache_destroy(kdbus_queue_entry_cache);
}
