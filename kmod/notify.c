// SPDX-License-Identifier: GPL-2.0-only
#include <linux/err.h>
#include <linux/ktime.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <linux/kdbus.h>

#include "buffer.h"
#include "bus.h"
#include "connection.h"
#include "domain.h"
#include "endpoint.h"
#include "match.h"
#include "metadata.h"
#include "notify.h"
#include "policy.h"
#include "pool.h"
#include "queue.h"

/* Room for any notification: head, name change with the longest name, time. */
#define KDBUS_NOTIFY_MAX	512

/**
 * struct kdbus_event - something that happened
 * @entry:		in the bus's list
 * @dst:		who is told, referenced; NULL for everybody
 * @cookie:		of the call a REPLY_* is about
 * @seqnum:		number of the notification
 * @monotonic_ns:	when
 * @realtime_ns:	when
 * @item_size:		bytes of @item
 * @item:		what
 */
struct kdbus_event {
	struct list_head entry;
	struct kdbus_conn *dst;
	u64 cookie;
	u64 seqnum;
	u64 monotonic_ns;
	u64 realtime_ns;
	size_t item_size;
	struct kdbus_item item;
};

void kdbus_notify_init(struct kdbus_notify *notify)
{
	spin_lock_init(&notify->lock);
	INIT_LIST_HEAD(&notify->events);
	mutex_init(&notify->flush);
}

static void kdbus_event_free(struct kdbus_event *event)
{
	kdbus_conn_put(event->dst);
	kfree(event);
	kdbus_object_dec(KDBUS_OBJECT_NOTIFICATION);
}

void kdbus_notify_destroy(struct kdbus_notify *notify)
{
	WARN_ON(!list_empty(&notify->events));
}

static struct kdbus_event *kdbus_event_new(u64 type, size_t payload)
{
	size_t item_size = offsetof(struct kdbus_item, data) + payload;
	struct kdbus_event *event;

	event = kzalloc(max(sizeof(*event), offsetof(struct kdbus_event, item) + item_size),
			GFP_KERNEL | __GFP_NOFAIL);
	event->item_size = item_size;
	event->item.size = item_size;
	event->item.type = type;
	kdbus_object_inc(KDBUS_OBJECT_NOTIFICATION);
	return event;
}

static void kdbus_event_record(struct kdbus_bus *bus, struct kdbus_event *event)
{
	/* numbered in the order of delivery */
	spin_lock(&bus->notify.lock);
	event->seqnum = kdbus_bus_next_seqnum(bus);
	event->monotonic_ns = ktime_get_ns();
	event->realtime_ns = ktime_get_real_ns();
	list_add_tail(&event->entry, &bus->notify.events);
	spin_unlock(&bus->notify.lock);
}

/**
 * kdbus_notify_name() - record that a name changed hands
 * @bus:	the bus
 * @type:	KDBUS_ITEM_NAME_*
 * @old_id:	previous owner, or 0
 * @old_flags:	how it held the name
 * @new_id:	new owner, or 0
 * @new_flags:	how it holds the name
 * @name:	the name
 */
void kdbus_notify_name(struct kdbus_bus *bus, u64 type, u64 old_id, u64 old_flags, u64 new_id,
		       u64 new_flags, const char *name)
{
	size_t len = strlen(name) + 1;
	struct kdbus_event *event;

	lockdep_assert_held(&bus->lock);

	event = kdbus_event_new(type, sizeof(struct kdbus_notify_name_change) + len);
	event->item.name_change.old_id.id = old_id;
	event->item.name_change.old_id.flags = old_flags;
	event->item.name_change.new_id.id = new_id;
	event->item.name_change.new_id.flags = new_flags;
	memcpy(event->item.name_change.name, name, len);
	kdbus_event_record(bus, event);
}

/**
 * kdbus_notify_id() - record that a connection came or went
 * @bus:	the bus
 * @type:	KDBUS_ITEM_ID_*
 * @id:		the connection
 * @flags:	its KDBUS_HELLO_*
 */
void kdbus_notify_id(struct kdbus_bus *bus, u64 type, u64 id, u64 flags)
{
	struct kdbus_event *event;

	event = kdbus_event_new(type, sizeof(struct kdbus_notify_id_change));
	event->item.id_change.id = id;
	event->item.id_change.flags = flags;
	kdbus_event_record(bus, event);
}

/**
 * kdbus_notify_reply() - record that a call will not be answered
 * @caller:	who called
 * @type:	KDBUS_ITEM_REPLY_*
 * @cookie:	of the call
 */
void kdbus_notify_reply(struct kdbus_conn *caller, u64 type, u64 cookie)
{
	struct kdbus_bus *bus = caller->ep->bus;
	struct kdbus_event *event;

	event = kdbus_event_new(type, 0);
	event->dst = kdbus_conn_get(caller);
	event->cookie = cookie;
	kdbus_event_record(bus, event);
}

