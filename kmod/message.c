// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/ktime.h>
#include <linux/overflow.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "buffer.h"
#include "bus.h"
#include "command.h"
#include "connection.h"
#include "domain.h"
#include "endpoint.h"
#include "files.h"
#include "match.h"
#include "message.h"
#include "metadata.h"
#include "name.h"
#include "notify.h"
#include "policy.h"
#include "pool.h"
#include "queue.h"
#include "reply.h"

/* How much of a message's head is kept on the stack, as sent and as received. */
#define KDBUS_MESSAGE_STORAGE	384
#define KDBUS_MESSAGE_IMAGE	512

enum {
	KDBUS_SEND_CANCEL_FD,
	KDBUS_SEND_NEGOTIATE,
};

static const struct kdbus_item_spec kdbus_send_items[] = {
	[KDBUS_SEND_CANCEL_FD]	= { KDBUS_ITEM_CANCEL_FD },
	[KDBUS_SEND_NEGOTIATE]	= { KDBUS_ITEM_NEGOTIATE },
};

static const struct kdbus_command_spec kdbus_send_spec = {
	.fixed		= sizeof(struct kdbus_cmd_send),
	.flags		= KDBUS_SEND_SYNC_REPLY,
	.items		= kdbus_send_items,
	.n_items	= ARRAY_SIZE(kdbus_send_items),
};

enum {
	KDBUS_MSG_VEC,
	KDBUS_MSG_MEMFD,
	KDBUS_MSG_FDS,
	KDBUS_MSG_BLOOM,
	KDBUS_MSG_NAME,
	KDBUS_MSG_NEGOTIATE,
};

static const struct kdbus_item_spec kdbus_msg_items[] = {
	[KDBUS_MSG_VEC]		= { KDBUS_ITEM_PAYLOAD_VEC, .multiple = true },
	[KDBUS_MSG_MEMFD]	= { KDBUS_ITEM_PAYLOAD_MEMFD, .multiple = true },
	[KDBUS_MSG_FDS]		= { KDBUS_ITEM_FDS },
	[KDBUS_MSG_BLOOM]	= { KDBUS_ITEM_BLOOM_FILTER },
	[KDBUS_MSG_NAME]	= { KDBUS_ITEM_DST_NAME },
	[KDBUS_MSG_NEGOTIATE]	= { KDBUS_ITEM_NEGOTIATE },
};

static const struct kdbus_command_spec kdbus_msg_spec = {
	.fixed		= sizeof(struct kdbus_msg),
	.flags		= KDBUS_MSG_EXPECT_REPLY | KDBUS_MSG_NO_AUTO_START | KDBUS_MSG_SIGNAL,
	.items		= kdbus_msg_items,
	.n_items	= ARRAY_SIZE(kdbus_msg_items),
};

/**
 * struct kdbus_message - a message being sent
 * @src:		the sender
 * @command:		the message as sent, checked
 * @msg:		its header
 * @items_end:		where the last item ends, without padding
 * @payload:		bytes of payload that travel in the slice
 * @n_fds:		attached descriptors
 * @n_memfds:		memfds
 * @files:		both, resolved; NULL if there are none
 * @sync:		the sender will wait for the reply
 * @monitored:		monitors have their copies
 * @seqnum:		number on the bus
 * @monotonic_ns:	when it was sent
 * @realtime_ns:	when it was sent
 * @process:		the sending thread
 * @image:		head of the message, for the receiver at hand
 */
struct kdbus_message {
	struct kdbus_conn *src;
	struct kdbus_command command;
	const struct kdbus_msg *msg;
	size_t items_end;
	size_t payload;
	unsigned int n_fds;
	unsigned int n_memfds;
	struct kdbus_files *files;
	bool sync;
	bool monitored;
	u64 seqnum;
	u64 monotonic_ns;
	u64 realtime_ns;
	struct kdbus_meta_process process;
	struct kdbus_buf image;
};

/* ---- checking ---- */

