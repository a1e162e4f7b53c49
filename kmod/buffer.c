// SPDX-License-Identifier: GPL-2.0-only
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <linux/kdbus.h>

#include "buffer.h"

/**
 * kdbus_buf_init() - start a buffer
 * @buf:	the buffer
 * @storage:	where to begin, aligned to 8; may be NULL
 * @cap:	bytes at @storage
 */
void kdbus_buf_init(struct kdbus_buf *buf, void *storage, size_t cap)
{
	*buf = (struct kdbus_buf){ .data = storage, .cap = cap };
}

/**
 * kdbus_buf_free() - give a buffer's memory back
 * @buf:	the buffer
 */
void kdbus_buf_free(struct kdbus_buf *buf)
{
	if (buf->heap)
		kvfree(buf->data);
}

/**
 * kdbus_buf_reserve() - make room
 * @buf:	the buffer
 * @more:	bytes that the next pushes need together; may sleep
 *
 * Return: whether there is room.
 */
bool kdbus_buf_reserve(struct kdbus_buf *buf, size_t more)
{
	size_t cap;
	u8 *data;

	if (buf->failed)
		return false;
	if (more <= buf->cap - buf->len)
		return true;

	cap = max_t(size_t, ALIGN(buf->len + more, 8), 2 * buf->cap);
	data = kvmalloc(cap, GFP_KERNEL_ACCOUNT);
	if (!data) {
		buf->failed = true;
		return false;
	}

	memcpy(data, buf->data, buf->len);
	kdbus_buf_free(buf);
	buf->data = data;
	buf->cap = cap;
	buf->heap = true;
	return true;
}

/**
 * kdbus_buf_push() - append bytes
 * @buf:	the buffer
 * @len:	how many; may sleep if they were not reserved
 *
 * Return: where to put them, valid until the next push; NULL without memory.
 */
void *kdbus_buf_push(struct kdbus_buf *buf, size_t len)
{
	void *at;

	if (!kdbus_buf_reserve(buf, len))
		return NULL;

	at = buf->data + buf->len;
	buf->len += len;
	return at;
}

/**
 * kdbus_buf_align() - append zeros up to the next multiple of 8
 * @buf:	the buffer
 */
void kdbus_buf_align(struct kdbus_buf *buf)
{
	size_t pad = ALIGN(buf->len, 8) - buf->len;
	void *at;

	if (pad == 0)
		return;
	at = kdbus_buf_push(buf, pad);
	if (at)
		memset(at, 0, pad);
}

/**
 * kdbus_buf_item() - append an item's header, aligned
 * @buf:	the buffer
 * @type:	KDBUS_ITEM_*
 * @payload:	bytes of payload
 *
 * Return: where to put the payload, valid until the next push; NULL without
 * memory.
 */
void *kdbus_buf_item(struct kdbus_buf *buf, u64 type, size_t payload)
{
	struct kdbus_item *item;

	kdbus_buf_align(buf);
	item = kdbus_buf_push(buf, offsetof(struct kdbus_item, data) + payload);
	if (!item)
		return NULL;

	item->size = offsetof(struct kdbus_item, data) + payload;
	item->type = type;
	return item->data;
}

/**
 * kdbus_buf_item_str() - append an item that is a string
 * @buf:	the buffer
 * @type:	KDBUS_ITEM_*
 * @str:	the string
 */
void kdbus_buf_item_str(struct kdbus_buf *buf, u64 type, const char *str)
{
	size_t len = strlen(str) + 1;
	char *at;

	at = kdbus_buf_item(buf, type, len);
	if (at)
		memcpy(at, str, len);
}