static void kdbus_event_write(const struct kdbus_event *event, struct kdbus_buf *buf)
{
	struct kdbus_msg *msg;

	msg = kdbus_buf_push(buf, sizeof(*msg));
	memset(msg, 0, sizeof(*msg));
	msg->flags = event->dst ? 0 : KDBUS_MSG_SIGNAL;
	msg->dst_id = event->dst ? event->dst->id : KDBUS_DST_ID_BROADCAST;
	msg->src_id = KDBUS_SRC_ID_KERNEL;
	msg->payload_type = KDBUS_PAYLOAD_KERNEL;
	msg->cookie_reply = event->cookie;

	memcpy(kdbus_buf_push(buf, event->item_size), &event->item, event->item_size);
	kdbus_meta_write_timestamp(event->seqnum, event->monotonic_ns, event->realtime_ns, buf);
	msg->size = buf->len;
}

static int kdbus_event_deliver(struct kdbus_conn *conn, const struct kdbus_buf *buf)
{
	struct kdbus_queue_entry *entry;
	int ret;

	entry = kdbus_queue_reserve(conn, kdbus_user_kernel(), buf->len, NULL);
	if (IS_ERR(entry))
		return PTR_ERR(entry);

	ret = kdbus_slice_write(entry->slice, 0, buf->data, buf->len);
	if (ret == 0)
		ret = kdbus_queue_publish(conn, entry, false);
	if (ret < 0)
		kdbus_queue_discard(conn, entry);
	return ret;
}

/* What cannot be delivered is counted; a lost REPLY_* is not. */
static void kdbus_event_deliver_counted(struct kdbus_conn *conn, const struct kdbus_buf *buf)
{
	int ret = kdbus_event_deliver(conn, buf);

	if (ret < 0 && ret != -ECONNRESET)
		kdbus_queue_count_drop(conn);
}

static void kdbus_event_copy_to_monitors(struct kdbus_bus *bus, const struct kdbus_buf *buf)
{
	struct kdbus_receivers receivers;
	size_t i;

	if (list_empty(&bus->monitors))
		return;

	kdbus_bus_collect_monitors(bus, &receivers);
	for (i = 0; i < receivers.count; i++)
		kdbus_event_deliver_counted(receivers.conns[i], buf);
	kdbus_receivers_release(&receivers);
}

/* Names are kept from those who may not see them. */
static bool kdbus_event_is_visible(const struct kdbus_event *event, const struct kdbus_conn *conn)
{
	switch (event->item.type) {
	case KDBUS_ITEM_NAME_ADD:
	case KDBUS_ITEM_NAME_REMOVE:
	case KDBUS_ITEM_NAME_CHANGE:
		return kdbus_policy_may_see_name(conn, conn->cred, event->item.name_change.name);
	default:
		return true;
	}
}

static void kdbus_event_broadcast(struct kdbus_bus *bus, const struct kdbus_event *event,
				  const struct kdbus_buf *buf)
{
	const struct kdbus_match_event what = { .item = &event->item };
	struct kdbus_receivers receivers;
	size_t i;

	kdbus_match_collect(bus, &what, &receivers);
	for (i = 0; i < receivers.count; i++)
		if (kdbus_event_is_visible(event, receivers.conns[i]))
			kdbus_event_deliver_counted(receivers.conns[i], buf);
	kdbus_receivers_release(&receivers);
}

static struct kdbus_event *kdbus_notify_next(struct kdbus_notify *notify)
{
	struct kdbus_event *event;

	spin_lock(&notify->lock);
	event = list_first_entry_or_null(&notify->events, struct kdbus_event, entry);
	if (event)
		list_del(&event->entry);
	spin_unlock(&notify->lock);
	return event;
}

/**
 * kdbus_notify_flush() - deliver what was recorded
 * @bus:	the bus
 *
 * When this returns, everything that was recorded before the call has been
 * delivered, by this task or another.
 */
void kdbus_notify_flush(struct kdbus_bus *bus)
{
	u64 storage[KDBUS_NOTIFY_MAX / sizeof(u64)];
	struct kdbus_event *event;
	struct kdbus_buf buf;

	BUILD_BUG_ON(sizeof(storage) < sizeof(struct kdbus_msg) +
		     offsetof(struct kdbus_item, data) + sizeof(struct kdbus_notify_name_change) +
		     ALIGN(KDBUS_NAME_MAX_LEN + 1, 8) +
		     offsetof(struct kdbus_item, data) + sizeof(struct kdbus_timestamp));

	mutex_lock(&bus->notify.flush);
	while ((event = kdbus_notify_next(&bus->notify))) {
		kdbus_buf_init(&buf, storage, sizeof(storage));
		kdbus_event_write(event, &buf);
		if (!event->dst || !kdbus_conn_is_dead(event->dst))
			kdbus_event_copy_to_monitors(bus, &buf);
		if (event->dst)
			kdbus_event_deliver(event->dst, &buf);
		else
			kdbus_event_broadcast(bus, event, &buf);
		kdbus_event_free(event);
	}
	mutex_unlock(&bus->notify.flush);
}
