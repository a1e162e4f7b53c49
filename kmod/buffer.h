/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: Buffers
 *
 * A growable buffer in which item lists are put together before they go to a
 * pool. It starts in storage its user provides, usually on the stack, and
 * moves to the heap only when that does not suffice. An allocation failure is
 * remembered; what follows is a no-op, so that callers check once, at the end.
 */
#ifndef KDBUS_BUFFER_H
#define KDBUS_BUFFER_H

#include <linux/types.h>

/**
 * struct kdbus_buf - a growable buffer
 * @data:	the content, aligned to 8
 * @len:	bytes in use
 * @cap:	bytes there are
 * @heap:	@data was allocated
 * @failed:	an allocation failed
 */
struct kdbus_buf {
	u8 *data;
	size_t len;
	size_t cap;
	bool heap : 1;
	bool failed : 1;
};

void kdbus_buf_init(struct kdbus_buf *buf, void *storage, size_t cap);
void kdbus_buf_free(struct kdbus_buf *buf);
bool kdbus_buf_reserve(struct kdbus_buf *buf, size_t more);
void *kdbus_buf_push(struct kdbus_buf *buf, size_t len);
void kdbus_buf_align(struct kdbus_buf *buf);

void *kdbus_buf_item(struct kdbus_buf *buf, u64 type, size_t payload);
void kdbus_buf_item_str(struct kdbus_buf *buf, u64 type, const char *str);

#endif /* KDBUS_BUFFER_H */