static int kdbus_message_check_header(const struct kdbus_message *message)
{
	const struct kdbus_msg *msg = message->msg;
	bool expect_reply = msg->flags & KDBUS_MSG_EXPECT_REPLY;
	bool signal = msg->flags & KDBUS_MSG_SIGNAL;
	bool broadcast = msg->dst_id == KDBUS_DST_ID_BROADCAST;

	if (msg->src_id != 0 && msg->src_id != message->src->id)
		return -EINVAL;
	if (msg->payload_type == KDBUS_PAYLOAD_KERNEL)
		return -EINVAL;
	if (broadcast && !signal)
		return -EBADMSG;
	if (broadcast && msg->timeout_ns != 0)
		return -ENOTUNIQ;
	if (expect_reply && msg->timeout_ns == 0)
		return -EINVAL;
	if (expect_reply && signal)
		return -ENOTUNIQ;
	if (message->sync && !expect_reply)
		return -EINVAL;
	if (!expect_reply && signal && msg->cookie_reply != 0)
		return -EINVAL;
	return 0;
}

static int kdbus_message_check_vec(struct kdbus_message *message, const struct kdbus_vec *vec)
{
	size_t placed = vec->size;

	if (vec->size > KDBUS_MSG_MAX_PAYLOAD_VEC_SIZE)
		return -EMSGSIZE;
	if (vec->address > ULONG_MAX ||
	    (vec->address && !access_ok(u64_to_user_ptr(vec->address), vec->size)))
		return -EFAULT;

	/* zeros are not sent, but what follows must stay aligned */
	if (!vec->address)
		placed %= 8;
	if (check_add_overflow(message->payload, placed, &message->payload))
		return -EMSGSIZE;
	return 0;
}

static int kdbus_message_check_item(struct kdbus_message *message, const struct kdbus_item *item)
{
	u64 bloom_size = message->src->ep->bus->bloom.size, end;
	size_t size = kdbus_item_payload(item);

	switch (item->type) {
	case KDBUS_ITEM_PAYLOAD_VEC:
		return kdbus_message_check_vec(message, &item->vec);
	case KDBUS_ITEM_PAYLOAD_MEMFD:
		if (check_add_overflow(item->memfd.start, item->memfd.size, &end))
			return -EMSGSIZE;
		if (++message->n_memfds > KDBUS_MSG_MAX_MEMFD_ITEMS)
			return -E2BIG;
		message->payload += item->memfd.size % 8;
		return 0;
	case KDBUS_ITEM_FDS:
		message->n_fds = size / sizeof(int);
		if (message->n_fds > KDBUS_CONN_MAX_FDS_PER_USER)
			return -EMFILE;
		return message->n_fds == 0 ? -EINVAL : 0;
	case KDBUS_ITEM_BLOOM_FILTER:
		size -= sizeof(struct kdbus_bloom_filter);
		if (size % sizeof(u64) != 0)
			return -EFAULT;
		return size == bloom_size ? 0 : -EDOM;
	case KDBUS_ITEM_DST_NAME:
		if (!kdbus_name_is_valid(item->str, false))
			return -EINVAL;
		return message->msg->dst_id == KDBUS_DST_ID_BROADCAST ? -EBADMSG : 0;
	default:
		/* KDBUS_ITEM_NEGOTIATE is for messages that are not sent */
		return -EINVAL;
	}
}

static int kdbus_message_check(struct kdbus_message *message)
{
	const struct kdbus_msg *msg = message->msg;
	const struct kdbus_item *item;
	int ret;

	ret = kdbus_message_check_header(message);
	if (ret < 0)
		return ret;

	message->items_end = sizeof(*msg);
	kdbus_command_for_each_item(item, &message->command) {
		ret = kdbus_message_check_item(message, item);
		if (ret < 0)
			return ret;
		message->items_end = (void *)item - message->command.data + item->size;
	}

	if (!(msg->flags & KDBUS_MSG_SIGNAL) != !message->command.found[KDBUS_MSG_BLOOM])
		return -EBADMSG;
	if (msg->dst_id == KDBUS_DST_ID_NAME && !message->command.found[KDBUS_MSG_NAME])
		return -EDESTADDRREQ;
	if (msg->dst_id == KDBUS_DST_ID_BROADCAST && message->command.found[KDBUS_MSG_FDS])
		return -ENOTUNIQ;
	return 0;
}

/*
 * Who AF_UNIX sockets in flight are charged to; NULL if they may not be sent.
 * Any number of custom endpoints can be made, so theirs are charged to the bus.
 */
static struct kdbus_user *kdbus_message_unix_payer(const struct kdbus_message *message)
{
	const struct kdbus_ep *ep = message->src->ep;

	if (!(ep->bus->flags & KDBUS_MAKE_ALLOW_UNIX_FDS))
		return NULL;
	return ep->user ? ep->bus->user : message->src->user;
}

static int kdbus_message_resolve_files(struct kdbus_message *message)
{
	const struct kdbus_item *item;
	size_t offset;
	int ret = 0;

	if (message->n_fds + message->n_memfds == 0)
		return 0;

	message->files = kdbus_files_new(message->n_fds + message->n_memfds,
					 kdbus_message_unix_payer(message));
	if (!message->files)
		return -ENOMEM;

	kdbus_command_for_each_item(item, &message->command) {
		offset = (void *)item - message->command.data;
		if (item->type == KDBUS_ITEM_FDS)
			ret = kdbus_files_add_fds(message->files, item, offset);
		else if (item->type == KDBUS_ITEM_PAYLOAD_MEMFD)
			ret = kdbus_files_add_memfd(message->files, item, offset);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* ---- delivery ---- */

/* Look at the sending thread, unless it stands for somebody else. */
static void kdbus_message_look_at_sender(struct kdbus_message *message, u64 mask)
{
	kdbus_meta_process_current(&message->process,
				   message->src->meta.faked ? 0 : kdbus_meta_mask(mask));
}

/* What of the sending thread a receiver may see, if it asks. */
static u64 kdbus_message_granted(const struct kdbus_message *message, const struct kdbus_conn *dst)
{
	const u64 base = KDBUS_ATTACH_CREDS | KDBUS_ATTACH_PIDS | KDBUS_ATTACH_AUXGROUPS;

	/* the rest is what it could as well look up in /proc */
	if (pid_nr_ns(task_pid(current), dst->meta.pid_ns))
		return KDBUS_META_PROCESS;
	return base | READ_ONCE(message->src->attach_flags_send);
}

static void kdbus_message_write_metadata(struct kdbus_message *message, struct kdbus_conn *dst)
{
	const struct kdbus_meta_reader reader = kdbus_meta_reader_of(dst);
	u64 mask = kdbus_meta_mask(READ_ONCE(dst->attach_flags_recv));
	struct kdbus_buf *image = &message->image;

	if (mask & KDBUS_META_PROCESS)
		kdbus_meta_process_write(&message->process,
					 mask & kdbus_message_granted(message, dst), &reader,
					 image);
	if (mask & KDBUS_ATTACH_NAMES)
		kdbus_meta_conn_write_names(message->src, image);
	if (mask & KDBUS_ATTACH_CONN_DESCRIPTION && message->src->description)
		kdbus_buf_item_str(image, KDBUS_ITEM_CONN_DESCRIPTION,
				   message->src->description);
	if (mask & KDBUS_ATTACH_TIMESTAMP)
		kdbus_meta_write_timestamp(message->seqnum, message->monotonic_ns,
					   message->realtime_ns, image);
}

/* Point the items of the image to where the payload will be. */
static void kdbus_message_place_payload(struct kdbus_message *message)
{
	struct kdbus_buf *image = &message->image;
	const struct kdbus_item *item;
	size_t pos = image->len, i;
	struct kdbus_item *out;

	kdbus_command_for_each_item(item, &message->command) {
		out = (void *)image->data + ((void *)item - message->command.data);
		switch (item->type) {
		case KDBUS_ITEM_PAYLOAD_VEC:
			out->type = KDBUS_ITEM_PAYLOAD_OFF;
			out->vec.offset = item->vec.address ? pos : ~0ULL;
			pos += item->vec.address ? item->vec.size : item->vec.size % 8;
			break;
		case KDBUS_ITEM_PAYLOAD_MEMFD:
			out->memfd.fd = -1;
			pos += item->memfd.size % 8;
			break;
		case KDBUS_ITEM_FDS:
			for (i = 0; i < message->n_fds; i++)
				out->fds[i] = -1;
			break;
		}
	}
}

/*
 * Put the head of the message together, as one receiver gets it. It ends
 * aligned; the payload follows.
 */
static int kdbus_message_build(struct kdbus_message *message, struct kdbus_conn *dst)
{
	struct kdbus_buf *image = &message->image;
	struct kdbus_msg *msg;

	image->len = 0;
	image->failed = false;
	msg = kdbus_buf_push(image, message->items_end);
	if (!msg)
		return -ENOMEM;
	memcpy(msg, message->command.data, message->items_end);

	kdbus_message_write_metadata(message, dst);
	if (image->failed)
		return -ENOMEM;

	msg = (struct kdbus_msg *)image->data;
	msg->size = image->len;
	msg->src_id = message->src->id;
	kdbus_buf_align(image);
	if (image->failed)
		return -ENOMEM;

	kdbus_message_place_payload(message);
	return 0;
}

static int kdbus_message_write(struct kdbus_message *message, struct kdbus_slice *slice)
{
	const struct kdbus_buf *image = &message->image;
	const struct kdbus_item *item;
	size_t pos = image->len, n;
	int ret;

	ret = kdbus_slice_write(slice, 0, image->data, image->len);
	if (ret < 0)
		return ret;

	kdbus_command_for_each_item(item, &message->command) {
		if (item->type == KDBUS_ITEM_PAYLOAD_VEC && item->vec.address) {
			n = item->vec.size;
			ret = kdbus_slice_write_user(slice, pos,
						     u64_to_user_ptr(item->vec.address), n);
		} else if (item->type == KDBUS_ITEM_PAYLOAD_VEC) {
			n = item->vec.size % 8;
			ret = kdbus_slice_zero(slice, pos, n);
		} else if (item->type == KDBUS_ITEM_PAYLOAD_MEMFD) {
			n = item->memfd.size % 8;
			ret = kdbus_slice_zero(slice, pos, n);
		} else {
			continue;
		}
		if (ret < 0)
			return ret;
		pos += n;
	}

	return kdbus_slice_zero(slice, pos, slice->size - pos);
}

/*
 * Make an entry of the message in a receiver's pool: everything but letting
 * the receiver see it.
 */
static struct kdbus_queue_entry *kdbus_message_prepare(struct kdbus_message *message,
						       struct kdbus_conn *dst)
{
	struct kdbus_queue_entry *entry;
	size_t size;
	int ret;

	if (kdbus_conn_is_dead(dst))
		return ERR_PTR(-ECONNRESET);
	/* monitors get what others get, but the descriptors only if they accept them */
	if (message->n_fds > 0 && !(dst->flags & (KDBUS_HELLO_ACCEPT_FD | KDBUS_HELLO_MONITOR)))
		return ERR_PTR(-ECOMM);

	ret = kdbus_message_build(message, dst);
	if (ret < 0)
		return ERR_PTR(ret);
	if (check_add_overflow(message->image.len, message->payload, &size) ||
	    size > SIZE_MAX - 7)
		return ERR_PTR(-ENOBUFS);

	entry = kdbus_queue_reserve(dst, message->src->user, ALIGN(size, 8), message->files);
	if (IS_ERR(entry))
		return entry;

	entry->priority = message->msg->priority;
	ret = kdbus_message_write(message, entry->slice);
	if (ret < 0) {
		kdbus_queue_discard(dst, entry);
		return ERR_PTR(ret);
	}
	return entry;
}

/*
 * Queue the message at a receiver, which must still own @name if that is given.
 * -EREMCHG means that somebody else does.
 */
static int kdbus_message_deliver(struct kdbus_message *message, struct kdbus_conn *dst,
				 struct kdbus_name_entry *name, struct kdbus_reply *reply)
{
	struct kdbus_queue_entry *entry;
	int ret;

	entry = kdbus_message_prepare(message, dst);
	ret = PTR_ERR_OR_ZERO(entry);
	if (ret == 0) {
		entry->name = kdbus_name_ref_entry(name);
		entry->reply = reply ? kdbus_reply_get(reply) : NULL;
		ret = kdbus_queue_publish(dst, entry, true);
		if (ret < 0)
			kdbus_queue_discard(dst, entry);
	}

	/* whoever is next in line receives what comes too late for its owner */
	if (ret == -ECONNRESET && name && kdbus_name_inherit(name, dst))
		ret = -EREMCHG;
	return ret;
}

/* Deliver to somebody who did not ask for this message in particular. */
static void kdbus_message_deliver_counted(struct kdbus_message *message, struct kdbus_conn *dst)
{
	int ret = kdbus_message_deliver(message, dst, NULL, NULL);

	if (ret < 0 && ret != -ECONNRESET)
		kdbus_queue_count_drop(dst);
}

static void kdbus_message_copy_to_monitors(struct kdbus_message *message)
{
	struct kdbus_bus *bus = message->src->ep->bus;
	struct kdbus_receivers receivers;
	size_t i;

	if (list_empty(&bus->monitors) || message->monitored)
		return;

	message->monitored = true;
	kdbus_bus_collect_monitors(bus, &receivers);
	for (i = 0; i < receivers.count; i++)
		kdbus_message_deliver_counted(message, receivers.conns[i]);
	kdbus_receivers_release(&receivers);
}

/* ---- routing ---- */

static struct kdbus_match_event kdbus_message_event(const struct kdbus_message *message)
{
	return (struct kdbus_match_event){
		.src = message->src,
		.dst_id = message->msg->dst_id,
		.filter = &message->command.found[KDBUS_MSG_BLOOM]->bloom_filter,
	};
}

static void kdbus_message_broadcast(struct kdbus_message *message)
{
	const struct kdbus_match_event event = kdbus_message_event(message);
	struct kdbus_conn *src = message->src, *dst;
	struct kdbus_receivers receivers;
	u64 mask;
	size_t i;

	mask = kdbus_bus_monitor_mask(src->ep->bus);
	kdbus_match_collect(src->ep->bus, &event, &receivers);
	for (i = 0; i < receivers.count; i++)
		mask |= READ_ONCE(receivers.conns[i]->attach_flags_recv);
	kdbus_message_look_at_sender(message, mask);

	kdbus_message_copy_to_monitors(message);
	for (i = 0; i < receivers.count; i++) {
		dst = receivers.conns[i];
		if (kdbus_policy_may_talk(dst, dst->cred, src))
			kdbus_message_deliver_counted(message, dst);
	}
	kdbus_meta_process_release(&message->process);
	kdbus_receivers_release(&receivers);
}

/* Only losing the name counts as failure: others get the signal then. */
static int kdbus_message_signal(struct kdbus_message *message, struct kdbus_conn *dst,
				struct kdbus_name_entry *name)
{
	const struct kdbus_match_event event = kdbus_message_event(message);

	kdbus_message_copy_to_monitors(message);
	if (!kdbus_match_wants(dst, &event) ||
	    !kdbus_policy_may_talk(dst, dst->cred, message->src))
		return 0;
	return kdbus_message_deliver(message, dst, name, NULL) == -EREMCHG ? -EREMCHG : 0;
}

static int kdbus_message_call(struct kdbus_message *message, struct kdbus_conn *dst,
			      struct kdbus_name_entry *name, struct kdbus_reply **sync)
{
	const struct kdbus_msg *msg = message->msg;
	struct kdbus_reply *reply;
	int ret;

	reply = kdbus_reply_open(message->src, dst, name, msg->cookie, msg->timeout_ns,
				 message->sync);
	if (IS_ERR(reply))
		return PTR_ERR(reply);

	kdbus_message_copy_to_monitors(message);
	ret = kdbus_message_deliver(message, dst, name, reply);
	if (ret < 0) {
		kdbus_reply_abort(reply);
		return ret;
	}

	if (message->sync) {
		*sync = reply;
	} else {
		kdbus_reply_arm(reply);
		kdbus_reply_put(reply);
	}
	return 0;
}

static int kdbus_message_plain(struct kdbus_message *message, struct kdbus_conn *dst,
			       struct kdbus_name_entry *name)
{
	kdbus_message_copy_to_monitors(message);
	return kdbus_message_deliver(message, dst, name, NULL);
}

static int kdbus_message_reply(struct kdbus_message *message, struct kdbus_conn *dst,
			       struct kdbus_name_entry *name)
{
	struct kdbus_queue_entry *entry;
	struct kdbus_reply *reply;
	bool sync;
	int ret;

	reply = kdbus_reply_claim(dst, message->src, message->msg->cookie_reply);
	if (!reply)
		return kdbus_conn_is_dead(dst) ? -ECONNRESET : -EBADSLT;

	kdbus_message_copy_to_monitors(message);
	sync = reply->sync;
	if (!sync)
		/* once it has the reply, the caller may call again */
		kdbus_reply_put(reply);

	entry = kdbus_message_prepare(message, dst);
	if (IS_ERR(entry)) {
		ret = PTR_ERR(entry);
		if (sync)
			kdbus_reply_complete(reply, NULL, ret == -ECOMM ? -EREMOTEIO : ret);
		goto put;
	}

	/* what was sent to a name passes to its activator unread, a reply too */
	entry->name = kdbus_name_ref_entry(name);
	ret = sync ? kdbus_reply_complete(reply, entry, 0) : kdbus_queue_publish(dst, entry, false);
	if (ret < 0)
		kdbus_queue_discard(dst, entry);
put:
	if (sync)
		kdbus_reply_put(reply);
	return ret;
}

/* Who gets a message that is no broadcast? */
static int kdbus_message_find_dst(const struct kdbus_message *message,
				  struct kdbus_name_entry **name, struct kdbus_conn **dst)
{
	const struct kdbus_item *item = message->command.found[KDBUS_MSG_NAME];
	struct kdbus_bus *bus = message->src->ep->bus;
	u64 id = message->msg->dst_id;

	*name = NULL;
	if (!item) {
		*dst = kdbus_bus_find_conn(bus, id);
		return *dst && kdbus_conn_is_ordinary(*dst) ? 0 : -ENXIO;
	}

	*name = kdbus_name_get_entry(bus, item->str);
	*dst = *name ? kdbus_name_get_owner(bus, *name) : NULL;
	if (!*dst)
		return -ESRCH;
	if (id != KDBUS_DST_ID_NAME && id != (*dst)->id)
		return -EREMCHG;
	if ((*dst)->flags & KDBUS_HELLO_ACTIVATOR &&
	    message->msg->flags & KDBUS_MSG_NO_AUTO_START)
		return -EADDRNOTAVAIL;
	return 0;
}

/*
 * Send to one destination. -EREMCHG without an id in the message means that
 * the name changed hands meanwhile.
 */
static int kdbus_message_try_unicast(struct kdbus_message *message, struct kdbus_reply **sync)
{
	const struct kdbus_msg *msg = message->msg;
	struct kdbus_name_entry *name;
	struct kdbus_conn *dst;
	u64 mask;
	int ret;

	ret = kdbus_message_find_dst(message, &name, &dst);
	if (ret < 0)
		goto put;

	mask = READ_ONCE(dst->attach_flags_recv) | kdbus_bus_monitor_mask(message->src->ep->bus);
	kdbus_message_look_at_sender(message, mask);
	if (msg->flags & KDBUS_MSG_SIGNAL)
		ret = kdbus_message_signal(message, dst, name);
	else if (!(msg->flags & KDBUS_MSG_EXPECT_REPLY) && msg->cookie_reply != 0)
		ret = kdbus_message_reply(message, dst, name);
	else if (!kdbus_policy_may_talk(message->src, current_cred(), dst))
		ret = -EPERM;
	else if (msg->flags & KDBUS_MSG_EXPECT_REPLY)
		ret = kdbus_message_call(message, dst, name, sync);
	else
		ret = kdbus_message_plain(message, dst, name);
	kdbus_meta_process_release(&message->process);

put:
	kdbus_conn_put(dst);
	kdbus_name_put_entry(name);
	return ret;
}

static int kdbus_message_unicast(struct kdbus_message *message, struct kdbus_reply **sync)
{
	int ret;

	do {
		ret = kdbus_message_try_unicast(message, sync);
	} while (ret == -EREMCHG && message->msg->dst_id == KDBUS_DST_ID_NAME &&
		 !fatal_signal_pending(current));

	return ret;
}

static int kdbus_message_route(struct kdbus_message *message, struct kdbus_reply **sync)
{
	const struct kdbus_msg *msg = message->msg;

	if (msg->dst_id == KDBUS_DST_ID_BROADCAST) {
		kdbus_message_broadcast(message);
		return 0;
	}

	if (message->sync) {
		*sync = kdbus_reply_resume(message->src, msg->cookie, msg->timeout_ns);
		if (*sync)
			return 0;
		if ((s64)msg->timeout_ns <= (s64)ktime_get_ns())
			return -ETIMEDOUT;
	}
	return kdbus_message_unicast(message, sync);
}

/* ---- the command ---- */

static int kdbus_message_send(struct kdbus_message *message, struct kdbus_reply **sync)
{
	int ret;

	ret = kdbus_message_check(message);
	if (ret < 0)
		return ret;

	message->seqnum = kdbus_bus_next_seqnum(message->src->ep->bus);
	message->monotonic_ns = ktime_get_ns();
	message->realtime_ns = ktime_get_real_ns();

	ret = kdbus_message_resolve_files(message);
	if (ret == 0)
		ret = kdbus_message_route(message, sync);
	kdbus_files_put(message->files);
	return ret;
}

static int kdbus_send_parse_message(struct kdbus_message *message, u64 address, void *storage,
				    bool negotiate)
{
	int ret;

	message->command.heap = false;
	if (address > ULONG_MAX)
		return -EFAULT;
	ret = kdbus_command_parse(&message->command, &kdbus_msg_spec, u64_to_user_ptr(address),
				  storage, KDBUS_MESSAGE_STORAGE);
	if (ret < 0)
		return ret;
	if (ret == KDBUS_COMMAND_NEGOTIATED && !negotiate)
		return -EINVAL;
	message->msg = message->command.msg;
	return negotiate ? KDBUS_COMMAND_NEGOTIATED : 0;
}

static int kdbus_send_get_cancel_file(const struct kdbus_item *item, struct file **cancel)
{
	*cancel = NULL;
	if (!item)
		return 0;

	*cancel = item->fds[0] < 0 ? NULL : fget(item->fds[0]);
	if (!*cancel)
		return -EBADF;
	return file_can_poll(*cancel) ? 0 : -EINVAL;
}

static int kdbus_send(struct kdbus_conn *conn, struct kdbus_command *command, bool negotiate)
{
	u64 storage[KDBUS_MESSAGE_STORAGE / sizeof(u64)], image[KDBUS_MESSAGE_IMAGE / sizeof(u64)];
	const struct kdbus_cmd_send *cmd = command->data;
	struct kdbus_msg_info info = { .offset = conn->pool->size };
	struct kdbus_message message;
	struct kdbus_reply *sync = NULL;
	struct file *cancel = NULL;
	int ret;

	message.src = conn;
	message.items_end = 0;
	message.payload = 0;
	message.n_fds = 0;
	message.n_memfds = 0;
	message.files = NULL;
	message.sync = cmd->flags & KDBUS_SEND_SYNC_REPLY;
	message.monitored = false;
	kdbus_buf_init(&message.image, image, sizeof(image));

	ret = kdbus_send_parse_message(&message, cmd->msg_address, storage, negotiate);
	if (ret == 0)
		ret = kdbus_send_get_cancel_file(command->found[KDBUS_SEND_CANCEL_FD], &cancel);
	if (ret == 0)
		ret = kdbus_message_send(&message, &sync);
	kdbus_buf_free(&message.image);
	kdbus_command_release(&message.command);

	if (sync)
		ret = kdbus_reply_wait(sync, cancel, &info);
	if (cancel)
		fput(cancel);

	if (ret == 0)
		ret = kdbus_command_copy_out(command, offsetof(struct kdbus_cmd_send, reply),
					     &info, sizeof(info));
	return ret;
}

/**
 * kdbus_cmd_send() - KDBUS_CMD_SEND
 * @conn:	the caller
 * @file:	unused
 * @argp:	the command
 *
 * Return: what the ioctl returns.
 */
int kdbus_cmd_send(struct kdbus_conn *conn, struct file *file, void __user *argp)
{
	u64 storage[KDBUS_COMMAND_STORAGE / sizeof(u64)];
	struct kdbus_command command;
	const struct kdbus_cmd_send *cmd;
	bool negotiate;
	int ret;

	ret = kdbus_command_parse(&command, &kdbus_send_spec, argp, storage, sizeof(storage));
	negotiate = ret == KDBUS_COMMAND_NEGOTIATED;
	if (ret >= 0) {
		cmd = command.data;
		if (!negotiate || cmd->msg_address != 0)
			ret = kdbus_send(conn, &command, negotiate);
		/* unlike other commands, this one reports flags when negotiating too */
		if (ret == KDBUS_COMMAND_NEGOTIATED)
			ret = 0;
	}
	return kdbus_command_finish(&command, ret);
}
